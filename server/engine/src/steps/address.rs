//! `address.*`: how the machine can be reached.

use super::{StepCx, StepError};
use crate::job::lease::Lease;
use model::machine::MachineState;
use std::time::Duration;

/// How often the host is asked while somebody waits: a DHCP lease comes without an event.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Waits until the machine has an address. A machine without one is there all the same, so its absence is a warning.
pub(super) async fn wait(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let target = cx.machine().await?;
    let name = &target.machine.name;
    let host = cx.engine.hosts.get(&target.record.spec.host).cloned();
    let mut changes = cx.engine.fleet.changes();
    let limit = cx.engine.settings.address_limit;
    let deadline = tokio::time::Instant::now() + limit;
    let mut ask = tokio::time::interval(ASK_EVERY);
    loop {
        let Some(known) = cx.engine.fleet.get(name) else { return Ok(()) };
        let observed = &known.row.observed;
        if let Some(address) = observed.addresses.first() {
            cx.say(format!("The machine is at {}.", address.ip));
            return Ok(());
        }
        if !observed.state.is_active() && observed.state != MachineState::Unknown {
            cx.warn("The machine has stopped before it had an address: look at its console.");
            return Ok(());
        }
        tokio::select! {
            biased;
            () = cx.cancel.cancelled() => return Err(StepError::stopped()),
            () = tokio::time::sleep_until(deadline) => {
                cx.warn(format!(
                    "The machine runs, but has no address after {} s. It may still be booting, or its network may have \
                     no DHCP: look at its console.",
                    limit.as_secs()
                ));
                return Ok(());
            }
            // Whatever changed, and however much was missed: look again.
            _ = changes.recv() => {}
            _ = ask.tick() => if let Some(host) = &host { host.look_at(name) },
        }
    }
}
