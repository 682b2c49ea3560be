//! Slows down guessing, in memory, forgetting with time.
//!
//! Every attempt is counted before it is judged, so that a thousand at once do not slip through together; a success
//! takes its count back. Beyond the free attempts, each further one doubles the wait.
//!
//! A stranger who guesses must not lock the owner out of an account. So what is counted depends on who tries: a
//! device that the owner has logged in with before ([`super::devices`]) has its own tally that no stranger can fill,
//! and so does a logged-in user. Strangers are counted per account and network, which leaves the owner's new device
//! at another address alone; per network over all accounts; and per account over all networks, where only a guesser
//! with many addresses hits the limit. With twelve characters, ten guesses a minute are as good as none.

use super::devices::DeviceId;
use crate::sync::lock;
use model::Time;
use model::account::UserId;
use ports::clock::Clock;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

/// How many keys are remembered; the stalest goes first.
const REMEMBERED: usize = 20_000;

/// Who tries to prove their identity.
#[derive(Clone, Debug)]
pub(crate) enum Attempt<'a> {
    /// Anyone, at an account.
    Stranger { account: &'a str, from: Option<IpAddr> },
    /// A device that the account's owner has logged in with before.
    Device(DeviceId),
    /// Someone who is logged in.
    Session(UserId),
    /// Anyone, at the setup link.
    Setup { from: Option<IpAddr> },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Guesser(String, Option<IpAddr>),
    Account(String),
    Network(IpAddr),
    Device(DeviceId),
    Session(UserId),
}

/// How patient the throttle is with attempts of one key.
struct Limit {
    /// Attempts that cost nothing.
    free: u32,
    /// The longest wait, in milliseconds.
    longest: i64,
    /// In this time one counted attempt is forgotten, in milliseconds.
    forget: i64,
}

const ONE_PERSON: Limit = Limit { free: 5, longest: 30_000, forget: 60_000 };
/// One guesser alone, at two attempts a minute, never gets there.
const ONE_ACCOUNT: Limit = Limit { free: 50, longest: 30_000, forget: 6_000 };
/// Several people may sit behind one address.
const ONE_NETWORK: Limit = Limit { free: 20, longest: 15 * 60_000, forget: 60_000 };

impl Key {
    fn limit(&self) -> &'static Limit {
        match self {
            Key::Guesser(..) | Key::Device(_) | Key::Session(_) => &ONE_PERSON,
            Key::Account(_) => &ONE_ACCOUNT,
            Key::Network(_) => &ONE_NETWORK,
        }
    }
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

    /// Counts an attempt, or returns for how many seconds there may be none.
    pub fn attempt(&self, attempt: &Attempt<'_>) -> Result<(), u64> {
        let now = self.clock.now();
        let mut tallies = lock(&self.tallies);
        let keys = keys(attempt);
        let waits = keys.iter().filter_map(|key| tallies.get(key)).map(|t| now.millis_until(t.until));
        let wait = waits.max().unwrap_or(0);
        if wait > 0 {
            return Err(wait.div_ceil(1000));
        }
        for key in keys {
            let limit = key.limit();
            let tally = tallies.entry(key).or_insert(Tally { count: 0, last: now, until: Time(0) });
            tally.count = remaining(tally, limit, now) + 1;
            tally.last = now;
            // 1 s after the last free attempt, then 2 s, 4 s, …
            let beyond = tally.count.saturating_sub(limit.free);
            if beyond > 0 {
                let wait = 1000_i64.checked_shl(beyond - 1).filter(|w| *w > 0).unwrap_or(limit.longest);
                tally.until = now.plus_millis(wait.min(limit.longest));
            }
        }
        forget_stalest(&mut tallies);
        Ok(())
    }

    /// Takes back what a successful attempt counted; its maker starts from zero.
    pub fn succeeded(&self, attempt: &Attempt<'_>) {
        let mut tallies = lock(&self.tallies);
        for key in keys(attempt) {
            if matches!(key, Key::Guesser(..) | Key::Device(_) | Key::Session(_)) {
                tallies.remove(&key);
            } else if let Some(tally) = tallies.get_mut(&key) {
                tally.count = tally.count.saturating_sub(1);
                tally.until = Time(0);
            }
        }
    }
}

/// What is left of a count after the time since the last attempt.
fn remaining(tally: &Tally, limit: &Limit, now: Time) -> u32 {
    let forgotten = tally.last.millis_until(now) / limit.forget.unsigned_abs();
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

/// What an attempt counts against.
fn keys(attempt: &Attempt<'_>) -> Vec<Key> {
    let of_network = |from: Option<IpAddr>| from.map(network).map(Key::Network);
    match attempt {
        Attempt::Stranger { account, from } => {
            let account: String = account.chars().take(64).collect();
            let mut keys = vec![Key::Guesser(account.clone(), from.map(network)), Key::Account(account)];
            keys.extend(of_network(*from));
            keys
        }
        Attempt::Device(device) => vec![Key::Device(device.clone())],
        Attempt::Session(user) => vec![Key::Session(*user)],
        Attempt::Setup { from } => of_network(*from).into_iter().collect(),
    }
}

/// Whose an address is: of IPv6 only the /64 network counts, because its owner has all 2^64 addresses in it.
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
    use std::net::Ipv4Addr;

    fn stranger(account: &str, host: u32) -> Attempt<'_> {
        Attempt::Stranger { account, from: Some(Ipv4Addr::from(0x0a00_0000 + host).into()) }
    }

    #[test]
    fn guessing_one_account_slows_down_and_time_forgives() {
        let clock = Arc::new(ManualClock::new());
        let throttle = Throttle::new(clock.clone());
        let ada = stranger("ada", 1);
        for n in 0..=ONE_PERSON.free {
            assert_eq!(throttle.attempt(&ada), Ok(()), "attempt {n}");
        }
        assert_eq!(throttle.attempt(&ada), Err(1));
        assert_eq!(throttle.attempt(&stranger("grace", 1)), Ok(()), "another account is free");
        clock.advance_millis(1000);
        assert_eq!(throttle.attempt(&ada), Ok(()));
        assert_eq!(throttle.attempt(&ada), Err(2), "each further attempt doubles the wait");
        for _ in 0..10 {
            clock.advance_millis(ONE_PERSON.longest);
            let _ = throttle.attempt(&ada);
        }
        assert_eq!(throttle.attempt(&ada), Err(30), "the wait for an account stays short");
        clock.advance_millis(60 * ONE_PERSON.forget);
        for _ in 0..=ONE_PERSON.free {
            assert_eq!(throttle.attempt(&ada), Ok(()));
        }
    }

    #[test]
    fn a_guesser_at_one_address_holds_up_nobody_elsewhere_and_many_together_are_slowed() {
        let clock = Arc::new(ManualClock::new());
        let throttle = Throttle::new(clock.clone());
        for _ in 0..1200 {
            let _ = throttle.attempt(&stranger("ada", 1));
            assert_eq!(throttle.attempt(&Attempt::Session(UserId(uuid::Uuid::now_v7()))), Ok(()));
            clock.advance_millis(500);
        }
        assert_eq!(throttle.attempt(&stranger("ada", 2)), Ok(()));
        let answered = (10..1000).filter(|n| throttle.attempt(&stranger("ada", *n)).is_ok()).count();
        assert!(answered <= 51, "{answered} guesses from as many addresses");
    }

    #[test]
    fn many_accounts_from_one_address_slow_down_and_a_success_frees() {
        let clock = Arc::new(ManualClock::new());
        let throttle = Throttle::new(clock.clone());
        let names: Vec<String> = (0..=ONE_NETWORK.free).map(|n| format!("user{n}")).collect();
        for name in &names {
            assert_eq!(throttle.attempt(&stranger(name, 1)), Ok(()));
        }
        assert_eq!(throttle.attempt(&stranger("somebody", 1)), Err(1));
        assert_eq!(throttle.attempt(&stranger("somebody", 2)), Ok(()));
        throttle.succeeded(&stranger("user0", 1));
        assert_eq!(throttle.attempt(&stranger("somebody", 1)), Ok(()));
    }

    #[test]
    fn one_ipv6_network_is_one_address() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    }

    #[test]
    fn memory_is_bounded() {
        let clock = Arc::new(ManualClock::new());
        let throttle = Throttle::new(clock.clone());
        for n in 0..REMEMBERED + 100 {
            clock.advance_millis(1);
            let _ = throttle.attempt(&Attempt::Stranger { account: &n.to_string(), from: None });
        }
        assert!(lock(&throttle.tallies).len() <= REMEMBERED);
    }
}
