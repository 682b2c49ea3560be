//! `definition.*`: the domain on the host.

use super::cx::StepCx;
use super::error::StepError;
use crate::job::lease::Lease;
use crate::watch::domain;
use ports::hypervisor::Definition;

/// Defines the domain.
pub(super) async fn put(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let target = cx.machine().await?;
    let disks = target.record.disks.clone().ok_or_else(|| {
        StepError::new("The machine has no disks to boot from. Destroy it, then create it again.")
    })?;
    let spec = &target.record.spec;
    let definition = Definition {
        name: spec.name.clone(),
        hardware: target.record.hardware.clone(),
        memory: spec.memory,
        vcpus: spec.vcpus,
        network: spec.network.clone(),
        boot: disks.boot,
        data: disks.data,
    };
    target.hypervisor.put_definition(&definition).await.map_err(target.host_error("Defining the machine"))?;
    cx.say(format!("{} is defined on host {}.", spec.name, spec.host));
    Ok(())
}

/// Removes the domain. One of the same name that the portal did not make has another identifier and is not touched.
pub(super) async fn remove(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let Some(target) = cx.find_machine().await? else { return Ok(()) };
    target
        .hypervisor
        .remove_definition(&target.machine)
        .await
        .map_err(target.host_error("Removing the definition"))?;
    let stamp = cx.core.fleet.stamp();
    let state = target.hypervisor.state(&target.machine).await;
    let state = state.map_err(target.host_error("Asking for the state"))?;
    cx.core.fleet.answered(&target.record.spec.host, stamp, target.machine.uuid, domain(state));
    cx.say("The definition is removed from the host.");
    Ok(())
}

/// Undoes `put`: the operations that put a definition today all make a machine that had none.
pub(super) async fn undo_put(cx: &mut StepCx<'_>, lease: &Lease) -> Result<(), StepError> {
    remove(cx, lease).await
}
