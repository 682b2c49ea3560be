//! `disks.*`: the machine's disks on its host, and the root that keeps the image they were made from.

mod copy;
mod renewal;

pub(crate) use copy::COPY;
pub(super) use renewal::renewed_system_disk;
pub(crate) use renewal::{CREATE_BESIDE, RETIRE_FORMER};

use super::cx::{StepCx, Target};
use super::error::StepError;
use super::step::Step;
use crate::db::constraint::{Constraint, violated};
use crate::db::machines::Disks;
use crate::db::{self, Tx, generations};
use crate::error::Error;
use crate::job::lease::Lease;
use crate::machine::facts::Facts;
use crate::machine::guest;
use crate::roots;
use futures::FutureExt as _;
use model::change::Part;
use model::machine::{MachineId, MachineState};
use model::spec::Spec;
use ports::hypervisor::{BootDisk, DiskRole, Volume};
use ports::image_builder::IMAGE_FILE;

/// `disks.create`
pub(crate) static CREATE: Step =
    Step::new("disks.create", "Make the disks", |cx, lease| create(cx, lease).boxed())
        .undone_by(|cx, lease| undo_create(cx, lease).boxed())
        .leaving("its disks, with the root that keeps their image");
/// `disks.retire`
pub(crate) static RETIRE: Step =
    Step::new("disks.retire", "Remove the disks", |cx, lease| retire(cx, lease).boxed())
        .removing("its disks, with the root that keeps their image");

/// `disks.grow`
pub(crate) static GROW: Step =
    Step::new("disks.grow", "Enlarge the disk", |cx, lease| grow(cx, lease).boxed()).making(Part::Disk);

/// The generation that a machine is created with.
const FIRST: u32 = 1;

/// Makes the boot disk from the image and, where the mode has one, the data disk with the identity on it.
async fn create(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let target = cx.machine().await?;
    if cx.work.had_disks {
        return check_kept(cx, &target).await;
    }
    let image = cx.image()?;
    // The root comes first: from here on Nix must not collect what the disks will build on.
    cx.core
        .builder
        .add_root(&roots::of_generation(target.record.id, FIRST), &image.store_path)
        .await
        .map_err(Error::from)?;
    let spec = &target.record.spec;
    let has_data = spec.mode.has_data_disk();
    let from =
        BootDisk { image: image.store_path.join(IMAGE_FILE), grow_to: (!has_data).then_some(spec.disk) };
    cx.say("Making the boot disk.");
    let boot = target
        .hypervisor
        .create_boot_disk(&target.machine, FIRST, &from)
        .await
        .map_err(target.host_error("Making the boot disk"))?;
    let data = if has_data {
        cx.say(format!("Making a data disk of {}.", spec.disk));
        let files = spec.identity_files(&target.record.hardware);
        let data = target
            .hypervisor
            .create_data_disk(&target.machine, FIRST, spec.disk, &files)
            .await
            .map_err(target.host_error("Making the data disk"))?;
        cx.work.identity_written = true;
        Some(data)
    } else {
        None
    };
    note(cx, &target, Some(&Disks { generation: FIRST, image: image.id, boot, data })).await
}

/// The machine had disks before: they must still exist.
async fn check_kept(cx: &StepCx<'_>, target: &Target) -> Result<(), StepError> {
    let disks = target.record.disks.clone().into_iter();
    let volumes: Vec<Volume> = disks.flat_map(|d| std::iter::once(d.boot).chain(d.data)).collect();
    for volume in volumes {
        let found = target.hypervisor.disk_use(&volume).await;
        if found.map_err(target.host_error("Checking the disks"))?.is_none() {
            return Err(StepError::new(format!(
                "The disk {} is gone from the host. Destroy the machine, then create it again.",
                volume.0
            )));
        }
    }
    cx.say("The disks are there and will be reused.");
    Ok(())
}

/// Removes what `create` made. Disks that were there before the job stay.
async fn undo_create(cx: &mut StepCx<'_>, lease: &Lease) -> Result<(), StepError> {
    if cx.work.had_disks {
        return Ok(());
    }
    cx.work.identity_written = false;
    retire(cx, lease).await
}

/// Removes all disks, then the roots, then the note of them: what the note names is never gone before the note is read
/// again.
async fn retire(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let Some(target) = cx.find_machine().await? else { return Ok(()) };
    target
        .hypervisor
        .remove_disks(&target.machine, &[])
        .await
        .map_err(target.host_error("Removing the disks"))?;
    let core = cx.core.clone();
    let _rooting = core.rooting.lock().await;
    for generation in generations::of_machine(&mut *cx.core.db.read().await?, target.record.id).await? {
        let root = roots::of_generation(target.record.id, generation.number);
        core.builder.remove_root(&root).await.map_err(Error::from)?;
    }
    // One that was made before its row.
    let first = roots::of_generation(target.record.id, FIRST);
    core.builder.remove_root(&first).await.map_err(Error::from)?;
    note(cx, &target, None).await?;
    cx.say("The disks are removed.");
    Ok(())
}

/// Writes down which disks the machine has.
async fn note(cx: &StepCx<'_>, target: &Target, disks: Option<&Disks>) -> Result<(), StepError> {
    let mut tx = cx.core.db.begin().await?;
    // New disks have what the configuration says, and the definition follows; without disks nothing of it is anywhere.
    let applied = disks.map(|_| &target.record.spec);
    db::machines::set_applied(&mut tx, target.record.id, applied).await?;
    note_in(&mut tx, cx, target.record.id, disks).await.map_err(|error| match violated(&error) {
        Some(Constraint::Reference) => StepError::new(
            "The image was removed while the disks were being made. Try again; it will be built anew.",
        ),
        _ => error.into(),
    })?;
    tx.commit().await?;
    cx.refresh_machine().await
}

/// The first generation and the disks, or none of either.
async fn note_in(
    tx: &mut Tx,
    cx: &StepCx<'_>,
    machine: MachineId,
    disks: Option<&Disks>,
) -> crate::error::Result<()> {
    db::machines::set_disks(tx, machine, disks).await?;
    let Some(disks) = disks else { return generations::forget_all(tx, machine).await };
    let (number, image, by) = (disks.generation, disks.image, cx.job.actor_name.as_str());
    let new = generations::New { machine, number, image, by, now: cx.core.clock.now() };
    generations::begin(tx, &new).await?;
    generations::set_boot(tx, machine, number, &disks.boot).await
}

/// Enlarges the disk. A guest that runs sees it at once and is asked to grow its file system; one that cannot does so at its
/// next boot.
async fn grow(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let target = cx.machine().await?;
    let (volume, role) = target.system_disk()?;
    let size = target.record.spec.disk;
    target
        .hypervisor
        .grow_disk(&target.machine, volume, role, size)
        .await
        .map_err(target.host_error("Enlarging the disk"))?;
    // At once: what follows may fail, and a guest that is not asked grows its file system at its next boot.
    cx.applied(&target, Part::Disk).await?;
    cx.say(format!("The disk has {size}."));
    let state = target.hypervisor.state(&target.machine).await;
    if state.map_err(target.host_error("Asking for the state"))? == MachineState::Running {
        let grown = match role {
            DiskRole::Data => target.hypervisor.agent_run(&target.machine, guest::GROW, b"").await.ok(),
            // Its partition is grown at boot.
            DiskRole::Boot => None,
        };
        cx.say(match grown {
            Some(exit) if exit.code == Some(0) => "The guest has grown its file system.",
            _ => "The guest grows its file system at its next boot.",
        });
    }
    Ok(())
}

/// Which disks, for plans.
pub(crate) fn what(step: &Step, spec: &Spec, facts: &Facts) -> Option<String> {
    let copies = facts.host.as_ref().and_then(|host| host.capabilities).is_some_and(|can| !can.linked_clones);
    let boot = if copies { "the boot disk, a copy of the image," } else { "the boot disk" };
    let words = match spec.mode.has_data_disk() {
        true => format!("Make {boot} and a data disk of {}", spec.disk),
        false => format!("Make a disk of {}", spec.disk),
    };
    (*step == CREATE).then_some(words).or_else(|| renewal::what(step, spec))
}
