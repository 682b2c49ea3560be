//! What all sockets share: who may open one, and the one loop that runs them.
//!
//! A handshake needs our exact `Origin`, a session, and a single-use ticket for this user and this purpose; if
//! something is missing, the answer is an HTTP status before the connection becomes a socket. While it is open, rights
//! are checked again whenever the engine reports that they changed, and every half minute in any case.
//!
//! One task owns one socket, and nothing is queued in between: while the browser does not read, the feed is not polled.
//! The feed itself is bounded (a slow reader skips, or reads from the log's file).

use super::open::Place;
use crate::answer::json_fault;
use crate::guard::socket_origin_is_ours;
use crate::session::Visitor;
use crate::state::{Server, Shared};
use async_trait::async_trait;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{FromRequestParts, Query};
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use model::Fault;
use model::account::{Secret, TicketPurpose, UserId};
use serde::{Deserialize, Serialize};
use std::error::Error as _;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_tungstenite::tungstenite;
use tracing::Instrument as _;

/// How often a socket proves that someone is there, and rechecks its rights.
const PING_EVERY: Duration = Duration::from_secs(30);
/// A browser that has not answered for this long is gone.
const SILENCE_MAX: Duration = Duration::from_secs(75);
/// A browser that does not read a message for this long is dropped; it reconnects when it is back.
const SEND_MAX: Duration = Duration::from_secs(20);

/// The largest message to a socket on which browsers send nothing, in bytes.
pub(super) const SILENT: usize = 1024;

/// What a socket carries.
#[async_trait]
pub(super) trait Feed: Send + 'static {
    /// The next message for the browser; `None` when there is no more. Dropping the future loses nothing.
    async fn next(&mut self) -> Option<Message>;

    /// Takes a message from the browser.
    ///
    /// # Errors
    /// Why the socket is closed because of it.
    async fn receive(&mut self, message: Message) -> Result<(), String>;

    /// The message with the reason the server closes.
    fn closing(&self, why: String) -> Message;

    /// What the socket is open for besides what its ticket said, once the browser has been allowed more.
    fn grown_to(&self) -> Option<TicketPurpose> {
        None
    }
}

/// A handshake being checked: what every socket needs from it.
pub struct Handshake {
    server: Shared,
    visitor: Visitor,
    origin_is_ours: bool,
    ticket: Secret,
    upgrade: WebSocketUpgrade,
}

/// The part of the query that all sockets have.
#[derive(Deserialize)]
struct Params {
    ticket: Option<String>,
}

impl FromRequestParts<Shared> for Handshake {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, server: &Shared) -> Result<Self, Response> {
        let visitor = parts.extensions.get::<Visitor>().cloned();
        let visitor = visitor.ok_or_else(|| json_fault(&Fault::Unauthenticated))?;
        let params: Query<Params> = Query::try_from_uri(&parts.uri).map_err(|wrong| wrong.into_response())?;
        let origin_is_ours = socket_origin_is_ours(server, &parts.headers);
        let upgrade = WebSocketUpgrade::from_request_parts(parts, server).await;
        let upgrade = upgrade.map_err(|wrong| wrong.into_response())?;
        let ticket = Secret::new(params.0.ticket.unwrap_or_default());
        Ok(Self { server: server.clone(), visitor, origin_is_ours, ticket, upgrade })
    }
}

impl Handshake {
    /// Lets the socket open for a purpose, or returns why not; no message from the browser may be longer than
    /// `message_max` bytes. The ticket is used up before the feed is made: a feed costs something.
    pub(super) async fn open<F: Feed>(
        self,
        purpose: TicketPurpose,
        message_max: usize,
        feed: impl AsyncFnOnce(&Server, &Visitor) -> Result<F, Fault>,
    ) -> Response {
        let link = match self.admit(purpose).await {
            Ok(link) => link,
            Err(fault) => return json_fault(&fault),
        };
        let feed = match feed(&self.server, &self.visitor).await {
            Ok(feed) => feed,
            Err(fault) => return json_fault(&fault),
        };
        let span = tracing::info_span!("socket", kind = kind(&link.purpose));
        let limited = self.upgrade.max_message_size(message_max).max_frame_size(message_max);
        limited.on_upgrade(move |socket| {
            let server = link.server.clone();
            server.sockets.track(link.run(socket, feed).instrument(span))
        })
    }

    async fn admit(&self, purpose: TicketPurpose) -> Result<Link, Fault> {
        if !self.origin_is_ours {
            return Err(Fault::Denied { why: "Sockets open only from the portal's own pages.".to_owned() });
        }
        let user = self.visitor.user()?.id;
        let session = self.visitor.token.clone().ok_or(Fault::Unauthenticated)?;
        self.server.engine.redeem(&self.visitor.actor, &self.ticket, &purpose).await?;
        let place = self.server.sockets.place(user)?;
        Ok(Link { server: self.server.clone(), user, session, purpose, _place: place })
    }
}

/// An open socket: whose it is, by which session, and what for.
struct Link {
    server: Shared,
    user: UserId,
    session: Secret,
    purpose: TicketPurpose,
    _place: Place,
}

/// Why a socket ended.
enum End {
    /// The feed is over, or the browser left.
    Finished,
    /// The server ends it with a reason.
    Closed(u16, String),
    /// Nobody is left to be notified.
    Gone,
}

impl Link {
    async fn run<F: Feed>(self, mut socket: WebSocket, mut feed: F) {
        let _open = self.server.metrics.socket(kind(&self.purpose));
        let (code, why) = match self.exchange(&mut socket, &mut feed).await {
            End::Gone => return,
            End::Finished => (close_code::NORMAL, String::new()),
            End::Closed(code, why) => {
                if send(&mut socket, feed.closing(why.clone())).await.is_err() {
                    return;
                }
                (code, why)
            }
        };
        // The reason in a close frame has room for 123 bytes (RFC 6455 §5.5); all of it has already been sent.
        let reason: String = why.chars().take(30).collect();
        let goodbye = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
        if send(&mut socket, goodbye).await.is_err() {
            tracing::debug!("the browser left before the close frame");
        }
    }

    async fn exchange<F: Feed>(&self, socket: &mut WebSocket, feed: &mut F) -> End {
        let mut rights = self.server.engine.rights_changes();
        // What changed between the ticket and this line has been missed.
        if let Err(end) = self.check_rights(feed.grown_to()).await {
            return end;
        }
        let mut ping = tokio::time::interval_at(Instant::now() + PING_EVERY, PING_EVERY);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        loop {
            tokio::select! {
                () = self.server.stopping.cancelled() => {
                    let why = "The portal is being restarted; this page reconnects automatically.";
                    return End::Closed(close_code::RESTART, why.to_owned());
                }
                changed = rights.recv() => match changed {
                    Ok(user) if user != self.user => {}
                    Err(RecvError::Closed) => return End::Finished,
                    Ok(_) | Err(RecvError::Lagged(_)) => {
                        if let Err(end) = self.check_rights(feed.grown_to()).await {
                            return end;
                        }
                    }
                },
                _ = ping.tick() => {
                    if heard.elapsed() > SILENCE_MAX {
                        return End::Gone;
                    }
                    if let Err(end) = self.check_rights(feed.grown_to()).await {
                        return end;
                    }
                    if send(socket, Message::Ping(bytes::Bytes::new())).await.is_err() {
                        return End::Gone;
                    }
                }
                message = socket.recv() => {
                    heard = Instant::now();
                    match message {
                        Some(Err(error)) if is_too_large(&error) => {
                            let why = "What this page sent is longer than the portal takes at once. Send it in pieces.";
                            return End::Closed(close_code::SIZE, why.to_owned());
                        }
                        None | Some(Err(_) | Ok(Message::Close(_))) => return End::Gone,
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                        Some(Ok(message)) => {
                            if let Err(why) = feed.receive(message).await {
                                return End::Closed(close_code::POLICY, why);
                            }
                        }
                    }
                }
                message = feed.next() => match message {
                    None => return End::Finished,
                    Some(message) => {
                        if send(socket, message).await.is_err() {
                            return End::Gone;
                        }
                    }
                },
            }
        }
    }

    async fn check_rights(&self, grown_to: Option<TicketPurpose>) -> Result<(), End> {
        let purpose = grown_to.unwrap_or_else(|| self.purpose.clone());
        let check = async {
            // The session that opened it, not any of the user's: ending a stolen one must close its consoles.
            if !self.server.sessions.stands(&self.session).await? {
                return Err(Fault::Unauthenticated);
            }
            self.server.engine.still_allowed(self.user, &purpose).await
        };
        check.await.map_err(|fault| {
            let why = match fault {
                Fault::Unauthenticated => "Your session has ended. Log in again.".to_owned(),
                fault => fault.to_string(),
            };
            End::Closed(close_code::POLICY, why)
        })
    }
}

/// Sends within [`SEND_MAX`].
async fn send(socket: &mut WebSocket, message: Message) -> Result<(), ()> {
    match tokio::time::timeout(SEND_MAX, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(()),
    }
}

/// Whether a message was refused for its length, as opposed to a broken connection.
fn is_too_large(error: &axum::Error) -> bool {
    let tungstenite = error.source().and_then(|source| source.downcast_ref::<tungstenite::Error>());
    matches!(tungstenite, Some(tungstenite::Error::Capacity(_)))
}

/// A frame as JSON text. Our frames are structs and enums of strings and numbers, which always serialise; if one ever
/// did not, the browser would see an empty text, which its decoder refuses, and reconnect.
pub(super) fn json<T: Serialize>(frame: &T) -> Message {
    Message::text(serde_json::to_string(frame).unwrap_or_default())
}

fn kind(purpose: &TicketPurpose) -> &'static str {
    match purpose {
        TicketPurpose::Events => "events",
        TicketPurpose::Job { .. } => "job",
        TicketPurpose::Console { .. } => "console",
    }
}

/// A browser that sends something here is not one of our pages.
pub(super) fn unexpected() -> Result<(), String> {
    Err("This socket takes no messages.".to_owned())
}
