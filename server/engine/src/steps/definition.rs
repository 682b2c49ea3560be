//! `definition.*`: the domain on the host.

use super::cx::{StepCx, Target};
use super::error::StepError;
use super::step::Step;
use super::{generation, power};
use crate::job::lease::Lease;
use crate::job::step::Hardware;
use crate::watch::domain;
use futures::FutureExt as _;
use model::change::Part;
use model::machine::Network;
use model::spec::Spec;
use ports::hypervisor::{Definition, Volume};

/// `definition.put`
pub(crate) static PUT: Step = Step::new("definition.put", "Define it", |cx, lease| put(cx, lease).boxed())
    .undone_by(|cx, lease| undo_put(cx, lease).boxed())
    .leaving("its definition")
    .making(Part::Hardware);
/// `definition.autostart`
pub(crate) static AUTOSTART: Step =
    Step::new("definition.autostart", "Set whether the host starts it at boot", |cx, lease| {
        autostart(cx, lease).boxed()
    })
    .making(Part::Autostart);
/// `definition.remove`
pub(crate) static REMOVE: Step =
    Step::new("definition.remove", "Remove the definition from the host", |cx, lease| {
        remove(cx, lease).boxed()
    })
    .removing("its definition");

/// Defines the domain.
async fn put(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    if cx.is_configuration().await? {
        return Ok(());
    }
    let target = cx.machine().await?;
    let state = target.hypervisor.state(&target.machine).await;
    let state = state.map_err(target.host_error("Asking for the state"))?;
    if state.is_active() && cx.work.replaced.is_some() {
        return Err(StepError::new(
            "Someone has started the machine while it was to be switched to another boot disk. Try again.",
        ));
    }
    if state.is_active() {
        // Else the host's definition would say one thing and the machine be another, until somebody restarts it.
        cx.say("The machine runs. Its new definition is put when it is started the next time.");
        return Ok(());
    }
    let spec = &target.record.spec;
    // By what was true when the job was accepted: a create that comes here twice finds its own definition.
    if cx.work.was_defined && cx.work.former.is_none() {
        cx.work.former = target.record.applied.as_ref().map(Hardware::of);
        // Before the definition is another: what it was stands nowhere else then.
        cx.save_work().await?;
    }
    let boot = target.boot_disk()?.clone();
    define(&target, &Hardware::of(spec), boot, target.data_disk().cloned()).await?;
    cx.say(format!("{} is defined on host {}.", spec.name, spec.host));
    cx.applied(&target, Part::Hardware).await?;
    // A new domain starts by hand only; one that is there keeps what it has.
    if spec.autostart { set_autostart(cx, &target).await } else { Ok(()) }
}

/// At once, also while it runs.
async fn autostart(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let target = cx.machine().await?;
    set_autostart(cx, &target).await?;
    let when = if target.record.spec.autostart { "whenever it boots" } else { "only when it is asked to" };
    cx.say(format!("The host starts the machine {when}."));
    Ok(())
}

async fn set_autostart(cx: &StepCx<'_>, target: &Target) -> Result<(), StepError> {
    let set = target.hypervisor.set_autostart(&target.machine, target.record.spec.autostart).await;
    set.map_err(target.host_error("Setting the machine's autostart"))?;
    cx.applied(target, Part::Autostart).await
}

async fn define(
    target: &Target,
    hardware: &Hardware,
    boot: Volume,
    data: Option<Volume>,
) -> Result<(), StepError> {
    let Hardware { memory, vcpus, network } = hardware.clone();
    let definition =
        Definition { hardware: target.record.hardware.clone(), memory, vcpus, network, boot, data };
    let put = target.hypervisor.put_definition(&target.machine, &definition).await;
    put.map_err(target.host_error("Defining the machine"))
}

/// Removes the domain.
async fn remove(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let Some(target) = cx.find_machine().await? else { return Ok(()) };
    target
        .hypervisor
        .remove_definition(&target.machine)
        .await
        .map_err(target.host_error("Removing the definition"))?;
    let stamp = cx.core.fleet.stamp();
    let state = target.hypervisor.state(&target.machine).await;
    let state = state.map_err(target.host_error("Asking for the state"))?;
    cx.core.fleet.answered(&target.record.spec.host, stamp, &target.machine.host_ref, domain(state));
    cx.say("The definition is removed from the host.");
    Ok(())
}

/// Undoes `put`: the definition is what it was, or there is none as before. One that was not put again is left as it is.
async fn undo_put(cx: &mut StepCx<'_>, lease: &Lease) -> Result<(), StepError> {
    let Some(former) = cx.work.former.clone().filter(|_| cx.work.was_defined) else {
        return if cx.work.was_defined { Ok(()) } else { remove(cx, lease).await };
    };
    if cx.work.replaced.is_some() {
        // Somebody may have started it since: it runs from the disk that is removed next.
        power::undo_start(cx, lease).await?;
    }
    let target = cx.machine().await?;
    // The row is switched back later.
    let boot = match cx.work.replaced {
        Some(number) => generation::complete(cx, target.record.id, number).await?.1,
        None => target.boot_disk()?.clone(),
    };
    define(&target, &former, boot, generation::former_data(cx, &target)).await?;
    cx.say("The machine has its former definition again.");
    let mut was = target.record.spec.clone();
    former.give(&mut was);
    cx.applied_as(&target, Part::Hardware, &was).await
}

/// With what, for plans.
pub(crate) fn what(step: &Step, spec: &Spec) -> Option<String> {
    let network = match &spec.network {
        Network::Nat => "NAT".to_owned(),
        Network::Bridge(name) => format!("bridge {name}"),
    };
    let words = format!("Define it on {} with {}, {} and {network}", spec.host, spec.vcpus, spec.memory);
    let autostart = if spec.autostart { "Have the host start it at boot" } else { "Start it only by hand" };
    (*step == PUT).then_some(words).or_else(|| (*step == AUTOSTART).then(|| autostart.to_owned()))
}
