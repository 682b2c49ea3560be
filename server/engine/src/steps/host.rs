//! `host.*`: the machine's place on its host. It is taken before anything is made there and given up after everything
//! is gone, and it carries the machine's mark: what is found there without it is someone else's.

use super::cx::StepCx;
use super::error::StepError;
use super::step::Step;
use crate::db;
use crate::db::machines::MachineRecord;
use crate::job::lease::Lease;
use futures::FutureExt as _;
use model::machine::MachineName;
use ports::hypervisor::{HostRef, MachineRef, Volume};

/// `host.reserve`
pub(crate) static RESERVE: Step =
    Step::new("host.reserve", "Take its place on the host", |cx, lease| reserve(cx, lease).boxed())
        .undone_by(|cx, lease| undo_reserve(cx, lease).boxed())
        .leaving("its place on the host");
/// `host.release`
pub(crate) static RELEASE: Step =
    Step::new("host.release", "Give up its place on the host", |cx, lease| release(cx, lease).boxed())
        .removing("its place on the host");

/// `host.rename`
pub(crate) static RENAME: Step =
    Step::new("host.rename", "Rename it on the host", |cx, lease| rename(cx, lease).boxed())
        .undone_by(|cx, lease| undo_rename(cx, lease).boxed())
        .leaving("its new name, on the host");

/// Takes the place, or finds it taken for this machine.
async fn reserve(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    // A machine from before there were marks gets its mark here.
    cx.find_machine().await?;
    let record = cx.record().await?.ok_or_else(|| {
        StepError::new("The machine's configuration is gone. Someone has purged it; there is nothing to do.")
    })?;
    let (name, host) = (&record.spec.name, &record.spec.host);
    let hypervisor = cx.hypervisor(&record)?;
    let host_ref = hypervisor.reserve(record.id, name, &record.hardware).await;
    let host_ref =
        host_ref.map_err(|error| StepError::host("Taking a place for the machine", host, error))?;
    note(cx, &record, Some(&host_ref)).await?;
    cx.say(format!("{name} has its place on host {host}."));
    Ok(())
}

/// Undoes `reserve`, also where its answer was lost. A machine that had disks before the job keeps its place.
async fn undo_reserve(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    match cx.record().await? {
        Some(record) if !cx.work.had_disks => give_up(cx, &record).await,
        _ => Ok(()),
    }
}

/// Gives the place up; the machine is only a configuration then. Includes one that the row does not know: a job that
/// was given up may have taken it without writing it down.
async fn release(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    match cx.record().await? {
        Some(record) if !cx.work.without_host => give_up(cx, &record).await,
        _ => Ok(()),
    }
}

async fn give_up(cx: &StepCx<'_>, record: &MachineRecord) -> Result<(), StepError> {
    let host = &record.spec.host;
    let released = cx.hypervisor(record)?.release(record.id, &record.spec.name).await;
    released.map_err(|error| StepError::host("Giving up the machine's place", host, error))?;
    note(cx, record, None).await?;
    cx.say(format!("Its place on host {host} is given up."));
    Ok(())
}

/// Renames everything on the host to the machine's new name.
async fn rename(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let (from, to) = cx.names()?;
    give_name(cx, from, to).await
}

/// Undoes `rename`.
async fn undo_rename(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let (from, to) = cx.names()?;
    give_name(cx, to, from).await
}

async fn give_name(cx: &StepCx<'_>, from: &MachineName, to: &MachineName) -> Result<(), StepError> {
    let Some(target) = cx.find_machine().await? else { return Ok(()) };
    let machine = MachineRef { name: from.clone(), ..target.machine.clone() };
    let id = target.record.id;
    let disks = target.record.disks.clone();
    let generations = db::generations::of_machine(&mut *cx.core.db.read().await?, id).await?;
    let boots =
        generations.iter().filter_map(|generation| Some((generation.number, generation.boot.clone()?)));
    let boots: Vec<(u32, Volume)> = boots.collect();
    let data = disks.as_ref().and_then(|disks| disks.data.clone());
    let volumes: Vec<Volume> = boots.iter().map(|(_, boot)| boot.clone()).chain(data).collect();
    let renamed = target.hypervisor.rename(&machine, to, &volumes).await;
    let mut renamed = renamed.map_err(target.host_error("Renaming the machine"))?.into_iter();
    if let Some(mut disks) = disks {
        let mut tx = cx.core.db.begin().await?;
        for ((number, _), boot) in boots.iter().zip(&mut renamed) {
            db::generations::set_boot(&mut tx, id, *number, &boot).await?;
            if *number == disks.generation {
                disks.boot = boot;
            }
        }
        disks.data = renamed.next();
        db::machines::set_disks(&mut tx, id, Some(&disks)).await?;
        tx.commit().await?;
        cx.refresh_machine().await?;
    }
    cx.say(format!("On host {} it is called {to}.", target.record.spec.host));
    Ok(())
}

/// Writes down where the machine is.
async fn note(cx: &StepCx<'_>, record: &MachineRecord, host_ref: Option<&HostRef>) -> Result<(), StepError> {
    let mut tx = cx.core.db.begin().await?;
    db::machines::set_host_ref(&mut tx, record.id, host_ref).await?;
    tx.commit().await?;
    cx.refresh_machine().await
}
