//! How every socket is opened and kept open: ticket, address, frames, back-off, and what the person is shown.
//!
//! ```text
//! ticket ──► open ──► frames ──► closed ──► pause 0.5 … 15 s ──► ticket …
//!    └─ logged out, not allowed, not found ──► ended, with the reason
//! ```

use super::status::{Indicator, Status};
use crate::api;
use crate::routes::sockets;
use js_sys::{ArrayBuffer, Uint8Array};
use leptos::prelude::*;
use leptos::task::spawn_local;
use model::account::TicketPurpose;
use model::fault::Fault;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use wasm_bindgen::prelude::*;
use web_sys::{BinaryType, CloseEvent, Event, MessageEvent, WebSocket};

/// The first pause before trying again, in milliseconds; each further one is twice as long.
const PAUSE_FIRST: u32 = 500;
/// The longest pause, in milliseconds.
const PAUSE_MAX: u32 = 15_000;

/// How many failed tries a frame that cannot be read counts as: the pause is the longest one then.
const TRIES_UNREADABLE: u32 = 5;

/// A received frame.
pub enum Frame {
    /// Text.
    Text(String),
    /// Binary; the bytes stay in the browser's memory.
    Bytes(Uint8Array),
}

/// What to do after a frame.
pub enum Next {
    /// Wait for the next one.
    Continue,
    /// Something was missed: connect again to get it.
    Reconnect,
    /// The server is about to close the connection, for this reason.
    Closing(String),
    /// It cannot be read: connect again, for what follows would be wrong without it.
    Unreadable,
    /// This was the last one.
    Done,
}

type Receive = Box<dyn FnMut(Frame) -> Next>;

/// A socket that keeps itself open for as long as the page is.
#[derive(Clone)]
pub struct Socket(Rc<Inner>);

struct Inner {
    purpose: Box<dyn Fn() -> TicketPurpose>,
    path: Box<dyn Fn() -> String>,
    receive: RefCell<Receive>,
    tries: Cell<u32>,
    /// The pause before the next try, while there is one.
    pause: Cell<Option<TimeoutHandle>>,
    done: Cell<bool>,
    why: RefCell<Option<String>>,
    indicator: Indicator,
    open: RefCell<Option<Open>>,
}

/// An open connection with the closures that the browser calls. They are replaced by the next connection's, never
/// from inside themselves.
struct Open {
    socket: WebSocket,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_open: Closure<dyn FnMut(Event)>,
    _on_close: Closure<dyn FnMut(CloseEvent)>,
}

impl Socket {
    /// Opens a socket. Purpose and path are computed before each connection, because they say where to continue.
    pub fn open(
        purpose: impl Fn() -> TicketPurpose + 'static,
        path: impl Fn() -> String + 'static,
        receive: impl FnMut(Frame) -> Next + 'static,
    ) -> Self {
        let socket = Self(Rc::new(Inner {
            purpose: Box::new(purpose),
            path: Box::new(path),
            receive: RefCell::new(Box::new(receive)),
            tries: Cell::new(0),
            pause: Cell::new(None),
            done: Cell::new(false),
            why: RefCell::new(None),
            indicator: Indicator::new(),
            open: RefCell::new(None),
        }));
        socket.watch_network();
        socket.connect();
        socket
    }

    /// Listens to what the browser knows about the network: over a lost network a socket would look open until TCP
    /// gives up minutes later, and once the network is back nobody should wait for a pause to end.
    fn watch_network(&self) {
        let this = self.clone();
        window_event_listener_untyped("offline", move |_| this.close());
        let this = self.clone();
        window_event_listener_untyped("online", move |_| {
            if let Some(pause) = this.0.pause.take() {
                pause.clear();
                this.connect();
            }
        });
    }

    /// Sends a text frame; dropped while there is no connection.
    pub fn send_text(&self, text: &str) {
        if let Some(open) = self.0.open.borrow().as_ref() {
            // Fails only while the connection is not open, which the page shows.
            let _ = open.socket.send_with_str(text);
        }
    }

    /// Sends a binary frame; dropped while there is no connection.
    pub fn send_bytes(&self, bytes: &[u8]) {
        if let Some(open) = self.0.open.borrow().as_ref() {
            let _ = open.socket.send_with_u8_array(bytes);
        }
    }

    fn connect(&self) {
        let this = self.clone();
        spawn_local(async move {
            match api::ticket((this.0.purpose)()).await {
                Ok(ticket) => this.open_with(&ticket),
                Err(api::ApiError(Fault::Unauthenticated)) => {
                    this.end("You are logged out. Reload the page to log in again.".to_owned());
                }
                Err(api::ApiError(fault @ (Fault::NotFound { .. } | Fault::Denied { .. }))) => {
                    this.end(fault.to_string());
                }
                Err(api::ApiError(fault)) => this.wait(fault.to_string()),
            }
        });
    }

    fn open_with(&self, ticket: &str) {
        let Some(address) = address(&sockets::with_ticket(&(self.0.path)(), ticket)) else { return };
        let Ok(socket) = WebSocket::new(&address) else {
            return self.wait("The browser could not open a socket.".to_owned());
        };
        socket.set_binary_type(BinaryType::Arraybuffer);
        let this = self.clone();
        let on_message = Closure::new(move |event: MessageEvent| this.receive(&event));
        let this = self.clone();
        let on_open = Closure::new(move |_| this.0.indicator.show(Status::Live));
        let this = self.clone();
        let on_close = Closure::new(move |_| this.closed());
        socket.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        socket.set_onopen(Some(on_open.as_ref().unchecked_ref()));
        socket.set_onclose(Some(on_close.as_ref().unchecked_ref()));
        let open = Open { socket, _on_message: on_message, _on_open: on_open, _on_close: on_close };
        self.0.open.replace(Some(open));
    }

    fn receive(&self, event: &MessageEvent) {
        let data = event.data();
        let frame = match (data.as_string(), data.dyn_ref::<ArrayBuffer>()) {
            (Some(text), _) => Frame::Text(text),
            (None, Some(buffer)) => Frame::Bytes(Uint8Array::new(buffer)),
            (None, None) => return,
        };
        // Only a working connection resets the pause: otherwise one that is closed at once would be retried without a pause.
        self.0.tries.set(0);
        let next = (self.0.receive.borrow_mut())(frame);
        match next {
            Next::Continue => {}
            Next::Reconnect => self.close(),
            Next::Closing(why) => {
                self.0.why.replace(Some(why));
            }
            Next::Unreadable => {
                // A newer server sends the same again, after frames that can be read: no hurry, and show what helps.
                self.0.tries.set(TRIES_UNREADABLE);
                self.0.why.replace(Some("The portal was updated. Reload the page.".to_owned()));
                self.close();
            }
            Next::Done => {
                self.0.done.set(true);
                self.close();
            }
        }
    }

    fn close(&self) {
        if let Some(open) = self.0.open.borrow().as_ref() {
            let _ = open.socket.close();
        }
    }

    fn closed(&self) {
        let why = self.0.why.take();
        if self.0.done.get() {
            self.end(String::new());
        } else {
            self.wait(why.unwrap_or_else(|| "The connection was lost.".to_owned()));
        }
    }

    fn wait(&self, why: String) {
        let tries = self.0.tries.get();
        self.0.tries.set(tries.saturating_add(1));
        let longest = PAUSE_FIRST.saturating_mul(1 << tries.min(8)).min(PAUSE_MAX);
        // Half of it is random, so that not everyone reconnects to a restarted server at once.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 15,000")]
        let pause = longest / 2 + (js_sys::Math::random() * f64::from(longest) / 2.0) as u32;
        // The first pause is too short to mention.
        if tries > 0 {
            self.0.indicator.show(Status::Waiting(why));
        }
        let this = self.clone();
        let go_on = move || {
            this.0.pause.set(None);
            this.connect();
        };
        self.0.pause.set(set_timeout_with_handle(go_on, Duration::from_millis(pause.into())).ok());
    }

    fn end(&self, why: String) {
        self.0.indicator.show(Status::Ended(why));
    }
}

/// The socket's URL: the page's own origin, with the corresponding scheme.
fn address(path: &str) -> Option<String> {
    let location = window().location();
    let scheme = if location.protocol().ok()? == "https:" { "wss" } else { "ws" };
    Some(format!("{scheme}://{}{path}", location.host().ok()?))
}
