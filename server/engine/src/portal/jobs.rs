//! Questions about jobs, and steering them.

use crate::authorize::{authorize, visible};
use crate::core::Core;
use crate::cx::Cx;
use crate::db;
use crate::error::{Error, Result};
use crate::job::{accept, follow, run, view};
use model::Fault;
use model::form::{FormData, from_spec};
use model::job::{JobId, JobState};
use model::operation::Operation;
use model::permission::{Action, Subject};
use model::plan::Consent;
use model::portal::Submitted;
use model::view::job::{JobFilter, JobSummary, JobView};
use std::sync::Arc;

/// Accepts an operation; without a consent, as somebody agreed to it before. In a task of its own: a browser that hangs up in the middle must not leave a job written down
/// and not started.
pub(super) async fn submit(
    core: &Arc<Core>,
    cx: &Cx,
    operation: Operation,
    consent: Option<Consent>,
) -> Result<Submitted> {
    let (core, cx) = (core.clone(), cx.clone());
    let tasks = core.tasks.clone();
    let task = tasks.spawn(async move { accept::submit(&core, &cx, operation, consent).await });
    let ended =
        |source| Error::Damaged { what: "the answer to a submitted operation", source: Box::new(source) };
    task.await.map_err(ended)?
}

/// One page of the jobs that the actor may see.
pub(super) async fn list(core: &Core, cx: &Cx, filter: &JobFilter) -> Result<Vec<JobSummary>> {
    let sees = visible(cx, Action::SeeJob)?;
    db::jobs::list(&mut *core.db.read().await?, filter, &sees).await
}

/// One job.
pub(super) async fn view(core: &Core, cx: &Cx, id: JobId) -> Result<JobView> {
    let steers = follow::see(core, cx, id).await?;
    let source = view::Source { db: core.db.clone(), builder: core.builder.clone(), steers };
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

/// Asks a job to stop. Written down first, so that it is still known after a crash.
pub(super) async fn cancel(core: &Core, cx: &Cx, id: JobId) -> Result<()> {
    let job = steer(core, cx, id).await?;
    let view = view(core, cx, id).await?;
    if job.state.is_over() {
        return Err(Fault::refused("The job is over already.").into());
    }
    if !view.can_cancel {
        let why = "This job cannot be stopped any more: stopping half-way would leave the machine in pieces.";
        return Err(Fault::refused(why).into());
    }
    let mut tx = core.db.begin().await?;
    if !db::jobs::request_cancel(&mut tx, id).await? {
        return Err(Fault::refused("The job is over already.").into());
    }
    let subject = job.operation.machine().map(ToString::to_string);
    let title = job.operation.title();
    core.audit.done(&mut tx, cx, "cancel", subject.as_deref(), Some(&title)).await?;
    tx.commit().await?;
    if let Some(live) = core.jobs.get(id) {
        live.cancel.cancel();
        run::announce(core, &live).await;
    }
    Ok(())
}

/// Submits a failed or cancelled job's operation again, with the rights of whoever asks now.
pub(super) async fn retry(core: &Arc<Core>, cx: &Cx, id: JobId) -> Result<Submitted> {
    let job = steer(core, cx, id).await?;
    match job.state {
        JobState::Failed | JobState::Cancelled if job.secrets_removed => {
            let why = "The passwords of this job are no longer stored. Open its form again and type them.";
            Err(Fault::refused(why).into())
        }
        JobState::Failed | JobState::Cancelled => submit(core, cx, job.operation, None).await,
        JobState::Succeeded => {
            Err(Fault::refused("The job has succeeded; there is nothing to retry.").into())
        }
        _ => Err(Fault::refused("The job is still under way.").into()),
    }
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
        Operation::OnMachine { machine, .. } => FormData(vec![("machine".to_owned(), machine.to_string())]),
    };
    data.set("intent", job.operation.kind().as_str());
    Ok(data)
}
