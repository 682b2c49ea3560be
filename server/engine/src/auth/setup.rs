//! The one-time setup link: a secret printed on the server's terminal while there is no user. It is kept in memory only,
//! so a restart makes a new one.

use super::{digest, random_secret};
use crate::sync::lock;
use model::Time;
use model::account::Secret;
use ports::clock::Clock;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The link's secret, while it is good.
pub(crate) struct Setup {
    clock: Arc<dyn Clock>,
    ttl: Duration,
    current: Mutex<Option<(Secret, Time)>>,
}

impl Setup {
    /// No link has been given out yet.
    pub fn new(clock: Arc<dyn Clock>, ttl: Duration) -> Self {
        Self { clock, ttl, current: Mutex::new(None) }
    }

    /// The current secret, or a fresh one when it is too old.
    pub fn token(&self) -> Secret {
        let now = self.clock.now();
        let mut current = lock(&self.current);
        if let Some((token, _)) = current.as_ref().filter(|(_, until)| now < *until) {
            return token.clone();
        }
        let token = random_secret();
        let ttl = i64::try_from(self.ttl.as_millis()).unwrap_or(i64::MAX);
        *current = Some((token.clone(), now.plus_millis(ttl)));
        token
    }

    /// Whether this is the current secret.
    pub fn accepts(&self, token: &Secret) -> bool {
        let now = self.clock.now();
        let current = lock(&self.current);
        current.as_ref().is_some_and(|(known, until)| now < *until && digest(known) == digest(token))
    }

    /// The first administrator has been made: the link is no longer valid.
    pub fn close(&self) {
        *lock(&self.current) = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::clock::ManualClock;

    #[test]
    fn a_link_is_good_until_it_is_used_or_too_old() {
        let clock = Arc::new(ManualClock::new());
        let setup = Setup::new(clock.clone(), Duration::from_secs(60));
        assert!(!setup.accepts(&Secret::new(String::new())), "before there is a link nothing is one");
        let token = setup.token();
        assert_eq!(token, setup.token(), "asking again gives the same link");
        assert!(setup.accepts(&token));
        clock.advance_millis(60_000);
        assert!(!setup.accepts(&token));
        let fresh = setup.token();
        assert!(fresh != token && setup.accepts(&fresh));
        setup.close();
        assert!(!setup.accepts(&fresh));
    }
}
