//! `generation.*`: the boot disks of a machine, each on the image it was made from, and which of them it boots.
//!
//! A new one is made beside the present one while the machine runs, so that switching takes no time, and going back neither.

use super::cx::{StepCx, Target};
use super::error::StepError;
use super::step::Step;
use crate::db::constraint::{Constraint, violated};
use crate::db::generations::{self, Generation, New};
use crate::db::images;
use crate::db::machines::{self, Disks};
use crate::error::Error;
use crate::job::lease::Lease;
use crate::job::step::Image;
use crate::roots;
use futures::FutureExt as _;
use model::change::Part;
use model::machine::MachineId;
use model::size::DiskGib;
use ports::hypervisor::{BootDisk, DiskRole, Volume};
use ports::image_builder::IMAGE_FILE;

/// `generation.make`
pub(crate) static MAKE: Step =
    Step::new("generation.make", "Make the new boot disk beside the present one", |cx, lease| {
        make(cx, lease).boxed()
    })
    .undone_by(|cx, lease| undo_make(cx, lease).boxed())
    .leaving("the new boot disk, with the root that keeps its image");
/// `generation.check`
pub(crate) static CHECK: Step =
    Step::new("generation.check", "Make sure that the boot disk and its image are there", |cx, lease| {
        check(cx, lease).boxed()
    });
/// `generation.switch`
pub(crate) static SWITCH: Step =
    Step::new("generation.switch", "Switch to the new boot disk", |cx, lease| switch(cx, lease).boxed())
        .undone_by(|cx, lease| undo_switch(cx, lease).boxed())
        .leaving("the switch to the other boot disk, in the portal")
        .making(Part::Profiles);
/// `generation.prune`
pub(crate) static PRUNE: Step =
    Step::new("generation.prune", "Remove boot disks that are too old to be kept", |cx, lease| {
        prune(cx, lease).boxed()
    })
    .removing("boot disks that are too old to be kept");

/// Makes sure, before the guest is asked to shut down, that what is gone back to can be booted.
async fn check(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let target = cx.machine().await?;
    let id = target.record.id;
    let number = cx.work.generation.unwrap_or_default();
    let (generation, boot) = complete(cx, id, number).await?;
    let there =
        target.hypervisor.disk_use(&boot).await.map_err(target.host_error("Checking the boot disk"))?;
    let root = cx.core.builder.root(&roots::of_generation(id, number)).await.map_err(Error::from)?;
    let path = match root {
        Some(path) => Some(path),
        None => {
            images::by_id(&mut *cx.core.db.read().await?, generation.image).await?.map(|row| row.store_path)
        }
    };
    let has_image = match path {
        Some(path) => cx.core.builder.is_valid(&path).await.map_err(Error::from)?,
        None => false,
    };
    if there.is_none() || !has_image {
        let what = if has_image { "boot disk" } else { "image" };
        return Err(StepError::new(format!(
            "The {what} of generation {number} is gone. Roll back to another one, or upgrade the machine."
        )));
    }
    cx.say(format!("The boot disk of generation {number} and its image are there."));
    Ok(())
}

async fn make(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let target = cx.machine().await?;
    let (number, boot) = create_disk(cx, &target, None).await?;
    complete_with(cx, &target, number, &boot).await?;
    cx.say(format!("The boot disk of generation {number} is made."));
    Ok(())
}

/// Makes the boot disk of a new generation, which is not complete by that. Its row comes first: a root that no row needs is removed
/// as a stray.
pub(super) async fn create_disk(
    cx: &mut StepCx<'_>,
    target: &Target,
    grow_to: Option<DiskGib>,
) -> Result<(u32, Volume), StepError> {
    let (id, image) = (target.record.id, cx.image()?);
    let number = new_number(cx, id).await?;
    begin(cx, id, number, &image).await?;
    let root = roots::of_generation(id, number);
    cx.core.builder.add_root(&root, &image.store_path).await.map_err(Error::from)?;
    let from = BootDisk { image: image.store_path.join(IMAGE_FILE), grow_to };
    let boot = target.hypervisor.create_boot_disk(&target.machine, number, &from).await;
    Ok((number, boot.map_err(target.host_error("Making the boot disk"))?))
}

/// Notes that a generation can be booted.
pub(super) async fn complete_with(
    cx: &StepCx<'_>,
    target: &Target,
    number: u32,
    boot: &Volume,
) -> Result<(), StepError> {
    let mut tx = cx.core.db.begin().await?;
    generations::set_boot(&mut tx, target.record.id, number, boot).await?;
    Ok(tx.commit().await?)
}

/// The number after the newest one's, noted before anything of that number is made.
async fn new_number(cx: &mut StepCx<'_>, machine: MachineId) -> Result<u32, StepError> {
    if let Some(number) = cx.work.generation {
        return Ok(number);
    }
    let newest = all(cx, machine).await?.first().map_or(0, |newest| newest.number);
    let number = newest.saturating_add(1);
    cx.work.generation = Some(number);
    cx.save_work().await?;
    Ok(number)
}

/// Notes a generation whose disk is about to be made.
pub(super) async fn begin(
    cx: &StepCx<'_>,
    machine: MachineId,
    number: u32,
    image: &Image,
) -> Result<(), StepError> {
    let new = New { machine, number, image: image.id, by: &cx.job.actor_name, now: cx.core.clock.now() };
    let mut tx = cx.core.db.begin().await?;
    generations::begin(&mut tx, &new).await.map_err(|error| match violated(&error) {
        Some(Constraint::Reference) => StepError::new(
            "The image was removed while the disk was being made. Try again; it will be built anew.",
        ),
        _ => error.into(),
    })?;
    Ok(tx.commit().await?)
}

async fn undo_make(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let Some((target, number)) = cx.find_machine().await?.zip(cx.work.generation) else { return Ok(()) };
    remove(cx, &target, number).await?;
    cx.say("The new boot disk is removed.");
    Ok(())
}

/// Removes a generation that the machine does not boot: disk, root, row.
pub(super) async fn remove(cx: &StepCx<'_>, target: &Target, number: u32) -> Result<(), StepError> {
    let id = target.record.id;
    let removed = target.hypervisor.remove_disk(&target.machine, DiskRole::Boot, number).await;
    removed.map_err(target.host_error("Removing a boot disk"))?;
    let core = cx.core.clone();
    let _rooting = core.rooting.lock().await;
    core.builder.remove_root(&roots::of_generation(id, number)).await.map_err(Error::from)?;
    let mut tx = core.db.begin().await?;
    generations::forget(&mut tx, id, number).await?;
    Ok(tx.commit().await?)
}

/// Notes that the machine boots the job's generation; the definition follows.
async fn switch(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let target = cx.machine().await?;
    let number = cx.work.generation.ok_or_else(|| {
        StepError::new(
            "The job does not say which generation it switches to. This is a bug in the portal; please report it.",
        )
    })?;
    if cx.work.replaced.is_none() {
        cx.work.replaced = Some(disks(&target)?.generation);
        cx.save_work().await?;
    }
    let data = match &cx.work.renewed {
        Some(renewed) => renewed.data.clone(),
        None => target.data_disk().cloned(),
    };
    note(cx, &target, number, data).await?;
    cx.say(format!("The machine boots generation {number} from now on."));
    Ok(())
}

async fn undo_switch(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let Some((target, number)) = cx.find_machine().await?.zip(cx.work.replaced) else { return Ok(()) };
    let data = former_data(cx, &target);
    note(cx, &target, number, data).await?;
    cx.say(format!("The machine boots generation {number} again."));
    Ok(())
}

/// The data disk that the machine had before the job.
pub(super) fn former_data(cx: &StepCx<'_>, target: &Target) -> Option<Volume> {
    match &cx.work.renewed {
        Some(renewed) => renewed.former.clone(),
        None => target.data_disk().cloned(),
    }
}

/// Writes down which generation the machine boots, what that is composed of, and its data disk.
async fn note(cx: &StepCx<'_>, target: &Target, number: u32, data: Option<Volume>) -> Result<(), StepError> {
    let id = target.record.id;
    let (generation, boot) = complete(cx, id, number).await?;
    let now = Disks { generation: number, image: generation.image, boot, data };
    let mut tx = cx.core.db.begin().await?;
    if let Some(mut applied) = target.record.applied.clone() {
        applied.profiles = generation.profiles;
        machines::set_applied(&mut tx, id, Some(&applied)).await?;
    }
    machines::set_disks(&mut tx, id, Some(&now)).await?;
    tx.commit().await?;
    cx.refresh_machine().await
}

/// A generation whose disk is there.
pub(super) async fn complete(
    cx: &StepCx<'_>,
    machine: MachineId,
    number: u32,
) -> Result<(Generation, Volume), StepError> {
    let found = all(cx, machine).await?.into_iter().find(|generation| generation.number == number);
    let boot = found.as_ref().and_then(|generation| generation.boot.clone());
    found.zip(boot).ok_or_else(|| StepError::new(format!("Generation {number} is not kept any more.")))
}

/// Removes what is too old to be kept. The upgrade has succeeded by now: what cannot be removed is left to the next one.
async fn prune(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    match remove_old(cx).await {
        Err(error) if !error.stopped => {
            cx.warn(format!(
                "Not every old boot disk could be removed. The next upgrade tries again. ({error})"
            ));
            Ok(())
        }
        done => done,
    }
}

/// Removes the oldest ones, and what was never completed. What the machine booted until now is kept, whatever its number: after
/// going back, that is the system which is known to work.
async fn remove_old(cx: &StepCx<'_>) -> Result<(), StepError> {
    let Some(target) = cx.find_machine().await? else { return Ok(()) };
    let current = disks(&target)?.generation;
    let replaced = cx.work.replaced;
    let kept = cx.core.settings.generations.saturating_sub(1 + usize::from(replaced.is_some()));
    let (others, unfinished): (Vec<_>, Vec<_>) = all(cx, target.record.id)
        .await?
        .into_iter()
        .filter(|generation| generation.number != current && Some(generation.number) != replaced)
        .partition(|generation| generation.boot.is_some());
    for generation in others.iter().skip(kept).chain(&unfinished) {
        remove(cx, &target, generation.number).await?;
        cx.say(format!("Generation {} is removed.", generation.number));
    }
    Ok(())
}

pub(super) async fn all(cx: &StepCx<'_>, machine: MachineId) -> Result<Vec<Generation>, StepError> {
    Ok(generations::of_machine(&mut *cx.core.db.read().await?, machine).await?)
}

pub(super) fn disks(target: &Target) -> Result<&Disks, StepError> {
    let none = || StepError::new("The machine has no disks. Destroy it, then create it again.");
    target.record.disks.as_ref().ok_or_else(none)
}
