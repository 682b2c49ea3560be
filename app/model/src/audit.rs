//! The audit log as pages show it: who did what to which machine, when, from where, with what outcome.

use crate::job::JobId;
use crate::time::Time;
use serde::{Deserialize, Serialize};

/// How an audited act ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Outcome {
    /// Begun, not ended.
    Pending,
    /// It was done.
    Succeeded,
    /// It was tried and failed.
    Failed,
    /// It was cancelled.
    Cancelled,
    /// The actor was not allowed to.
    Denied,
}

impl Outcome {
    /// All, in the order they are offered.
    pub const ALL: [Outcome; 5] =
        [Outcome::Succeeded, Outcome::Failed, Outcome::Denied, Outcome::Cancelled, Outcome::Pending];

    /// The label for people.
    pub fn title(self) -> &'static str {
        match self {
            Outcome::Pending => "In progress",
            Outcome::Succeeded => "Done",
            Outcome::Failed => "Failed",
            Outcome::Cancelled => "Cancelled",
            Outcome::Denied => "Denied",
        }
    }

    /// The name in the database, in URLs and in CSS classes.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// One act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// Position in the chain, from 1.
    pub seq: i64,
    /// When it began.
    pub began: Time,
    /// When its outcome was known.
    pub ended: Option<Time>,
    /// User name; none for someone not logged in.
    pub actor: Option<String>,
    /// Address that the request came from.
    pub from: Option<String>,
    /// The act: an operation's or an action's name.
    pub action: String,
    /// What it was done to: a machine, a user, a host.
    pub subject: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// Details as text; never a secret.
    pub detail: Option<String>,
    /// The job that did it.
    pub job: Option<JobId>,
}

/// The audit page's filter, as in the URL.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditFilter {
    /// Only this user's acts.
    pub actor: Option<String>,
    /// Only acts on this subject.
    pub subject: Option<String>,
    /// Only acts of this name.
    pub action: Option<String>,
    /// Only acts with this outcome.
    pub outcome: Option<Outcome>,
    /// The next page's start: only acts completed before this position in the order of completions or, where it is negative,
    /// also those under way that began before the act of its number.
    pub before: Option<i64>,
}

impl AuditFilter {
    /// Reads the URL's parameters, by a function that gives the value of each, empty if missing. Invalid values filter
    /// nothing.
    pub fn from_query(value: impl Fn(&str) -> String) -> Self {
        let text = |name: &str| Some(value(name)).filter(|text| !text.is_empty());
        let outcome = value("outcome");
        Self {
            actor: text("actor"),
            subject: text("subject"),
            // Typed as displayed, or as stored.
            action: text("action").map(|words| words.to_lowercase().replace(' ', "_")),
            outcome: Outcome::ALL.into_iter().find(|o| o.as_str() == outcome),
            before: value("before").parse().ok(),
        }
    }
}

/// How many acts one page shows.
pub const AUDIT_PER_PAGE: u32 = 100;

/// One page of the audit log, newest completion first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditPage {
    /// The acts.
    pub rows: Vec<AuditRow>,
    /// Where the next page starts, if there is one.
    pub next: Option<i64>,
    /// What was wrong with the log when the portal started, as sentences: a lost key, an older database.
    pub warning: Option<String>,
}

/// Whether the hash chain holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChainState {
    /// Every entry fits the one before it.
    Intact {
        /// How many entries there are.
        entries: i64,
        /// How many of them, the first ones, were written before the log had a key: someone who can write to the
        /// database could have written them.
        unkeyed: i64,
    },
    /// Every verifiable entry fits; some were written with a key that is lost.
    Unproven {
        /// How many entries there are.
        entries: i64,
        /// How many of them cannot be verified.
        lost: i64,
    },
    /// The entry at this position does not fit the one before it: something was changed or removed.
    Broken {
        /// Its position.
        at: i64,
    },
}
