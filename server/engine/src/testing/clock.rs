//! A clock that stands still until told otherwise.

use model::Time;
use ports::clock::Clock;
use std::sync::atomic::{AtomicI64, Ordering};

/// Shows the time that a test decides.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// 2026-01-01T00:00:00Z.
    pub fn new() -> Self {
        Self(AtomicI64::new(1_767_225_600_000))
    }

    /// Another clock that shows the same now.
    pub fn fork(&self) -> Self {
        Self(AtomicI64::new(self.0.load(Ordering::SeqCst)))
    }

    /// Lets time pass.
    pub fn advance_millis(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Time {
        Time(self.0.load(Ordering::SeqCst))
    }
}
