//! The engine's settings: given once, when it is opened.

use crate::backoff::Backoff;
use std::path::PathBuf;
use std::time::Duration;

/// What hashing a password costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordCost {
    /// Memory, in KiB.
    pub memory: u32,
    /// Passes over it.
    pub passes: u32,
}

impl Default for PasswordCost {
    /// OWASP's first recommendation for Argon2id, with one lane.
    fn default() -> Self {
        Self { memory: 19_456, passes: 2 }
    }
}

/// The engine's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Everything persistent is here.
    pub state: PathBuf,
    /// A file with the key of the audit log's chain, as a systemd credential; otherwise the portal makes one in `state`.
    pub audit_key: Option<PathBuf>,
    /// How many images are built at once.
    pub build_slots: usize,
    /// How many jobs work at once; jobs that only wait do not count.
    pub job_slots: usize,
    /// How often hosts are polled for figures and for what no event reported.
    pub sample_every: Duration,
    /// How long the one-time setup link is valid.
    pub setup_ttl: Duration,
    /// How long a guest may take to shut down before the job gives up.
    pub shut_down_limit: Duration,
    /// How long an upgraded machine may take until its boot is complete, before it goes back to what it booted before.
    pub health_limit: Duration,
    /// How many generations of a machine are kept, with the one that it boots; at least two.
    pub generations: usize,
    /// How long a new machine may take to get an address before the job ends without one.
    pub address_limit: Duration,
    /// How long a job waits for an unreachable host, going forward or undoing, before that counts as a failure.
    pub host_patience: Duration,
    /// How long a host or Nix may take to answer someone who wants it tested.
    pub check_limit: Duration,
    /// The pauses between retries.
    pub retry: Backoff,
    /// How many unfinished jobs one user may have.
    pub jobs_per_user: u32,
    /// How many of those may be builds.
    pub builds_per_user: u32,
    /// What hashing a password costs. Only tests take less than the default.
    pub password_cost: PasswordCost,
}

impl Settings {
    /// Sensible values over this state directory.
    pub fn new(state: impl Into<PathBuf>) -> Self {
        Self {
            state: state.into(),
            audit_key: None,
            build_slots: 1,
            job_slots: 8,
            sample_every: Duration::from_secs(5),
            setup_ttl: Duration::from_secs(60 * 60),
            shut_down_limit: Duration::from_secs(120),
            health_limit: Duration::from_secs(300),
            generations: 3,
            address_limit: Duration::from_secs(120),
            host_patience: Duration::from_secs(15 * 60),
            check_limit: Duration::from_secs(10),
            retry: Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(30) },
            jobs_per_user: 50,
            builds_per_user: 20,
            password_cost: PasswordCost::default(),
        }
    }
}
