//! `disks.copy`: the disks of a machine that is a copy of another one. What it boots is made anew from the other one's image,
//! and what is written on is copied, while the other one runs or is off.

use super::{FIRST, note, undo_create};
use crate::core::Core;
use crate::db::machines::Disks;
use crate::db::{self, images};
use crate::error::Error;
use crate::job::lease::Lease;
use crate::job::log::JobLog;
use crate::job::step::Image;
use crate::roots;
use crate::steps::cx::{StepCx, Target};
use crate::steps::error::StepError;
use crate::steps::generation;
use crate::steps::step::Step;
use futures::FutureExt as _;
use model::job::LogLevel;
use model::size::Bytes;
use ports::hypervisor::{BootDisk, CopyEvent, CopyListener, DiskRole, Volume};
use ports::image_builder::IMAGE_FILE;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// `disks.copy`
pub(crate) static COPY: Step = Step::new("disks.copy", "Copy the disk", |cx, lease| copy(cx, lease).boxed())
    .undone_by(|cx, lease| undo_copy(cx, lease).boxed())
    .leaving("its disks, with the root that keeps their image");

/// How many lines tell how far a long copy is.
const TOLD: u64 = 10;
/// Of fewer bytes than this between two lines nobody wants to know.
const TOLD_BYTES: u64 = 256 << 20;

/// Makes the disks. The image's row and root come first: from then on nobody can remove what the disks build on.
async fn copy(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let target = cx.machine().await?;
    let source = source(cx).await?.ok_or_else(|| {
        StepError::new(
            "The machine that was to be copied is gone. Someone has removed it; there is nothing to do.",
        )
    })?;
    let image = image(cx, &source).await?;
    generation::begin(cx, target.record.id, FIRST, &image).await?;
    let root = roots::of_generation(target.record.id, FIRST);
    cx.core.builder.add_root(&root, &image.store_path).await.map_err(Error::from)?;
    let (volume, role) = source.system_disk()?;
    let (boot, data) = match role {
        DiskRole::Boot => (copy_disk(cx, &source, &target, volume, role).await?, None),
        DiskRole::Data => {
            cx.say("Making the boot disk.");
            let from = BootDisk { image: image.store_path.join(IMAGE_FILE), grow_to: None };
            let boot = target.hypervisor.create_boot_disk(&target.machine, FIRST, &from).await;
            let boot = boot.map_err(target.host_error("Making the boot disk"))?;
            (boot, Some(copy_disk(cx, &source, &target, volume, role).await?))
        }
    };
    cx.work.remark = Some(format!("{} is a copy of {}.", target.record.spec.name, source.record.spec.name));
    note(cx, &target, Some(&Disks { generation: FIRST, image: image.id, boot, data })).await
}

/// The machine that is copied, on its host.
async fn source(cx: &StepCx<'_>) -> Result<Option<Target>, StepError> {
    let Some(id) = cx.work.source else { return Ok(None) };
    let record = db::machines::by_id(&mut *cx.core.db.read().await?, id).await?;
    let Some((machine, record)) = record.and_then(|record| Some((record.on_host()?, record))) else {
        return Ok(None);
    };
    let hypervisor = cx.hypervisor(&record)?;
    Ok(Some(Target { record, machine, hypervisor }))
}

/// What the copy boots: what was built for it, or what the machine boots itself. That is what its root keeps; the image's row
/// may be of a later build.
async fn image(cx: &mut StepCx<'_>, source: &Target) -> Result<Image, StepError> {
    if let Some(image) = cx.work.image.clone() {
        return Ok(image);
    }
    let name = &source.record.spec.name;
    let gone = || {
        StepError::new(format!(
            "The image that {name} boots is gone, so that a copy could not boot. Upgrade {name} first."
        ))
    };
    let disks = source.record.disks.as_ref().ok_or_else(gone)?;
    let row = images::by_id(&mut *cx.core.db.read().await?, disks.image).await?.ok_or_else(gone)?;
    let root = roots::of_generation(source.record.id, disks.generation);
    let kept = cx.core.builder.root(&root).await.map_err(Error::from)?;
    let store_path = kept.unwrap_or(row.store_path);
    if !cx.core.builder.is_valid(&store_path).await.map_err(Error::from)? {
        return Err(gone());
    }
    let image = Image { id: row.id, store_path };
    cx.work.image = Some(image.clone());
    Ok(image)
}

/// Copies one disk, and stops when the job is to stop.
async fn copy_disk(
    cx: &StepCx<'_>,
    source: &Target,
    target: &Target,
    volume: &Volume,
    role: DiskRole,
) -> Result<Volume, StepError> {
    cx.say(format!("Copying the disk of {}.", source.record.spec.name));
    let listener = listener(cx.core.clone(), cx.log.clone(), cx.step);
    let copied = source.hypervisor.copy_disk(&source.machine, volume, &target.machine, role, listener);
    tokio::select! {
        biased;
        () = cx.cancel.cancelled() => Err(StepError::stopped()),
        copied = copied => {
            let copied = copied.map_err(source.host_error("Copying the disk"))?;
            cx.say("The disk is copied.");
            Ok(copied)
        }
    }
}

/// Writes to the job's log what happens to the disk.
fn listener(core: Arc<Core>, log: Arc<JobLog>, step: &'static str) -> CopyListener {
    let told = AtomicU64::new(0);
    Arc::new(move |event| {
        let (level, text) = match event {
            CopyEvent::Waiting => {
                (LogLevel::Info, "Another copy of this disk is being made; waiting for it.".to_owned())
            }
            CopyEvent::Shared => (
                LogLevel::Info,
                "The file system of the host shares the blocks; nothing is copied.".to_owned(),
            ),
            CopyEvent::StoodStill { millis } => (
                LogLevel::Info,
                format!("The guest's file systems stood still for {millis} ms while the copy began."),
            ),
            CopyEvent::NotStill { why } => (
                LogLevel::Warning,
                format!(
                    "The guest's file systems could not be stopped ({why}). The copy is as after a power cut: its file \
                     systems are repaired from their journals, and what programs had not written yet is not in it."
                ),
            ),
            CopyEvent::Progress { done, of } => {
                let enough = (of / TOLD).max(TOLD_BYTES);
                if done >= of || done.saturating_sub(told.load(Ordering::Relaxed)) < enough {
                    return;
                }
                told.store(done, Ordering::Relaxed);
                (LogLevel::Info, format!("{} of {} copied.", Bytes(done), Bytes(of)))
            }
        };
        log.append(core.clock.now(), step, None, level, &text);
    })
}

/// Ends what an interrupted copy left of itself at the machine that is copied, then removes the copy.
async fn undo_copy(cx: &mut StepCx<'_>, lease: &Lease) -> Result<(), StepError> {
    if let Some((source, copy)) = source(cx).await?.zip(cx.find_machine().await?) {
        let ended = source.hypervisor.end_copy(&source.machine, &copy.machine).await;
        ended.map_err(source.host_error("Ending the copy"))?;
    }
    undo_create(cx, lease).await
}
