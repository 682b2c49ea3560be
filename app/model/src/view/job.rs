//! Jobs as lists and pages show them, and the frames of `/ws/jobs/{id}`.

use crate::job::{BuildProgress, Failure, JobBadge, JobId, LogLine, StepState};
use crate::machine::MachineName;
use crate::operation::OperationKind;
use crate::time::Time;
use serde::{Deserialize, Serialize};

/// A job as lists show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSummary {
    /// In a few words.
    pub badge: JobBadge,
    /// The operation's kind.
    pub kind: OperationKind,
    /// The machine concerned, by its name at the time.
    pub machine: Option<MachineName>,
    /// Its current name. A failed create has taken its machine back, and a purge has removed it: then there is no page
    /// to link to.
    pub machine_now: Option<MachineName>,
    /// Who asked.
    pub actor: String,
    /// When it was accepted.
    pub created: Time,
    /// When its turn came; until then it waits in the queue.
    pub began: Option<Time>,
    /// When it ended.
    pub ended: Option<Time>,
}

/// A job that failed, as told on the page that it was asked for on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedJob {
    /// Id.
    pub id: JobId,
    /// What it was to do: “Start web-1”.
    pub title: String,
    /// When it ended.
    pub ended: Time,
    /// What happened, why, and what to do.
    pub why: String,
}

/// One step as the job page shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepView {
    /// `family.verb`.
    pub name: String,
    /// What it does, as text.
    pub what: String,
    /// State.
    pub state: StepState,
    /// When it began.
    pub began: Option<Time>,
    /// When it ended.
    pub ended: Option<Time>,
}

/// A job as its own page shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobView {
    /// What lists also show.
    pub summary: JobSummary,
    /// Steps in order.
    pub steps: Vec<StepView>,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
    /// Why undoing it has stopped, if it has: the job needs attention.
    pub stuck: Option<Failure>,
    /// Its build's progress, while it builds.
    pub progress: Option<BuildProgress>,
    /// The command that reproduces the build in a shell, once it is known.
    pub reproduce: Option<String>,
    /// What may be asked of it now: cancel, retry.
    pub can_cancel: bool,
    /// A failed or cancelled job can be tried again, and the undoing of one that needs attention.
    pub can_retry: bool,
    /// For someone who may give it up: what it may then leave behind, as a sentence.
    pub give_up: Option<String>,
    /// For a failed create: the form opens again with its values at this machine name.
    pub form_again: bool,
}

/// To the browser on `/ws/jobs/{id}?after=N`, as JSON text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum JobFrame {
    /// The job's current state: sent first and after each change of a step.
    Job {
        /// The job.
        view: Box<JobView>,
    },
    /// Log lines in order; the first's `seq` is one more than the last one's before.
    Lines {
        /// The lines.
        lines: Vec<LogLine>,
    },
    /// The build's progress.
    Progress {
        /// The figures.
        progress: BuildProgress,
    },
    /// Everything has been sent and the job is over.
    End,
    /// The server ends the socket, and why.
    Closing {
        /// The reason.
        why: String,
    },
}

/// The jobs page's filter, as in the URL.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobFilter {
    /// Only jobs of this machine.
    pub machine: Option<MachineName>,
    /// Only jobs that are not over.
    pub open: bool,
    /// Only jobs accepted before this one; the next page's start.
    pub before: Option<JobId>,
}

/// How many jobs one page shows.
pub const JOBS_PER_PAGE: u32 = 50;
