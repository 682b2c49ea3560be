//! `power.*`: on, off, and in between.

use super::cx::{StepCx, Target};
use super::error::StepError;
use crate::job::lease::Lease;
use crate::machine::fleet::Changed;
use crate::watch::domain;
use model::machine::MachineState;
use ports::hypervisor::Power;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

/// A guest that is still booting does not hear the power button, so it is pressed again now and then.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// Switches on. A machine that already runs stays as it is.
pub(super) async fn start(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let target = cx.machine().await?;
    if state(&target).await?.is_active() {
        cx.say("The machine is running already.");
        return Ok(());
    }
    switch(&target, Power::Start, "Starting the machine").await?;
    tell(cx, &target).await?;
    cx.say("The machine is started.");
    Ok(())
}

/// Undoes `start` in an operation that made the machine: nobody has anything in it yet.
pub(super) async fn undo_start(cx: &mut StepCx<'_>, lease: &Lease) -> Result<(), StepError> {
    force_off(cx, lease).await
}

/// Pulls the plug.
pub(super) async fn force_off(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let Some(target) = cx.find_machine().await? else { return Ok(()) };
    if state(&target).await?.is_active() {
        switch(&target, Power::ForceOff, "Forcing the machine off").await?;
        cx.say("The machine is forced off.");
    } else {
        cx.say("The machine is off.");
    }
    tell(cx, &target).await
}

/// Asks the guest to reboot. It keeps running; whether it listens shows on its console.
pub(super) async fn reboot(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let target = cx.machine().await?;
    switch(&target, Power::Reboot, "Rebooting the machine").await?;
    cx.say("The guest has been asked to reboot.");
    Ok(())
}

/// Stops the processors.
pub(super) async fn suspend(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let target = cx.machine().await?;
    if state(&target).await? != MachineState::Paused {
        switch(&target, Power::Suspend, "Suspending the machine").await?;
    }
    tell(cx, &target).await?;
    cx.say("The machine is suspended; its memory is kept.");
    Ok(())
}

/// Lets the processors run again.
pub(super) async fn resume(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let target = cx.machine().await?;
    if state(&target).await? != MachineState::Running {
        switch(&target, Power::Resume, "Resuming the machine").await?;
    }
    tell(cx, &target).await?;
    cx.say("The machine runs again.");
    Ok(())
}

/// Asks the guest to shut down, and waits for the host to say that it has.
pub(super) async fn shut_down(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let target = cx.machine().await?;
    // Subscribed before asking: a guest may be quicker than we are.
    let mut changes = cx.core.fleet.changes();
    if !state(&target).await?.is_active() {
        tell(cx, &target).await?;
        cx.say("The machine is off.");
        return Ok(());
    }
    switch(&target, Power::ShutDown, "Asking the guest to shut down").await?;
    cx.say("The guest has been asked to shut down; waiting until it has.");
    let limit = cx.core.settings.shut_down_limit;
    let mut again = tokio::time::interval_at(Instant::now() + ASK_AGAIN, ASK_AGAIN);
    let off = async {
        loop {
            let asks_again = tokio::select! {
                change = changes.recv() => match change {
                    Ok(changed) => match &*changed {
                        Changed::Machine(known)
                            if known.uuid == target.machine.uuid && is_off(known.row.observed.state) =>
                        {
                            return Ok(());
                        }
                        _ => continue,
                    },
                    Err(RecvError::Lagged(_)) => false,
                    Err(RecvError::Closed) => return Err(StepError::stopped()),
                },
                _ = again.tick() => true,
            };
            // An event may have been missed, by us or on its way to us: ask.
            if !state(&target).await?.is_active() {
                return tell(cx, &target).await;
            }
            if asks_again {
                switch(&target, Power::ShutDown, "Asking the guest to shut down").await?;
            }
        }
    };
    tokio::select! {
        biased;
        () = cx.cancel.cancelled() => Err(StepError::stopped()),
        ended = tokio::time::timeout(limit, off) => match ended {
            Ok(ended) => ended.map(|()| cx.say("The guest has shut down.")),
            Err(_) => Err(StepError::new(format!(
                "The guest has not shut down within {} s. It may be busy or may not listen to the power button: \
                 look at its console, wait and try again, or force it off.",
                limit.as_secs()
            ))),
        },
    }
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
    cx.core.fleet.answered(&target.record.spec.host, stamp, target.machine.uuid, domain(state));
    Ok(())
}
