//! Consoles on disk: a file per boot in a folder per machine, `<start>.log`, bounded in all.
//!
//! Writing happens in a task of its own behind a bounded queue, so that a full or slow disk never holds up the guest: what
//! does not fit is left out, and the file says how much. Errors are logged and end the transcript, nothing else.

use bytes::{Bytes, BytesMut};
use model::time::Time;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::fs::{DirBuilder, File, OpenOptions};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

/// How much is kept for one machine, in bytes, all boots together.
const TOTAL: u64 = 32 * 1024 * 1024;
/// Where a boot's file is continued in another, in bytes, so that the oldest part can go.
const PART: u64 = 4 * 1024 * 1024;
/// How many pieces may wait for the disk.
const QUEUE: usize = 1024;

/// The transcripts of one machine.
#[derive(Clone, Debug)]
pub(super) struct Transcripts {
    dir: PathBuf,
}

/// The transcript of one boot. Dropping it lets it finish what it was given.
#[derive(Debug)]
pub(super) struct Transcript {
    queue: mpsc::Sender<Bytes>,
    left_out: Arc<AtomicU64>,
}

impl Transcripts {
    /// Those in this folder, which is made when there is something to write.
    pub(super) fn of(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Begins a boot's transcript. No file is made before there is something to write.
    pub(super) fn begin(&self, start: Time) -> Transcript {
        let (queue, pieces) = mpsc::channel(QUEUE);
        let left_out = Arc::new(AtomicU64::new(0));
        let writer =
            Writer { dir: self.dir.clone(), name: file_name(start), part: 1, left_out: left_out.clone() };
        tokio::spawn(async move {
            let dir = writer.dir.clone();
            if let Err(error) = writer.run(pieces).await {
                tracing::warn!(dir = %dir.display(), %error, "a console's transcript cannot be written; this boot's ends here");
            }
        });
        Transcript { queue, left_out }
    }
}

impl Transcript {
    /// Takes what the guest said; never waits.
    pub(super) fn write(&self, bytes: Bytes) {
        let size = bytes.len() as u64;
        if let Err(mpsc::error::TrySendError::Full(_)) = self.queue.try_send(bytes) {
            self.left_out.fetch_add(size, Ordering::Relaxed);
        }
    }
}

/// `20261122T233015.123Z`: sorts by time, and no file system minds it.
fn file_name(start: Time) -> String {
    let start = jiff::Timestamp::from_millisecond(start.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    start.strftime("%Y%m%dT%H%M%S%.3fZ").to_string()
}

struct Writer {
    dir: PathBuf,
    name: String,
    part: u32,
    left_out: Arc<AtomicU64>,
}

impl Writer {
    async fn run(mut self, mut pieces: mpsc::Receiver<Bytes>) -> io::Result<()> {
        let mut batch = Vec::new();
        let mut open: Option<(File, u64)> = None;
        while pieces.recv_many(&mut batch, QUEUE).await > 0 {
            let mut text = BytesMut::new();
            batch.drain(..).for_each(|piece| text.extend_from_slice(&piece));
            let left_out = self.left_out.swap(0, Ordering::Relaxed);
            if left_out > 0 {
                text.extend_from_slice(format!("\r\n[{left_out} bytes were not recorded]\r\n").as_bytes());
            }
            let (mut file, written) = match open.take() {
                Some(open) => open,
                None => (self.create().await?, 0),
            };
            file.write_all(&text).await?;
            file.flush().await?;
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
        prune(&self.dir, TOTAL - PART).await?;
        // “_” sorts after “.”, so that the parts of a boot follow its first file.
        let name = match self.part {
            1 => format!("{}.log", self.name),
            part => format!("{}_{part:05}.log", self.name),
        };
        OpenOptions::new().create(true).append(true).mode(0o600).open(self.dir.join(name)).await
    }
}

/// Removes the oldest files until no more than `keep` bytes are left.
async fn prune(dir: &Path, keep: u64) -> io::Result<()> {
    let mut files = Vec::new();
    let mut entries = tokio::fs::read_dir(dir).await?;
    while let Some(entry) = entries.next_entry().await? {
        let about = entry.metadata().await?;
        if about.is_file() && entry.path().extension().is_some_and(|e| e == "log") {
            files.push((entry.path(), about.len()));
        }
    }
    files.sort();
    let mut total: u64 = files.iter().map(|(_, size)| size).sum();
    for (path, size) in files {
        if total <= keep {
            break;
        }
        tokio::fs::remove_file(&path).await?;
        total -= size;
    }
    Ok(())
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

    async fn record(dir: &Path, start: i64, pieces: &[Bytes]) {
        let (queue, receiver) = mpsc::channel(QUEUE);
        let name = file_name(Time(start));
        let writer = Writer { dir: dir.to_owned(), name, part: 1, left_out: Arc::default() };
        let feed = async {
            for piece in pieces {
                queue.send(piece.clone()).await.unwrap();
            }
            drop(queue);
        };
        tokio::join!(feed, async { writer.run(receiver).await.unwrap() });
    }

    #[tokio::test]
    async fn a_boot_is_a_file_and_the_oldest_go_first() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("web-1");
        record(&dir, 1_763_854_215_123, &[Bytes::from_static(b"first "), Bytes::from_static(b"boot")]).await;
        assert_eq!(files(&dir), [("20251122T233015.123Z.log".to_owned(), 10)]);
        let megabyte = Bytes::from(vec![b'x'; 1 << 20]);
        record(&dir, 1_763_854_300_000, &vec![megabyte; 80]).await;
        let kept = files(&dir);
        let total: u64 = kept.iter().map(|(_, size)| size).sum();
        assert!(total <= TOTAL + PART, "{total}");
        assert!(total > TOTAL / 2, "{total}");
        assert!(kept.iter().all(|(name, _)| !name.starts_with("20251122T233015")), "{kept:?}");
    }

    #[tokio::test]
    async fn a_disk_that_cannot_be_written_stops_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("not-a-folder");
        std::fs::write(&file, "").unwrap();
        let transcript = Transcripts::of(file.clone()).begin(Time(0));
        for _ in 0..10 * QUEUE {
            transcript.write(Bytes::from_static(b"x"));
        }
        transcript.queue.closed().await;
        assert!(std::fs::metadata(file).unwrap().is_file());
    }
}
