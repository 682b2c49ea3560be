//! `/ws/jobs/{id}?after=N`: a job's current state, the lines of its log after N, then what happens until it ends.

use super::socket::{Feed, Handshake, SILENT, json, unexpected};
use crate::answer::json_fault;
use crate::session::Visitor;
use crate::state::Server;
use async_trait::async_trait;
use axum::extract::ws::Message;
use axum::extract::{Path, Query};
use axum::response::Response;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use model::Fault;
use model::account::TicketPurpose;
use model::job::JobId;
use model::view::job::JobFrame;
use serde::Deserialize;

/// The query of the socket's URL.
#[derive(Deserialize)]
pub struct Params {
    /// The last line that the browser has.
    after: Option<u64>,
}

/// Opens the socket.
pub async fn job(Path(id): Path<String>, Query(params): Query<Params>, handshake: Handshake) -> Response {
    let Ok(id) = id.parse::<JobId>() else { return json_fault(&Fault::not_found("job")) };
    let feed = async |server: &Server, visitor: &Visitor| {
        Ok(Job(server.engine.follow_job_text(&visitor.actor, id, params.after).await?))
    };
    handshake.open(TicketPurpose::Job { id }, SILENT, feed).await
}

/// The engine's frames: ready-made JSON, so that many followers cost no serialising.
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
