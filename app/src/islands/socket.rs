//! One way to open and keep a socket: a ticket, the address, frames, back-off, and words for the person.
//!
//! ```text
//! ticket ──► open ──► frames ──► closed ──► pause 0.5 … 15 s ──► ticket …
//!    └─ logged out, not allowed, not there ──► over, with the reason
//! ```

use super::status::{Line, Status};
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

/// What came through a socket.
pub enum Frame {
    /// A text frame.
    Text(String),
    /// A binary frame; the bytes stay in the browser's memory.
    Bytes(Uint8Array),
}

/// What to do after a frame.
pub enum Next {
    /// Go on.
    Stay,
    /// Something was missed: connect again and get it.
    Again,
    /// The server is about to close, and said why.
    Closing(String),
    /// All has been said.
    Over,
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
    over: Cell<bool>,
    why: RefCell<Option<String>>,
    line: Line,
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
    /// Opens a socket. Purpose and path are asked for before each connection, because they say where to go on.
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
            over: Cell::new(false),
            why: RefCell::new(None),
            line: Line::new(),
            open: RefCell::new(None),
        }));
        socket.heed_network();
        socket.connect();
        socket
    }

    /// What the browser knows of the network: a socket over a network that is gone would look open until TCP gives up minutes
    /// later, and once it is back nobody should wait for a pause to end.
    fn heed_network(&self) {
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
            // Fails only while the connection is not open yet or no more; the person sees that beside it.
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
                    this.end("You are logged out. Load the page to log in again.".to_owned());
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
        let on_message = Closure::new(move |event: MessageEvent| this.take(&event));
        let this = self.clone();
        let on_open = Closure::new(move |_| this.0.line.show(Status::Live));
        let this = self.clone();
        let on_close = Closure::new(move |_| this.closed());
        socket.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        socket.set_onopen(Some(on_open.as_ref().unchecked_ref()));
        socket.set_onclose(Some(on_close.as_ref().unchecked_ref()));
        let open = Open { socket, _on_message: on_message, _on_open: on_open, _on_close: on_close };
        self.0.open.replace(Some(open));
    }

    fn take(&self, event: &MessageEvent) {
        let data = event.data();
        let frame = match (data.as_string(), data.dyn_ref::<ArrayBuffer>()) {
            (Some(text), _) => Frame::Text(text),
            (None, Some(buffer)) => Frame::Bytes(Uint8Array::new(buffer)),
            (None, None) => return,
        };
        // Only a connection that works resets the pause: one that is closed at once would be tried without end.
        self.0.tries.set(0);
        let next = (self.0.receive.borrow_mut())(frame);
        match next {
            Next::Stay => {}
            Next::Again => self.close(),
            Next::Closing(why) => {
                self.0.why.replace(Some(why));
            }
            Next::Over => {
                self.0.over.set(true);
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
        if self.0.over.get() {
            self.end(String::new());
        } else {
            self.wait(why.unwrap_or_else(|| "The connection was lost.".to_owned()));
        }
    }

    fn wait(&self, why: String) {
        let tries = self.0.tries.get();
        self.0.tries.set(tries.saturating_add(1));
        let longest = PAUSE_FIRST.saturating_mul(1 << tries.min(8)).min(PAUSE_MAX);
        // Up to half of it by chance, so that a restarted server is not met by everybody at once.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 15,000")]
        let pause = longest / 2 + (js_sys::Math::random() * f64::from(longest) / 2.0) as u32;
        // The first pause is too short to be worth a word.
        if tries > 0 {
            self.0.line.show(Status::Waiting(why));
        }
        let this = self.clone();
        let go_on = move || {
            this.0.pause.set(None);
            this.connect();
        };
        self.0.pause.set(set_timeout_with_handle(go_on, Duration::from_millis(pause.into())).ok());
    }

    fn end(&self, why: String) {
        self.0.line.show(Status::Ended(why));
    }
}

/// The socket's whole address: our own origin, with the scheme that goes with the page's.
fn address(path: &str) -> Option<String> {
    let location = window().location();
    let scheme = if location.protocol().ok()? == "https:" { "wss" } else { "ws" };
    Some(format!("{scheme}://{}{path}", location.host().ok()?))
}
