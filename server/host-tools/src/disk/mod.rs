//! Disks without appliance machines: qcow2 files and the ext4 file systems in them, made and edited by small tools.
//!
//! Nothing here needs root, a kernel block device or a mounted file system: a new file system is made in a sparse file
//! and converted; an existing disk shows itself as a plain file through QEMU's storage daemon ([`export`]) and is edited
//! with `debugfs`. The libvirt half of package `hypervisors` calls this; Proxmox has its disks on another computer.
//!
//! - [`qcow`]: sizes, overlays, growing the container.
//! - [`ext4`]: the data disk and the identity files in it.
//! - [`copy`]: a disk as a copy of another one.
//! - [`export`], `debugfs`, `gpt`, `superblock`: how to reach a file system inside a disk.
//! - `scratch`: work in progress, and its remains after a crash.
//!
//! Invariants: a file appears under its name only when it is complete and on stable storage, with mode 0600. All work
//! on the disks of one folder is serial, across processes. What a crash leaves is found and cleared by the next call.

pub mod copy;
mod debugfs;
mod error;
pub mod export;
pub mod ext4;
mod gpt;
pub mod qcow;
mod scratch;
mod superblock;
#[cfg(test)]
mod tests;

pub use error::{DiskError, Result};

use std::path::Path;

/// Ends and removes what a crash in the middle of an edit of this disk left beside it. Needed before its folder is
/// removed: something may still be mounted in it.
///
/// # Errors
/// When it cannot be ended or removed.
pub async fn clear_scratch(disk: &Path) -> Result<()> {
    scratch::Scratch::of(disk).await.map(drop)
}
