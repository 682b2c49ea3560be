//! `power.*`: on, off, and in between.

use super::cx::{StepCx, Target};
use super::error::StepError;
use super::step::Step;
use crate::job::lease::Lease;
use crate::machine::fleet::Changed;
use crate::watch::domain;
use futures::FutureExt as _;
use model::machine::MachineState;
use ports::hypervisor::Power;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

/// `power.start`
pub(crate) static START: Step = Step::new("power.start", "Start it", |cx, lease| start(cx, lease).boxed())
    .undone_by(|cx, lease| undo_start(cx, lease).boxed())
    .leaving("the machine itself, running");
/// `power.shut_down`
pub(crate) static SHUT_DOWN: Step =
    Step::new("power.shut_down", "Ask the guest to shut down, and wait until it has", |cx, lease| {
        shut_down(cx, lease).boxed()
    })
    .waiting();
/// `power.stop`
pub(crate) static STOP: Step =
    Step::new("power.stop", "Ask the guest to shut down, and wait until it has", |cx, lease| {
        stop(cx, lease).boxed()
    })
    .undone_by(|cx, lease| undo_stop(cx, lease).boxed())
    .waiting();
/// `power.end`
pub(crate) static END: Step =
    Step::new("power.end", "Ask the guest to shut down, and switch it off if it does not", |cx, lease| {
        end(cx, lease).boxed()
    })
    .undone_by(|cx, lease| undo_stop(cx, lease).boxed())
    .waiting();
/// `power.reboot`
pub(crate) static REBOOT: Step =
    Step::new("power.reboot", "Ask the guest to reboot", |cx, lease| reboot(cx, lease).boxed());
/// `power.force_off`
pub(crate) static FORCE_OFF: Step =
    Step::new("power.force_off", "Force it off", |cx, lease| force_off(cx, lease).boxed());
/// `power.kill`
pub(crate) static KILL: Step = Step::new("power.kill", "Switch it off", |cx, lease| kill(cx, lease).boxed())
    .removing("the machine itself, running");
/// `power.suspend`
pub(crate) static SUSPEND: Step =
    Step::new("power.suspend", "Suspend it in memory", |cx, lease| suspend(cx, lease).boxed());
/// `power.resume`
pub(crate) static RESUME: Step =
    Step::new("power.resume", "Let it run again", |cx, lease| resume(cx, lease).boxed());

/// `power.require_off`
pub(crate) static REQUIRE_OFF: Step =
    Step::new("power.require_off", "Make sure that it is off", |cx, lease| require_off(cx, lease).boxed());

/// A guest that is still booting misses the power button, so it is pressed again from time to time.
const ASK_AGAIN: Duration = Duration::from_secs(10);
/// How long a guest whose system has failed gets to shut down before it is switched off.
const A_MOMENT: Duration = Duration::from_secs(30);

/// Switches on. A machine that already runs stays as it is.
async fn start(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let target = cx.machine().await?;
    if state(&target).await?.is_active() {
        cx.say("The machine is already running.");
        return Ok(());
    }
    // New disks are booted in any case: they must be seen to work before the former ones go.
    if cx.work.replaced.is_some() && !cx.work.ran && cx.work.renewed.is_none() {
        cx.say("The machine was shut down meanwhile, and stays off.");
        return Ok(());
    }
    switch(&target, Power::Start, "Starting the machine").await?;
    tell(cx, &target).await?;
    cx.say("The machine is started.");
    Ok(())
}

/// Undoes `start`. Nobody has anything in a machine that the operation made; one that ran before is given a moment to write what
/// it has to its disks.
pub(super) async fn undo_start(cx: &mut StepCx<'_>, lease: &Lease) -> Result<(), StepError> {
    if cx.work.ran || cx.work.had_disks {
        return ask_then_kill(cx, lease).await;
    }
    kill(cx, lease).await
}

/// Switches off what will run from other disks. A guest that does not listen must not be able to prevent that.
async fn end(cx: &mut StepCx<'_>, lease: &Lease) -> Result<(), StepError> {
    if !cx.work.ran && state(&cx.machine().await?).await?.is_active() {
        // Before it is asked: whoever undoes this must know that it may shut down later.
        (cx.work.ran, cx.work.asked) = (true, true);
        cx.save_work().await?;
    }
    ask_then_kill(cx, lease).await
}

async fn ask_then_kill(cx: &mut StepCx<'_>, lease: &Lease) -> Result<(), StepError> {
    match ask_nicely(cx).await {
        Err(error) if error.stopped => return Err(error),
        // One that is suspended cannot be asked.
        Err(error) => cx.warn(format!("The guest could not be asked to shut down. ({error})")),
        Ok(()) => {}
    }
    kill(cx, lease).await
}

/// Asks the guest to shut down and waits a moment. It need not be able to.
async fn ask_nicely(cx: &StepCx<'_>) -> Result<(), StepError> {
    let Some(target) = cx.find_machine().await? else { return Ok(()) };
    let mut changes = cx.core.fleet.changes();
    if !state(&target).await?.is_active() {
        return Ok(());
    }
    switch(&target, Power::ShutDown, "Asking the guest to shut down").await?;
    cx.say("The guest has been asked to shut down.");
    let limit = cx.core.settings.shut_down_limit.min(A_MOMENT);
    let off = until_off(&target, &mut changes, true);
    tokio::select! {
        biased;
        () = cx.cancel.cancelled() => Err(StepError::stopped()),
        ended = tokio::time::timeout(limit, off) => ended.unwrap_or(Ok(())),
    }
}

/// Pulls the plug on a machine that will be removed.
async fn kill(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let Some(target) = cx.find_machine().await? else { return Ok(()) };
    if state(&target).await?.is_active() {
        switch(&target, Power::ForceOff, "Forcing the machine off").await?;
        cx.say("The machine is forced off.");
    } else {
        cx.say("The machine is off.");
    }
    tell(cx, &target).await
}

/// Fails unless the machine is off. Someone may have started it on the host since the job was accepted.
async fn require_off(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let Some(target) = cx.find_machine().await? else { return Ok(()) };
    if state(&target).await?.is_active() {
        return Err(StepError::new("The machine is running. Shut it down, then try again."));
    }
    tell(cx, &target).await?;
    cx.say("The machine is off.");
    Ok(())
}

/// Pulls the plug because someone asked for it.
async fn force_off(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let target = cx.machine().await?;
    if state(&target).await?.is_active() {
        ask(cx, &target, Power::ForceOff, "Forcing the machine off").await?;
    }
    tell(cx, &target).await?;
    cx.say("The machine is off.");
    Ok(())
}

/// Asks the guest to reboot. It keeps running; whether it listens shows on its console.
async fn reboot(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let target = cx.machine().await?;
    // Checked first: an unreachable host is waited for before the guest is asked, not after.
    state(&target).await?;
    if cx.work.asked {
        cx.say("The guest was asked to reboot before the portal was restarted; it is not asked again.");
        return Ok(());
    }
    ask(cx, &target, Power::Reboot, "Rebooting the machine").await?;
    cx.say("The guest has been asked to reboot.");
    Ok(())
}

/// Stops the processors.
async fn suspend(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let target = cx.machine().await?;
    if state(&target).await? != MachineState::Paused {
        ask(cx, &target, Power::Suspend, "Suspending the machine").await?;
    }
    tell(cx, &target).await?;
    cx.say("The machine is suspended; its memory is kept.");
    Ok(())
}

/// Lets the processors run again.
async fn resume(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let target = cx.machine().await?;
    if state(&target).await? != MachineState::Running {
        ask(cx, &target, Power::Resume, "Resuming the machine").await?;
    }
    tell(cx, &target).await?;
    cx.say("The machine runs again.");
    Ok(())
}

/// Shuts a machine down that will be started again.
async fn stop(cx: &mut StepCx<'_>, lease: &Lease) -> Result<(), StepError> {
    // Asked again after a crash: the job itself starts the machine again.
    cx.work.asked = false;
    if !cx.work.ran {
        cx.work.ran = state(&cx.machine().await?).await?.is_active();
        cx.save_work().await?;
    }
    shut_down(cx, lease).await
}

/// Undoes `stop`: what ran runs again.
async fn undo_stop(cx: &mut StepCx<'_>, lease: &Lease) -> Result<(), StepError> {
    if !cx.work.ran {
        return Ok(());
    }
    // A guest that was asked to shut down does so later, when it would be taken for running.
    if cx.work.asked && state(&cx.machine().await?).await?.is_active() {
        match shut_down(cx, lease).await {
            Err(error) if error.stopped => return Err(error),
            Err(_) => {
                cx.warn("The guest was asked to shut down and may still do so. Start the machine then.")
            }
            Ok(()) => {}
        }
    }
    start(cx, lease).await
}

/// Asks the guest to shut down, and waits for the host to report that it has.
async fn shut_down(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let target = cx.machine().await?;
    // Subscribed before asking: a guest may be quicker than we are.
    let mut changes = cx.core.fleet.changes();
    if !state(&target).await?.is_active() {
        tell(cx, &target).await?;
        cx.say("The machine is off.");
        return Ok(());
    }
    // After a restart it is only waited for: the guest may have shut down meanwhile and someone may have started it.
    let may_ask = !cx.work.asked;
    if may_ask {
        ask(cx, &target, Power::ShutDown, "Asking the guest to shut down").await?;
        cx.say("The guest has been asked to shut down; waiting until it has.");
    } else {
        cx.say("The guest was asked to shut down before the portal was restarted; waiting until it has.");
    }
    let limit = cx.core.settings.shut_down_limit;
    let off = until_off(&target, &mut changes, may_ask);
    tokio::select! {
        biased;
        () = cx.cancel.cancelled() => Err(StepError::stopped()),
        ended = tokio::time::timeout(limit, off) => match ended {
            Ok(ended) => {
                ended?;
                tell(cx, &target).await?;
                cx.say("The guest has shut down.");
                Ok(())
            }
            Err(_) => Err(StepError::new(format!(
                "The guest has not shut down within {} s. It may be busy or ignore the power button: \
                 check its console, wait and try again, or force it off.",
                limit.as_secs()
            ))),
        },
    }
}

/// Waits until the machine is off; where that is allowed, the guest is asked again from time to time.
async fn until_off(
    target: &Target,
    changes: &mut Receiver<Arc<Changed>>,
    may_ask: bool,
) -> Result<(), StepError> {
    let mut again = tokio::time::interval_at(Instant::now() + ASK_AGAIN, ASK_AGAIN);
    loop {
        let asks_again = tokio::select! {
            change = changes.recv() => match change {
                Ok(changed) => match &*changed {
                    Changed::Machine(known)
                        if known.row.id == target.machine.id && is_off(known.row.observed.state) =>
                    {
                        return Ok(());
                    }
                    _ => continue,
                },
                Err(RecvError::Lagged(_)) => false,
                Err(RecvError::Closed) => return Err(StepError::stopped()),
            },
            _ = again.tick() => may_ask,
        };
        // An event may have been missed, by us or on its way to us: ask.
        if !state(target).await?.is_active() {
            return Ok(());
        }
        if asks_again {
            switch(target, Power::ShutDown, "Asking the guest to shut down").await?;
        }
    }
}

/// Asks the host for what a person wants, once per job: the intent is saved before the call. A job that comes here
/// again, after a crash or because the host became unreachable in the middle, has checked the state: the wish has not
/// come true, and whether it ever will is unknown.
async fn ask(
    cx: &mut StepCx<'_>,
    target: &Target,
    power: Power,
    what: &'static str,
) -> Result<(), StepError> {
    if cx.work.asked {
        return Err(StepError::new(format!(
            "{what} was begun and interrupted, and it is not repeated automatically. Check the machine, and ask again."
        )));
    }
    cx.work.asked = true;
    cx.save_work().await?;
    switch(target, power, what).await
}

/// Nothing of the guest is left in memory; an unknown state is none.
fn is_off(state: MachineState) -> bool {
    matches!(state, MachineState::Off | MachineState::Crashed | MachineState::Configured)
}

async fn state(target: &Target) -> Result<MachineState, StepError> {
    target.hypervisor.state(&target.machine).await.map_err(target.host_error("Asking for the state"))
}

async fn switch(target: &Target, power: Power, what: &'static str) -> Result<(), StepError> {
    target.hypervisor.power(&target.machine, power).await.map_err(target.host_error(what))
}

/// Shows the state at once, without waiting for the host's event to make its way.
async fn tell(cx: &StepCx<'_>, target: &Target) -> Result<(), StepError> {
    let stamp = cx.core.fleet.stamp();
    let state = state(target).await?;
    cx.core.fleet.answered(&target.record.spec.host, stamp, &target.machine.host_ref, domain(state));
    Ok(())
}
