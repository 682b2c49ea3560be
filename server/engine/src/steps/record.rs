//! `record.*`: the machine's row.

use super::cx::StepCx;
use super::error::StepError;
use super::step::Step;
use crate::core::Core;
use crate::db::constraint::{Constraint, violated};
use crate::db::{self, Tx};
use crate::error::{Error, Result as Inner};
use crate::job::lease::Lease;
use crate::machine::fresh;
use crate::roots;
use futures::FutureExt as _;
use model::account::UserId;
use model::machine::MachineId;
use model::spec::Spec;
use model::{Fault, Time};
use std::collections::BTreeSet;
use uuid::Uuid;

/// `record.new`
pub(crate) static NEW: Step =
    Step::new("record.new", "Save the configuration", |cx, lease| new(cx, lease).boxed())
        .undone_by(|cx, lease| forget(cx, lease).boxed())
        .leaving("its configuration, in the portal");
/// `record.forget`
pub(crate) static FORGET: Step =
    Step::new("record.forget", "Remove the configuration", |cx, lease| forget(cx, lease).boxed())
        .removing("its configuration, in the portal");

/// `record.abandon`
pub(crate) static ABANDON: Step =
    Step::new("record.abandon", "Remove the configuration and leave what is on the host", |cx, lease| {
        abandon(cx, lease).boxed()
    })
    .removing("its configuration, in the portal");

/// `record.save`
pub(crate) static SAVE: Step =
    Step::new("record.save", "Save the configuration", |cx, lease| new(cx, lease).boxed());
/// `record.rename`
pub(crate) static RENAME: Step =
    Step::new("record.rename", "Save the new name", |cx, lease| rename(cx, lease).boxed())
        .undone_by(|cx, lease| undo_rename(cx, lease).boxed())
        .leaving("its new name, in the portal");

/// How often hardware ids are drawn before giving up; two draws of 2^24 addresses hardly ever collide.
const DRAWS: usize = 8;

/// Writes the row, in the transaction that accepts the job: the database decides whose name it is, while the person who
/// typed it still sees the form.
pub(crate) async fn insert(
    tx: &mut Tx,
    core: &Core,
    owner: UserId,
    spec: &Spec,
    now: Time,
) -> Inner<MachineId> {
    let unknown = || Fault::invalid("host", "There is no such host; choose one from the list.");
    let host = core.hosts.get(&spec.host).ok_or_else(unknown)?.id;
    let id = MachineId(Uuid::now_v7());
    let mut collision = None;
    for _ in 0..DRAWS {
        let hardware = fresh::hardware_ids()?;
        let new = db::machines::New { id, owner, host, spec, hardware: &hardware, now };
        match db::machines::insert(tx, &new).await {
            Ok(()) => return Ok(id),
            Err(error) => match violated(&error) {
                Some(Constraint::MachineName) => return Err(name_taken().into()),
                Some(Constraint::HardwareId) => collision = Some(error),
                _ => return Err(error),
            },
        }
    }
    Err(collision.unwrap_or(Error::Fault(name_taken())))
}

/// The message beside the name's field. It reveals that the name exists, which names on a network do anyway.
fn name_taken() -> Fault {
    Fault::invalid("name", "There already is a machine with this name; choose another one.")
}

/// The row was written when the job was accepted; this only says so. Also of one that was changed.
async fn new(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    if let Some(record) = cx.record().await? {
        cx.say(format!("The configuration of {} is saved.", record.spec.name));
    }
    Ok(())
}

/// Writes the new name. It was free when the job was accepted; if someone else has it by now, nothing has been done
/// yet.
async fn rename(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let (from, to) = cx.names()?;
    let said = format!("{from} is now called {to}.");
    if let Some(id) = cx.work.machine {
        let mut tx = cx.core.db.begin().await?;
        db::machines::rename(&mut tx, id, to, cx.core.clock.now()).await.map_err(|error| {
            match violated(&error) {
                Some(Constraint::MachineName) => Error::Fault(name_taken()),
                _ => error,
            }
        })?;
        tx.commit().await?;
    }
    cx.refresh_machine().await?;
    cx.say(&said);
    cx.work.remark = Some(said);
    Ok(())
}

/// Undoes `rename`. The job holds the old name as long as it is open, so nobody else can have it.
async fn undo_rename(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let (from, _) = cx.names()?;
    if let Some(id) = cx.work.machine {
        let mut tx = cx.core.db.begin().await?;
        db::machines::rename_back(&mut tx, id, from).await?;
        tx.commit().await?;
    }
    cx.work.remark = None;
    cx.refresh_machine().await
}

/// Removes the row, and says in the audit log what may still be on the host.
async fn abandon(cx: &mut StepCx<'_>, lease: &Lease) -> Result<(), StepError> {
    if let Some(id) = cx.work.machine
        && let Some(outline) = db::machines::outline(&mut *cx.core.db.read().await?, id).await?
    {
        let host = &outline.host;
        let generations = db::generations::of_machine(&mut *cx.core.db.read().await?, id).await?;
        let boots = generations.into_iter().filter_map(|generation| generation.boot);
        let volumes: BTreeSet<String> =
            outline.volumes.into_iter().chain(boots).map(|volume| volume.0).collect();
        let volumes: Vec<String> = volumes.into_iter().collect();
        let remark = match volumes.join(", ") {
            none if none.is_empty() && outline.host_ref.is_some() => {
                format!("Host “{host}” may still have its place and disks that were not finished.")
            }
            none if none.is_empty() => format!("Host “{host}” should have nothing of it."),
            volumes => {
                format!("Host “{host}” may still have its definition, running, and its disks: {volumes}.")
            }
        };
        cx.warn(&remark);
        cx.work.remark = Some(remark);
        // Before the row goes, which records it.
        cx.save_work().await?;
    }
    forget(cx, lease).await?;
    let Some(id) = cx.work.machine else { return Ok(()) };
    let _rooting = cx.core.rooting.lock().await;
    let is_its = |root: &String| roots::is_of_machine(root, id);
    for root in cx.core.builder.roots().await.map_err(Error::from)?.iter().filter(|root| is_its(root)) {
        cx.core.builder.remove_root(root).await.map_err(Error::from)?;
    }
    Ok(())
}

/// Removes the row; the name is free again. Also undoes a new one.
async fn forget(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let Some(id) = cx.work.machine else { return Ok(()) };
    let mut tx = cx.core.db.begin().await?;
    let outline = db::machines::outline(&mut tx, id).await?;
    db::machines::delete(&mut tx, id).await?;
    tx.commit().await?;
    cx.core.fleet.remove_unreadable(id);
    if let Some(outline) = &outline {
        cx.say(format!("The configuration of {} is removed.", outline.name));
    }
    // Before the fleet forgets the machine: until then, opening the console shows this one.
    if let Err(error) = cx.core.consoles.forget(id, "The machine has been removed.").await {
        tracing::warn!(machine.id = %id, %error, "transcripts are left; they are removed within the hour");
    }
    // Not only when the row was there: after a crash in between the row is gone and the machine may still be shown.
    cx.core.fleet.remove(id);
    Ok(())
}
