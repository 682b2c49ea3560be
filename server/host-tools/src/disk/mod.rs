//! Disks without appliance machines: qcow2 files and the ext4 file systems in them, made and edited by small tools.
//!
//! Nothing here needs root, a kernel block device or a mounted file system: a new file system is made in a sparse file
//! and converted; an existing disk shows itself as a plain file through QEMU's storage daemon ([`export`]) and is edited
//! with `debugfs`. The libvirt half of package `hypervisors` calls this; Proxmox has its disks on another computer.
//!
//! - [`qcow`]: sizes, overlays, growing the container.
//! - [`ext4`]: the data disk and the identity files in it.
//! - [`export`], `debugfs`, `gpt`, `superblock`: how to reach a file system inside a disk.
//! - `scratch`: work in progress, and what a crash leaves of it.
//!
//! Invariants: a file appears under its name only when it is whole and on stable storage, with mode 0600. All work on the
//! disks of one folder is serial, across processes. What a crash leaves is found and cleared by the next call.

mod debugfs;
pub mod export;
pub mod ext4;
mod gpt;
pub mod qcow;
mod scratch;
mod superblock;
#[cfg(test)]
mod tests;

use crate::exec::ExecError;
use std::io;
use std::path::{Path, PathBuf};

/// Why something with a disk did not work. `Display` leaves the source out; [`crate::exec::chain`] tells all.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// A tool could not do it.
    #[error("{what} failed")]
    Tool {
        /// What was tried.
        what: String,
        /// The tool's own story.
        #[source]
        source: ExecError,
    },
    /// The file system of the host refused.
    #[error("{what} {} failed", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The disk holds something else than expected, or something broken.
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

/// Ends and removes what a crash in the middle of an edit of this disk left beside it. Needed before its folder is removed:
/// there may still be something mounted in it.
///
/// # Errors
/// When it cannot be ended or removed.
pub async fn clear_scratch(disk: &Path) -> Result<()> {
    scratch::Scratch::of(disk).await.map(drop)
}

fn io_error<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> DiskError + 'a {
    move |source| DiskError::Io { what, path: path.to_owned(), source }
}

fn tool_error(what: impl Into<String>) -> impl FnOnce(ExecError) -> DiskError {
    move |source| DiskError::Tool { what: what.into(), source }
}

fn contents(path: &Path, why: impl Into<String>) -> DiskError {
    DiskError::Contents { path: path.to_owned(), why: why.into() }
}

/// Runs a piece of blocking file work off the async threads. A panic in it would be a bug and is told as an IO error.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(gone) => Err(DiskError::Io {
            what: "background work on",
            path: PathBuf::from("a disk"),
            source: io::Error::other(gone),
        }),
    }
}
