//! Counters of what has happened since the engine was opened; `metrics.rs` reads them.

use crate::sync::lock;
use model::job::JobState;
use model::operation::OperationKind;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counters that the engine keeps.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub jobs: Mutex<BTreeMap<(OperationKind, &'static str), u64>>,
    pub builds: Mutex<BTreeMap<&'static str, u64>>,
    pub build_millis: AtomicU64,
    pub audit: AtomicU64,
    pub logins_refused: AtomicU64,
}

impl Counts {
    /// A job ended.
    pub fn job_ended(&self, kind: OperationKind, state: JobState) {
        *lock(&self.jobs).entry((kind, state.as_str())).or_default() += 1;
    }

    /// A build ended.
    pub fn build_ended(&self, succeeded: bool, took: Duration) {
        *lock(&self.builds).entry(if succeeded { "succeeded" } else { "failed" }).or_default() += 1;
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.build_millis.fetch_add(millis, Ordering::Relaxed);
    }

    /// An audit entry was written.
    pub fn audited(&self) {
        self.audit.fetch_add(1, Ordering::Relaxed);
    }

    /// A login was refused.
    pub fn login_refused(&self) {
        self.logins_refused.fetch_add(1, Ordering::Relaxed);
    }
}
