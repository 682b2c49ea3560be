//! What is not kept forever: console transcripts, job logs, expired sessions. Jobs, their steps and the audit log stay
//! in the database; only their output goes.
//!
//! | what | how long |
//! |---|---|
//! | transcripts of a machine | the last 64 files and 32 MiB (`console/transcript.rs`), until the machine is removed |
//! | transcripts of all machines | 2 GiB together, the oldest go first |
//! | logs of jobs that are over | 180 days and 4 GiB together, the oldest go first |
//! | sessions | while they are valid |
//!
//! One of the reconciler's tasks (`watch.rs`) does it, at the start and then every hour.

use crate::core::Core;
use crate::db;
use crate::error::{Error, Result, chain};
use model::Time;
use model::job::JobId;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::MissedTickBehavior;

/// How often.
const EVERY: Duration = Duration::from_secs(60 * 60);
/// How long the log of a job that is over is kept, in milliseconds.
const LOG_AGE: i64 = 180 * 24 * 60 * 60 * 1000;
/// What all logs may take together, in bytes.
const LOGS: u64 = 4 << 30;
/// What all transcripts may take together, in bytes.
const TRANSCRIPTS: u64 = 2 << 30;

/// Periodically removes what is past its time, until the engine closes.
pub(crate) async fn run_retention(core: Arc<Core>) {
    let mut timer = tokio::time::interval(EVERY);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        if let Err(error) = tidy(&core).await {
            tracing::warn!(
                error = chain(&error),
                "old logs and transcripts could not be removed; next try in an hour"
            );
        }
    }
}

/// Removes what need no longer be kept.
pub(crate) async fn tidy(core: &Core) -> Result<()> {
    core.consoles.forget_idle();
    let now = core.clock.now();
    let mut tx = core.db.begin().await?;
    db::sessions::delete_expired(&mut tx, now).await?;
    let folders: HashSet<String> =
        db::machines::names(&mut tx).await?.iter().map(|(_, id)| id.to_string()).collect();
    // Those that need attention as well, which have no runner.
    let open: HashSet<JobId> = db::jobs::open(&mut tx).await?.into_iter().collect();
    tx.commit().await?;
    let (jobs, console) = (core.jobs.clone(), core.settings.state.join("console"));
    let work = move || {
        let is_over = |job: &JobId| jobs.get(*job).is_none() && !open.contains(job);
        let is_old_log = |path: &Path| job_of(path).is_some_and(|job| is_over(&job));
        let logs = files(jobs.dir(), is_old_log);
        remove(over(logs, LOGS, Some(now.plus_millis(-LOG_AGE))));
        tidy_transcripts(&console, &folders, TRANSCRIPTS);
    };
    let done = tokio::task::spawn_blocking(work).await;
    let what = "removing what is no longer kept failed";
    done.map_err(|gone| Error::Io { what, source: io::Error::other(gone) })
}

/// The job of a log, by its file's name.
fn job_of(path: &Path) -> Option<JobId> {
    (path.extension() == Some(OsStr::new("log"))).then_some(())?;
    path.file_stem()?.to_str()?.parse().ok()
}

/// Removes the folders of machines that are gone, and the oldest files of the others beyond `most` bytes.
fn tidy_transcripts(console: &Path, machines: &HashSet<String>, most: u64) {
    let mut all = Vec::new();
    for folder in entries(console) {
        if !folder.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if folder.file_name().to_str().is_some_and(|name| machines.contains(name)) {
            all.extend(files(&folder.path(), |path| path.extension() == Some(OsStr::new("log"))));
        } else {
            or_log(&folder.path(), fs::remove_dir_all(folder.path()));
        }
    }
    remove(over(all, most, None));
}

/// The contents of a folder.
fn entries(dir: &Path) -> Vec<fs::DirEntry> {
    let read = or_log(dir, fs::read_dir(dir));
    read.into_iter().flatten().filter_map(|entry| or_log(dir, entry)).collect()
}

/// One that cannot be read or removed is for the server's log and the next hour, and must not keep the others. Already
/// gone is fine: someone else was quicker.
fn or_log<T>(path: &Path, result: io::Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "an old log or transcript cannot be removed");
            None
        }
    }
}

/// A file that may go.
struct Old {
    path: PathBuf,
    changed: Time,
    size: u64,
}

/// The files of a folder that may go. Only files: the portal makes no links there, so someone put one there on purpose.
fn files(dir: &Path, may_go: impl Fn(&Path) -> bool) -> Vec<Old> {
    let about = |path: PathBuf| {
        let about = or_log(&path, fs::symlink_metadata(&path)).filter(fs::Metadata::is_file)?;
        let changed =
            or_log(&path, about.modified())?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let changed = Time(i64::try_from(changed.as_millis()).unwrap_or(i64::MAX));
        Some(Old { path, changed, size: about.len() })
    };
    entries(dir).into_iter().map(|entry| entry.path()).filter(|path| may_go(path)).filter_map(about).collect()
}

/// Those that must go: all changed before `before`, then the oldest until the rest is not more than `most` bytes.
fn over(mut files: Vec<Old>, most: u64, before: Option<Time>) -> Vec<PathBuf> {
    files.sort_by(|a, b| (a.changed, &a.path).cmp(&(b.changed, &b.path)));
    let mut total: u64 = files.iter().map(|file| file.size).sum();
    let mut gone = Vec::new();
    for file in files {
        // Sorted by age: where one may stay, all newer ones may.
        if total <= most && before.is_none_or(|before| file.changed >= before) {
            break;
        }
        total -= file.size;
        gone.push(file.path);
    }
    gone
}

fn remove(paths: Vec<PathBuf>) {
    for path in paths {
        or_log(&path, fs::remove_file(&path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;
    use crate::settings::Settings;
    use crate::testing::builder::MemoryBuilder;
    use crate::testing::clock::ManualClock;
    use std::fs::File;
    use tempfile::TempDir;
    use uuid::Uuid;

    /// A file of so many bytes that was changed so many milliseconds after 1970.
    fn put(path: &Path, size: u64, changed: i64) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let file = File::create(path).unwrap();
        file.set_len(size).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_millis(changed as u64)).unwrap();
    }

    fn old(name: &str, size: u64, changed: i64) -> Old {
        Old { path: name.into(), changed: Time(changed), size }
    }

    #[test]
    fn age_and_size_decide_and_the_oldest_go_first() {
        let files = || vec![old("c", 10, 30), old("a", 10, 10), old("b", 10, 20)];
        let gone = |most, before| {
            let paths = over(files(), most, before);
            paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(gone(30, None), "");
        assert_eq!(gone(29, None), "a");
        assert_eq!(gone(10, None), "a b");
        assert_eq!(gone(0, None), "a b c");
        assert_eq!(gone(30, Some(Time(20))), "a");
        assert_eq!(gone(15, Some(Time(20))), "a b", "both rules count");
    }

    #[test]
    fn transcripts_go_with_their_machine_and_the_oldest_when_they_are_too_many() {
        let dir = TempDir::new().unwrap();
        let at = |path: &str| dir.path().join(path);
        put(&at("web.1/a.log"), 10, 10);
        put(&at("web.1/b.log"), 10, 30);
        put(&at("db.2/a.log"), 10, 20);
        put(&at("gone.3/a.log"), 10, 40);
        let machines: HashSet<String> = ["web.1".to_owned(), "db.2".to_owned()].into();
        tidy_transcripts(dir.path(), &machines, 20);
        let there = ["web.1/a.log", "web.1/b.log", "db.2/a.log", "gone.3"].map(|path| at(path).exists());
        assert_eq!(there, [false, true, true, false]);
    }

    #[test]
    fn what_cannot_be_removed_does_not_keep_the_rest() {
        let dir = TempDir::new().unwrap();
        // A file of that name is a folder: removing it as a file fails, even as root.
        let stuck = dir.path().join("a.log");
        put(&stuck.join("x"), 1, 1);
        let other = dir.path().join("b.log");
        put(&other, 1, 2);
        remove(vec![stuck.clone(), other.clone()]);
        assert_eq!([stuck.exists(), other.exists()], [true, false]);
        // A folder that cannot be listed, because it is a file, has nothing to offer.
        put(&other, 1, 2);
        assert_eq!(files(&other, |_| true).len(), 0);
    }

    #[tokio::test]
    async fn logs_of_jobs_that_are_over_go_with_age_and_those_of_open_ones_stay() {
        let dir = TempDir::new().unwrap();
        let clock = Arc::new(ManualClock::new());
        let engine = Engine::open_at_rest(
            Settings::new(dir.path()),
            Vec::new(),
            Arc::new(MemoryBuilder::new()),
            clock.clone(),
        );
        let engine = engine.await.unwrap();
        let core = &engine.core;
        let now = core.clock.now().0;
        let log = |job: JobId| crate::job::log::path_of(core.jobs.dir(), job);
        let [ancient, recent, open] = [(); 3].map(|()| JobId(Uuid::now_v7()));
        core.jobs.open(open, &core.closing);
        for (job, changed) in [(ancient, now - LOG_AGE - 1), (recent, now - LOG_AGE), (open, 0)] {
            put(&log(job), 1, changed);
        }
        put(&core.jobs.dir().join("notes.txt"), 1, 0);
        let elsewhere = dir.path().join("elsewhere.log");
        put(&elsewhere, 1, 0);
        let link = log(JobId(Uuid::now_v7()));
        std::os::unix::fs::symlink(&elsewhere, &link).unwrap();
        tidy(core).await.unwrap();
        assert_eq!([ancient, recent, open].map(|job| log(job).exists()), [false, true, true]);
        assert!(core.jobs.dir().join("notes.txt").exists(), "what is not ours stays");
        assert!(link.is_symlink() && elsewhere.exists(), "a link is not ours either");
        engine.shut_down().await;
    }
}
