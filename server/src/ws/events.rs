//! `/ws/events`: all machines that the user may see, then every change.

use super::{Feed, Handshake, json, unexpected};
use crate::session::Visitor;
use crate::state::Shared;
use async_trait::async_trait;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::extract::{Extension, Query, State};
use axum::response::Response;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use http::HeaderMap;
use model::account::TicketPurpose;
use model::event::EventFrame;
use serde::Deserialize;

/// The query of the socket's URL.
#[derive(Deserialize)]
pub struct Asked {
    ticket: Option<String>,
}

/// Opens the socket.
pub async fn events(
    State(server): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let (server, visitor, headers) = (&server, &visitor, &headers);
    let purpose = TicketPurpose::Events;
    let handshake =
        Handshake { server, visitor, headers, upgrade, ticket: asked.ticket, purpose, message_max: 1024 };
    handshake.open(async |server| Ok(Events(server.engine.follow_events(&visitor.actor).await?))).await
}

struct Events(BoxStream<'static, EventFrame>);

#[async_trait]
impl Feed for Events {
    async fn next(&mut self) -> Option<Message> {
        self.0.next().await.map(|frame| json(&frame))
    }

    async fn receive(&mut self, _message: Message) -> Result<(), String> {
        unexpected()
    }

    fn closing(&self, why: String) -> Message {
        json(&EventFrame::Closing { why })
    }
}
