//! `disks.create_beside`, `disks.retire_former`: new disks for a machine that has some, and the end of those.

use crate::db::{self, generations};
use crate::job::lease::Lease;
use crate::job::step::Renewed;
use crate::steps::cx::{StepCx, Target};
use crate::steps::error::StepError;
use crate::steps::generation;
use crate::steps::step::Step;
use futures::FutureExt as _;
use model::machine::Mode;
use model::spec::Spec;
use ports::hypervisor::{DiskRole, Volume};

/// `disks.create_beside`
pub(crate) static CREATE_BESIDE: Step =
    Step::new("disks.create_beside", "Make new disks beside the present ones", |cx, lease| {
        create(cx, lease).boxed()
    })
    .undone_by(|cx, lease| undo_create(cx, lease).boxed())
    .leaving("the new disks, with the root that keeps their image");
/// `disks.retire_former`
pub(crate) static RETIRE_FORMER: Step =
    Step::new("disks.retire_former", "Remove the former disks", |cx, lease| retire(cx, lease).boxed())
        .removing("its former disks");

/// Makes the disks of a new generation from the configuration, with the identity on them.
async fn create(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let target = cx.machine().await?;
    let spec = &target.record.spec;
    let grow_to = (!spec.mode.has_data_disk()).then_some(spec.disk);
    let (number, boot) = generation::create_disk(cx, &target, grow_to).await?;
    let data = with_identity(&target, number, &boot).await?;
    generation::complete_with(cx, &target, number, &boot).await?;
    cx.work.renewed = Some(Renewed { data, former: target.data_disk().cloned() });
    cx.say("The new disks are made.");
    Ok(())
}

/// Puts the identity on a data disk where the mode has one, else on the boot disk.
async fn with_identity(target: &Target, number: u32, boot: &Volume) -> Result<Option<Volume>, StepError> {
    let (host, spec) = (&target.hypervisor, &target.record.spec);
    let files = spec.identity_files(&target.record.hardware);
    if spec.mode.has_data_disk() {
        let made = host.create_data_disk(&target.machine, number, spec.disk, &files).await;
        return made.map(Some).map_err(target.host_error("Making the data disk"));
    }
    let written = host.write_identity(boot, DiskRole::Boot, &files).await;
    written.map(|()| None).map_err(target.host_error("Writing the identity"))
}

/// The new disk with the identity on it.
pub(in crate::steps) async fn renewed_system_disk(
    cx: &StepCx<'_>,
    target: &Target,
) -> Result<(Volume, DiskRole), StepError> {
    if let Some(data) = cx.work.renewed.as_ref().and_then(|renewed| renewed.data.clone()) {
        return Ok((data, DiskRole::Data));
    }
    let number = cx.work.generation.unwrap_or_default();
    Ok((generation::complete(cx, target.record.id, number).await?.1, DiskRole::Boot))
}

async fn undo_create(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let Some((target, number)) = cx.find_machine().await?.zip(cx.work.generation) else { return Ok(()) };
    let removed = target.hypervisor.remove_disk(&target.machine, DiskRole::Data, number).await;
    removed.map_err(target.host_error("Removing the new data disk"))?;
    generation::remove(cx, &target, number).await?;
    cx.say("The new disks are removed.");
    Ok(())
}

/// Notes that the machine has what its configuration says, and removes everything else of it. It runs from its new disks: what
/// cannot be removed goes when the machine is recreated again or destroyed.
async fn retire(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let Some(target) = cx.find_machine().await? else { return Ok(()) };
    let (id, current) = (target.record.id, generation::disks(&target)?.generation);
    let mut tx = cx.core.db.begin().await?;
    db::machines::set_applied(&mut tx, id, Some(&target.record.spec)).await?;
    // With the new data nobody goes back to a system that had the former.
    generations::retire_others(&mut tx, id, current).await?;
    tx.commit().await?;
    cx.refresh_machine().await?;
    match remove_former(cx, &target).await {
        // A host that has gone away is waited for.
        Err(error) if !error.stopped && !error.retriable => {
            cx.warn(format!(
                "Not all of the former disks could be removed. They go when the machine is recreated again or destroyed. ({error})"
            ));
        }
        Err(error) => return Err(error),
        Ok(()) => cx.say("The former disks are removed."),
    }
    Ok(())
}

/// The disks, then the roots, then the rows.
async fn remove_former(cx: &StepCx<'_>, target: &Target) -> Result<(), StepError> {
    let (id, disks) = (target.record.id, generation::disks(target)?);
    let keep: Vec<Volume> = std::iter::once(disks.boot.clone()).chain(disks.data.clone()).collect();
    let removed = target.hypervisor.remove_disks(&target.machine, &keep).await;
    removed.map_err(target.host_error("Removing the former disks"))?;
    for former in generation::all(cx, id).await?.into_iter().filter(|other| other.number != disks.generation)
    {
        generation::remove(cx, target, former.number).await?;
    }
    Ok(())
}

/// Which disks, for plans.
pub(super) fn what(step: &Step, spec: &Spec) -> Option<String> {
    let words = match spec.mode {
        Mode::Mutable => format!("Make a new disk of {} beside the present one", spec.disk),
        _ => format!("Make a new boot disk and a new data disk of {} beside the present ones", spec.disk),
    };
    (*step == CREATE_BESIDE).then_some(words)
}
