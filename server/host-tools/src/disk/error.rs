//! Why something with a disk failed, and the small helpers to say so.

use crate::exec::ExecError;
use std::io;
use std::path::{Path, PathBuf};

/// Why something with a disk failed. `Display` leaves the source out; [`crate::exec::chain`] includes it.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// A tool failed.
    #[error("{what} failed")]
    Tool {
        /// What was tried.
        what: String,
        /// The tool's own error.
        #[source]
        source: ExecError,
    },
    /// The file system of the host refused.
    #[error("{what} {} failed", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The disk contains something other than expected, or something broken.
    #[error("the disk {} cannot be used: {why}", path.display())]
    Contents {
        /// The disk.
        path: PathBuf,
        /// What is wrong with it and what to do.
        why: String,
    },
    /// The caller asked for something that makes no sense.
    #[error("{0}")]
    Refused(String),
}

/// What this module returns.
pub type Result<T> = std::result::Result<T, DiskError>;

pub(super) fn io_error<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> DiskError + 'a {
    move |source| DiskError::Io { what, path: path.to_owned(), source }
}

pub(super) fn tool_error(what: impl Into<String>) -> impl FnOnce(ExecError) -> DiskError {
    move |source| DiskError::Tool { what: what.into(), source }
}

pub(super) fn contents(path: &Path, why: impl Into<String>) -> DiskError {
    DiskError::Contents { path: path.to_owned(), why: why.into() }
}

/// Runs a piece of blocking file work off the async threads. A panic in it would be a bug and is reported as an IO
/// error.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(gone) => Err(DiskError::Io {
            what: "background work on",
            path: PathBuf::from("a disk"),
            source: io::Error::other(gone),
        }),
    }
}
