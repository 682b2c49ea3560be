//! Who is connected, and who has to leave when it gets full.
//!
//! A connection has a place from when it is accepted until its stream and every handler that it began have ended. It is
//! *busy* while one of its requests is answered, and for good once it became a socket; else it is *idle* and costs
//! nothing but its place, which it loses when someone else needs it: the one that has been idle longest goes first.

use crate::limits::Limits;
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// All places.
pub(super) struct Places {
    limits: Limits,
    trusted_proxies: Vec<IpNet>,
    state: Mutex<State>,
    /// A place became free, or a connection idle.
    changed: Notify,
}

#[derive(Default)]
struct State {
    taken: BTreeMap<u64, Taken>,
    /// Counts everything that happens: ids, and the order in which connections became idle.
    clock: u64,
    refused: u64,
}

/// One place.
struct Taken {
    /// Whose; `None` is a trusted proxy, whose connections are other people's.
    client: Option<IpAddr>,
    busy: usize,
    idle_since: u64,
    closing: CancellationToken,
}

/// Whether a connection may have a place.
enum Admission {
    Granted(Place),
    /// This address has as many as it may, and needs all of them.
    TooMany,
    /// All places are busy.
    Full,
}

/// A connection's place. Clones share it; it is free again when the last one is gone.
#[derive(Clone)]
pub struct Place(Arc<Holder>);

struct Holder {
    id: u64,
    closing: CancellationToken,
    places: Arc<Places>,
}

/// While it lives, the connection is busy.
pub struct Busy(Option<Place>);

impl Places {
    pub(super) fn new(limits: Limits, trusted_proxies: Vec<IpNet>) -> Arc<Self> {
        Arc::new(Self { limits, trusted_proxies, state: Mutex::default(), changed: Notify::new() })
    }

    /// A place for a connection from this address, once there is one; `None` if the address has too many.
    pub(super) async fn enter(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let mut told = false;
        loop {
            match self.ask(peer) {
                Admission::Granted(place) => return Some(place),
                Admission::TooMany => return None,
                Admission::Full => {
                    if !told {
                        tracing::warn!(
                            "no more connections are served until one of those that are open ends"
                        );
                    }
                    told = true;
                    self.changed.notified().await;
                }
            }
        }
    }

    fn ask(self: &Arc<Self>, peer: IpAddr) -> Admission {
        let is_proxy = self.trusted_proxies.iter().any(|net| net.contains(&peer.to_canonical()));
        let client = (!is_proxy).then(|| subscriber(peer));
        let mut state = self.lock();
        let own = state.taken.values().filter(|t| client.is_some() && t.client == client).count();
        if own >= self.limits.per_address && !state.close_idle(|t| t.client == client) {
            state.refused += 1;
            // Each power of two: a client refused a thousand times a second must not flood the log too.
            if state.refused.is_power_of_two() {
                let refused = state.refused;
                tracing::warn!(client = %peer, refused, "connections are refused: this address has too many that are busy");
            }
            return Admission::TooMany;
        }
        if state.taken.len() >= self.limits.connections && !state.close_idle(|_| true) {
            return Admission::Full;
        }
        let (id, closing) = (state.tick(), CancellationToken::new());
        let taken = Taken { client, busy: 0, idle_since: id, closing: closing.clone() };
        state.taken.insert(id, taken);
        Admission::Granted(Place(Arc::new(Holder { id, closing, places: self.clone() })))
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.lock().taken.len()
    }

    /// Every update is one assignment, so that the state is right even after a panic while holding it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// Takes the place of the connection that has been idle longest among these; false if all are busy.
    fn close_idle(&mut self, among: impl Fn(&Taken) -> bool) -> bool {
        let idle = self.taken.iter().filter(|(_, taken)| taken.busy == 0 && among(taken));
        let Some(id) = idle.min_by_key(|(_, taken)| taken.idle_since).map(|(id, _)| *id) else {
            return false;
        };
        if let Some(taken) = self.taken.remove(&id) {
            taken.closing.cancel();
        }
        true
    }
}

impl Place {
    /// Makes the connection busy.
    pub fn busy(&self) -> Busy {
        if let Some(taken) = self.0.places.lock().taken.get_mut(&self.0.id) {
            taken.busy += 1;
        }
        Busy(Some(self.clone()))
    }

    /// Returns when someone else has taken the place.
    pub(super) async fn lost(&self) {
        self.0.closing.cancelled().await;
    }
}

impl Busy {
    /// The connection stays busy for as long as it lives: it has become a socket.
    pub(super) fn for_good(mut self) {
        self.0 = None;
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let Some(place) = self.0.take() else { return };
        let mut state = place.0.places.lock();
        let now = state.tick();
        if let Some(taken) = state.taken.get_mut(&place.0.id) {
            taken.busy -= 1;
            taken.idle_since = now;
        }
        drop(state);
        place.0.places.changed.notify_one();
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.places.lock().taken.remove(&self.id);
        self.places.changed.notify_one();
    }
}

/// What counts as one address. A subscriber of IPv6 has a network of 64 bits (RFC 6177), and any address in it.
fn subscriber(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(connections: usize, per_address: usize) -> Arc<Places> {
        let proxies = vec!["10.0.0.0/8".parse().unwrap()];
        Places::new(Limits { connections, per_address, ..Limits::default() }, proxies)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn granted(places: &Arc<Places>, peer: &str) -> Option<Place> {
        match places.ask(ip(peer)) {
            Admission::Granted(place) => Some(place),
            Admission::TooMany | Admission::Full => None,
        }
    }

    fn is_lost(place: &Place) -> bool {
        place.0.closing.is_cancelled()
    }

    #[test]
    fn an_address_with_too_many_closes_its_own_idle_ones_and_nobody_elses() {
        let places = places(100, 2);
        let other = granted(&places, "192.0.2.1").unwrap();
        let (first, second) =
            (granted(&places, "192.0.2.7").unwrap(), granted(&places, "192.0.2.7").unwrap());
        drop(first.busy());
        let third = granted(&places, "192.0.2.7").expect("the longest idle one makes room");
        assert!(is_lost(&second) && !is_lost(&first) && !is_lost(&other), "who was answered last stays");
        let _both = (first.busy(), third.busy());
        assert!(matches!(places.ask(ip("192.0.2.7")), Admission::TooMany), "busy ones are not closed");
        assert!(granted(&places, "192.0.2.8").is_some(), "others have their own");
    }

    #[test]
    fn a_trusted_proxy_is_many_people_and_a_subscriber_of_ipv6_one() {
        let places = places(100, 2);
        let proxied: Vec<_> = (0..10).filter_map(|_| granted(&places, "::ffff:10.0.0.1")).collect();
        let busy: Vec<_> = proxied.iter().map(Place::busy).collect();
        assert_eq!(busy.len(), 10);
        let own: Vec<_> = ["2001:db8::1", "2001:db8::2"].map(|peer| granted(&places, peer).unwrap()).into();
        let _busy: Vec<_> = own.iter().map(Place::busy).collect();
        assert!(granted(&places, "2001:db8::3").is_none(), "one network, one limit");
        assert!(granted(&places, "2001:db8:0:1::3").is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_are_busy_one_waits_until_somebody_is_idle_or_gone() {
        let places = places(2, 2);
        let (first, second) =
            (granted(&places, "192.0.2.1").unwrap(), granted(&places, "192.0.2.2").unwrap());
        let (answering, socket) = (first.busy(), second.busy());
        let mut waiting = Box::pin(places.enter(ip("192.0.2.3")));
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(answering);
        let third = waiting.await.expect("an idle one makes room");
        assert!(is_lost(&first));
        let _third = third.busy();
        socket.for_good();
        let mut waiting = Box::pin(places.enter(ip("192.0.2.3")));
        assert!(futures::poll!(&mut waiting).is_pending(), "a socket keeps its place");
        drop(second);
        assert!(waiting.await.is_some());
    }
}
