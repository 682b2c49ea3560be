//! Queries about jobs, and steering them.

use crate::authorize::{authorize, visible};
use crate::core::Core;
use crate::cx::Cx;
use crate::db;
use crate::error::{Error, Result};
use crate::job::accept::{self, Agreement};
use crate::job::{follow, give_up, run, view};
use model::Fault;
use model::account::UserId;
use model::form::{FormData, from_spec};
use model::job::{JobId, JobState};
use model::operation::{MachineAction, Operation};
use model::permission::{Action, Subject};
use model::portal::Submitted;
use model::view::job::{JobFilter, JobSummary, JobView};
use std::sync::Arc;

/// Does something that must not be left half done when a browser disconnects in the middle: in a separate task.
async fn apart<T: Send + 'static>(
    core: &Arc<Core>,
    what: &'static str,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let ended = |source| Error::Damaged { what, source: Box::new(source) };
    core.tasks.spawn(work).await.map_err(ended)?
}

/// Accepts an operation.
pub(super) async fn submit(
    core: &Arc<Core>,
    cx: &Cx,
    operation: Operation,
    agreement: Agreement,
) -> Result<Submitted> {
    let (on, cx) = (core.clone(), cx.clone());
    let submit = async move { accept::submit(&on, &cx, operation, agreement).await };
    apart(core, "the answer to a submitted operation", submit).await
}

/// One page of the jobs that the actor may see.
pub(super) async fn list(core: &Core, cx: &Cx, filter: &JobFilter) -> Result<Vec<JobSummary>> {
    let sees = visible(cx, Action::SeeJob)?;
    db::jobs::list(&mut *core.db.read().await?, filter, &sees).await
}

/// One job.
pub(super) async fn view(core: &Core, cx: &Cx, id: JobId) -> Result<JobView> {
    let rights = follow::see(core, cx, id).await?;
    let source = view::Source { db: core.db.clone(), builder: core.builder.clone(), rights };
    let live = core.jobs.get(id);
    let view = view::view(&source, id, live.as_deref()).await?;
    Ok(view.ok_or_else(|| Fault::not_found("job"))?)
}

/// The job's row, if the actor may cancel and retry it.
async fn steer(core: &Core, cx: &Cx, id: JobId) -> Result<db::jobs::JobRecord> {
    follow::see(core, cx, id).await?;
    let owners = db::jobs::owners(&mut *core.db.read().await?, id).await?;
    authorize(core, cx, Action::SteerJob, Subject::owned_by(&owners), Some(&id.to_string())).await?;
    let job = db::jobs::load(&mut *core.db.read().await?, id).await?;
    Ok(job.ok_or_else(|| Fault::not_found("job"))?)
}

/// Asks a job to stop.
pub(super) async fn cancel(core: &Arc<Core>, cx: &Cx, id: JobId) -> Result<()> {
    let job = steer(core, cx, id).await?;
    let (on, cx) = (core.clone(), cx.clone());
    apart(core, "the answer to a cancelled job", async move { stop(&on, &cx, &job).await }).await
}

/// Notes that a job is to stop, then notifies its runner: written first, so that it is still known after a crash.
async fn stop(core: &Core, cx: &Cx, job: &db::jobs::JobRecord) -> Result<()> {
    let mut tx = core.db.begin().await?;
    if !db::steering::request_cancel(&mut tx, job.id).await? {
        let now = db::jobs::load(&mut tx, job.id).await?.ok_or_else(|| Fault::not_found("job"))?;
        return Err(Fault::refused(match now.state {
            JobState::Succeeded | JobState::Failed | JobState::Cancelled => "The job is over already.",
            JobState::Undoing | JobState::NeedsAttention => "The job is being undone already.",
            _ => "This job can no longer be stopped: stopping halfway would leave the machine in pieces.",
        })
        .into());
    }
    let subject = job.operation.machine().map(ToString::to_string);
    let title = job.operation.title();
    core.audit.done(&mut tx, cx, "cancel", subject.as_deref(), Some(&title)).await?;
    tx.commit().await?;
    if let Some(live) = core.jobs.get(job.id) {
        live.cancel.cancel();
        run::announce(core, &live).await;
    }
    Ok(())
}

/// Cancels a user's jobs that can still be cancelled.
pub(super) async fn cancel_all(core: &Arc<Core>, cx: &Cx, user: UserId) -> Result<usize> {
    authorize(core, cx, Action::SteerJob, Subject::owned_by(&[user]), Some(&user.to_string())).await?;
    let jobs = db::steering::stoppable_of(&mut *core.db.read().await?, user).await?;
    let (on, cx) = (core.clone(), cx.clone());
    let stop_all = async move {
        let mut stopped = 0;
        for id in jobs {
            let Some(job) = db::jobs::load(&mut *on.db.read().await?, id).await? else { continue };
            match stop(&on, &cx, &job).await {
                Ok(()) => stopped += 1,
                // It has ended, or has gone too far, since it was listed.
                Err(Error::Fault(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(stopped)
    };
    apart(core, "the answer to cancelled jobs", stop_all).await
}

/// Submits a failed or cancelled job's operation again, with the current actor's rights; continues undoing one that
/// needs attention.
pub(super) async fn retry(core: &Arc<Core>, cx: &Cx, id: JobId) -> Result<Submitted> {
    let job = steer(core, cx, id).await?;
    match job.state {
        JobState::Failed | JobState::Cancelled if job.secrets_removed => {
            let why = "The passwords of this job are no longer stored. Open its form again and type them.";
            Err(Fault::refused(why).into())
        }
        JobState::Failed | JobState::Cancelled => {
            let machine = job.work.subject();
            let operation = on_same_machine(core, job).await?;
            submit(core, cx, operation, Agreement::Earlier(machine)).await
        }
        JobState::NeedsAttention => {
            let (on, cx) = (core.clone(), cx.clone());
            let undo = async move { give_up::undo_again(&on, &cx, id).await };
            apart(core, "the answer to a job that is undone again", undo).await?;
            Ok(Submitted { job: id })
        }
        JobState::Succeeded => {
            Err(Fault::refused("The job has succeeded; there is nothing to retry.").into())
        }
        _ => Err(Fault::refused("The job is still running.").into()),
    }
}

/// The operation of a job on the machine that it was about, whatever its name now.
async fn on_same_machine(core: &Core, job: db::jobs::JobRecord) -> Result<Operation> {
    let Operation::OnMachine { machine, action } = job.operation else { return Ok(job.operation) };
    let record = match job.work.subject() {
        Some(id) => db::machines::by_id(&mut *core.db.read().await?, id).await?,
        None => None,
    };
    Ok(action.on(record.map_or(machine, |record| record.spec.name)))
}

/// Ends a job in whatever state it is.
pub(super) async fn give_up(core: &Arc<Core>, cx: &Cx, id: JobId) -> Result<()> {
    authorize(core, cx, Action::GiveUpJob, Subject::Portal, Some(&id.to_string())).await?;
    let (on, cx) = (core.clone(), cx.clone());
    apart(core, "the answer to a job that is given up", async move { give_up::give_up(&on, &cx, id).await })
        .await
}

/// The values of the form that led to a job. Secrets are not among them.
pub(super) async fn form(core: &Core, cx: &Cx, id: JobId) -> Result<FormData> {
    follow::see(core, cx, id).await?;
    let job = db::jobs::load(&mut *core.db.read().await?, id).await?;
    let job = job.ok_or_else(|| Fault::not_found("job"))?;
    let mut data = match &job.operation {
        Operation::Create { spec } | Operation::Configure { spec } => from_spec(spec),
        Operation::Build { profiles, mode } => {
            let mut data = FormData::default();
            data.set("mode", mode.as_str());
            data.0.extend(profiles.chosen().map(|p| ("profiles".to_owned(), p.to_string())));
            data
        }
        Operation::RemoveImage { image } => FormData(vec![("image".to_owned(), image.to_string())]),
        Operation::OnMachine { action: MachineAction::Reconfigure(change), .. } => from_spec(&change.spec),
        Operation::OnMachine { machine, .. } => FormData(vec![("machine".to_owned(), machine.to_string())]),
    };
    data.set("intent", job.operation.kind().as_str());
    Ok(data)
}
