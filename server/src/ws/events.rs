//! `/ws/events?machine=ID`: all machines that the user may see, or that one, then every change.

use super::socket::{Feed, Handshake, SILENT, json, unexpected};
use crate::session::Visitor;
use crate::state::Server;
use async_trait::async_trait;
use axum::extract::Query;
use axum::extract::ws::Message;
use axum::response::Response;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use model::account::TicketPurpose;
use model::event::EventFrame;
use model::machine::MachineId;
use serde::Deserialize;

/// The query of the socket's URL.
#[derive(Deserialize)]
pub struct Params {
    /// Only this machine.
    machine: Option<MachineId>,
}

/// Opens the socket.
pub async fn events(Query(params): Query<Params>, handshake: Handshake) -> Response {
    let feed = async |server: &Server, visitor: &Visitor| {
        Ok(Events(server.engine.follow_events(&visitor.actor, params.machine).await?))
    };
    handshake.open(TicketPurpose::Events, SILENT, feed).await
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
