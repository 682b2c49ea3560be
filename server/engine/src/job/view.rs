//! A job as its own page shows it.

use super::give_up::{left_behind, may_be_left};
use super::live::LiveJob;
use crate::db::{self, Db};
use crate::error::Result;
use crate::job::step::After;
use model::job::{JobId, JobState, StepState};
use model::operation::OperationKind;
use model::view::job::JobView;
use ports::image_builder::ImageBuilder;
use std::sync::Arc;

/// What a view is made from besides the job's id.
#[derive(Clone)]
pub(crate) struct Source {
    pub db: Db,
    pub builder: Arc<dyn ImageBuilder>,
    /// What the viewer may do.
    pub rights: Rights,
}

/// What someone may do to a job that they see.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rights {
    /// Cancel and retry it.
    pub steer: bool,
    /// Give it up.
    pub give_up: bool,
}

/// The job, if there is one.
pub(crate) async fn view(source: &Source, id: JobId, live: Option<&LiveJob>) -> Result<Option<JobView>> {
    let mut conn = source.db.read().await?;
    let Some(job) = db::jobs::load(&mut conn, id).await? else { return Ok(None) };
    let Some(summary) = db::jobs::summary(&mut conn, id).await? else { return Ok(None) };
    let steps = db::jobs::steps(&mut conn, id).await?;
    let marks = db::jobs::run_steps(&mut conn, id).await.unwrap_or_default();
    drop(conn);
    let state = summary.badge.state;
    // What only goes forward is half done once it has begun, and stopping there would be worse than continuing.
    let committed = marks.iter().any(|row| row.after == After::Forward && row.state != StepState::Pending);
    let stopped = matches!(state, JobState::Failed | JobState::Cancelled);
    let (steers, is_stuck) = (source.rights.steer, state == JobState::NeedsAttention);
    let is_form = matches!(summary.kind, OperationKind::Create | OperationKind::Configure);
    // A job that failed at something else has no build that anyone wants to repeat.
    let may_be_built = job.failure.as_ref().is_none_or(|failure| failure.step == "image.build");
    let waiting = matches!(state, JobState::Queued | JobState::Running);
    Ok(Some(JobView {
        can_cancel: steers && waiting && !committed && !job.cancel,
        can_retry: steers && (is_stuck || (stopped && !job.secrets_removed)),
        form_again: steers && stopped && is_form,
        give_up: (source.rights.give_up && !state.is_over()).then(|| may_be_left(&left_behind(&marks))),
        stuck: job.stuck,
        reproduce: job.work.key.as_ref().filter(|_| may_be_built).map(|key| source.builder.reproduce(key)),
        progress: live.and_then(|live| live.progress.borrow().clone()),
        failure: job.failure,
        summary,
        steps,
    }))
}
