//! A disk that becomes a copy of another one: under another name until it is complete.
//!
//! Where the file system can share blocks (btrfs, XFS), a copy takes no time and no space. Elsewhere only what is written is
//! copied, within the kernel, and holes stay holes.

use super::error::{DiskError, Result, blocking, io_error, tool_error};
use super::scratch::Scratch;
use crate::exec::Program;
use model::size::Bytes;
use ports::hypervisor::{CopyEvent, CopyListener};
use rustix::fs::{SeekFrom, copy_file_range, fstatvfs, ioctl_ficlone, seek};
use rustix::io::Errno;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How much is copied at once: between two pieces it can be stopped.
const PIECE: u64 = 64 << 20;
/// The buffer where the kernel cannot copy by itself.
const BUFFER: usize = 1 << 20;
/// What stays free for everything else.
const RESERVE: u64 = 64 << 20;

/// A disk that is not complete. Dropping it removes it.
#[derive(Debug)]
pub struct Draft {
    scratch: Scratch,
    target: PathBuf,
}

impl Draft {
    /// One that becomes this disk. Waits while another call works on a disk in the same folder; what an earlier try left is
    /// removed.
    ///
    /// # Errors
    /// When the folder cannot be used.
    pub async fn of(target: &Path) -> Result<Self> {
        Ok(Self { scratch: Scratch::of(target).await?, target: target.to_owned() })
    }

    /// The unfinished file.
    pub fn file(&self) -> PathBuf {
        self.scratch.file("copy")
    }

    /// Refuses when the file system has no room for so many bytes.
    ///
    /// # Errors
    /// That, or when the file system cannot be asked.
    pub fn check_room(&self, bytes: u64) -> Result<()> {
        let folder = File::open(self.scratch.dir()).map_err(io_error("opening", self.scratch.dir()))?;
        room_for(&folder, self.scratch.dir(), bytes)
    }

    /// Makes it an empty disk of this size, for QEMU to fill: its user can reach it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn make_empty(&self, bytes: u64) -> Result<()> {
        let make =
            Program::new("qemu-img").args(["create", "-q", "-f", "qcow2", "copy"]).arg(bytes.to_string());
        make.dir(self.scratch.dir()).run().await.map_err(tool_error("Making a disk"))?;
        let (file, dir) = (self.file(), self.scratch.dir());
        let mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode));
        mode(&file, 0o600).map_err(io_error("protecting", &file))?;
        mode(dir, 0o711).map_err(io_error("opening", dir))
    }

    /// Fills it with the contents of a disk that nobody writes to. Dropping the future stops it at the next piece.
    ///
    /// # Errors
    /// When there is too little space, the disk changes meanwhile, or one of them cannot be read or written.
    pub async fn copy_from(self, disk: &Path, listener: CopyListener) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let _stops = StopOnDrop(stop.clone());
        let disk = disk.to_owned();
        blocking(move || {
            copy(&disk, &self.file(), &stop, &listener)?;
            Ok(self)
        })
        .await
    }

    /// Gives it its name: it is complete, on stable storage, and nobody else's to read.
    ///
    /// # Errors
    /// When it cannot be synced or renamed.
    pub async fn keep(self) -> Result<()> {
        self.scratch.publish("copy", &self.target).await
    }
}

/// Tells a thread that nobody waits for it any more.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn room_for(folder: &File, path: &Path, bytes: u64) -> Result<()> {
    let about = fstatvfs(folder).map_err(|e| io_error("measuring", path)(e.into()))?;
    let free = about.f_bavail.saturating_mul(about.f_frsize);
    if free >= bytes.saturating_add(RESERVE) {
        return Ok(());
    }
    let (bytes, free) = (Bytes(bytes), Bytes(free));
    Err(DiskError::Refused(format!(
        "there is too little space where the machines are kept: the copy takes {bytes}, and {free} are free"
    )))
}

fn copy(disk: &Path, to: &Path, stop: &AtomicBool, listener: &CopyListener) -> Result<()> {
    let from = File::open(disk).map_err(io_error("opening", disk))?;
    let before = Version::of(&from).map_err(io_error("reading", disk))?;
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
    let made = made.map_err(io_error("making", to))?;
    if ioctl_ficlone(&made, &from).is_ok() {
        listener(CopyEvent::Shared);
    } else {
        let about = from.metadata().map_err(io_error("reading", disk))?;
        let of = about.blocks().saturating_mul(512).min(about.len());
        room_for(&made, to, of)?;
        made.set_len(about.len()).map_err(io_error("sizing", to))?;
        let told = |done| listener(CopyEvent::Progress { done, of });
        copy_data(&from, &made, stop, &told).map_err(io_error("copying", disk))?;
    }
    if Version::of(&from).map_err(io_error("reading", disk))? != before {
        return Err(DiskError::Refused(
            "the disk was written to while it was copied: someone has started the machine".to_owned(),
        ));
    }
    Ok(())
}

/// What changes when a file is written to.
#[derive(PartialEq, Eq)]
struct Version(i64, i64, u64);

impl Version {
    fn of(file: &File) -> io::Result<Self> {
        let about = file.metadata()?;
        Ok(Self(about.mtime(), about.mtime_nsec(), about.len()))
    }
}

/// Copies all that is no hole.
fn copy_data(from: &File, to: &File, stop: &AtomicBool, told: &dyn Fn(u64)) -> io::Result<()> {
    let mut copier = Copier { from, to, by_kernel: true, buffer: Vec::new() };
    let (mut at, mut done) = (0, 0);
    loop {
        let start = match seek(from, SeekFrom::Data(at)) {
            Ok(start) => start,
            Err(Errno::NXIO) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let end = seek(from, SeekFrom::Hole(start))?;
        at = start;
        while at < end {
            if stop.load(Ordering::Relaxed) {
                return Err(io::Error::from(io::ErrorKind::Interrupted));
            }
            let copied = copier.piece(at, (end - at).min(PIECE))?;
            (at, done) = (at + copied, done + copied);
            told(done);
        }
    }
}

struct Copier<'a> {
    from: &'a File,
    to: &'a File,
    /// Until the kernel says that it cannot, between these two.
    by_kernel: bool,
    buffer: Vec<u8>,
}

impl Copier<'_> {
    /// Copies a piece, or some of it.
    fn piece(&mut self, at: u64, length: u64) -> io::Result<u64> {
        if self.by_kernel {
            let (mut read, mut written) = (at, at);
            let most = usize::try_from(length).unwrap_or(usize::MAX);
            match copy_file_range(self.from, Some(&mut read), self.to, Some(&mut written), most) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(copied) => return Ok(copied as u64),
                Err(Errno::INTR) => return Ok(0),
                Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => self.by_kernel = false,
                Err(error) => return Err(error.into()),
            }
        }
        self.buffer.resize(BUFFER, 0);
        let most = usize::try_from(length).unwrap_or(BUFFER).min(BUFFER);
        let Some(piece) = self.buffer.get_mut(..most) else { return Ok(0) };
        let read = self.from.read_at(piece, at)?;
        let piece = piece.get(..read).filter(|piece| !piece.is_empty());
        let piece = piece.ok_or(io::ErrorKind::UnexpectedEof)?;
        self.to.write_all_at(piece, at)?;
        Ok(read as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// A listener and what it has heard.
    fn heard() -> (CopyListener, Arc<Mutex<Vec<CopyEvent>>>) {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let told = heard.clone();
        (Arc::new(move |event| told.lock().unwrap().push(event)), heard)
    }

    fn sparse(path: &Path) -> File {
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path).unwrap();
        file.set_len(256 << 20).unwrap();
        file.write_all_at(&vec![7; 3 << 20], 8 << 20).unwrap();
        file.write_all_at(b"end", (256 << 20) - 3).unwrap();
        file
    }

    #[tokio::test]
    async fn a_copy_has_its_name_when_it_is_complete_and_is_as_sparse() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, target) = (dir.path().join("disk"), dir.path().join("target"));
        sparse(&disk);
        let (listener, heard) = heard();
        // What a crash left.
        fs::create_dir(dir.path().join(".tmp-target")).unwrap();
        fs::write(dir.path().join(".tmp-target/copy"), "half").unwrap();
        let draft = Draft::of(&target).await.unwrap().copy_from(&disk, listener).await.unwrap();
        assert!(!target.exists());
        draft.keep().await.unwrap();
        assert_eq!(fs::read(&target).unwrap(), fs::read(&disk).unwrap());
        let about = fs::metadata(&target).unwrap();
        assert_eq!(about.permissions().mode() & 0o777, 0o600);
        assert!(about.blocks() * 512 < 16 << 20, "{} blocks", about.blocks());
        assert!(!dir.path().join(".tmp-target").exists());
        let heard = heard.lock().unwrap();
        let is_told = |event: &CopyEvent| match event {
            CopyEvent::Progress { done, of } => done == of,
            event => *event == CopyEvent::Shared,
        };
        assert!(heard.last().is_some_and(is_told), "{heard:?}");
    }

    #[test]
    fn what_the_kernel_cannot_copy_is_copied_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, target) = (dir.path().join("disk"), dir.path().join("target"));
        sparse(&disk);
        let (from, to) = (File::open(&disk).unwrap(), File::create(&target).unwrap());
        let mut copier = Copier { from: &from, to: &to, by_kernel: false, buffer: Vec::new() };
        assert_eq!(copier.piece(8 << 20, 3 << 20).unwrap(), BUFFER as u64);
        assert_eq!(copier.piece((256 << 20) - 3, 3).unwrap(), 3);
        assert!(copier.piece(256 << 20, 1).is_err(), "it has become shorter");
        assert!(fs::read(&target).unwrap().ends_with(b"end"));
    }

    #[test]
    fn a_copy_that_nobody_waits_for_ends() {
        let dir = tempfile::tempdir().unwrap();
        let disk = dir.path().join("disk");
        sparse(&disk);
        let (from, to) = (File::open(&disk).unwrap(), File::create(dir.path().join("to")).unwrap());
        let stopped = copy_data(&from, &to, &AtomicBool::new(true), &|_| {});
        assert_eq!(stopped.unwrap_err().kind(), io::ErrorKind::Interrupted);
        assert_eq!(to.metadata().unwrap().len(), 0);
    }

    #[tokio::test]
    async fn a_disk_that_is_written_to_meanwhile_is_not_taken_for_a_copy() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, target) = (dir.path().join("disk"), dir.path().join("target"));
        let file = sparse(&disk);
        let written = Mutex::new(Some(file));
        let listener: CopyListener = Arc::new(move |_| {
            if let Some(file) = written.lock().unwrap().take() {
                file.write_all_at(b"x", 0).unwrap();
            }
        });
        let why = Draft::of(&target).await.unwrap().copy_from(&disk, listener).await.unwrap_err();
        assert!(why.to_string().contains("started the machine"), "{why}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "only the disk is there");
    }

    #[tokio::test]
    async fn too_little_space_is_told_before_anything_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let draft = Draft::of(&dir.path().join("target")).await.unwrap();
        draft.check_room(1 << 20).unwrap();
        let why = draft.check_room(1 << 60).unwrap_err().to_string();
        assert!(why.contains("too little space") && why.contains("1024 PiB"), "{why}");
    }
}
