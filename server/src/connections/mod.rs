//! Connections: accepted, counted, and given up when the other side is too slow. What comes over them is the router's.
//!
//! Anybody who can reach the port can open a connection, so each costs little and ends by itself:
//!
//! | a client that … | is given up after |
//! |---|---|
//! | sends the head of a request slowly, or no further request | [`Limits::head`] |
//! | sends the body of a request slowly | [`Limits::body`], kept by `guard::whole_body` |
//! | takes nothing of what it is sent | [`Limits::stall`] |
//!
//! At [`Limits::connections`] the next one waits in the system's queue until one ends. A connection that became a socket
//! keeps its place, because the place belongs to its stream.

use crate::state::Shared;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The largest head of a request, in bytes: the longest URL of ours and a browser's headers are a tenth of it.
const HEAD_MAX: usize = 32 * 1024;

/// The pause after the system had no file descriptor for a connection: trying at once would only burn the processor.
const BREATH: Duration = Duration::from_secs(1);

/// How much patience there is with clients.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections open at a time, sockets included.
    pub connections: usize,
    /// From the connection, or from the answer before, until a request's head is there.
    pub head: Duration,
    /// From a request's head until its body is there.
    pub body: Duration,
    /// Without the client taking a single byte.
    pub stall: Duration,
}

impl Default for Limits {
    /// Half of the 1024 files that a process may have open where nobody decided otherwise (getrlimit(2)): whoever follows
    /// a log has a file open besides, and so have the database and child processes.
    fn default() -> Self {
        Self {
            connections: 512,
            head: Duration::from_secs(30),
            body: Duration::from_secs(30),
            stall: Duration::from_secs(30),
        }
    }
}

/// Serves until `stopping` is cancelled, then accepts no more and waits for the requests under way. Sockets are counted
/// apart, in `Server::sockets`.
pub async fn serve(listener: TcpListener, router: Router, server: Shared) {
    let room = Arc::new(Semaphore::new(server.limits.connections));
    let open = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = server.stopping.cancelled() => break,
            accepted = accept(&listener, &room) => accepted,
        };
        let Some((stream, peer, place)) = accepted else { continue };
        // Without it the echo of a key waits for the acknowledgement of the one before (Nagle, RFC 896).
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "small packets will be slow on a connection");
        }
        let stream = Client { stream, stall: server.limits.stall, waiting: None, _place: place };
        open.spawn(converse(stream, peer, router.clone(), server.limits, server.stopping.clone()));
    }
    drop(listener);
    open.close();
    open.wait().await;
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    if room.available_permits() == 0 {
        tracing::warn!("no more connections are accepted until one of those that are open ends");
    }
    let place = room.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, place)),
        // The client left between its knock and our answer (accept(2)).
        Err(error)
            if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) =>
        {
            None
        }
        Err(error) => {
            tracing::error!(%error, "a connection cannot be accepted");
            tokio::time::sleep(BREATH).await;
            None
        }
    }
}

/// One connection, request after request, until either side ends it or it becomes a socket.
async fn converse<S>(stream: S, peer: SocketAddr, router: Router, limits: Limits, stopping: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request: http::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        router.call(request)
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head).max_header_size(HEAD_MAX);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service).with_upgrades());
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(client = %peer.ip(), %error, "a connection broke off");
    }
}

/// A client's stream. It fails when the client takes nothing for too long, which neither hyper nor TCP would end: a peer
/// that is alive and does not read may keep a sender waiting for ever (RFC 9293 §3.8.6.1).
struct Client<S> {
    stream: S,
    stall: Duration,
    /// Runs while there is something that the client does not take.
    waiting: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
}

impl<S> Client<S> {
    fn judge<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let stall = self.stall;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(stall)));
        waiting.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Client<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Client<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.judge(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.judge(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
    use tokio::time::Instant;

    const LIMITS: Limits = Limits {
        connections: 1,
        head: Duration::from_secs(30),
        body: Duration::from_secs(30),
        stall: Duration::from_secs(30),
    };

    /// A conversation over a pipe that holds 64 bytes, with a router whose one page is much longer.
    fn conversation(
        stopping: &CancellationToken,
    ) -> (DuplexStream, tokio::task::JoinHandle<()>, Arc<Semaphore>) {
        let room = Arc::new(Semaphore::new(1));
        let (near, far) = tokio::io::duplex(64);
        let place = room.clone().try_acquire_owned().unwrap();
        let client = Client { stream: far, stall: LIMITS.stall, waiting: None, _place: place };
        let router = Router::new().route("/", get(async || "long ".repeat(1000)));
        let peer = SocketAddr::from(([127, 0, 0, 1], 4711));
        let task = tokio::spawn(converse(client, peer, router, LIMITS, stopping.clone()));
        (near, task, room)
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_does_not_end_is_not_waited_for() {
        let began = Instant::now();
        let (mut near, task, room) = conversation(&CancellationToken::new());
        near.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n").await.unwrap();
        let mut said = Vec::new();
        near.read_to_end(&mut said).await.unwrap();
        task.await.unwrap();
        assert!(began.elapsed() >= LIMITS.head && !said.starts_with(b"HTTP/1.1 200"));
        assert_eq!(room.available_permits(), 1, "its place is free again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_given_up_and_one_that_is_slow_is_not() {
        let request = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let (mut near, task, _) = conversation(&CancellationToken::new());
        near.write_all(request).await.unwrap();
        let mut said = Vec::new();
        let mut piece = [0; 64];
        loop {
            tokio::time::sleep(LIMITS.stall / 2).await;
            match near.read(&mut piece).await.unwrap() {
                0 => break,
                n => said.extend_from_slice(&piece[..n]),
            }
        }
        task.await.unwrap();
        assert!(said.ends_with(b"long "), "all of it came");

        let (mut near, task, room) = conversation(&CancellationToken::new());
        near.write_all(request).await.unwrap();
        task.await.unwrap();
        assert_eq!(room.available_permits(), 1);
        drop(near);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_idle_connections_at_once_and_others_after_their_answer() {
        let stopping = CancellationToken::new();
        let (_idle, ends, _) = conversation(&stopping);
        let (mut busy, answers, _) = conversation(&stopping);
        busy.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut first = [0; 12];
        busy.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        let began = Instant::now();
        stopping.cancel();
        ends.await.unwrap();
        assert_eq!(began.elapsed(), Duration::ZERO, "nobody waits for a client that asked for nothing");
        let mut rest = Vec::new();
        busy.read_to_end(&mut rest).await.unwrap();
        answers.await.unwrap();
        assert!(rest.ends_with(b"long "), "what was asked for is answered to its end");
    }
}
