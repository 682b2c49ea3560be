//! One job being run, as the way forward (`runner`) and the way back (`unwind`) share it.

use super::lease::Lease;
use super::live::LiveJob;
use super::step::After;
use super::step::Work;
use crate::core::Core;
use crate::db::{self, jobs::JobRecord};
use crate::error::{Error, Result, chain};
use crate::probe::{Moment, Verdict, When};
use crate::steps::{Step, StepCx, StepError};
use model::job::{Failure, JobState, LogLevel, StepState};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The first pause between two tries; each further one is twice as long, up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// A step of the job.
#[derive(Clone, Copy, Debug)]
pub(super) struct StepRow {
    pub step: &'static Step,
    pub after: After,
    pub state: StepState,
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
    /// Lets a test have its say.
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

    /// Writes a step's state down, and with it what the steps hand on.
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

/// Waits before another try, longer each time; fails when asked to stop.
pub(super) async fn pause(tries: u32, stop: &CancellationToken) -> std::result::Result<(), ()> {
    let pause = PAUSE.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(PAUSE_MAX);
    tokio::select! {
        () = stop.cancelled() => Err(()),
        () = tokio::time::sleep(pause) => Ok(()),
    }
}

/// Shows a job as it stands now: on its machine's row, to sockets, to its followers.
pub(crate) async fn announce(core: &Core, live: &LiveJob) {
    let tell = async {
        let mut conn = core.db.read().await?;
        let Some(summary) = db::jobs::summary(&mut conn, live.id).await? else { return Ok(()) };
        let mut people = db::jobs::owners(&mut conn, live.id).await?;
        people.extend(db::jobs::askers(&mut conn, live.id).await?);
        if let Some(machine) = &summary.machine {
            let badge = (!summary.badge.state.is_over()).then(|| summary.badge.clone());
            core.fleet.set_job(machine, badge);
        }
        core.fleet.tell_job(summary.badge, summary.machine.as_ref(), people);
        Ok::<_, Error>(())
    };
    if let Err(error) = tell.await {
        tracing::error!(job.id = %live.id, error = chain(&error), "a job's state cannot be shown");
    }
    live.beat();
}
