//! Points in time as the whole system passes them around.

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(pub i64);

impl Time {
    /// How long before `later` this was, in milliseconds; never negative, because clocks step back.
    pub fn millis_until(self, later: Time) -> u64 {
        later.0.saturating_sub(self.0).max(0).unsigned_abs()
    }

    /// This point moved by so many milliseconds.
    pub fn plus_millis(self, millis: i64) -> Time {
        Time(self.0.saturating_add(millis))
    }
}
