//! `identity.*`: the files that make a machine itself, on its disk.

use super::cx::StepCx;
use super::error::StepError;
use super::step::Step;
use crate::job::lease::Lease;
use futures::FutureExt as _;
use ports::hypervisor::DiskRole;

/// `identity.write`
pub(crate) static WRITE: Step =
    Step::new("identity.write", "Write its identity: name, keys, ports", |cx, lease| {
        write(cx, lease).boxed()
    });

/// Writes the identity files; removals included. A data disk that this job has just made has them already.
async fn write(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    if cx.work.identity_written {
        cx.say("The identity is on the data disk.");
        return Ok(());
    }
    let target = cx.machine().await?;
    let disks = target.record.disks.as_ref().ok_or_else(|| {
        StepError::new("The machine has no disk to write its identity to. Destroy it, then create it again.")
    })?;
    let (volume, role) = match &disks.data {
        Some(data) => (data, DiskRole::Data),
        None => (&disks.boot, DiskRole::Boot),
    };
    let files = target.record.spec.identity_files(&target.record.hardware);
    target
        .hypervisor
        .write_identity(volume, role, &files)
        .await
        .map_err(target.host_error("Writing the identity"))?;
    cx.say("The identity is written.");
    Ok(())
}
