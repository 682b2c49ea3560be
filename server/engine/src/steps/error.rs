//! Why a step failed.

use crate::error::{Error, chain};
use model::Fault;
use model::host::HostName;
use model::job::BuildFailure;
use ports::hypervisor::HypervisorError;
use ports::image_builder::BuildError;
use std::error::Error as StdError;

/// Why a step failed. `Display` is for the person: what happened, why, what to do.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct StepError {
    message: String,
    /// The host is unreachable: the same call may succeed later without anyone changing anything.
    pub retriable: bool,
    /// Nothing went wrong: someone cancelled the job, or the portal is shutting down.
    pub stopped: bool,
    /// The part of a failed build that a person needs first.
    pub build: Option<Box<BuildFailure>>,
    #[source]
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl StepError {
    /// A failure that only a person can fix.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), retriable: false, stopped: false, build: None, source: None }
    }

    /// The step was asked to stop.
    pub fn stopped() -> Self {
        Self { stopped: true, ..Self::new("The step was asked to stop.") }
    }

    /// A host failed to do what it was asked. `what` begins the sentence: “Starting the machine”.
    pub fn host(what: &str, host: &HostName, source: HypervisorError) -> Self {
        let advice = match &source {
            HypervisorError::Unreachable { .. } => "See the hosts page for the reason.",
            HypervisorError::Foreign { .. } => "Choose another name, or see on the hosts page what it is.",
            HypervisorError::NoSuchMachine { .. } => "Someone removed it on the host; create it again.",
            HypervisorError::Unsupported { .. } => "Choose another kind of host for this.",
            HypervisorError::Failed { .. } | HypervisorError::NoAgent => {
                "Test the host on the hosts page, then try again."
            }
        };
        Self {
            retriable: matches!(source, HypervisorError::Unreachable { .. }),
            message: format!("{what} failed on host “{host}”: {source}. {advice}"),
            source: Some(Box::new(source)),
            ..Self::new("")
        }
    }

    /// The image builder failed.
    pub fn build(error: &BuildError) -> Self {
        match error {
            BuildError::Cancelled => Self::stopped(),
            BuildError::Failed(failure) => Self {
                build: Some(Box::new(failure.clone())),
                ..Self::new(format!(
                    "{} failed to build. Its last lines show why; fix the profile and try again.",
                    failure.derivation
                ))
            },
            other => Self::new(format!("The image builder failed: {}.", chain(other))),
        }
    }

    /// The error with all its causes, for the server's log.
    pub fn chain(&self) -> String {
        chain(self)
    }
}

impl From<Error> for StepError {
    fn from(error: Error) -> Self {
        match error {
            // Not worth waiting for: the set of hosts is fixed while the portal runs.
            Error::Fault(Fault::Unavailable { host }) => Self::new(format!(
                "Host “{host}” is no longer in the portal's settings. Add it again under the same name and restart the portal."
            )),
            Error::Fault(fault) => Self::new(fault.to_string()),
            Error::Build(error) => Self::build(&error),
            error => Self {
                source: Some(Box::new(error)),
                ..Self::new("Something went wrong on the server. See its log for details; try again.")
            },
        }
    }
}
