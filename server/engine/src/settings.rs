//! What an administrator decides about the engine: given once, when it is opened.

use std::path::PathBuf;
use std::time::Duration;

/// What an administrator decides about the engine.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Everything that lasts lies here.
    pub state: PathBuf,
    /// A file with the key of the audit log's chain, as a systemd credential; otherwise the portal makes one in `state`.
    pub audit_key: Option<PathBuf>,
    /// How many images are built at once.
    pub build_slots: usize,
    /// How many jobs work at once; jobs that only wait do not count.
    pub job_slots: usize,
    /// How often hosts are asked for figures and for what no event told.
    pub sample_every: Duration,
    /// How long the one-time setup link is good.
    pub setup_ttl: Duration,
    /// How long a guest may take to shut down before the job gives up.
    pub shut_down_limit: Duration,
    /// How long a new machine may take to get an address before the job ends without one.
    pub address_limit: Duration,
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
            address_limit: Duration::from_secs(120),
        }
    }
}
