//! `host.*`: the machine's place on its host. It is taken before anything is made there and given up after everything is gone,
//! and it carries the machine's mark: what is found there without it is somebody else's.

use super::cx::StepCx;
use super::error::StepError;
use super::step::Step;
use crate::db;
use crate::db::machines::MachineRecord;
use crate::job::lease::Lease;
use futures::FutureExt as _;
use ports::hypervisor::HostRef;

/// `host.reserve`
pub(crate) static RESERVE: Step =
    Step::new("host.reserve", "Take its place on the host", |cx, lease| reserve(cx, lease).boxed())
        .undone_by(|cx, lease| undo_reserve(cx, lease).boxed())
        .leaving("its place on the host");
/// `host.release`
pub(crate) static RELEASE: Step =
    Step::new("host.release", "Give up its place on the host", |cx, lease| release(cx, lease).boxed())
        .removing("its place on the host");

/// Takes the place, or finds it taken for this machine.
async fn reserve(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    // A machine from before there were marks gets its mark here.
    cx.find_machine().await?;
    let record = cx.record().await?.ok_or_else(|| {
        StepError::new("The machine's configuration is gone. Somebody has purged it; there is nothing to do.")
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

/// Gives the place up; the machine is only a configuration then. Also one that the row does not know: a job that was given up
/// may have taken it and not have come to writing it down.
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

/// Writes down where the machine is.
async fn note(cx: &StepCx<'_>, record: &MachineRecord, host_ref: Option<&HostRef>) -> Result<(), StepError> {
    let mut tx = cx.core.db.begin().await?;
    db::machines::set_host_ref(&mut tx, record.id, host_ref).await?;
    tx.commit().await?;
    cx.refresh_machine().await
}
