//! Clean shutdown: SIGINT and SIGTERM stop the portal, machines keep running.
//!
//! The first signal stops accepting, tells every socket why it closes, and lets the engine finish its step; open jobs
//! continue at the next start. After [`LIMIT`], or at a second signal, the process exits at once: the engine survives a
//! kill at any moment, so waiting longer would gain nothing.

use crate::state::Shared;
use std::future::Future;
use std::io;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How long shutting down may take.
pub const LIMIT: Duration = Duration::from_secs(20);
/// How much of it browsers get: one that does not read is not waited for longer.
const BROWSERS_LIMIT: Duration = Duration::from_secs(3);

/// The two signals that mean “end”.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Takes over both signals.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn new() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next of them.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Cancels the token at the first signal and ends the process at the second.
pub fn watch(mut signals: Signals, stopping: CancellationToken) {
    tokio::spawn(async move {
        signals.next().await;
        tracing::info!("stopping; machines keep running, open jobs continue at the next start");
        stopping.cancel();
        signals.next().await;
        tracing::warn!("stopped at once by a second signal");
        // 130 is what a shell reports for a program that Ctrl-C ended.
        std::process::exit(130);
    });
}

/// Waits for the requests under way and for sockets, then for the engine, at most [`LIMIT`] in all. In this order,
/// because both a request's effects and a console's end need to be written down.
pub async fn finish<T>(server: &Shared, requests: impl Future<Output = T>) {
    // A request continues without its connection, and none begins any more once the connections have ended.
    let requests = async {
        requests.await;
        server.handlers.close();
        server.handlers.wait().await;
    };
    let browsers = async { tokio::join!(requests, server.sockets.all_closed()) };
    if tokio::time::timeout(BROWSERS_LIMIT, browsers).await.is_err() {
        tracing::debug!("some browsers no longer listen");
    }
    if tokio::time::timeout(LIMIT - BROWSERS_LIMIT, server.engine.shut_down()).await.is_err() {
        tracing::warn!(
            seconds = LIMIT.as_secs(),
            "a step took too long to end; it continues at the next start"
        );
    }
}
