//! A folder for work in progress beside the disk it is about: `.tmp-<disk>`.
//!
//! Its name is fixed, so that the next call finds what a crash left there. The lock is on the folder both are in and is
//! the kernel's: it ends with the process that holds it. So finding a scratch folder while holding the lock means that
//! its owner is dead, and whatever that one left running may be ended.

use super::error::{Result, blocking, io_error};
use crate::exec::Program;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The export's mount point in a scratch folder: a file.
pub(super) const MOUNT: &str = "disk";
/// The file that holds the export daemon's process id.
pub(super) const PID: &str = "pid";

/// A scratch folder; removed when dropped.
#[derive(Debug)]
pub(super) struct Scratch {
    dir: PathBuf,
    was_interrupted: bool,
    /// Held, not read: closing it unlocks.
    _lock: File,
}

impl Scratch {
    /// The scratch folder of this disk, empty. Waits while another call works on a disk in the same folder.
    pub(super) async fn of(disk: &Path) -> Result<Self> {
        let disk = std::path::absolute(disk).map_err(io_error("finding", disk))?;
        let parent = disk.parent().unwrap_or(Path::new("/")).to_owned();
        let name = disk.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let dir = parent.join(format!(".tmp-{name}"));
        let lock = blocking(move || {
            let lock = File::open(&parent).map_err(io_error("opening", &parent))?;
            flock(&lock, FlockOperation::LockExclusive)
                .map_err(|e| io_error("locking", &parent)(e.into()))?;
            Ok(lock)
        })
        .await?;
        let was_interrupted = clear(&dir).await?;
        DirBuilder::new().mode(0o700).create(&dir).map_err(io_error("making", &dir))?;
        Ok(Self { dir, was_interrupted, _lock: lock })
    }

    /// The folder.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A file in it.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// True when an earlier call on this disk ended in the middle of its work.
    pub(super) fn was_interrupted(&self) -> bool {
        self.was_interrupted
    }

    /// Moves a finished file of this folder to its final name, replacing any previous file: mode 0600, on stable
    /// storage.
    pub(super) async fn publish(&self, name: &str, target: &Path) -> Result<()> {
        let (from, to) = (self.file(name), target.to_owned());
        blocking(move || {
            let file = File::open(&from).map_err(io_error("opening", &from))?;
            file.set_permissions(Permissions::from_mode(0o600)).map_err(io_error("protecting", &from))?;
            file.sync_all().map_err(io_error("syncing", &from))?;
            fs::rename(&from, &to).map_err(io_error("renaming", &to))?;
            let folder = to.parent().unwrap_or(Path::new("."));
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            File::open(folder).and_then(|f| f.sync_all()).map_err(io_error("syncing", folder))
        })
        .await
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A killed daemon leaves its mount. What cannot be removed now is cleared by the next call.
        let _ = rustix::mount::unmount(self.file(MOUNT), rustix::mount::UnmountFlags::DETACH);
        if let Err(error) = fs::remove_dir_all(&self.dir)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(dir = %self.dir.display(), %error, "a scratch folder stays behind until its disk is used again");
        }
    }
}

/// Removes a scratch folder that a dead process left, with the daemon and the mount in it. True when there was one.
async fn clear(dir: &Path) -> Result<bool> {
    if fs::symlink_metadata(dir).is_err() {
        return Ok(false);
    }
    tracing::warn!(dir = %dir.display(), "clearing what an interrupted call left");
    let left = dir.to_owned();
    blocking(move || {
        end_daemon(&left);
        Ok(())
    })
    .await?;
    unmount(&dir.join(MOUNT)).await;
    fs::remove_dir_all(dir).map_err(io_error("removing", dir))?;
    Ok(true)
}

/// Ends the export daemon of a scratch folder, if its pid file names one. The pid may have been reused by now: only a
/// process with this folder in its command line is touched.
fn end_daemon(dir: &Path) {
    let Ok(text) = fs::read_to_string(dir.join(PID)) else { return };
    let Some(pid) = text.trim().parse().ok().and_then(Pid::from_raw) else { return };
    // The descriptor is taken before the check, so that the checked process gets the signal.
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    let Ok(cmdline) = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())) else { return };
    let name = dir.as_os_str().as_bytes();
    if !cmdline.windows(name.len().max(1)).any(|part| part == name) {
        return;
    }
    if pidfd_send_signal(&process, Signal::KILL).is_ok() {
        // Its lock on the disk ends once it is gone; SIGKILL takes milliseconds.
        let limit = Timespec { tv_sec: 5, tv_nsec: 0 };
        let _ = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&limit));
    }
}

/// Unmounts after a dead daemon. Not mounted is fine.
pub(super) async fn unmount(mount: &Path) {
    match rustix::mount::unmount(mount, rustix::mount::UnmountFlags::DETACH) {
        Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => (),
        // Without root only the set-uid helper may; it made the mount too.
        Err(_) => {
            let _ = Program::new("fusermount3").args(["-u", "-z", "--"]).arg(mount).run().await;
        }
    }
}
