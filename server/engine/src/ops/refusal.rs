//! Why an operation cannot be done now, and what to do instead.

use model::Fault;
use model::job::JobId;

/// Why an operation cannot be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// What it is about does not exist.
    NotFound(&'static str),
    /// A field of the form is wrong, given the facts.
    Field {
        /// Its name.
        field: &'static str,
        /// What is wrong and what to do.
        why: String,
    },
    /// Another job holds the machine.
    Busy(JobId),
    /// The host does not answer.
    Unavailable(String),
    /// It would change nothing.
    Unchanged,
    /// It does not fit the present state.
    State(String),
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound(what) => Fault::not_found(what),
            Refusal::Field { field, why } => Fault::invalid(field, why),
            Refusal::Busy(job) => Fault::Busy { job },
            Refusal::Unavailable(host) => Fault::Unavailable { host },
            Refusal::Unchanged => Fault::Unchanged,
            Refusal::State(why) => Fault::Refused { why },
        }
    }
}
