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
        let why = match &source {
            HypervisorError::Failed { what: tried, why } if tried == what => own_words(why).to_owned(),
            HypervisorError::Failed { what: tried, why } => format!("{tried} failed: {}", own_words(why)),
            other => other.to_string(),
        };
        let advice = match &source {
            HypervisorError::Unreachable { .. } => "See the hosts page for the reason.",
            HypervisorError::Foreign { .. } => "Choose another name, or see on the hosts page what it is.",
            HypervisorError::NoSuchMachine { .. } => "Someone removed it on the host; create it again.",
            HypervisorError::Unsupported { .. } => "Choose another kind of host for this.",
            HypervisorError::Failed { why, .. } => known(why).unwrap_or(TEST_IT),
            HypervisorError::NoAgent => TEST_IT,
        };
        Self {
            retriable: matches!(source, HypervisorError::Unreachable { .. }),
            message: format!("{what} failed on host “{host}”: {why}. {advice}"),
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

/// The advice where the cause is not known.
const TEST_IT: &str = "Test the host on the hosts page, then try again.";

/// What helps against a cause that a host's message names, in the words of its C library.
fn known(why: &str) -> Option<&'static str> {
    let causes = [
        (
            "Cannot allocate memory",
            "The host does not have that much free memory: shut down another machine there or give this one less, then \
             try again.",
        ),
        ("too little space", "Free some space there, then try again."),
        ("No space left on device", "The host's disk is full: free some space there, then try again."),
    ];
    causes.into_iter().find(|(cause, _)| why.contains(cause)).map(|(_, advice)| advice)
}

/// QEMU's own words, where libvirt passes them on behind the time and the program; otherwise all. The server's log has all.
fn own_words(why: &str) -> &str {
    let why = why.trim().trim_end_matches('.');
    let of_qemu = why.rsplit_once("qemu-system-").and_then(|(_, rest)| rest.split_once(": "));
    of_qemu.map_or(why, |(_, words)| words)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn told(tried: &str, why: &str) -> String {
        let source = HypervisorError::Failed { what: tried.to_owned(), why: why.to_owned() };
        StepError::host("Starting the machine", &"local".parse().unwrap(), source).to_string()
    }

    #[test]
    fn what_was_tried_is_told_once_and_a_known_cause_with_what_helps() {
        let qemu = "internal error: process exited while connecting to monitor: 2026-11-30T12:00:00.123456Z \
                    qemu-system-x86_64: cannot set up guest memory 'pc.ram': Cannot allocate memory\n";
        assert_eq!(
            told("Starting the machine", qemu),
            "Starting the machine failed on host “local”: cannot set up guest memory 'pc.ram': Cannot allocate memory. \
             The host does not have that much free memory: shut down another machine there or give this one less, then \
             try again."
        );
        assert_eq!(
            told("Writing the disk", "No space left on device"),
            "Starting the machine failed on host “local”: Writing the disk failed: No space left on device. The host's \
             disk is full: free some space there, then try again."
        );
        assert!(
            told("Starting the machine", "busy")
                .ends_with(": busy. Test the host on the hosts page, then try again.")
        );
    }
}
