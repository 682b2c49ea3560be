//! Connections: accepted, counted, and given up when the other side is too slow. What arrives over them is the
//! router's.
//!
//! Anyone who can reach the port can open a connection, so each costs little and ends by itself:
//!
//! | a client that … | is given up after |
//! |---|---|
//! | sends the head of a request slowly, or no further request | [`Limits::head`] |
//! | sends the body of a request slowly | [`Limits::body`], kept by `guard::whole_body` |
//! | reads nothing it is sent | [`Limits::stall`] |
//!
//! There is room for [`Limits::connections`], and for [`Limits::per_address`] from one address: when it is full, the connection
//! that has been idle longest is closed for the next one (`places`). A connection that became a socket keeps its place,
//! because the place belongs to its stream.

mod places;

pub use places::{Busy, Place};

use crate::limits::Limits;
use crate::state::Shared;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use http::{Response, StatusCode};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use places::Places;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The largest head of a request, in bytes: our longest URL and a browser's headers take a tenth of it.
const HEAD_MAX: usize = 32 * 1024;

/// The pause after the system had no file descriptor for a connection: trying at once would only burn the processor.
const BREATH: Duration = Duration::from_secs(1);

/// Serves until `stopping` is cancelled, then accepts no more and waits for the requests under way. Sockets are counted
/// apart, in `Server::sockets`.
pub async fn serve(listener: TcpListener, router: Router, server: Shared) {
    let places = Places::new(server.limits, server.trusted_proxies.clone());
    let open = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = server.stopping.cancelled() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((stream, peer, place)) = accepted else { continue };
        // Without it the echo of a key waits for the acknowledgement of the one before (Nagle, RFC 896).
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "small packets will be slow on a connection");
        }
        let client = Client { stream, stall: server.limits.stall, waiting: None, place };
        open.spawn(converse(client, peer, router.clone(), server.limits, server.stopping.clone()));
    }
    drop(listener);
    open.close();
    open.wait().await;
}

/// The next connection that has a place, once there is one for it.
async fn accept(listener: &TcpListener, places: &Arc<Places>) -> Option<(TcpStream, SocketAddr, Place)> {
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, places.enter(peer.ip()).await?)),
        // The client left before its connection was accepted (accept(2)).
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
async fn converse<S>(
    client: Client<S>,
    peer: SocketAddr,
    router: Router,
    limits: Limits,
    stopping: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let place = client.place.clone();
    let router = TowerToHyperService::new(router);
    let of_request = place.clone();
    let service = service_fn(move |request: http::Request<Incoming>| {
        let busy = of_request.busy();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        // For what continues after the connection has ended (`outlive`).
        request.extensions_mut().insert(of_request.clone());
        let answer = router.call(request);
        async move { answer.await.map(|response| while_it_is_sent(response, busy)) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head).max_header_size(HEAD_MAX);
    let mut connection = pin!(http.serve_connection(TokioIo::new(client), service).with_upgrades());
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = place.lost() => {
            tracing::debug!(client = %peer.ip(), "an idle connection made room for another");
            return;
        }
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(client = %peer.ip(), %error, "a connection broke off");
    }
}

/// Keeps the connection busy until the answer has been sent, or, if it becomes a socket, until it ends.
fn while_it_is_sent(response: Response<Body>, busy: Busy) -> Response<Answering> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        busy.for_good();
        return response.map(|body| Answering { body, _busy: None });
    }
    response.map(|body| Answering { body, _busy: Some(busy) })
}

/// The body of an answer on its way.
struct Answering {
    body: Body,
    _busy: Option<Busy>,
}

impl hyper::body::Body for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A client's stream. It fails when the client reads nothing for too long, which neither hyper nor TCP would end: a
/// peer that is alive but does not read may keep a sender waiting forever (RFC 9293 §3.8.6.1).
struct Client<S> {
    stream: S,
    stall: Duration,
    /// Runs while the client has data to read and does not. Until then the connection is not idle.
    waiting: Option<(Pin<Box<Sleep>>, Busy)>,
    place: Place,
}

impl<S> Client<S> {
    fn judge<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let Self { stall, place, waiting, .. } = self;
        let begin = || (Box::pin(tokio::time::sleep(*stall)), place.busy());
        let (waiting, _) = waiting.get_or_insert_with(begin);
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
    use futures::FutureExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
    use tokio::time::Instant;

    const LIMITS: Limits = Limits {
        connections: 2,
        per_address: 2,
        head: Duration::from_secs(30),
        body: Duration::from_secs(30),
        stall: Duration::from_secs(30),
    };

    /// A conversation over a pipe that holds 64 bytes, with a router whose one page is much longer.
    fn conversation(
        stopping: &CancellationToken,
    ) -> (DuplexStream, tokio::task::JoinHandle<()>, Arc<Places>) {
        let places = Places::new(LIMITS, Vec::new());
        let (near, task) = conversation_in(&places, stopping);
        (near, task, places)
    }

    fn conversation_in(
        places: &Arc<Places>,
        stopping: &CancellationToken,
    ) -> (DuplexStream, tokio::task::JoinHandle<()>) {
        let (near, far) = tokio::io::duplex(64);
        let peer = SocketAddr::from(([127, 0, 0, 1], 4711));
        let place = places.enter(peer.ip()).now_or_never().flatten().unwrap();
        let client = Client { stream: far, stall: LIMITS.stall, waiting: None, place };
        let router = Router::new().route("/", get(async || "long ".repeat(1000)));
        (near, tokio::spawn(converse(client, peer, router, LIMITS, stopping.clone())))
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_does_not_end_is_not_waited_for() {
        let began = Instant::now();
        let (mut near, task, places) = conversation(&CancellationToken::new());
        near.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n").await.unwrap();
        let mut said = Vec::new();
        near.read_to_end(&mut said).await.unwrap();
        task.await.unwrap();
        assert!(began.elapsed() >= LIMITS.head && !said.starts_with(b"HTTP/1.1 200"));
        assert_eq!(places.taken(), 0, "its place is free again");
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

        let (mut near, task, places) = conversation(&CancellationToken::new());
        near.write_all(request).await.unwrap();
        task.await.unwrap();
        assert_eq!(places.taken(), 0);
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
    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_makes_room_and_one_that_is_answered_does_not() {
        let stopping = CancellationToken::new();
        let places = Places::new(LIMITS, Vec::new());
        let enter = || places.enter([127, 0, 0, 1].into()).now_or_never().flatten();
        let (_idle, ends) = conversation_in(&places, &stopping);
        let (mut answered, _task) = conversation_in(&places, &stopping);
        answered.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut said = vec![0; 12];
        answered.read_exact(&mut said).await.unwrap();
        let began = Instant::now();
        let third = enter().expect("the idle one makes room");
        ends.await.unwrap();
        assert_eq!(began.elapsed(), Duration::ZERO, "at once");
        let _busy = third.busy();
        assert!(enter().is_none(), "the other one is still being answered");
        while !said.ends_with(&b"long ".repeat(1000)) {
            assert_ne!(answered.read_buf(&mut said).await.unwrap(), 0, "the answer is not cut");
        }
    }
}
