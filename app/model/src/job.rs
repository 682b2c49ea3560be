//! The vocabulary of jobs: accepted operations, their steps, why they fail, a build's progress.

use crate::time::Time;
use serde::{Deserialize, Serialize};

crate::id!(
    /// Names a job.
    JobId
);

/// The state of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum JobState {
    /// Waits for its turn.
    Queued,
    /// A step runs.
    Running,
    /// A step failed or the job was cancelled; what was done is being undone.
    Undoing,
    /// Undoing has stopped at a step that cannot be undone. The job keeps its machine until someone retries it or gives
    /// it up.
    NeedsAttention,
    /// All steps are done.
    Succeeded,
    /// A step failed; everything that could be was undone.
    Failed,
    /// Someone cancelled it; everything that could be was undone.
    Cancelled,
}

impl JobState {
    /// The name in the database, in URLs and in CSS classes.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// The label for people.
    pub fn title(self) -> &'static str {
        match self {
            JobState::Queued => "Queued",
            JobState::Running => "Running",
            JobState::Undoing => "Rolling back",
            JobState::NeedsAttention => "Needs attention",
            JobState::Succeeded => "Done",
            JobState::Failed => "Failed",
            JobState::Cancelled => "Cancelled",
        }
    }

    /// True when nothing more will happen.
    pub fn is_over(self) -> bool {
        matches!(self, JobState::Succeeded | JobState::Failed | JobState::Cancelled)
    }
}

/// The state of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum StepState {
    /// Not begun.
    Pending,
    /// Under way.
    Running,
    /// Done.
    Done,
    /// It failed; the job's failure says why.
    Failed,
    /// It was stopped because the job was cancelled.
    Cancelled,
    /// It was done, and has been undone.
    Undone,
}

impl StepState {
    /// The name in the database and in CSS classes.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A job in a few words, for rows, headers and live events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobBadge {
    /// Id.
    pub id: JobId,
    /// What it does: “Create web-1”.
    pub title: String,
    /// State.
    pub state: JobState,
    /// The step under way, as text.
    pub step: Option<String>,
    /// True once it was asked to stop: the step under way ends first.
    pub cancelling: bool,
    /// How many steps are done.
    pub done: u32,
    /// How many there are.
    pub total: u32,
}

/// Why a job failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The step that failed.
    pub step: String,
    /// What happened, why, and what to do.
    pub message: String,
    /// The failing derivation of a build, and its last lines of output.
    pub build: Option<BuildFailure>,
}

/// The part of a failed build that a person needs first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildFailure {
    /// The derivation, by name, without the store hash.
    pub derivation: String,
    /// Its last lines of output.
    pub last_lines: Vec<String>,
}

/// A build's progress.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildProgress {
    /// Derivations to be built, in all.
    pub to_build: u32,
    /// Derivations built.
    pub built: u32,
    /// Store paths to be fetched, in all.
    pub to_fetch: u32,
    /// Store paths fetched.
    pub fetched: u32,
    /// Bytes to be fetched, in all.
    pub bytes_to_fetch: u64,
    /// Bytes fetched.
    pub bytes_fetched: u64,
    /// Derivations being built now, by name, with their phase if they report one.
    pub running: Vec<(String, Option<String>)>,
}

/// Where a log line comes from and how loud it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// What a builder printed.
    Output,
    /// Progress messages from us or Nix.
    Info,
    /// Something to check.
    Warning,
    /// Something failed.
    Error,
}

/// One line of a job's log. The text is plain: control characters and escape sequences have been removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Position in the log, from 0, without gaps.
    pub seq: u64,
    /// When.
    pub at: Time,
    /// The step it belongs to.
    pub step: String,
    /// The derivation that printed it, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// How loud.
    pub level: LogLevel,
    /// The text.
    pub text: String,
}
