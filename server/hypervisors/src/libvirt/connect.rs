//! One connection to one libvirt: opened in the background, watched, reopened when lost.
//!
//! ```text
//!            open fails: wait, 0.25 s doubling to 15 s, or until someone asks for a new try
//!           ┌───────────────────────────────┐
//!           ▼                               │
//!      connecting ──── open works ───► connected ──── close callback ───► disconnected ──► connecting
//! ```
//!
//! A link has two connections that come and go together: sampling thousands of machines must not delay what someone
//! waits for, and libvirtd serves each client only so many calls at a time.
//!
//! libvirt's calls block, so each runs on tokio's blocking threads, at most [`CALLS`] at a time. Calls made during the
//! first attempt wait for it; while the host is known to be unreachable, calls fail at once with the reason. The task
//! that does this lives as long as the [`Link`] and is its only writer.

use super::events;
use super::sys::Registration;
use ports::hypervisor::{HostEvent, HypervisorError, Result};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, broadcast, watch};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use virt::connect::Connect;

/// How many calls may be under way on the main connection. Below libvirtd's usual `max_client_requests`: at that limit it stops
/// reading the connection, keep-alive included, until a call ends.
pub const CALLS: usize = 4;
/// How many on the sampling connection.
const SAMPLES: usize = 2;
/// How many of the main connection's may wait for a guest's agent: a guest that never answers must not hold up the
/// host.
const AGENT_CALLS: usize = 2;
/// How long a call may take; starting a machine on a busy host is the longest. A host that dies is noticed long before.
const CALL_LIMIT: Duration = Duration::from_secs(120);
/// How long a call waits for a connection attempt that is under way.
const OPEN_LIMIT: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// Seconds between keep-alive messages, and how many may go unanswered (`virConnectSetKeepAlive`).
const KEEP_ALIVE: (i32, u32) = (5, 3);

/// An open connection with its callbacks. Dropping it talks to the host, so that is done on a blocking thread.
pub struct Live {
    registrations: Vec<Registration>,
    /// The main connection.
    pub connect: Connect,
    /// Another one, for inventories and counters.
    pub sampling: Connect,
    /// Cancelled when the connection is lost; streams on it end then.
    pub ended: CancellationToken,
}

impl Drop for Live {
    fn drop(&mut self) {
        self.ended.cancel();
        self.registrations.clear();
    }
}

#[derive(Clone)]
enum State {
    Connecting,
    Up(Arc<Live>),
    Down(String),
}

/// The connection of one host, for everything the other files in this folder do.
pub struct Link {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    uri: String,
    state: watch::Sender<State>,
    /// Someone wants a new attempt now.
    wanted: Notify,
    subscribers: broadcast::Sender<HostEvent>,
    calls: Arc<Semaphore>,
    agent_calls: Arc<Semaphore>,
    samples: Arc<Semaphore>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
        if let State::Up(live) = self.shared.state.send_replace(State::Down("the portal is stopping".into()))
        {
            release(live);
        }
    }
}

impl Link {
    /// Begins to connect. Must be called within a tokio runtime.
    pub fn open(uri: &str) -> Self {
        let shared = Arc::new(Shared {
            uri: uri.to_owned(),
            state: watch::Sender::new(State::Connecting),
            wanted: Notify::new(),
            subscribers: broadcast::Sender::new(events::BACKLOG),
            calls: Arc::new(Semaphore::new(CALLS)),
            agent_calls: Arc::new(Semaphore::new(AGENT_CALLS)),
            samples: Arc::new(Semaphore::new(SAMPLES)),
        });
        let task = tokio::spawn(keep_connected(Arc::clone(&shared)));
        Self { shared, task }
    }

    /// The URI as configured.
    pub fn uri(&self) -> &str {
        &self.shared.uri
    }

    /// Events from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<HostEvent> {
        self.shared.subscribers.subscribe()
    }

    /// Asks for a connection attempt now, unless there is a connection.
    pub fn try_again(&self) {
        let down = self.shared.state.send_if_modified(|state| {
            let down = matches!(state, State::Down(_));
            if down {
                *state = State::Connecting;
            }
            down
        });
        if down {
            self.shared.wanted.notify_one();
        }
    }

    /// The connection, waiting for an attempt that is under way.
    ///
    /// # Errors
    /// [`HypervisorError::Unreachable`].
    pub async fn live(&self) -> Result<Arc<Live>> {
        let mut states = self.shared.state.subscribe();
        let settled = states.wait_for(|state| !matches!(state, State::Connecting));
        match timeout(OPEN_LIMIT, settled).await.ok().and_then(std::result::Result::ok).as_deref() {
            Some(State::Up(live)) => Ok(Arc::clone(live)),
            Some(State::Down(why)) => Err(HypervisorError::Unreachable { why: why.clone() }),
            Some(State::Connecting) | None => Err(HypervisorError::Unreachable {
                why: format!("no answer within {} s", OPEN_LIMIT.as_secs()),
            }),
        }
    }

    /// Runs a piece of blocking work with the connection.
    ///
    /// # Errors
    /// The work's errors, and [`HypervisorError::Unreachable`].
    pub async fn call<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Live) -> Result<T> + Send + 'static,
    {
        self.run(&[&self.shared.calls], work).await
    }

    /// The same for work with the sampling connection.
    ///
    /// # Errors
    /// As [`Link::call`].
    pub async fn sample<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Live) -> Result<T> + Send + 'static,
    {
        self.run(&[&self.shared.samples], work).await
    }

    /// The same as [`Link::call`] for work that waits for a guest's agent.
    ///
    /// # Errors
    /// As [`Link::call`].
    pub async fn agent_call<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Live) -> Result<T> + Send + 'static,
    {
        // In this order: waiting for an agent takes nothing from the others meanwhile.
        self.run(&[&self.shared.agent_calls, &self.shared.calls], work).await
    }

    async fn run<T, F>(&self, needed: &[&Arc<Semaphore>], work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Live) -> Result<T> + Send + 'static,
    {
        let live = self.live().await?;
        let failed = |why: String| HypervisorError::Failed { what: "Talking to libvirt".into(), why };
        let done = async {
            let mut slots = Vec::with_capacity(needed.len());
            for semaphore in needed {
                let slot = Arc::clone(semaphore).acquire_owned().await;
                slots.push(slot.map_err(|e| failed(e.to_string()))?);
            }
            spawn_blocking(move || {
                // Kept until the call is over, even when nobody waits for it any more: that bounds the threads.
                let _slots = slots;
                work(&live)
            })
            .await
            .map_err(|e| failed(e.to_string()))?
        };
        timeout(CALL_LIMIT, done).await.unwrap_or_else(|_| {
            Err(HypervisorError::Unreachable { why: format!("no answer within {} s", CALL_LIMIT.as_secs()) })
        })
    }
}

async fn keep_connected(shared: Arc<Shared>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let (ended, mut end) = watch::channel(None);
        let (uri, subscribers) = (shared.uri.clone(), shared.subscribers.clone());
        let opened = spawn_blocking(move || open(&uri, subscribers, ended)).await;
        let why = match opened.unwrap_or_else(|e| Err(e.to_string())) {
            Ok(live) => {
                tracing::info!(uri = shared.uri, "connected to libvirt");
                pause = FIRST_PAUSE;
                shared.state.send_replace(State::Up(Arc::new(live)));
                let _ = shared.subscribers.send(HostEvent::Connected);
                let why = match end.wait_for(Option::is_some).await {
                    Ok(why) => why.clone().unwrap_or_default(),
                    Err(_) => "the connection was abandoned".to_owned(),
                };
                let _ = shared.subscribers.send(HostEvent::Disconnected { why: why.clone() });
                why
            }
            Err(why) => why,
        };
        tracing::warn!(uri = shared.uri, why, "no connection to libvirt");
        if let State::Up(live) = shared.state.send_replace(State::Down(why)) {
            release(live);
        }
        // A new attempt on request continues with the pauses where they were.
        if timeout(pause, shared.wanted.notified()).await.is_err() {
            shared.state.send_replace(State::Connecting);
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn release(live: Arc<Live>) {
    live.ended.cancel();
    // Closing talks to the host. Outside a runtime there is none to keep free.
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn_blocking(move || drop(live))),
        Err(_) => drop(live),
    }
}

fn open(
    uri: &str,
    subscribers: broadcast::Sender<HostEvent>,
    ended: watch::Sender<Option<String>>,
) -> std::result::Result<Live, String> {
    // `Connect::open` cannot handle it, and no URI has one.
    if uri.contains('\0') {
        return Err("the URI contains a NUL character".into());
    }
    events::start_loop()?;
    let (connect, sampling) = (open_one(uri)?, open_one(uri)?);
    let sink = events::sink(subscribers, ended);
    let words = |e: virt::error::Error| e.message().to_owned();
    let registrations =
        vec![Registration::new(&connect, &sink).map_err(words)?, Registration::of_close(&sampling, &sink)];
    Ok(Live { registrations, connect, sampling, ended: CancellationToken::new() })
}

/// Opens a connection with keep-alive; blocks.
///
/// # Errors
/// libvirt's error.
pub fn open_one(uri: &str) -> std::result::Result<Connect, String> {
    let connect = Connect::open(Some(uri)).map_err(|e| e.message().to_owned())?;
    // In-process drivers have no connection to keep alive and say so.
    if let Err(unsupported) = connect.set_keep_alive(KEEP_ALIVE.0, KEEP_ALIVE.1) {
        tracing::debug!(uri, error = unsupported.message(), "no keep-alive on this connection");
    }
    Ok(connect)
}

/// True when the host of this URI is the computer we run on: `driver[+transport]://[host]/path`.
pub fn is_local(uri: &str) -> bool {
    match uri.split_once("://") {
        Some((scheme, rest)) => {
            let host = rest.split(['/', '?']).next().unwrap_or("");
            host.is_empty() && !matches!(scheme.split_once('+'), Some((_, transport)) if transport != "unix")
        }
        None => false,
    }
}

/// True for a driver that runs with the rights of its user alone, without networks and security drivers of its own.
pub fn is_session(uri: &str) -> bool {
    uri.split_once("://")
        .is_some_and(|(_, rest)| rest.split('?').next().is_some_and(|p| p.ends_with("/session")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn local_and_remote_uris() {
        for local in
            ["qemu:///system", "qemu+unix:///system?socket=/run/x", "test:///default", "qemu:///session"]
        {
            assert!(is_local(local), "{local}");
        }
        for remote in [
            "qemu+ssh://root@kvm1/system",
            "qemu://kvm1/system",
            "qemu+tls://kvm1:16514/system",
            "qemu+ssh:///system",
            "",
        ] {
            assert!(!is_local(remote), "{remote}");
        }
        assert!(is_session("qemu:///session?x=1") && !is_session("qemu:///system"));
    }

    #[tokio::test]
    async fn so_many_calls_are_under_way_as_libvirtd_takes_and_samples_do_not_wait_for_them() {
        let link = Arc::new(Link::open("test:///default"));
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let gate = Arc::new((std::sync::Mutex::new(false), std::sync::Condvar::new()));
        let (entered, mut inside) = tokio::sync::mpsc::channel(3 * CALLS);
        let call = |by_agent: bool| {
            let (running, most, gate) = (running.clone(), most.clone(), gate.clone());
            let (link, entered) = (link.clone(), entered.clone());
            let work = move |_: &Live| {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                entered.blocking_send(()).unwrap();
                let open = gate.1.wait_while(gate.0.lock().unwrap(), |open| !*open).unwrap();
                drop(open);
                running.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            };
            tokio::spawn(
                async move { if by_agent { link.agent_call(work).await } else { link.call(work).await } },
            )
        };
        let calls: Vec<_> = (0..3 * CALLS).map(|n| call(n % 3 == 0)).collect();
        for _ in 0..CALLS {
            inside.recv().await.unwrap();
        }
        link.sample(|live| Ok(live.sampling.is_alive().unwrap_or(false))).await.unwrap();
        *gate.0.lock().unwrap() = true;
        gate.1.notify_all();
        for call in calls {
            call.await.unwrap().unwrap();
        }
        assert_eq!(most.load(Ordering::SeqCst), CALLS);
    }
}
