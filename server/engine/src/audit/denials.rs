//! Denials, a few entries and then a count: a token bucket per user and action, for strangers per address and action.
//! Anyone can be denied thousands of times a second; each entry is a transaction, and none can ever be removed.

use crate::auth::throttle::network;
use crate::cx::Cx;
use crate::sync::lock;
use model::Time;
use model::account::UserId;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;

/// How many denials in a row get an entry each.
const BURST: u64 = 5;
/// After this time one more entry may be written, in milliseconds.
const REFILL: i64 = 60_000;
/// How many buckets there are at most; further strangers share one per action.
const BUCKETS: usize = 10_000;

/// Counts denials.
#[derive(Default)]
pub(super) struct Denials {
    buckets: Mutex<HashMap<(Who, String), Bucket>>,
}

/// Who shares a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Who {
    User(UserId),
    Address(Option<IpAddr>),
    /// Everyone without a bucket of their own.
    Others,
}

struct Bucket {
    tokens: u64,
    refilled: Time,
    /// Denials that have no entry yet.
    counted: u64,
    /// When the first of them came.
    since: Time,
    /// The latest of them.
    last: Cx,
}

/// What happens to a denial.
pub(super) enum Taken {
    /// It gets an entry.
    Entry,
    /// It is counted in this summary, which is due.
    Summary(Summary),
    /// It is counted.
    Counted,
}

/// Several denials as one entry.
pub(super) struct Summary {
    /// The context of the latest.
    pub cx: Cx,
    pub action: String,
    pub detail: String,
}

impl Denials {
    /// Records a denial.
    pub fn take(&self, cx: &Cx, action: &str) -> Taken {
        let mut buckets = lock(&self.buckets);
        let mut key = (who(cx), action.to_owned());
        if buckets.len() >= BUCKETS && !buckets.contains_key(&key) {
            buckets.retain(|_, bucket| !bucket.is_idle(cx.now));
            if buckets.len() >= BUCKETS {
                key.0 = Who::Others;
            }
        }
        let bucket = buckets.entry(key.clone()).or_insert_with(|| Bucket::new(cx));
        bucket.refill(cx.now);
        if bucket.counted == 0 && bucket.tokens > 0 {
            bucket.tokens -= 1;
            return Taken::Entry;
        }
        if bucket.counted == 0 {
            bucket.since = cx.now;
        }
        bucket.counted += 1;
        bucket.last = cx.clone();
        if bucket.tokens > 0 { Taken::Summary(bucket.summary(&key, cx.now)) } else { Taken::Counted }
    }

    /// The summaries that may be written by now. Buckets that are full again are forgotten.
    pub fn due(&self, now: Time) -> Vec<Summary> {
        self.summaries(now, |bucket| bucket.tokens > 0)
    }

    /// The summaries of everything that has no entry yet.
    pub fn drain(&self, now: Time) -> Vec<Summary> {
        self.summaries(now, |_| true)
    }

    fn summaries(&self, now: Time, may: impl Fn(&Bucket) -> bool) -> Vec<Summary> {
        let mut found = Vec::new();
        let mut buckets = lock(&self.buckets);
        for (key, bucket) in buckets.iter_mut() {
            bucket.refill(now);
            if bucket.counted > 0 && may(bucket) {
                found.push(bucket.summary(key, now));
            }
        }
        buckets.retain(|_, bucket| !bucket.is_idle(now));
        found
    }
}

impl Bucket {
    fn new(cx: &Cx) -> Self {
        Self { tokens: BURST, refilled: cx.now, counted: 0, since: cx.now, last: cx.clone() }
    }

    fn refill(&mut self, now: Time) {
        let fresh = self.refilled.millis_until(now) / REFILL.unsigned_abs();
        self.tokens = (self.tokens + fresh).min(BURST);
        // The part of an interval that has passed already counts towards the next token.
        let used = i64::try_from(fresh).unwrap_or(i64::MAX).saturating_mul(REFILL);
        self.refilled = if self.tokens == BURST { now } else { self.refilled.plus_millis(used) };
    }

    fn is_idle(&mut self, now: Time) -> bool {
        self.refill(now);
        self.counted == 0 && self.tokens == BURST
    }

    fn summary(&mut self, (who, action): &(Who, String), now: Time) -> Summary {
        let seconds = self.since.millis_until(now).div_ceil(1000).max(1);
        let by = match (who, &self.last.actor.user, self.last.actor.from) {
            (Who::Others, ..) => "strangers at many addresses".to_owned(),
            (_, Some(user), _) => user.name.to_string(),
            (_, None, Some(from)) => from.to_string(),
            (_, None, None) => "someone not logged in".to_owned(),
        };
        let denials = if self.counted == 1 { "denial" } else { "denials" };
        let detail = format!("{} more {denials} of {action} by {by} in {seconds} s", self.counted);
        self.tokens = self.tokens.saturating_sub(1);
        self.counted = 0;
        Summary { cx: self.last.clone(), action: action.clone(), detail }
    }
}

fn who(cx: &Cx) -> Who {
    match &cx.actor.user {
        Some(user) => Who::User(user.id),
        None => Who::Address(cx.actor.from.map(network)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::clock::ManualClock;
    use model::account::Actor;
    use std::net::Ipv4Addr;

    fn from(n: u32, clock: &ManualClock) -> Cx {
        Cx::new(&Actor::anonymous(Some(Ipv4Addr::from(0x0a00_0000 + n).into())), clock)
    }

    fn details(summaries: Vec<Summary>) -> Vec<String> {
        summaries.into_iter().map(|summary| summary.detail).collect()
    }

    #[test]
    fn after_a_few_entries_denials_are_counted_until_the_bucket_refills() {
        let (clock, denials) = (ManualClock::new(), Denials::default());
        let take = |n, action: &str| denials.take(&from(n, &clock), action);
        for _ in 0..BURST {
            assert!(matches!(take(1, "login"), Taken::Entry));
        }
        for _ in 0..42 {
            assert!(matches!(take(1, "login"), Taken::Counted));
        }
        assert!(matches!(take(1, "setup"), Taken::Entry), "another action has its own");
        assert!(matches!(take(2, "login"), Taken::Entry), "another address as well");
        assert!(denials.due(from(1, &clock).now).is_empty());
        clock.advance_millis(REFILL);
        let Taken::Summary(summary) = take(1, "login") else { panic!("a summary is due") };
        assert_eq!(summary.detail, "43 more denials of login by 10.0.0.1 in 60 s");
        assert!(matches!(take(1, "login"), Taken::Counted), "the summary took the token");
        clock.advance_millis(REFILL);
        assert_eq!(details(denials.due(from(1, &clock).now)), ["1 more denial of login by 10.0.0.1 in 60 s"]);
        assert!(details(denials.due(from(1, &clock).now)).is_empty());
    }

    #[test]
    fn what_was_counted_is_there_at_the_end_and_memory_is_bounded() {
        let (clock, denials) = (ManualClock::new(), Denials::default());
        let addresses = u32::try_from(BUCKETS).unwrap() + 10;
        let entries =
            (0..addresses).filter(|n| matches!(denials.take(&from(*n, &clock), "login"), Taken::Entry));
        assert_eq!(entries.count(), BUCKETS + usize::try_from(BURST).unwrap());
        assert_eq!(
            details(denials.drain(from(0, &clock).now)),
            ["5 more denials of login by strangers at many addresses in 1 s"]
        );
        clock.advance_millis(REFILL * 5);
        assert!(denials.due(from(0, &clock).now).is_empty());
        assert!(lock(&denials.buckets).is_empty(), "buckets that are full again are forgotten");
    }
}
