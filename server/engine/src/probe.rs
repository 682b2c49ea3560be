//! A hook for tests: the runner reports to a [`Probe`] what it is about to do and what it has just done, and the probe
//! may make it fail, have it do the step again, or never answer, which is what a crash looks like once the runtime is
//! dropped. In production it lets everything pass.

use async_trait::async_trait;
use model::job::JobId;

/// Where in a job the runner is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The job.
    pub job: JobId,
    /// `family.verb` of the step.
    pub step: &'static str,
    /// The step's position in the job.
    pub index: usize,
    /// Before or after what.
    pub when: When,
}

/// Before or after what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum When {
    /// The step is marked as running; nothing has been done.
    BeforeRun,
    /// The step has been done; that is not written down yet.
    AfterRun,
    /// The step will be undone.
    BeforeUndo,
    /// The step has been undone; that is not written down yet.
    AfterUndo,
}

/// What the runner does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Goes on.
    Go,
    /// Behaves as if the step had failed.
    Fail,
    /// Does the same once more.
    Again,
}

/// Watches a runner.
#[async_trait]
pub trait Probe: Send + Sync + 'static {
    /// The runner has reached this moment.
    async fn at(&self, moment: Moment) -> Verdict;

    /// Whether a step that has paused so many times, each time waiting for something, is never resumed: what a crash in
    /// the middle of it looks like. Asked of every step and undoing while it is under way; `moment` is the one before
    /// it.
    fn stops_inside(&self, moment: Moment, rests: usize) -> bool {
        let _ = (moment, rests);
        false
    }
}

/// Lets everything pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unwatched;

#[async_trait]
impl Probe for Unwatched {
    async fn at(&self, _: Moment) -> Verdict {
        Verdict::Go
    }
}
