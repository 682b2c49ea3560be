//! The proof that a step's caller is the only runner of its job. The database lets one job be open on a machine at
//! a time, so it also proves that nobody else works on the machine.

use crate::sync::lock;
use model::job::JobId;
use std::collections::HashSet;
use std::sync::{Arc, Mutex};

/// Held leases.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leases(Arc<Mutex<HashSet<JobId>>>);

/// Held by the runner of a job, demanded by every step. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Lease {
    job: JobId,
    leases: Leases,
}

impl Leases {
    /// The lease of a job, unless another runner holds it.
    pub fn take(&self, job: JobId) -> Option<Lease> {
        lock(&self.0).insert(job).then(|| Lease { job, leases: self.clone() })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        lock(&self.leases.0).remove(&self.job);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_has_one_runner_at_a_time() {
        let leases = Leases::default();
        let job = JobId(uuid::Uuid::now_v7());
        let held = leases.take(job).unwrap();
        assert!(leases.take(job).is_none());
        drop(held);
        assert!(leases.take(job).is_some());
    }
}
