//! One job being run, as the way forward (`runner`) and the way back (`unwind`) share it.

use super::lease::Lease;
use super::live::LiveJob;
use super::step::After;
use super::step::Work;
use crate::core::Core;
use crate::db::{self, jobs::JobRecord};
use crate::error::{Error, Result, chain};
use crate::probe::{Moment, Verdict, When};
use crate::steps::{Step, StepCx, StepError, power};
use backon::ExponentialBackoff;
use model::job::{Failure, JobId, JobState, LogLevel, StepState};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A step of the job.
#[derive(Clone, Copy, Debug)]
pub(super) struct StepRow {
    pub step: &'static Step,
    pub after: After,
    pub state: StepState,
}

impl StepRow {
    /// Whether it presses a power button for someone, as opposed to a step towards creating or removing a machine.
    pub fn is_wish(&self) -> bool {
        let is_asked_for = self.after == After::Nothing && self.step.name.starts_with("power.");
        is_asked_for && *self.step != power::REQUIRE_OFF || *self.step == power::STOP
    }
}

/// One job being run.
pub(super) struct Run<'a> {
    pub core: &'a Arc<Core>,
    pub live: &'a Arc<LiveJob>,
    pub lease: &'a Lease,
    pub job: JobRecord,
    pub steps: Vec<StepRow>,
    pub work: Work,
}

impl Run<'_> {
    /// Consults a test's probe.
    pub(super) async fn probe(
        &self,
        index: usize,
        row: StepRow,
        when: When,
    ) -> std::result::Result<Verdict, StepError> {
        let moment = Moment { job: self.job.id, step: row.step.name, index, when };
        match self.core.probe.at(moment).await {
            Verdict::Fail => Err(StepError::new("The probe let this step fail.")),
            verdict => Ok(verdict),
        }
    }

    /// What a step works with.
    pub(super) fn step_cx<'b>(&'b mut self, row: StepRow, cancel: &'b CancellationToken) -> StepCx<'b> {
        StepCx {
            core: self.core,
            job: &self.job,
            work: &mut self.work,
            cancel,
            log: &self.live.log,
            step: row.step.name,
            progress: &self.live.progress,
        }
    }

    pub(super) fn failure(&self, row: StepRow, error: &StepError) -> Failure {
        tracing::warn!(step = row.step.name, error = error.chain(), "a step failed");
        self.say_in(row, LogLevel::Error, &error.to_string());
        Failure {
            step: row.step.name.to_owned(),
            message: error.to_string(),
            build: error.build.as_deref().cloned(),
        }
    }

    /// Writes a step's state down, along with what the steps pass on.
    pub(super) async fn mark(&mut self, index: usize, state: StepState) -> Result<()> {
        let now = self.core.clock.now();
        let mut tx = self.core.db.begin().await?;
        if self.job.state == JobState::Queued {
            db::jobs::set_state(&mut tx, self.job.id, JobState::Running, now).await?;
        }
        db::jobs::set_step(&mut tx, self.job.id, index, state, now).await?;
        db::jobs::save_work(&mut tx, self.job.id, &self.work).await?;
        tx.commit().await?;
        if self.job.state == JobState::Queued {
            self.job.state = JobState::Running;
        }
        if let Some(row) = self.steps.get_mut(index) {
            row.state = state;
        }
        announce(self.core, self.live).await;
        Ok(())
    }

    /// Writes a line about the job as a whole.
    pub(super) fn say(&self, level: LogLevel, text: &str) {
        self.live.log.append(self.core.clock.now(), "job", None, level, text);
    }

    /// Writes a line about a step.
    pub(super) fn say_in(&self, row: StepRow, level: LogLevel, text: &str) {
        self.live.log.append(self.core.clock.now(), row.step.name, None, level, text);
    }
}

/// Carries a step out, or its undoing, unless the job is given up meanwhile: then it is dropped where it is. A test's
/// probe can stop a step halfway here too.
pub(super) async fn carry_out(
    core: &Core,
    live: &LiveJob,
    (index, row, when): (usize, StepRow, When),
    work: impl Future<Output = std::result::Result<(), StepError>>,
) -> std::result::Result<(), StepError> {
    let mut work = pin!(work);
    let mut rests = 0;
    let moment = Moment { job: live.id, step: row.step.name, index, when };
    let work = poll_fn(|cx| {
        if rests > 0 && core.probe.stops_inside(moment, rests) {
            return Poll::Pending;
        }
        let poll = work.as_mut().poll(cx);
        rests += usize::from(poll.is_pending());
        poll
    });
    tokio::select! {
        biased;
        () = live.given_up.cancelled() => Err(StepError::stopped()),
        done = work => done,
    }
}

/// Retries of something whose failure may pass without intervention, such as an unreachable host.
pub(super) struct Tries {
    until: Instant,
    pauses: ExponentialBackoff,
    failed: u32,
}

impl Tries {
    /// None has failed yet.
    pub fn new(core: &Core) -> Self {
        let until = Instant::now() + core.settings.host_patience;
        Self { until, pauses: core.settings.retry.pauses(), failed: 0 }
    }

    /// Counts a failed try; returns whether waiting may help and there is time left for it.
    pub fn may_go_on(&mut self, error: &StepError, tries_without_hope: u32) -> bool {
        self.failed += 1;
        if error.retriable { Instant::now() < self.until } else { self.failed < tries_without_hope }
    }

    /// Waits before the next try, longer each time; fails when asked to stop.
    pub async fn pause(&mut self, stop: &CancellationToken) -> std::result::Result<(), StepError> {
        let pause = self.pauses.next().unwrap_or_default();
        tokio::select! {
            biased;
            () = stop.cancelled() => Err(StepError::stopped()),
            () = tokio::time::sleep(pause) => Ok(()),
        }
    }
}

/// Shows a job's current state, to its followers too.
pub(crate) async fn announce(core: &Core, live: &LiveJob) {
    show(core, live.id).await;
    live.beat();
}

/// Shows a job's current state: on its machine's row and to sockets.
pub(super) async fn show(core: &Core, id: JobId) {
    let tell = async {
        let mut conn = core.db.read().await?;
        let Some(summary) = db::jobs::summary(&mut conn, id).await? else { return Ok(()) };
        let mut people = db::jobs::owners(&mut conn, id).await?;
        people.extend(db::jobs::askers(&mut conn, id).await?);
        let machine = db::jobs::machine(&mut conn, id).await?;
        if let Some(machine) = machine {
            let badge = (!summary.badge.state.is_over()).then(|| summary.badge.clone());
            core.fleet.set_job(machine, badge);
        }
        core.fleet.tell_job(summary.badge, machine, people);
        Ok::<_, Error>(())
    };
    if let Err(error) = tell.await {
        tracing::error!(job.id = %id, error = chain(&error), "a job's state cannot be shown");
    }
}
