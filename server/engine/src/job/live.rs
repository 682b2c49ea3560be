//! Open jobs in memory: what is not worth a row, but worth following.

use super::lease::{Lease, Leases};
use super::log::JobLog;
use crate::sync::lock;
use model::job::{BuildProgress, JobId};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Ticks whenever a job or one of its steps has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pulse {
    /// Counts the changes.
    pub beat: u64,
    /// True when the job is over and its log complete.
    pub over: bool,
}

/// An open job.
#[derive(Debug)]
pub(crate) struct LiveJob {
    pub id: JobId,
    pub log: Arc<JobLog>,
    /// Set when the runner is to let go of the job, whatever happens to it: the engine closes, or the job is given up.
    pub leave: CancellationToken,
    /// Set when someone cancels the job, and whenever `leave` is.
    pub cancel: CancellationToken,
    /// Set when the job is given up: the runner does not even wait for the step under way.
    pub given_up: CancellationToken,
    /// Set when the runner has let go.
    pub left: CancellationToken,
    pub pulse: watch::Sender<Pulse>,
    pub progress: watch::Sender<Option<BuildProgress>>,
    running: AtomicBool,
}

impl LiveJob {
    /// Something has changed: followers read the job again.
    pub fn beat(&self) {
        self.pulse.send_modify(|pulse| pulse.beat += 1);
    }

    /// Has the runner let go at once, and waits until it has.
    pub async fn give_up(&self) {
        self.given_up.cancel();
        self.leave.cancel();
        self.left.cancelled().await;
    }

    /// The job has left the queue.
    pub fn begin(&self) {
        self.running.store(true, Ordering::Relaxed);
    }
}

/// All open jobs.
#[derive(Clone, Debug)]
pub(crate) struct LiveJobs {
    dir: PathBuf,
    open: Arc<Mutex<HashMap<JobId, Arc<LiveJob>>>>,
    leases: Leases,
}

impl LiveJobs {
    /// None yet; logs are in this directory.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir, open: Arc::default(), leases: Leases::default() }
    }

    /// Where the logs are.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Takes a job up.
    pub fn open(&self, id: JobId, closing: &CancellationToken) -> Arc<LiveJob> {
        let leave = closing.child_token();
        let job = Arc::new(LiveJob {
            id,
            log: Arc::new(JobLog::open(&self.dir, id)),
            cancel: leave.child_token(),
            leave,
            given_up: CancellationToken::new(),
            left: CancellationToken::new(),
            pulse: watch::Sender::default(),
            progress: watch::Sender::new(None),
            running: AtomicBool::new(false),
        });
        lock(&self.open).insert(id, job.clone());
        job
    }

    /// An open job.
    pub fn get(&self, id: JobId) -> Option<Arc<LiveJob>> {
        lock(&self.open).get(&id).cloned()
    }

    /// The lease of a job.
    pub fn lease(&self, id: JobId) -> Option<Lease> {
        self.leases.take(id)
    }

    /// A job is over: its followers read to the end of the log and leave.
    pub fn close(&self, id: JobId) {
        if let Some(job) = lock(&self.open).remove(&id) {
            job.pulse.send_modify(|pulse| *pulse = Pulse { beat: pulse.beat + 1, over: true });
        }
    }

    /// How many wait for their turn and how many are at work.
    pub fn queued_and_running(&self) -> (usize, usize) {
        let open = lock(&self.open);
        let running = open.values().filter(|job| job.running.load(Ordering::Relaxed)).count();
        (open.len() - running, running)
    }
}
