//! `address.*`: how the machine can be reached.

use super::cx::StepCx;
use super::error::StepError;
use super::step::Step;
use crate::job::lease::Lease;
use futures::FutureExt as _;
use model::address::{Address, AddressSource};
use model::machine::MachineState;
use std::collections::HashSet;
use std::time::Duration;
use tokio::time::Instant;

/// `address.await`
pub(crate) static AWAIT: Step =
    Step::new("address.await", "Wait for its address", |cx, lease| wait(cx, lease).boxed()).waiting();

/// How often the host is asked while someone waits: a DHCP lease comes without an event.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Addresses known so soon after a start were known before: no guest boots that fast. A lease from an earlier boot
/// stays in the DHCP server's table, often for an hour, and a neighbour's entry for minutes.
const TOO_SOON: Duration = Duration::from_secs(1);

/// Waits until the guest has an address. A machine without one exists all the same, so its absence is a warning.
async fn wait(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let target = cx.machine().await?;
    let host = cx.core.hosts.get(&target.record.spec.host).cloned();
    let mut changes = cx.core.fleet.changes();
    let limit = cx.core.settings.address_limit;
    let begun = Instant::now();
    let mut from_before = HashSet::new();
    let mut ask = tokio::time::interval(ASK_EVERY);
    loop {
        let Some(known) = cx.core.fleet.by_id(target.machine.id) else { return Ok(()) };
        let observed = &known.row.observed;
        if begun.elapsed() < TOO_SOON {
            from_before.extend(observed.addresses.iter().filter(|a| may_be_old(a)).cloned());
        }
        let mut reported = observed.addresses.iter().filter(|a| a.source != AddressSource::LastKnown);
        if let Some(address) = reported.find(|a| !from_before.contains(*a)) {
            cx.say(format!("The machine is at {}.", address.ip));
            return Ok(());
        }
        if !observed.state.is_active() && observed.state != MachineState::Unknown {
            cx.warn("The machine stopped before it had an address: check its console.");
            return Ok(());
        }
        tokio::select! {
            biased;
            () = cx.cancel.cancelled() => return Err(StepError::stopped()),
            () = tokio::time::sleep_until(begun + limit) => {
                let seconds = limit.as_secs();
                cx.warn(match observed.addresses.first() {
                    Some(address) => format!(
                        "The machine should be at {}, but its guest has been silent for {seconds} s: check its console.",
                        address.ip
                    ),
                    None => format!(
                        "The machine runs, but has no address after {seconds} s. It may still be booting, or its network \
                         may have no DHCP: check its console."
                    ),
                });
                return Ok(());
            }
            // Whatever changed, and however much was missed: check again.
            _ = changes.recv() => {}
            _ = ask.tick() => if let Some(host) = &host { host.look_at(target.machine.id) },
        }
    }
}

/// Whether it comes from a table that outlives the guest.
fn may_be_old(address: &Address) -> bool {
    match address.source {
        AddressSource::Static | AddressSource::Agent => false,
        AddressSource::Lease | AddressSource::Neighbour | AddressSource::LastKnown => true,
    }
}
