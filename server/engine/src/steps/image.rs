//! `image.*`: the image in the Nix store, its row and its garbage-collector root.

use super::cx::StepCx;
use super::error::StepError;
use super::step::Step;
use crate::db;
use crate::db::constraint::{Constraint, violated};
use crate::error::Error;
use crate::job::lease::Lease;
use crate::job::step::Image;
use crate::machine::facts::{Facts, needed_image};
use crate::roots;
use futures::FutureExt as _;
use model::operation::Operation;
use ports::image_builder::{BuildEvent, ImageKey};
use std::sync::Arc;

/// `image.build`
pub(crate) static BUILD: Step =
    Step::new("image.build", "Build the image", |cx, lease| build(cx, lease).boxed()).waiting();
/// `image.forget`
pub(crate) static FORGET: Step =
    Step::new("image.forget", "Forget the image", |cx, lease| forget(cx, lease).boxed())
        .removing("the image");

/// Builds the image, or finds it: a job that needs none keeps the image that the machine's disks were made from, and an image
/// whose row and store path exist is not built again.
async fn build(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let Some(key) = cx.work.key.clone() else { return keep_image(cx).await };
    let known = db::images::by_key(&mut *cx.core.db.read().await?, &key).await?;
    if let Some(row) = known
        && row.rooted
        && cx.core.builder.is_valid(&row.store_path).await.map_err(Error::from)?
    {
        cx.say(format!("The image {} ({}) has already been built.", key.profiles.words(), key.mode.as_str()));
        cx.work.image = Some(Image { id: row.id, store_path: row.store_path });
        return Ok(());
    }
    cx.say(format!("Building the image {} ({}).", key.profiles.words(), key.mode.as_str()));
    let listener = listener(cx);
    let core = cx.core.clone();
    let built = core.builds.join(cx.job.actor, &key, &core.builder, &core.tasks, listener, cx.cancel).await;
    let built = built.map_err(|error| StepError::build(&error))?;
    record(cx, &key, &built).await
}

/// Writes a build's output to the job's log.
fn listener(cx: &StepCx<'_>) -> crate::builds::Listener {
    let (log, clock, step) = (cx.log.clone(), cx.core.clock.clone(), cx.step);
    let progress = cx.progress.clone();
    Arc::new(move |event| match event {
        BuildEvent::Line { from, level, text } => {
            log.append(clock.now(), step, from.as_deref(), level, &text);
        }
        BuildEvent::Progress(now) => {
            progress.send_replace(Some(now));
        }
    })
}

/// Writes the image's row, then its root: a crash in between leaves a row that is not rooted, which the next run fixes.
async fn record(
    cx: &mut StepCx<'_>,
    key: &ImageKey,
    built: &ports::image_builder::Built,
) -> Result<(), StepError> {
    let origin = db::images::Origin { by: &cx.job.actor_name, job: cx.job.id, now: cx.core.clock.now() };
    let mut tx = cx.core.db.begin().await?;
    let row = db::images::upsert(&mut tx, key, built, &origin).await?;
    tx.commit().await?;
    cx.core.builder.add_root(&roots::of_image(row.id), &row.store_path).await.map_err(Error::from)?;
    let mut tx = cx.core.db.begin().await?;
    db::images::set_rooted(&mut tx, row.id).await?;
    tx.commit().await?;
    cx.core.fleet.image_is_back(&row.store_path);
    show_newest(cx).await?;
    cx.say(format!("The image is {}.", row.store_path.display()));
    cx.work.image = Some(Image { id: row.id, store_path: row.store_path });
    Ok(())
}

/// The image that the machine's disks were made from.
async fn keep_image(cx: &mut StepCx<'_>) -> Result<(), StepError> {
    let target = cx.machine().await?;
    let gone = || StepError::new("The machine's disks are gone. Destroy it, then create it again.");
    let disks = target.record.disks.as_ref().ok_or_else(gone)?;
    let row = db::images::by_id(&mut *cx.core.db.read().await?, disks.image).await?.ok_or_else(gone)?;
    cx.say("The machine keeps its disks and the image they were made from.");
    cx.work.image = Some(Image { id: row.id, store_path: row.store_path });
    Ok(())
}

/// Forgets an image: first the row, because the database knows whether a machine boots it, then the root.
async fn forget(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let Some(image) = cx.work.removing else { return Ok(()) };
    let core = cx.core.clone();
    let _rooting = core.rooting.lock().await;
    let mut tx = cx.core.db.begin().await?;
    db::images::delete(&mut tx, image).await.map_err(|error| match violated(&error) {
        Some(Constraint::Reference) => {
            StepError::new("A machine boots this image. Destroy the machine first, or leave the image.")
        }
        _ => error.into(),
    })?;
    tx.commit().await?;
    cx.core.builder.remove_root(&roots::of_image(image)).await.map_err(Error::from)?;
    show_newest(cx).await?;
    cx.say("The image is forgotten; Nix removes it when it next collects garbage.");
    Ok(())
}

/// Machines show whether a newer image than theirs has been built.
async fn show_newest(cx: &StepCx<'_>) -> Result<(), StepError> {
    let newest = db::images::newest(&mut *cx.core.db.read().await?).await?;
    cx.core.fleet.set_newest(newest);
    Ok(())
}

/// Which image, and whether it is there already, for plans.
pub(crate) fn what(step: &Step, operation: &Operation, facts: &Facts) -> Option<String> {
    let (profiles, mode) = needed_image(operation, facts.machine.as_ref()).filter(|_| *step == BUILD)?;
    let verb = if facts.image_ready { "Use the built image" } else { "Build the image" };
    Some(format!("{verb} {} ({})", profiles.words(), mode.as_str()))
}
