//! `/ws/console/{machine}?role=…&from=N`: a serial console. Binary frames are bytes, text frames are control.

use super::socket::{Feed, Handshake, json};
use crate::answer::json_fault;
use crate::session::Visitor;
use crate::state::Server;
use async_trait::async_trait;
use axum::extract::ws::Message;
use axum::extract::{Path, Query};
use axum::response::Response;
use engine::ConsoleSession;
use engine::console::ConsoleItem;
use model::Fault;
use model::account::TicketPurpose;
use model::console::{ConsoleNotice, ConsoleRequest, ConsoleRole};
use model::machine::MachineName;
use serde::Deserialize;

/// The largest paste that a browser may send in one message, in bytes.
const PASTE_MAX: usize = 1024 * 1024;

/// The query of the socket's URL.
#[derive(Deserialize)]
pub struct Params {
    role: Option<ConsoleRole>,
    /// The offset of the first byte that the browser does not have.
    from: Option<u64>,
}

/// Opens the socket.
pub async fn console(
    Path(machine): Path<String>,
    Query(params): Query<Params>,
    handshake: Handshake,
) -> Response {
    let Ok(machine) = machine.parse::<MachineName>() else { return json_fault(&Fault::not_found("machine")) };
    let role = params.role.unwrap_or(ConsoleRole::Watcher);
    let purpose = TicketPurpose::Console { machine: machine.clone(), role };
    let feed = async move |server: &Server, visitor: &Visitor| {
        let session = server.engine.attach_console(&visitor.actor, &machine, role, params.from).await?;
        Ok(Console { session, machine, took_over: false })
    };
    handshake.open(purpose, PASTE_MAX, feed).await
}

/// Reads a control frame.
///
/// # Errors
/// Why the socket is closed because of it, for the person who sees it.
pub fn request(text: &str) -> Result<ConsoleRequest, String> {
    serde_json::from_str(text)
        .map_err(|_| "The portal did not understand what this page sent. Reload the page.".to_owned())
}

struct Console {
    session: ConsoleSession,
    machine: MachineName,
    took_over: bool,
}

#[async_trait]
impl Feed for Console {
    async fn next(&mut self) -> Option<Message> {
        Some(match self.session.next().await? {
            ConsoleItem::Bytes(bytes) => Message::Binary(bytes),
            ConsoleItem::Notice(notice) => json(&notice),
        })
    }

    async fn receive(&mut self, message: Message) -> Result<(), String> {
        match message {
            Message::Binary(bytes) => {
                // The feed reports what is refused.
                self.session.type_in(&bytes);
            }
            Message::Text(text) => {
                let request = request(text.as_str())?;
                self.took_over |= request == ConsoleRequest::TakeOver;
                self.session.request(request).await.map_err(|fault| fault.to_string())?;
            }
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) => {}
        }
        Ok(())
    }

    fn closing(&self, why: String) -> Message {
        json(&ConsoleNotice::Closing { why })
    }

    /// A watcher who took over must keep the right to drive.
    fn grown_to(&self) -> Option<TicketPurpose> {
        let machine = self.machine.clone();
        self.took_over.then_some(TicketPurpose::Console { machine, role: ConsoleRole::Driver })
    }
}
