//! `identity.*`: the files that make a machine itself, on its disk.

use super::cx::{StepCx, Target};
use super::error::StepError;
use super::step::Step;
use crate::job::lease::Lease;
use futures::FutureExt as _;
use model::spec::Spec;
use ports::hypervisor::DiskRole;

/// `identity.write`
pub(crate) static WRITE: Step =
    Step::new("identity.write", "Write its identity: name, keys, ports", |cx, lease| {
        write(cx, lease).boxed()
    })
    .undone_by(|cx, lease| undo_write(cx, lease).boxed())
    .leaving("its new identity, on its disk");

/// Writes the identity files; removals included. A data disk that this job has just made has them already.
async fn write(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    if cx.work.identity_written {
        cx.say("The identity is on the data disk.");
        return Ok(());
    }
    if cx.is_configuration().await? {
        return Ok(());
    }
    let target = cx.machine().await?;
    put(&target, &target.record.spec).await?;
    cx.say("The identity is written.");
    Ok(())
}

/// Undoes `write` where it changed the identity of an existing machine: only its name can have changed, and the row has
/// the new one until its own step is undone.
async fn undo_write(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let Some(target) = cx.find_machine().await? else { return Ok(()) };
    let mut spec = target.record.spec.clone();
    if let Some(name) = cx.job.operation.machine() {
        spec.name = name.clone();
    }
    put(&target, &spec).await
}

/// Writes the files of this configuration to the machine's disk.
async fn put(target: &Target, spec: &Spec) -> Result<(), StepError> {
    let disks = target.record.disks.as_ref().ok_or_else(|| {
        StepError::new("The machine has no disk to write its identity to. Destroy it, then create it again.")
    })?;
    let (volume, role) = match &disks.data {
        Some(data) => (data, DiskRole::Data),
        None => (&disks.boot, DiskRole::Boot),
    };
    let files = spec.identity_files(&target.record.hardware);
    target
        .hypervisor
        .write_identity(volume, role, &files)
        .await
        .map_err(target.host_error("Writing the identity"))
}
