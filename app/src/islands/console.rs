//! The serial console: a terminal on a socket. The terminal itself is the element `serial-terminal` of `js/terminal.js`; bytes
//! go from the socket to it without passing through wasm's memory.

use super::status;
use leptos::prelude::*;
use model::machine::MachineName;

/// Puts a terminal into the page's screen and connects it; keeps what surrounds the screen up to date.
#[island]
pub fn SerialConsole(
    /// The machine.
    machine: MachineName,
) -> impl IntoView {
    #[cfg(feature = "hydrate")]
    client::run(machine);
    #[cfg(not(feature = "hydrate"))]
    let _ = machine;
    status::note()
}

#[cfg(feature = "hydrate")]
mod client {
    use crate::islands::dom::{self, patch_region};
    use crate::islands::socket::{Frame, Next, Socket};
    use crate::parts::console::{ROLE, SCREEN, VIEWERS, Viewers, role, viewers};
    use crate::routes::sockets;
    use leptos::prelude::*;
    use leptos::task::spawn_local;
    use model::account::TicketPurpose;
    use model::console::{ConsoleNotice, ConsoleRequest, ConsoleRole};
    use model::machine::MachineName;
    use std::cell::Cell;
    use std::rc::Rc;
    use wasm_bindgen::prelude::*;
    use wasm_bindgen_futures::JsFuture;
    use web_sys::{CustomEvent, Element, Event};

    #[wasm_bindgen]
    extern "C" {
        /// The element `serial-terminal` of `js/terminal.js`.
        #[wasm_bindgen(extends = web_sys::HtmlElement)]
        type Terminal;
        /// Shows bytes, of which the first `old` are history.
        #[wasm_bindgen(method)]
        fn show(this: &Terminal, bytes: &js_sys::Uint8Array, old: u32);
        /// Shows a line of the portal's own among the guest's.
        #[wasm_bindgen(method)]
        fn remark(this: &Terminal, text: &str);
        /// Whether keys go to the machine.
        #[wasm_bindgen(method, setter, js_name = hasControl)]
        fn set_has_control(this: &Terminal, has_control: bool);
    }

    const TAG: &str = "serial-terminal";

    struct Console {
        machine: MachineName,
        terminal: Terminal,
        /// The offset of the next byte, once it is known.
        offset: Cell<Option<u64>>,
        /// The offset where history ends and live output begins.
        live_from: Cell<u64>,
        /// The role to ask for when connecting: the last one, so that a lost packet costs nobody the keyboard.
        role: Cell<ConsoleRole>,
    }

    pub fn run(machine: MachineName) {
        spawn_local(async move {
            if let Some(terminal) = terminal().await {
                let (offset, live_from) = (Cell::new(None), Cell::new(0));
                let role = Cell::new(ConsoleRole::Driver);
                connect(&Rc::new(Console { machine, terminal, offset, live_from, role }));
            }
        });
    }

    /// Puts a terminal into its place, once its script has been loaded.
    async fn terminal() -> Option<Terminal> {
        let registry = window().custom_elements();
        JsFuture::from(registry.when_defined(TAG).ok()?).await.ok()?;
        let element = dom::document().create_element(TAG).ok()?;
        dom::document().get_element_by_id(SCREEN)?.append_child(&element).ok()?;
        Some(element.unchecked_into())
    }

    fn connect(console: &Rc<Console>) {
        let (for_ticket, for_path, for_frames) = (Rc::clone(console), Rc::clone(console), Rc::clone(console));
        let socket = Socket::open(
            move || TicketPurpose::Console {
                machine: for_ticket.machine.clone(),
                role: for_ticket.role.get(),
            },
            move || sockets::console(&for_path.machine, for_path.role.get(), for_path.offset.get()),
            move |frame| for_frames.receive(frame),
        );
        let keys = socket.clone();
        listen(&console.terminal, "typed", move |event| {
            let text = event.dyn_ref::<CustomEvent>().and_then(|event| event.detail().as_string());
            keys.send_bytes(text.unwrap_or_default().as_bytes());
        });
        if let Some(place) = dom::region(ROLE) {
            listen(&place, "click", move |event| {
                if let Some(request) = requested(&event) {
                    // An enum without content always serialises.
                    socket.send_text(&serde_json::to_string(&request).unwrap_or_default());
                }
            });
        }
    }

    /// What the pressed button asks for.
    fn requested(event: &Event) -> Option<ConsoleRequest> {
        let pressed = event.target()?.dyn_into::<Element>().ok()?;
        match pressed.get_attribute("data-console")?.as_str() {
            "take_over" => Some(ConsoleRequest::TakeOver),
            "release" => Some(ConsoleRequest::Release),
            _ => None,
        }
    }

    impl Console {
        fn receive(&self, frame: Frame) -> Next {
            match frame {
                Frame::Bytes(bytes) => {
                    let at = self.offset.get();
                    let old = at.map_or(0, |at| self.live_from.get().saturating_sub(at));
                    self.offset.set(at.map(|at| at + u64::from(bytes.length())));
                    self.terminal.show(&bytes, u32::try_from(old).unwrap_or(u32::MAX).min(bytes.length()));
                    Next::Continue
                }
                Frame::Text(text) => match serde_json::from_slice(text.as_bytes()) {
                    Ok(notice) => self.apply(notice),
                    Err(_) => Next::Unreadable,
                },
            }
        }

        fn apply(&self, notice: ConsoleNotice) -> Next {
            match notice {
                ConsoleNotice::Hello { offset, end, .. } => {
                    self.offset.set(Some(offset));
                    self.live_from.set(end);
                }
                ConsoleNotice::Skipped { from, to } => {
                    self.offset.set(Some(to));
                    self.terminal.remark(&format!("{} bytes left out", to.saturating_sub(from)));
                }
                ConsoleNotice::Viewers { you, driver, watchers } => {
                    self.role.set(you);
                    self.terminal.set_has_control(you == ConsoleRole::Driver);
                    patch_region(VIEWERS, viewers(&Viewers { you, driver, watchers }));
                    patch_region(ROLE, role(you));
                }
                ConsoleNotice::InputDropped { why } => self.terminal.remark(&why),
                // The page follows the machine's state by itself.
                ConsoleNotice::Off | ConsoleNotice::On => {}
                ConsoleNotice::Closing { why } => return Next::Closing(why),
            }
            Next::Continue
        }
    }

    fn listen(target: &Element, event: &str, act: impl FnMut(Event) + 'static) {
        let closure = Closure::<dyn FnMut(Event)>::new(act);
        if target.add_event_listener_with_callback(event, closure.as_ref().unchecked_ref()).is_ok() {
            closure.forget();
        }
    }
}
