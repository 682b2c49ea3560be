//! `health.*`: whether a machine that was started with another system is well.

use super::cx::{StepCx, Target};
use super::error::StepError;
use super::step::Step;
use crate::job::lease::Lease;
use crate::text::clean;
use futures::FutureExt as _;
use model::machine::MachineState;
use std::time::Duration;
use tokio::time::Instant;

/// `health.await`
pub(crate) static AWAIT: Step =
    Step::new("health.await", "Wait until the guest reports that its boot is complete", |cx, lease| {
        wait(cx, lease).boxed()
    })
    .waiting();

/// How often the guest is asked while someone waits.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How many of the console's last lines a failure shows.
const LINES: usize = 12;
/// How much of each, in characters.
const LINE: usize = 300;
/// In how much of its end they are looked for, in bytes.
const END: u64 = 8 * 1024;

/// Waits until the guest says that its boot is complete: logins, agent and services are available. One that does not in time
/// has failed, and what its console said last is in the log.
async fn wait(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let target = cx.machine().await?;
    let host = cx.core.hosts.get(&target.record.spec.host).cloned();
    let mut changes = cx.core.fleet.changes();
    if !cx.work.ran && cx.work.renewed.is_none() {
        cx.say("The machine is off: it boots its new system when it is started.");
        return Ok(());
    }
    let limit = cx.core.settings.health_limit;
    let mut deadline = Instant::now() + limit;
    let mut ask = tokio::time::interval(ASK_EVERY);
    loop {
        let Some(known) = cx.core.fleet.by_id(target.machine.id) else { return Ok(()) };
        let observed = &known.row.observed;
        if observed.guest.as_ref().is_some_and(|guest| guest.booted) {
            cx.say("The guest reports that its boot is complete.");
            return Ok(());
        }
        // Of a host that cannot be reached nothing is known, and least that its guest is unwell.
        if observed.state == MachineState::Unknown {
            deadline = Instant::now() + limit;
        }
        if matches!(observed.state, MachineState::Off | MachineState::Crashed | MachineState::Configured) {
            return Err(unwell(cx, &target, "The machine has stopped before its boot was complete."));
        }
        tokio::select! {
            biased;
            () = cx.cancel.cancelled() => return Err(StepError::stopped()),
            () = tokio::time::sleep_until(deadline) => {
                let seconds = limit.as_secs();
                let why = format!("The guest has not reported within {seconds} s that its boot is complete.");
                return Err(unwell(cx, &target, &why));
            }
            // Whatever changed, and however much was missed: check again.
            _ = changes.recv() => {}
            _ = ask.tick() => if let Some(host) = &host { host.look_at(target.machine.id) },
        }
    }
}

/// The failure, with what the console said last in the log.
fn unwell(cx: &StepCx<'_>, target: &Target, why: &str) -> StepError {
    let lines = last_lines(&cx.core.consoles.end_of(target.machine.id, END));
    if lines.is_empty() {
        return StepError::new(format!("{why} Its console said nothing."));
    }
    cx.warn("Its console said last:");
    lines.iter().for_each(|line| cx.warn(line));
    // Not in the message, which the audit log keeps: a guest may print anything.
    StepError::new(format!("{why} What its console said last is in the job's log."))
}

/// The last lines that say something.
fn last_lines(console: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(console);
    let short = |line: &str| clean(line).chars().take(LINE).collect::<String>();
    let lines: Vec<String> = text.lines().map(short).filter(|line| !line.trim().is_empty()).collect();
    lines.into_iter().rev().take(LINES).rev().collect()
}
