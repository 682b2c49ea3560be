//! A qcow2 disk shown as a plain file, so that tools for plain files can work on it.
//!
//! QEMU's storage daemon serves the file through FUSE in the scratch folder of the disk. It takes QEMU's own lock on the
//! image: a disk that a running machine uses is refused, and a machine cannot start while its disk is exported.

use super::error::{DiskError, Result, contents, io_error, tool_error};
use super::scratch::{MOUNT, PID, Scratch, unmount};
use crate::exec::{Program, Running};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the daemon may take to open the disk.
const READY_LIMIT: Duration = Duration::from_secs(20);

/// An exported disk. Close it: only that reports whether everything was written.
#[derive(Debug)]
pub struct Export {
    disk: PathBuf,
    /// Taken when the export is closed.
    parts: Option<(Running, Scratch)>,
    file: PathBuf,
    dir: PathBuf,
    was_interrupted: bool,
}

impl Export {
    /// Exports a qcow2 disk for reading and writing.
    ///
    /// # Errors
    /// When the disk is missing or not qcow2, a running machine uses it, or FUSE is not available.
    pub async fn open(disk: &Path) -> Result<Self> {
        Self::open_in(Scratch::of(disk).await?, disk).await
    }

    pub(super) async fn open_in(scratch: Scratch, disk: &Path) -> Result<Self> {
        let path = std::path::absolute(disk).map_err(io_error("finding", disk))?;
        let Some(name) = path.to_str() else {
            return Err(contents(disk, "its path is not UTF-8; move the state directory."));
        };
        let file = scratch.file(MOUNT);
        std::fs::File::create_new(&file).map_err(io_error("making", &file))?;
        let blockdev = serde_json::json!({
            "driver": "qcow2", "node-name": "disk", "discard": "unmap",
            "file": {"driver": "file", "filename": name, "discard": "unmap"},
        });
        let export = serde_json::json!({
            "type": "fuse", "id": "export", "node-name": "disk", "writable": true,
            "mountpoint": file.to_string_lossy(),
        });
        let mut daemon = Program::new("qemu-storage-daemon")
            .args(["--blockdev".to_owned(), blockdev.to_string(), "--export".to_owned(), export.to_string()])
            .arg("--pidfile")
            .arg(scratch.file(PID))
            // Options are processed in order: the monitor's greeting means that the export is up.
            .args(["--chardev", "stdio,id=monitor", "--monitor", "chardev=monitor"])
            .spawn()
            .map_err(tool_error("Exporting a disk"))?;
        if let Err(source) = daemon.first_output(READY_LIMIT).await {
            unmount(&file).await;
            let what =
                format!("Exporting the disk {} (it must not be in use by a running machine)", disk.display());
            return Err(DiskError::Tool { what, source });
        }
        let (dir, was_interrupted) = (scratch.dir().to_owned(), scratch.was_interrupted());
        Ok(Self { disk: path, parts: Some((daemon, scratch)), file, dir, was_interrupted })
    }

    /// The disk's contents as a plain file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The scratch folder of this export, for small temporary files; it is removed when the export is closed.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// True when earlier work on this disk was cut short: its writes may be incomplete.
    pub fn was_interrupted(&self) -> bool {
        self.was_interrupted
    }

    /// Ends the export and makes sure that everything written has reached the disk.
    ///
    /// # Errors
    /// When the daemon did not end cleanly, or the disk cannot be synced.
    pub async fn close(mut self) -> Result<()> {
        let Some((daemon, scratch)) = self.parts.take() else { return Ok(()) };
        if !end(daemon, scratch).await {
            return Err(contents(
                &self.disk,
                "the storage daemon did not end cleanly; check the disk with “qemu-img check”.",
            ));
        }
        let disk = self.disk.clone();
        super::error::blocking(move || {
            std::fs::File::open(&disk).and_then(|f| f.sync_all()).map_err(io_error("syncing", &disk))
        })
        .await
    }
}

/// The scratch folder goes last: as long as it exists, a crash counts as an interruption.
async fn end(mut daemon: Running, scratch: Scratch) -> bool {
    let ended_well = daemon.stop().await;
    if !ended_well {
        unmount(&scratch.file(MOUNT)).await;
    }
    drop(scratch);
    ended_well
}

impl Drop for Export {
    /// Work that was abandoned halfway still ends its daemon cleanly, in the background; without a runtime it is
    /// killed, and the next call cleans up.
    fn drop(&mut self) {
        if let (Some((daemon, scratch)), Ok(runtime)) =
            (self.parts.take(), tokio::runtime::Handle::try_current())
        {
            runtime.spawn(end(daemon, scratch));
        }
    }
}
