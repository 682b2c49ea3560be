//! The runner of one job: step after step, and back again if one fails.
//!
//! It reads the job from the database, continues at the first step that is not done, and writes each result down before
//! it takes the next step. So it does not matter whether it begins a job or takes it up after a crash. When the
//! database itself fails, it waits and starts again from what is written there.

use super::lease::Lease;
use super::live::LiveJob;
use super::run::{Run, StepRow, Tries, announce, carry_out};
use super::unwind::{self, Unwound};
use crate::core::Core;
use crate::db;
use crate::error::{Error, Result, chain};
use crate::job::step::After;
use crate::probe::{Verdict, When};
use crate::slots::Slot;
use crate::steps::{self, StepError, image};
use model::audit::Outcome;
use model::job::{Failure, JobState, LogLevel, StepState};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

/// How long a request to switch a machine on or off stays valid, in milliseconds. Someone who asked hours ago has found
/// another way since, and no longer expects it.
const WISH_STANDS: u64 = 10 * 60 * 1000;

/// Starts the runner of an open job.
pub(crate) async fn start(core: &Arc<Core>, live: Arc<LiveJob>) {
    announce(core, &live).await;
    // Everything the job's steps log, in whatever module, is tagged with the job by this.
    let span = tracing::info_span!("job", job.id = %live.id, operation = Empty, machine.name = Empty);
    core.tasks.spawn(run(core.clone(), live).instrument(span));
}

async fn run(core: Arc<Core>, live: Arc<LiveJob>) {
    let _left = live.left.clone().drop_guard();
    let Some(lease) = core.jobs.lease(live.id) else { return };
    let mut pauses = core.settings.retry.pauses();
    while let Err(error) = drive(&core, &live, &lease).await {
        tracing::error!(error = chain(&error), "a job's state cannot be read or written");
        if matches!(error, Error::Damaged { .. }) {
            end_damaged(&core, &live, &error).await;
            return;
        }
        tokio::select! {
            biased;
            () = live.leave.cancelled() => return,
            () = tokio::time::sleep(pauses.next().unwrap_or_default()) => {}
        }
    }
}

/// How going forward ended.
enum End {
    Done,
    Failed(Failure),
    Cancelled,
    /// The portal is shutting down, and the job is taken up at the next start; or the job is given up.
    Left,
}

/// Runs the job from its state in the database.
async fn drive(core: &Arc<Core>, live: &Arc<LiveJob>, lease: &Lease) -> Result<()> {
    let mut conn = core.db.read().await?;
    let job = db::jobs::load(&mut conn, live.id).await?;
    let steps = db::jobs::run_steps(&mut conn, live.id).await?;
    drop(conn);
    let Some(job) = job.filter(|job| !job.state.is_over()) else {
        // Its end was written, and the database failed to confirm it.
        announce(core, live).await;
        core.jobs.close(live.id);
        return Ok(());
    };
    let span = Span::current();
    span.record("operation", job.operation.kind().as_str());
    if let Some(machine) = job.operation.works_on() {
        span.record("machine.name", machine.as_str());
    }
    let steps = steps.iter().map(resolve).collect::<Result<Vec<StepRow>>>()?;
    let work = job.work.clone();
    let mut run = Run { core, live, lease, job, steps, work };
    if run.job.state != JobState::Undoing {
        let failure = match run.forward().await? {
            End::Left => return Ok(()),
            End::Done => return run.finish(JobState::Succeeded, None).await,
            // What only goes forward comes last: before it, everything else has succeeded and is in use.
            End::Failed(failure) if run.is_committed() => {
                return run.finish(JobState::Failed, Some(failure)).await;
            }
            End::Failed(failure) => Some(failure),
            End::Cancelled => None,
        };
        run.begin_undoing(failure).await?;
    }
    match unwind::unwind(&mut run).await? {
        Unwound::Left => return Ok(()),
        Unwound::Stuck(why) => return run.stop_undoing(&why).await,
        Unwound::Done => {}
    }
    let state = if run.job.failure.is_some() { JobState::Failed } else { JobState::Cancelled };
    let failure = run.job.failure.clone();
    run.finish(state, failure).await
}

/// A stored step as defined in this version.
fn resolve(row: &db::jobs::StepRow) -> Result<StepRow> {
    let unknown = || {
        let why = format!("there is no step “{}” in this version", row.name);
        Error::Damaged { what: "a job's step", source: why.into() }
    };
    let step = steps::named(&row.name).ok_or_else(unknown)?;
    Ok(StepRow { step, after: row.after, state: row.state })
}

impl Run<'_> {
    async fn forward(&mut self) -> Result<End> {
        if self.job.state == JobState::Queued {
            tracing::info!(actor = self.job.actor_name, "a job begins");
            self.say(
                LogLevel::Info,
                &format!("{}, asked for by {}.", self.job.operation.title(), self.job.actor_name),
            );
        }
        for index in 0..self.steps.len() {
            let Some(row) = self.steps.get(index).copied().filter(|row| row.state != StepState::Done) else {
                continue;
            };
            let slot = self.slot(row).await;
            if let Some(end) = self.asked_to_stop() {
                return Ok(end);
            }
            self.live.begin();
            self.mark(index, StepState::Running).await?;
            match self.attempt(index, row, slot).await {
                Ok(()) => self.mark(index, StepState::Done).await?,
                Err(error) if error.stopped => match self.asked_to_stop() {
                    // The step stays marked as running: the next start takes it up.
                    Some(End::Left) => return Ok(End::Left),
                    _ => {
                        self.mark(index, StepState::Cancelled).await?;
                        return Ok(End::Cancelled);
                    }
                },
                Err(error) => {
                    self.mark(index, StepState::Failed).await?;
                    return Ok(End::Failed(self.failure(row, &error)));
                }
            }
        }
        Ok(End::Done)
    }

    /// A slot among the working jobs; none for a step that only waits, or if the job is to stop before it gets one.
    async fn slot(&self, row: StepRow) -> Option<Slot> {
        if row.step.only_waits {
            return None;
        }
        let stop = self.stop();
        tokio::select! {
            biased;
            () = stop.cancelled() => None,
            slot = self.core.job_slots.acquire(self.job.actor) => Some(slot),
        }
    }

    /// Whether the job may not go on to the next step.
    fn asked_to_stop(&self) -> Option<End> {
        if self.live.leave.is_cancelled() {
            return Some(End::Left);
        }
        let cancelled = self.job.cancel || self.live.cancel.is_cancelled();
        (cancelled && !self.is_committed()).then_some(End::Cancelled)
    }

    /// What only goes forward has begun: stopping halfway would be worse than continuing, no matter who asked for it or
    /// when.
    fn is_committed(&self) -> bool {
        self.steps.iter().any(|row| row.after == After::Forward && row.state != StepState::Pending)
    }

    /// The signal a step listens to while it waits.
    fn stop(&self) -> CancellationToken {
        if self.is_committed() { self.live.leave.clone() } else { self.live.cancel.clone() }
    }

    /// Runs a step. An unreachable host is waited for: what the job has made so far, such as an image that took an
    /// hour, is worth more than those minutes. It waits without the slot, which others need meanwhile.
    async fn attempt(
        &mut self,
        index: usize,
        row: StepRow,
        mut slot: Option<Slot>,
    ) -> std::result::Result<(), StepError> {
        let mut tries = Tries::new(self.core);
        loop {
            self.still_wanted(row)?;
            let error = match self.attempt_once(index, row).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if error.stopped || !tries.may_go_on(&error, 1) {
                return Err(error);
            }
            self.say_in(row, LogLevel::Warning, &format!("{error} Trying again."));
            drop(slot);
            tries.pause(&self.stop()).await?;
            slot = self.slot(row).await;
            if self.stop().is_cancelled() {
                return Err(StepError::stopped());
            }
        }
    }

    /// A power button that was pressed long ago is not pressed now, unless that has begun.
    fn still_wanted(&self, row: StepRow) -> std::result::Result<(), StepError> {
        let age = self.job.created.millis_until(self.core.clock.now());
        // The build may have taken an hour: who asks for an upgrade means what follows it.
        let comes_late = self.steps.iter().any(|other| *other.step == image::BUILD);
        if !row.is_wish() || comes_late || self.work.asked || age <= WISH_STANDS {
            return Ok(());
        }
        let minutes = age / 60_000;
        Err(StepError::new(format!(
            "This was not carried out: it was asked for {minutes} minutes ago, and the machine may be in use by now. \
             Ask again if you still want it."
        )))
    }

    async fn attempt_once(&mut self, index: usize, row: StepRow) -> std::result::Result<(), StepError> {
        self.probe(index, row, When::BeforeRun).await?;
        loop {
            let (core, live, lease, stop) = (self.core, self.live, self.lease, self.stop());
            let mut cx = self.step_cx(row, &stop);
            let at = (index, row, When::BeforeRun);
            carry_out(core, live, at, (row.step.run)(&mut cx, lease)).await?;
            if self.probe(index, row, When::AfterRun).await? != Verdict::Again {
                return Ok(());
            }
        }
    }

    async fn begin_undoing(&mut self, failure: Option<Failure>) -> Result<()> {
        if failure.is_none() {
            self.say(LogLevel::Warning, "The job was cancelled.");
        }
        let mut tx = self.core.db.begin().await?;
        db::jobs::set_failure(&mut tx, self.job.id, failure.as_ref()).await?;
        db::jobs::set_state(&mut tx, self.job.id, JobState::Undoing, self.core.clock.now()).await?;
        tx.commit().await?;
        self.job.failure = failure;
        self.job.state = JobState::Undoing;
        announce(self.core, self.live).await;
        Ok(())
    }

    /// Undoing has stopped: the job keeps its machine until a person has checked it.
    async fn stop_undoing(&mut self, why: &Failure) -> Result<()> {
        let mut tx = self.core.db.begin().await?;
        db::steering::set_stuck(&mut tx, self.job.id, why).await?;
        tx.commit().await?;
        tracing::error!(step = why.step, "a job needs attention: it cannot be undone");
        self.say(
            LogLevel::Error,
            "This job needs attention: undoing it has stopped, and nothing more is tried automatically.",
        );
        announce(self.core, self.live).await;
        self.core.jobs.close(self.live.id);
        Ok(())
    }

    /// Ends the job, in the same transaction as its audit entry.
    async fn finish(&mut self, state: JobState, failure: Option<Failure>) -> Result<()> {
        let now = self.core.clock.now();
        let outcome = match state {
            JobState::Succeeded => Outcome::Succeeded,
            JobState::Cancelled => Outcome::Cancelled,
            _ => Outcome::Failed,
        };
        let detail = failure.as_ref().map(|f| f.message.as_str()).or(self.work.remark.as_deref());
        let mut tx = self.core.db.begin().await?;
        db::jobs::set_failure(&mut tx, self.job.id, failure.as_ref()).await?;
        db::jobs::finish(&mut tx, self.job.id, state, now).await?;
        self.core.audit.complete_job(&mut tx, self.job.id, self.job.audit_seq, outcome, detail).await?;
        tx.commit().await?;
        tracing::info!(outcome = outcome.as_str(), "a job ended");
        self.core.counts.job_ended(self.job.operation.kind(), state);
        self.say(LogLevel::Info, &format!("{}.", state.title()));
        announce(self.core, self.live).await;
        self.core.jobs.close(self.live.id);
        Ok(())
    }
}

/// Ends a job that cannot be read, so that it does not hold its machine forever.
async fn end_damaged(core: &Core, live: &LiveJob, error: &Error) {
    let failure = Failure {
        step: "job".to_owned(),
        message: format!("The job cannot be taken up: {}. Check what it left on the host.", chain(error)),
        build: None,
    };
    let end = async {
        let mut tx = core.db.begin().await?;
        db::jobs::set_failure(&mut tx, live.id, Some(&failure)).await?;
        let now = core.clock.now();
        db::jobs::finish(&mut tx, live.id, JobState::Failed, now).await?;
        if let Some(seq) = db::jobs::audit_seq(&mut tx, live.id).await? {
            let detail = Some(failure.message.as_str());
            core.audit.complete_job(&mut tx, live.id, seq, Outcome::Failed, detail).await?;
        }
        tx.commit().await?;
        Ok::<_, Error>(())
    };
    if let Err(error) = end.await {
        tracing::error!(error = chain(&error), "a damaged job cannot be ended");
    }
    announce(core, live).await;
    core.jobs.close(live.id);
}
