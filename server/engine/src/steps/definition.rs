//! `definition.*`: the domain on the host.

use super::cx::StepCx;
use super::error::StepError;
use super::step::Step;
use crate::job::lease::Lease;
use crate::watch::domain;
use futures::FutureExt as _;
use model::machine::Network;
use model::spec::Spec;
use ports::hypervisor::Definition;

/// `definition.put`
pub(crate) static PUT: Step = Step::new("definition.put", "Define it", |cx, lease| put(cx, lease).boxed())
    .undone_by(|cx, lease| undo_put(cx, lease).boxed())
    .leaving("its definition");
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
    let disks = target.record.disks.clone().ok_or_else(|| {
        StepError::new("The machine has no disks to boot from. Destroy it, then create it again.")
    })?;
    let spec = &target.record.spec;
    let definition = Definition {
        hardware: target.record.hardware.clone(),
        memory: spec.memory,
        vcpus: spec.vcpus,
        network: spec.network.clone(),
        boot: disks.boot,
        data: disks.data,
    };
    let put = target.hypervisor.put_definition(&target.machine, &definition).await;
    put.map_err(target.host_error("Defining the machine"))?;
    cx.say(format!("{} is defined on host {}.", spec.name, spec.host));
    Ok(())
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

/// Undoes `put` of a machine that had no definition. One that had keeps it: its changes are undone where they came
/// from.
async fn undo_put(cx: &mut StepCx<'_>, lease: &Lease) -> Result<(), StepError> {
    if cx.work.was_defined { Ok(()) } else { remove(cx, lease).await }
}

/// With what, for plans.
pub(crate) fn what(step: &Step, spec: &Spec) -> Option<String> {
    let network = match &spec.network {
        Network::Nat => "NAT".to_owned(),
        Network::Bridge(name) => format!("bridge {name}"),
    };
    let words = format!("Define it on {} with {}, {} and {network}", spec.host, spec.vcpus, spec.memory);
    (*step == PUT).then_some(words)
}
