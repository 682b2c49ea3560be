//! A job's log: one file per job, one JSON line per line, exactly as a browser gets it.
//!
//! Lines are appended with plain writes: the kernel's page cache is the ring from which followers read, so there is no
//! second copy in memory, a slow follower reads from the same file later, and none of them can hold the job up. The
//! valid length of the file is published through a `watch`, after the write. A process that dies in the middle of a
//! line leaves half of one, which is cut off when the file is opened again.

use crate::sync::lock;
use crate::text::clean;
use model::Time;
use model::job::{JobId, LogLevel, LogLine};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use tokio::sync::watch;

/// The largest log, in bytes; a builder that prints endlessly must not fill the disk.
const LOG_MAX: u64 = 256 << 20;
/// How much a follower reads at once, in bytes.
const CHUNK: usize = 256 * 1024;

/// How much of a log is valid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    /// Lines.
    pub lines: u64,
    /// Bytes of whole lines.
    pub bytes: u64,
}

/// A log that is being written. It holds no file open between two appends: waiting jobs are many, file descriptors few.
#[derive(Debug)]
pub(crate) struct JobLog {
    path: PathBuf,
    writer: Mutex<Writer>,
    written: watch::Sender<Written>,
}

#[derive(Debug)]
struct Writer {
    /// How much of the file is valid; none while unknown, because it could not be read so far.
    at: Option<Written>,
    /// Set when the log is too long: logged once, then silence.
    full: bool,
    /// Set while writing fails, which is logged once and not for every line.
    failing: bool,
}

/// Where the log of a job is.
pub(crate) fn path_of(dir: &Path, job: JobId) -> PathBuf {
    dir.join(format!("{job}.log"))
}

impl JobLog {
    /// The log of a job, continued if there is one already. A job runs without a log too: an unreadable one is retried
    /// with each append, and the server's log says so.
    pub fn open(dir: &Path, job: JobId) -> Self {
        let path = path_of(dir, job);
        let mut writer = Writer { at: None, full: false, failing: false };
        match whole_lines(&path) {
            Ok(at) => writer.at = Some(at),
            Err(error) => writer.complain(&path, &error),
        }
        let written = watch::Sender::new(writer.at.unwrap_or_default());
        Self { path, writer: Mutex::new(writer), written }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reports how much of it is valid, now and whenever that changes.
    pub fn written(&self) -> watch::Receiver<Written> {
        self.written.subscribe()
    }

    /// Appends text, a line each, in one write.
    pub fn append(&self, at: Time, step: &str, from: Option<&str>, level: LogLevel, text: &str) {
        let mut writer = lock(&self.writer);
        let said = Said { at, step, from, level };
        match writer.append(&self.path, &said, text) {
            Ok(Some(good)) => {
                self.written.send_replace(good);
            }
            Ok(None) => {}
            Err(error) => writer.complain(&self.path, &error),
        }
    }
}

/// What the lines of one append have in common.
struct Said<'a> {
    at: Time,
    step: &'a str,
    from: Option<&'a str>,
    level: LogLevel,
}

impl Writer {
    /// Appends lines; returns how much of the file is valid now, unless nothing was written.
    fn append(&mut self, path: &Path, said: &Said<'_>, text: &str) -> std::io::Result<Option<Written>> {
        if self.full {
            return Ok(None);
        }
        let before = match self.at {
            Some(at) => at,
            None => whole_lines(path)?,
        };
        let (json, good, full) = lines(before, said, text)?;
        let file = File::options().create(true).append(true).mode(0o600).open(path)?;
        if let Err(error) = (&file).write_all(&json) {
            // Half a line may be there now; without it the file stays readable.
            let _ = file.set_len(before.bytes);
            return Err(error);
        }
        *self = Self { at: Some(good), full, failing: false };
        Ok(Some(good))
    }

    fn complain(&mut self, path: &Path, error: &std::io::Error) {
        if !std::mem::replace(&mut self.failing, true) {
            tracing::error!(path = %path.display(), %error, "a job's log cannot be written; the job continues");
        }
    }
}

/// A text as lines of JSON; how much of the file is valid with them, and whether they were the last.
fn lines(before: Written, said: &Said<'_>, text: &str) -> std::io::Result<(Vec<u8>, Written, bool)> {
    let (mut json, mut good, mut full) = (Vec::new(), before, false);
    let from = said.from.map(clean);
    for line in text.split('\n') {
        full = good.bytes >= LOG_MAX;
        let text = if full { "The log is full; the rest is not kept.".to_owned() } else { clean(line) };
        let step = said.step.to_owned();
        let line =
            LogLine { seq: good.lines, at: said.at, step, from: from.clone(), level: said.level, text };
        serde_json::to_writer(&mut json, &line)?;
        json.push(b'\n');
        good.lines += 1;
        good.bytes = before.bytes + u64::try_from(json.len()).unwrap_or(0);
        if full {
            break;
        }
    }
    Ok((json, good, full))
}

/// How much of a log that a former portal may have written is valid; half a line at its end is cut off.
fn whole_lines(path: &Path) -> std::io::Result<Written> {
    let file = match File::options().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Written::default()),
        Err(error) => return Err(error),
    };
    let at = measure(&file)?;
    file.set_len(at.bytes)?;
    Ok(at)
}

/// Counts whole lines.
fn measure(file: &File) -> std::io::Result<Written> {
    let mut reader = BufReader::with_capacity(CHUNK, file);
    let mut at = Written::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        let n = reader.read_until(b'\n', &mut line)?;
        if n == 0 || line.last() != Some(&b'\n') {
            return Ok(at);
        }
        at.lines += 1;
        at.bytes += u64::try_from(n).unwrap_or(0);
    }
}

/// A log line in place of a finished job's removed log.
pub(crate) fn gone() -> Vec<u8> {
    let line = LogLine {
        seq: 0,
        at: Time(0),
        step: "job".to_owned(),
        from: None,
        level: LogLevel::Info,
        text: "The log of this job has not been kept: logs are removed after half a year, or when they take too much space."
            .to_owned(),
    };
    // A struct of texts and numbers always serialises.
    let mut json = serde_json::to_vec(&line).unwrap_or_default();
    json.push(b'\n');
    json
}

/// Reads a log from a position on, in chunks of whole lines.
#[derive(Debug)]
pub(crate) struct Reader {
    path: PathBuf,
    /// Lines that are still to be skipped.
    skip: u64,
    offset: u64,
}

impl Reader {
    /// Reads what follows the line numbered `after`, or everything.
    pub fn new(path: PathBuf, after: Option<u64>) -> Self {
        Self { path, skip: after.map_or(0, |n| n.saturating_add(1)), offset: 0 }
    }

    /// The next whole lines up to `limit` bytes of the file, or nothing if there are none yet. A job whose log was never
    /// begun has an empty one.
    pub async fn next(&mut self, limit: u64) -> std::io::Result<Option<Vec<u8>>> {
        loop {
            if self.offset >= limit {
                return Ok(None);
            }
            let (path, offset) = (self.path.clone(), self.offset);
            let read = tokio::task::spawn_blocking(move || read_chunk(&path, offset, limit)).await;
            let mut chunk = read.map_err(std::io::Error::other)??;
            let whole = chunk.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
            if whole == 0 {
                return Ok(None);
            }
            chunk.truncate(whole);
            self.offset += u64::try_from(whole).unwrap_or(0);
            let rest = self.skip_lines(&chunk);
            chunk.drain(..rest);
            if !chunk.is_empty() {
                return Ok(Some(chunk));
            }
        }
    }

    /// How many bytes of the chunk are lines that the follower has seen already.
    fn skip_lines(&mut self, chunk: &[u8]) -> usize {
        let mut at = 0;
        while self.skip > 0 {
            let Some(end) = chunk.iter().skip(at).position(|b| *b == b'\n') else { break };
            at += end + 1;
            self.skip -= 1;
        }
        at
    }
}

fn read_chunk(path: &Path, offset: u64, limit: u64) -> std::io::Result<Vec<u8>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let there = usize::try_from(limit.saturating_sub(offset)).unwrap_or(CHUNK);
    let mut chunk = vec![0; there.min(CHUNK)];
    let mut filled = 0;
    while let Some(rest) = chunk.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let at = offset + u64::try_from(filled).unwrap_or(0);
        match file.read_at(rest, at)? {
            0 => break,
            n => filled += n,
        }
    }
    chunk.truncate(filled);
    Ok(chunk)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Time;

    fn append(log: &JobLog, text: &str) {
        log.append(Time(1), "image.build", Some("hello-1.0"), LogLevel::Output, text);
    }

    async fn all(path: &Path, after: Option<u64>) -> Vec<LogLine> {
        let mut reader = Reader::new(path.to_owned(), after);
        let mut lines = Vec::new();
        while let Some(chunk) = reader.next(u64::MAX).await.unwrap() {
            lines.extend(
                chunk
                    .split(|b| *b == b'\n')
                    .filter(|l| !l.is_empty())
                    .map(|l| serde_json::from_slice::<LogLine>(l).unwrap()),
            );
        }
        lines
    }

    #[tokio::test]
    async fn lines_are_numbered_cleaned_and_read_from_anywhere() {
        let dir = tempfile::tempdir().unwrap();
        let job = JobId(uuid::Uuid::now_v7());
        let log = JobLog::open(dir.path(), job);
        append(&log, "one\n\u{1b}[31mtwo\u{1b}[0m");
        append(&log, "<script>three</script>");
        let lines = all(log.path(), None).await;
        let texts: Vec<_> = lines.iter().map(|l| (l.seq, l.text.as_str())).collect();
        assert_eq!(texts, [(0, "one"), (1, "two"), (2, "<script>three</script>")]);
        assert_eq!(all(log.path(), Some(1)).await.first().unwrap().seq, 2);
        assert_eq!(all(log.path(), Some(99)).await, []);
        assert_eq!(all(&dir.path().join("none.log"), None).await, []);
        assert_eq!(log.written().borrow().lines, 3);
    }

    #[tokio::test]
    async fn no_file_is_held_open_and_what_cannot_be_written_stops_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let job = JobId(uuid::Uuid::now_v7());
        let path = path_of(dir.path(), job);
        // Nobody can write to a folder, not even root.
        std::fs::create_dir(&path).unwrap();
        let log = JobLog::open(dir.path(), job);
        append(&log, "lost");
        assert_eq!(*log.written().borrow(), Written::default());
        std::fs::remove_dir(&path).unwrap();
        append(&log, "kept");
        let lines = all(&path, None).await;
        assert_eq!(lines.iter().map(|l| (l.seq, l.text.as_str())).collect::<Vec<_>>(), [(0, "kept")]);
        let open = std::fs::read_dir("/proc/self/fd").unwrap();
        let links = open.filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok());
        assert!(!links.into_iter().any(|link| link == path), "the log is closed between two appends");
    }

    #[tokio::test]
    async fn a_log_that_is_removed_while_it_is_read_ends() {
        let dir = tempfile::tempdir().unwrap();
        let log = JobLog::open(dir.path(), JobId(uuid::Uuid::now_v7()));
        append(&log, "one");
        let mut reader = Reader::new(log.path().to_owned(), None);
        assert!(reader.next(u64::MAX).await.unwrap().is_some());
        append(&log, "two");
        std::fs::remove_file(log.path()).unwrap();
        assert_eq!(reader.next(u64::MAX).await.unwrap(), None);
    }

    #[tokio::test]
    async fn half_a_line_after_a_crash_is_cut_off_and_numbers_go_on() {
        let dir = tempfile::tempdir().unwrap();
        let job = JobId(uuid::Uuid::now_v7());
        let log = JobLog::open(dir.path(), job);
        append(&log, "whole");
        let path = log.path().to_owned();
        drop(log);
        File::options().append(true).open(&path).unwrap().write_all(b"{\"seq\":1,\"at\":").unwrap();
        let log = JobLog::open(dir.path(), job);
        append(&log, "next");
        let lines = all(&path, None).await;
        assert_eq!(
            lines.iter().map(|l| (l.seq, l.text.as_str())).collect::<Vec<_>>(),
            [(0, "whole"), (1, "next")]
        );
    }
}
