//! Consoles on disk: a file per boot in a folder per machine, `<start>.log`, bounded in number and size. The total
//! over all machines is bounded by [`crate::retention`].
//!
//! Writing happens in a separate task behind a bounded queue, so that a full or slow disk never holds up the guest:
//! what does not fit is left out, and the file records how much. Errors are logged and end the transcript, nothing
//! else.

use crate::sync::lock;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use model::console::Boot;
use model::time::Time;
use std::collections::BTreeMap;
use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::fs::{DirBuilder, File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

/// How much is kept for one machine, in bytes, all boots together.
const TOTAL: u64 = 32 * 1024 * 1024;
/// How many files are kept for one machine: one for each boot, more for one with more output than [`PART`].
const FILES: usize = 64;
/// The size at which a boot's file is continued in another, in bytes, so that the oldest part can go.
const PART: u64 = 4 * 1024 * 1024;
/// How long output may wait for more before it is written, and how much of it, in bytes, waits no longer.
const GATHER: Duration = Duration::from_millis(100);
const ENOUGH: usize = 64 * 1024;
/// How much may wait for the disk, in bytes.
const WAITING: usize = 2 * 1024 * 1024;

/// The transcripts of one machine.
#[derive(Clone, Debug)]
pub(crate) struct Transcripts {
    dir: PathBuf,
    writers: TaskTracker,
}

/// The transcript of one boot. Dropping it lets it finish pending writes.
#[derive(Debug)]
pub(super) struct Transcript {
    waiting: Arc<Waiting>,
}

/// Output that is not on disk yet.
#[derive(Debug, Default)]
struct Waiting {
    said: Mutex<Said>,
    more: Notify,
}

#[derive(Debug, Default)]
struct Said {
    bytes: Vec<u8>,
    /// How many bytes found no room since the last write.
    left_out: u64,
    /// Nothing more will come.
    is_over: bool,
}

impl Transcripts {
    /// The transcripts in this folder, which is created when there is something to write.
    pub(super) fn of(dir: PathBuf) -> Self {
        Self { dir, writers: TaskTracker::new() }
    }

    /// The tasks that write.
    pub(super) fn writers(&self) -> TaskTracker {
        self.writers.clone()
    }

    /// Removes all; there must be no writers left.
    pub(super) async fn remove(&self) -> io::Result<()> {
        match tokio::fs::remove_dir_all(&self.dir).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// The very last bytes, from the start of a line. A console without a past is no worse than an empty one, so what
    /// cannot be read is only logged.
    pub(super) async fn end(&self, most: u64) -> Vec<u8> {
        match read_end(&self.dir, most).await {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                tracing::warn!(dir = %self.dir.display(), %error, "a console's past cannot be read");
                Vec::new()
            }
        }
    }

    /// The boots that have something kept, the latest first.
    pub(crate) async fn boots(&self) -> io::Result<Vec<Boot>> {
        let mut boots: BTreeMap<Time, u64> = BTreeMap::new();
        for (path, size) in self.files().await? {
            if let Some(began) = began(&path) {
                *boots.entry(began).or_default() += size;
            }
        }
        Ok(boots.into_iter().rev().map(|(began, bytes)| Boot { began, bytes }).collect())
    }

    /// The files of a boot, in the order they were written.
    pub(crate) async fn parts(&self, boot: Time) -> io::Result<Vec<PathBuf>> {
        let files = self.files().await?.into_iter().map(|(path, _)| path);
        Ok(files.filter(|path| began(path) == Some(boot)).collect())
    }

    /// All files with their sizes, oldest first; none if there was never any output.
    async fn files(&self) -> io::Result<Vec<(PathBuf, u64)>> {
        match list(&self.dir).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            listed => listed,
        }
    }

    /// Begins a boot's transcript. No file is made before there is something to write.
    pub(super) fn begin(&self, start: Time) -> Transcript {
        let waiting = Arc::new(Waiting::default());
        let writer = Writer { dir: self.dir.clone(), name: file_name(start), part: 1 };
        let source = waiting.clone();
        self.writers.spawn(async move {
            let dir = writer.dir.clone();
            if let Err(error) = writer.run(&source).await {
                tracing::warn!(dir = %dir.display(), %error, "a console's transcript cannot be written; this boot's ends here");
            }
        });
        Transcript { waiting }
    }
}

impl Transcript {
    /// Takes the guest's output; never waits.
    pub(super) fn write(&self, bytes: &[u8]) {
        let mut said = lock(&self.waiting.said);
        if said.bytes.len() + bytes.len() > WAITING {
            said.left_out += bytes.len() as u64;
        } else {
            said.bytes.extend_from_slice(bytes);
        }
        drop(said);
        self.waiting.more.notify_one();
    }
}

impl Drop for Transcript {
    fn drop(&mut self) {
        lock(&self.waiting.said).is_over = true;
        self.waiting.more.notify_one();
    }
}

impl Waiting {
    /// Lets output gather a little: a flooding guest prints thousands of times a second, and each write costs a
    /// system call on a separate thread.
    async fn gather(&self) {
        let enough = async {
            loop {
                let is_enough = {
                    let said = lock(&self.said);
                    said.is_over || said.bytes.len() >= ENOUGH
                };
                if is_enough {
                    return;
                }
                self.more.notified().await;
            }
        };
        // Neither over nor much: the time is up anyway.
        let _ = tokio::time::timeout(GATHER, enough).await;
    }

    /// All output since the last call; `None` when that was all.
    async fn take(&self) -> Option<Vec<u8>> {
        loop {
            let is_over = {
                let mut said = lock(&self.said);
                let left_out = std::mem::take(&mut said.left_out);
                if left_out > 0 {
                    let note = format!("\r\n[{left_out} bytes were not recorded]\r\n");
                    said.bytes.extend_from_slice(note.as_bytes());
                }
                if !said.bytes.is_empty() {
                    return Some(std::mem::take(&mut said.bytes));
                }
                said.is_over
            };
            if is_over {
                return None;
            }
            self.more.notified().await;
        }
    }
}

/// `20261122T233015.123Z`: sorts by time, and is valid on every file system.
fn file_name(start: Time) -> String {
    let start = jiff::Timestamp::from_millisecond(start.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    start.strftime("%Y%m%dT%H%M%S%.3fZ").to_string()
}

/// When the boot began that this is a transcript of, or a part of one.
fn began(path: &Path) -> Option<Time> {
    let stem = path.file_stem()?.to_str()?;
    let name = stem.split_once('_').map_or(stem, |(name, _part)| name);
    let began = DateTime::strptime("%Y%m%dT%H%M%S%.fZ", name).ok()?;
    Some(Time(began.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond()))
}

struct Writer {
    dir: PathBuf,
    name: String,
    part: u32,
}

impl Writer {
    async fn run(mut self, source: &Waiting) -> io::Result<()> {
        let mut open: Option<(File, u64)> = None;
        while let Some(text) = source.take().await {
            let (mut file, written) = match open.take() {
                Some(open) => open,
                None => (self.create().await?, 0),
            };
            file.write_all(&text).await?;
            file.flush().await?;
            source.gather().await;
            let written = written + text.len() as u64;
            if written < PART {
                open = Some((file, written));
            } else {
                self.part += 1;
            }
        }
        Ok(())
    }

    async fn create(&self) -> io::Result<File> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir).await?;
        prune(&self.dir, TOTAL - PART, FILES - 1).await?;
        // “_” sorts after “.”, so that the parts of a boot follow its first file.
        let name = match self.part {
            1 => format!("{}.log", self.name),
            part => format!("{}_{part:05}.log", self.name),
        };
        OpenOptions::new().create(true).append(true).mode(0o600).open(self.dir.join(name)).await
    }
}

/// The files with their sizes, oldest first.
async fn list(dir: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
    let mut files = Vec::new();
    let mut entries = tokio::fs::read_dir(dir).await?;
    while let Some(entry) = entries.next_entry().await? {
        let about = entry.metadata().await?;
        if about.is_file() && entry.path().extension().is_some_and(|e| e == "log") {
            files.push((entry.path(), about.len()));
        }
    }
    files.sort();
    Ok(files)
}

/// Removes the oldest files until no more than so many bytes in so many files are left.
async fn prune(dir: &Path, bytes: u64, count: usize) -> io::Result<()> {
    let files = list(dir).await?;
    let (mut total, mut left) = (files.iter().map(|(_, size)| size).sum::<u64>(), files.len());
    for (path, size) in files {
        if total <= bytes && left <= count {
            break;
        }
        tokio::fs::remove_file(&path).await?;
        total -= size;
        left -= 1;
    }
    Ok(())
}

async fn read_end(dir: &Path, most: u64) -> io::Result<Vec<u8>> {
    let (mut pieces, mut room) = (Vec::new(), most);
    for (path, size) in list(dir).await?.into_iter().rev() {
        let mut file = File::open(&path).await?;
        let skipped = size.saturating_sub(room);
        file.seek(SeekFrom::Start(skipped)).await?;
        let mut piece = Vec::new();
        file.take(room).read_to_end(&mut piece).await?;
        if skipped > 0 {
            // In the middle of a line there may be half an escape sequence.
            let line = piece.iter().position(|b| *b == b'\n').map_or(piece.len(), |at| at + 1);
            piece.drain(..line);
        }
        pieces.push(piece);
        room = room.saturating_sub(size);
        if room == 0 {
            break;
        }
    }
    pieces.reverse();
    Ok(pieces.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(dir: &Path) -> Vec<(String, u64)> {
        let entries = std::fs::read_dir(dir).unwrap().map(Result::unwrap);
        let mut files: Vec<_> =
            entries.map(|e| (e.file_name().into_string().unwrap(), e.metadata().unwrap().len())).collect();
        files.sort();
        files
    }

    async fn record(dir: &Path, start: i64, pieces: &[&[u8]]) {
        let writer = Writer { dir: dir.to_owned(), name: file_name(Time(start)), part: 1 };
        let transcript = Transcript { waiting: Arc::default() };
        let source = transcript.waiting.clone();
        let writing = tokio::spawn(async move { writer.run(&source).await });
        for piece in pieces {
            transcript.write(piece);
            // Lets the writer run until it has taken what is there.
            while !lock(&transcript.waiting.said).bytes.is_empty() {
                tokio::task::yield_now().await;
            }
        }
        drop(transcript);
        writing.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_boot_is_a_file_and_the_oldest_go_first() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("web-1");
        record(&dir, 1_763_854_215_123, &[b"first ", b"boot"]).await;
        assert_eq!(files(&dir), [("20251122T233015.123Z.log".to_owned(), 10)]);
        let megabyte = vec![b'x'; 1 << 20];
        record(&dir, 1_763_854_300_000, &vec![&megabyte[..]; 80]).await;
        let kept = files(&dir);
        let total: u64 = kept.iter().map(|(_, size)| size).sum();
        assert!(total <= TOTAL, "{total}");
        assert!(total > TOTAL / 2, "{total}");
        assert!(kept.iter().all(|(name, _)| !name.starts_with("20251122T233015")), "{kept:?}");
        let transcripts = Transcripts::of(dir);
        let boots = transcripts.boots().await.unwrap();
        assert_eq!(boots, [Boot { began: Time(1_763_854_300_000), bytes: total }]);
        let parts = transcripts.parts(boots[0].began).await.unwrap();
        assert_eq!(parts.len(), kept.len());
        assert!(parts.is_sorted());
        assert!(transcripts.parts(Time(1_763_854_215_123)).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn of_many_short_boots_the_last_are_kept_and_their_end_is_read_from_a_line_on() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("web-1");
        for boot in 0..FILES + 5 {
            let text = format!("boot {boot}\r\n");
            record(&dir, 1_763_854_215_123 + boot as i64, &[text.as_bytes()]).await;
        }
        assert_eq!(files(&dir).len(), FILES);
        let transcripts = Transcripts::of(dir);
        assert_eq!(
            transcripts.end(22).await,
            b"boot 67\r\nboot 68\r\n",
            "four bytes of a third do not begin a line"
        );
        assert!(transcripts.end(1 << 20).await.starts_with(b"boot 5\r\n"));
        let none = Transcripts::of("/nowhere/at/all".into());
        assert_eq!(none.end(22).await, b"");
        assert_eq!(none.boots().await.unwrap(), []);
    }

    #[tokio::test]
    async fn a_slow_disk_leaves_out_what_does_not_fit_and_says_so() {
        let waiting = Arc::new(Waiting::default());
        let transcript = Transcript { waiting: waiting.clone() };
        let piece = vec![b'x'; 1 << 20];
        (0..5).for_each(|_| transcript.write(&piece));
        drop(transcript);
        let text = waiting.take().await.unwrap();
        assert!(text.ends_with(b"[3145728 bytes were not recorded]\r\n"));
        assert_eq!(waiting.take().await, None);
    }

    #[tokio::test]
    async fn a_disk_that_cannot_be_written_stops_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("not-a-folder");
        std::fs::write(&file, "").unwrap();
        let waiting = Arc::new(Waiting::default());
        let transcript = Transcript { waiting: waiting.clone() };
        let writer = Writer { dir: file, name: file_name(Time(0)), part: 1 };
        transcript.write(b"x");
        assert!(writer.run(&waiting).await.is_err());
        (0..100).for_each(|_| transcript.write(&[0; 100_000]));
        assert!(lock(&waiting.said).bytes.len() <= WAITING);
    }
}
