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

/// Beats whenever a job or one of its steps has changed.
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
    /// Set when somebody cancels the job, or when the engine closes.
    pub cancel: CancellationToken,
    pub pulse: watch::Sender<Pulse>,
    pub progress: watch::Sender<Option<BuildProgress>>,
    running: AtomicBool,
}

impl LiveJob {
    /// Something has changed: followers read the job again.
    pub fn beat(&self) {
        self.pulse.send_modify(|pulse| pulse.beat += 1);
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
    /// None yet; logs lie in this directory.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir, open: Arc::default(), leases: Leases::default() }
    }

    /// Where the logs lie.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Takes a job up.
    pub fn open(&self, id: JobId, closing: &CancellationToken) -> std::io::Result<Arc<LiveJob>> {
        let job = Arc::new(LiveJob {
            id,
            log: Arc::new(JobLog::open(&self.dir, id)?),
            cancel: closing.child_token(),
            pulse: watch::Sender::default(),
            progress: watch::Sender::new(None),
            running: AtomicBool::new(false),
        });
        lock(&self.open).insert(id, job.clone());
        Ok(job)
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
