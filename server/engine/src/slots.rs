//! Slots that are given to users in turn: queueing forty jobs keeps nobody else waiting for forty.
//!
//! A free slot goes to the waiting user who holds the fewest; on a tie, to the one served longest ago; and among that
//! user's requests to the oldest.

use crate::sync::lock;
use model::account::UserId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;

/// A fixed number of slots.
#[derive(Clone, Debug)]
pub(crate) struct Slots(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    free: usize,
    /// Counts the slots that were ever given.
    turn: u64,
    /// In the order of their requests.
    waiting: Vec<(UserId, oneshot::Sender<Slot>)>,
    /// Kept for every user who ever had one: a few numbers each.
    shares: HashMap<UserId, Share>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Share {
    held: usize,
    /// The turn in which the user was last served.
    served: u64,
}

/// A held slot. Dropping it gives it to the next.
#[derive(Debug)]
pub(crate) struct Slot {
    user: UserId,
    slots: Slots,
}

impl Slots {
    /// So many slots, at least one, all free.
    pub fn new(count: usize) -> Self {
        let state = State { free: count.max(1), turn: 0, waiting: Vec::new(), shares: HashMap::new() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Whether someone who asks now would get one at once.
    pub fn has_free(&self) -> bool {
        lock(&self.0).free > 0
    }

    /// A slot, when it is this user's turn. Giving up waiting loses nothing but the place in the queue.
    pub async fn acquire(&self, user: UserId) -> Slot {
        let (give, given) = oneshot::channel();
        lock(&self.0).waiting.push((user, give));
        self.serve();
        match given.await {
            Ok(slot) => slot,
            // The sender stays in the queue until it has given a slot, so this cannot happen; never return a slot that
            // does not exist.
            Err(_) => std::future::pending().await,
        }
    }

    /// Gives free slots to those whose turn it is.
    fn serve(&self) {
        while let Some((give, slot)) = self.next() {
            // Someone who has stopped waiting gives it back at once, by dropping it outside the lock.
            drop(give.send(slot));
        }
    }

    fn next(&self) -> Option<(oneshot::Sender<Slot>, Slot)> {
        let mut state = lock(&self.0);
        state.waiting.retain(|(_, give)| !give.is_closed());
        let share = |user: &UserId| state.shares.get(user).copied().unwrap_or_default();
        let candidates = state.waiting.iter().enumerate().filter(|_| state.free > 0);
        let (at, _) = candidates.min_by_key(|(at, (user, _))| (share(user), *at))?;
        let (user, give) = state.waiting.remove(at);
        state.free -= 1;
        state.turn += 1;
        let turn = state.turn;
        let share = state.shares.entry(user).or_default();
        *share = Share { held: share.held + 1, served: turn };
        Some((give, Slot { user, slots: self.clone() }))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = lock(&self.slots.0);
        state.free += 1;
        if let Some(share) = state.shares.get_mut(&self.user) {
            share.held -= 1;
        }
        drop(state);
        self.slots.serve();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use futures::future::BoxFuture;
    use uuid::Uuid;

    fn user() -> UserId {
        UserId(Uuid::now_v7())
    }

    /// Those who wait, in the order in which they get a slot that is free one at a time.
    fn order(
        mut held: Vec<Slot>,
        mut waiting: Vec<(&'static str, BoxFuture<'_, Slot>)>,
    ) -> Vec<&'static str> {
        for (_, wait) in &mut waiting {
            assert!(wait.now_or_never().is_none(), "no slot is free yet");
        }
        let mut order = Vec::new();
        while !waiting.is_empty() {
            drop(held.remove(0));
            let found =
                waiting.iter_mut().enumerate().find_map(|(at, (_, wait))| Some((at, wait.now_or_never()?)));
            let (at, slot) = found.expect("a free slot is given to someone");
            order.push(waiting.remove(at).0);
            held.push(slot);
        }
        order
    }

    #[test]
    fn one_slot_goes_round_between_users() {
        let (slots, ada, bob, eve) = (Slots::new(1), user(), user(), user());
        let held = slots.acquire(ada).now_or_never().unwrap();
        let wait = |name, user| (name, slots.acquire(user).boxed());
        let waiting = vec![
            wait("ada 1", ada),
            wait("ada 2", ada),
            wait("ada 3", ada),
            wait("bob 1", bob),
            wait("bob 2", bob),
            wait("eve 1", eve),
        ];
        assert_eq!(order(vec![held], waiting), ["bob 1", "eve 1", "ada 1", "bob 2", "ada 2", "ada 3"]);
        assert!(slots.has_free());
    }

    #[test]
    fn of_several_slots_the_next_goes_to_who_holds_fewest() {
        let (slots, ada, bob) = (Slots::new(3), user(), user());
        let held = (0..3).map(|_| slots.acquire(ada).now_or_never().unwrap()).collect();
        let wait = |name, user| (name, slots.acquire(user).boxed());
        let waiting = vec![wait("ada 1", ada), wait("ada 2", ada), wait("bob 1", bob), wait("bob 2", bob)];
        assert_eq!(order(held, waiting), ["bob 1", "ada 1", "bob 2", "ada 2"]);
    }

    #[test]
    fn who_stops_waiting_leaves_no_slot_lost() {
        let (slots, ada, bob) = (Slots::new(1), user(), user());
        let held = slots.acquire(ada).now_or_never().unwrap();
        let mut gone = slots.acquire(bob).boxed();
        assert!((&mut gone).now_or_never().is_none());
        // Given a slot that it never takes.
        drop(held);
        assert!(!slots.has_free());
        drop(gone);
        assert!(slots.has_free());
        assert!(slots.acquire(ada).now_or_never().is_some());
    }
}
