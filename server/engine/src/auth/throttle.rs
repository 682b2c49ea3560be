//! Slows down guessing: per account and per address, in memory, forgetting with time.
//!
//! Every attempt is counted before it is judged, so that a thousand at once do not slip through together; a success takes
//! its count back. Beyond the free attempts each further one doubles the wait. An account's wait is kept short: a stranger
//! who guesses at it must not be able to lock its owner out for long, and with twelve characters two guesses a minute
//! are as good as none.

use crate::sync::lock;
use model::Time;
use ports::clock::Clock;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

/// Attempts on one account that cost nothing.
const FREE_PER_ACCOUNT: u32 = 5;
/// Attempts from one address that cost nothing: several people may sit behind one.
const FREE_PER_ADDRESS: u32 = 20;
/// The longest wait for an account, in milliseconds.
const WAIT_PER_ACCOUNT: i64 = 30_000;
/// The longest wait for an address, in milliseconds.
const WAIT_PER_ADDRESS: i64 = 15 * 60_000;
/// In this time one counted attempt is forgotten, in milliseconds.
const FORGET: i64 = 60_000;
/// How many keys are remembered; the stalest goes first.
const REMEMBERED: usize = 20_000;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Account(String),
    Address(IpAddr),
}

#[derive(Clone, Copy, Debug)]
struct Tally {
    count: u32,
    last: Time,
    until: Time,
}

/// Counts attempts.
pub(crate) struct Throttle {
    clock: Arc<dyn Clock>,
    tallies: Mutex<HashMap<Key, Tally>>,
}

impl Throttle {
    /// A throttle that has seen nothing.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, tallies: Mutex::default() }
    }

    /// Counts an attempt, or says for how many seconds there may be none.
    pub fn attempt(&self, account: &str, from: Option<IpAddr>) -> Result<(), u64> {
        let now = self.clock.now();
        let mut tallies = lock(&self.tallies);
        let keys = keys(account, from);
        let waits = keys.iter().filter_map(|key| tallies.get(key)).map(|t| now.millis_until(t.until));
        let wait = waits.max().unwrap_or(0);
        if wait > 0 {
            return Err(wait.div_ceil(1000));
        }
        for key in keys {
            let (free, longest) = match &key {
                Key::Account(_) => (FREE_PER_ACCOUNT, WAIT_PER_ACCOUNT),
                Key::Address(_) => (FREE_PER_ADDRESS, WAIT_PER_ADDRESS),
            };
            let tally = tallies.entry(key).or_insert(Tally { count: 0, last: now, until: Time(0) });
            tally.count = remaining(tally, now) + 1;
            tally.last = now;
            // 1 s after the last free attempt, then 2 s, 4 s, …
            let beyond = tally.count.saturating_sub(free);
            if beyond > 0 {
                let wait = 1000_i64.checked_shl(beyond - 1).filter(|w| *w > 0).unwrap_or(longest);
                tally.until = now.plus_millis(wait.min(longest));
            }
        }
        forget_stalest(&mut tallies);
        Ok(())
    }

    /// Takes back what a successful attempt counted; the account starts from nothing.
    pub fn succeeded(&self, account: &str, from: Option<IpAddr>) {
        let mut tallies = lock(&self.tallies);
        for key in keys(account, from) {
            if matches!(key, Key::Account(_)) {
                tallies.remove(&key);
            } else if let Some(tally) = tallies.get_mut(&key) {
                tally.count = tally.count.saturating_sub(1);
                tally.until = Time(0);
            }
        }
    }
}

/// What is left of a count after the time since the last attempt.
fn remaining(tally: &Tally, now: Time) -> u32 {
    let forgotten = tally.last.millis_until(now) / FORGET.unsigned_abs();
    tally.count.saturating_sub(u32::try_from(forgotten).unwrap_or(u32::MAX))
}

fn forget_stalest(tallies: &mut HashMap<Key, Tally>) {
    if tallies.len() <= REMEMBERED {
        return;
    }
    let mut ages: Vec<i64> = tallies.values().map(|t| t.last.0).collect();
    // A tenth at once, so that a flood of addresses pays for sorting once in two thousand attempts.
    let (_, limit, _) = ages.select_nth_unstable(REMEMBERED / 10);
    let limit = *limit;
    tallies.retain(|_, tally| tally.last.0 > limit);
}

/// What an attempt counts against. Of an IPv6 address only the network counts: its owner has 2^64 of them.
fn keys(account: &str, from: Option<IpAddr>) -> Vec<Key> {
    let account: String = account.chars().take(64).collect();
    std::iter::once(Key::Account(account)).chain(from.map(network).map(Key::Address)).collect()
}

/// Whose an address is: of an IPv6 address the /64 network.
pub(crate) fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => {
            let bits = u128::from(v6) & !u128::from(u64::MAX);
            IpAddr::V6(bits.into())
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::clock::ManualClock;

    const HERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

    #[test]
    fn guessing_one_account_slows_down_and_time_forgives() {
        let clock = Arc::new(ManualClock::new());
        let throttle = Throttle::new(clock.clone());
        for n in 0..=FREE_PER_ACCOUNT {
            assert_eq!(throttle.attempt("ada", HERE), Ok(()), "attempt {n}");
        }
        assert_eq!(throttle.attempt("ada", HERE), Err(1));
        assert_eq!(throttle.attempt("grace", HERE), Ok(()), "another account is free");
        clock.advance_millis(1000);
        assert_eq!(throttle.attempt("ada", HERE), Ok(()));
        assert_eq!(throttle.attempt("ada", HERE), Err(2), "each further attempt doubles the wait");
        for _ in 0..20 {
            clock.advance_millis(WAIT_PER_ACCOUNT);
            let _ = throttle.attempt("ada", None);
        }
        assert_eq!(throttle.attempt("ada", None), Err(30), "the wait for an account stays short");
        clock.advance_millis(60 * FORGET);
        for _ in 0..=FREE_PER_ACCOUNT {
            assert_eq!(throttle.attempt("ada", None), Ok(()));
        }
    }

    #[test]
    fn many_accounts_from_one_address_slow_down_and_a_success_frees() {
        let clock = Arc::new(ManualClock::new());
        let throttle = Throttle::new(clock.clone());
        for n in 0..=FREE_PER_ADDRESS {
            assert_eq!(throttle.attempt(&format!("user{n}"), HERE), Ok(()));
        }
        assert_eq!(throttle.attempt("somebody", HERE), Err(1));
        let elsewhere = Some("10.0.0.1".parse().unwrap());
        assert_eq!(throttle.attempt("somebody", elsewhere), Ok(()));
        throttle.succeeded("user0", HERE);
        assert_eq!(throttle.attempt("somebody", HERE), Ok(()));
    }

    #[test]
    fn one_ipv6_network_is_one_address() {
        let a = keys("x", Some("2001:db8::1".parse().unwrap()));
        let b = keys("x", Some("2001:db8::ffff:1".parse().unwrap()));
        assert_eq!(a, b);
        assert_ne!(a, keys("x", Some("2001:db8:0:1::1".parse().unwrap())));
    }

    #[test]
    fn memory_is_bounded() {
        let clock = Arc::new(ManualClock::new());
        let throttle = Throttle::new(clock.clone());
        for n in 0..REMEMBERED + 100 {
            clock.advance_millis(1);
            let _ = throttle.attempt(&n.to_string(), None);
        }
        assert!(lock(&throttle.tallies).len() <= REMEMBERED);
    }
}
