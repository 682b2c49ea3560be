//! `/ws/jobs/{id}?after=N`: a job as it stands, the lines of its log after N, then what happens until it ends.

use super::{Feed, Handshake, json, unexpected};
use crate::pages::json_fault;
use crate::session::Visitor;
use crate::state::Shared;
use async_trait::async_trait;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::extract::{Extension, Path, Query, State};
use axum::response::Response;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use http::HeaderMap;
use model::Fault;
use model::account::TicketPurpose;
use model::job::{JobFrame, JobId};
use serde::Deserialize;

/// The query of the socket's URL.
#[derive(Deserialize)]
pub struct Asked {
    ticket: Option<String>,
    /// The last line that the browser has.
    after: Option<u64>,
}

/// Opens the socket.
pub async fn job(
    State(server): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let Ok(id) = id.parse::<JobId>() else { return json_fault(&Fault::not_found("job")) };
    let (server, visitor, headers) = (&server, &visitor, &headers);
    let purpose = TicketPurpose::Job { id };
    let handshake =
        Handshake { server, visitor, headers, upgrade, ticket: asked.ticket, purpose, message_max: 1024 };
    handshake
        .open(async |server| Ok(Job(server.engine.follow_job_text(&visitor.actor, id, asked.after).await?)))
        .await
}

/// The frames as the engine gives them: ready-made JSON, so that many followers cost no serialising.
struct Job(BoxStream<'static, String>);

#[async_trait]
impl Feed for Job {
    async fn next(&mut self) -> Option<Message> {
        self.0.next().await.map(Message::text)
    }

    async fn receive(&mut self, _message: Message) -> Result<(), String> {
        unexpected()
    }

    fn closing(&self, why: String) -> Message {
        json(&JobFrame::Closing { why })
    }
}
