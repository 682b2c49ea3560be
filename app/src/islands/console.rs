//! The serial console: a terminal on a socket. The terminal itself is the element `serial-terminal` of `js/terminal.js`; bytes
//! go from the socket to it without passing through wasm's memory.

use super::status;
use crate::parts::actions;
use leptos::prelude::*;
use model::console::ConsoleRole;
use model::machine::{MachineName, MachineState};
use model::operation::OperationKind;

/// Who is at this console.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct People {
    you: Option<ConsoleRole>,
    driver: Option<String>,
    watchers: Vec<String>,
}

#[derive(Clone, Copy)]
struct Live {
    on: RwSignal<bool>,
    people: RwSignal<People>,
    status: RwSignal<status::Status>,
    notice: RwSignal<String>,
    /// Asks to drive (true) or to watch (false).
    wish: RwSignal<Option<bool>>,
}

/// The console with what belongs to it: who is there, taking over, full screen, power.
#[island]
pub fn SerialConsole(
    /// Whose console it is.
    machine: MachineName,
    /// Whether there is a guest to talk to.
    state: MachineState,
) -> impl IntoView {
    let live = Live {
        on: RwSignal::new(state.is_active()),
        people: RwSignal::new(People::default()),
        status: RwSignal::new(status::Status::default()),
        notice: RwSignal::new(String::new()),
        wish: RwSignal::new(None),
    };
    let screen = NodeRef::<leptos::html::Div>::new();
    let name = machine.clone();
    let is_created = state != MachineState::Configured;
    #[cfg(feature = "hydrate")]
    client::run(live, screen, machine.clone());
    view! {
        <section class="console" aria-label="Serial console">
            <div class="console-bar">
                <span class="console-people" role="status">{move || live.people.with(people_words)}</span>
                {move || role_button(live)}
                <button type="button" class="button js-only" data-fullscreen="#screen">"Full screen"</button>
                {move || power(&name, live.on.get(), is_created)}
            </div>
            {status::note(live.status)}
            <p class="live-note" role="status">{move || live.notice.get()}</p>
            <p class="no-js notice" data-tone="warn">"The console needs JavaScript."</p>
            <div id="screen" class="screen js-only" node_ref=screen></div>
        </section>
    }
}

fn people_words(people: &People) -> String {
    let watchers = match people.watchers.len() {
        0 => String::new(),
        _ => format!("watching: {}", people.watchers.join(", ")),
    };
    let driver = match (&people.you, &people.driver) {
        (None, _) => return String::new(),
        (Some(ConsoleRole::Driver), _) => "You type".to_owned(),
        (Some(ConsoleRole::Watcher), Some(driver)) => format!("{driver} types"),
        (Some(ConsoleRole::Watcher), None) => "Nobody types".to_owned(),
    };
    if watchers.is_empty() { driver } else { format!("{driver} · {watchers}") }
}

fn role_button(live: Live) -> Option<impl IntoView> {
    let (drive, words) = match live.people.with(|p| p.you)? {
        ConsoleRole::Driver => (false, "Only watch"),
        ConsoleRole::Watcher => (true, "Take over the keyboard"),
    };
    Some(view! {
        <button type="button" class="button" on:click=move |_| live.wish.set(Some(drive))>{words}</button>
    })
}

/// Power, beside the screen. When the machine is off, the one thing to do is to start it.
fn power(machine: &MachineName, on: bool, is_created: bool) -> AnyView {
    let kinds: &[OperationKind] = match (on, is_created) {
        (true, _) => &[OperationKind::ShutDown, OperationKind::Reboot, OperationKind::ForceOff],
        (false, true) => &[OperationKind::Start],
        (false, false) => &[OperationKind::Provision],
    };
    let buttons = kinds.iter().map(|kind| {
        let class = match kind {
            OperationKind::Start | OperationKind::Provision => "button primary",
            OperationKind::ForceOff => "button danger",
            _ => "button",
        };
        actions::operate(machine, *kind, actions::From::Page, class)
    });
    let off = (!on).then(|| view! { <span class="note">"The machine is off."</span> });
    view! { <div class="buttons">{off}{buttons.collect_view()}</div> }.into_any()
}

#[cfg(feature = "hydrate")]
mod client {
    use super::{Live, People};
    use crate::islands::dom;
    use crate::islands::socket::{Frame, Next, Socket};
    use crate::routes::sockets;
    use leptos::html::Div;
    use leptos::prelude::*;
    use leptos::task::spawn_local;
    use model::account::TicketPurpose;
    use model::console::{ConsoleNotice, ConsoleRequest, ConsoleRole};
    use model::machine::MachineName;
    use std::cell::Cell;
    use std::rc::Rc;
    use wasm_bindgen::prelude::*;
    use wasm_bindgen_futures::JsFuture;
    use web_sys::{CustomEvent, Element};

    #[wasm_bindgen]
    extern "C" {
        /// The element `serial-terminal` of `js/terminal.js`.
        #[wasm_bindgen(extends = web_sys::HtmlElement)]
        type Terminal;
        /// Shows bytes; also before the terminal has been loaded.
        #[wasm_bindgen(method)]
        fn show(this: &Terminal, bytes: &js_sys::Uint8Array);
        /// Shows a line of our own among the guest's.
        #[wasm_bindgen(method)]
        fn remark(this: &Terminal, text: &str);
        /// Whether keys are taken.
        #[wasm_bindgen(method, setter, js_name = typing)]
        fn set_typing(this: &Terminal, typing: bool);
    }

    /// The terminal's element.
    const TAG: &str = "serial-terminal";

    /// Where the stream stands: the offset of the next byte, once it is known.
    type Place = Rc<Cell<Option<u64>>>;

    pub fn run(live: Live, screen: NodeRef<Div>, machine: MachineName) {
        Effect::new(move |_| {
            if let Some(place) = screen.get() {
                let machine = machine.clone();
                spawn_local(async move {
                    if let Some(terminal) = terminal(&place).await {
                        connect(live, terminal, machine);
                    }
                });
            }
        });
    }

    /// Puts a terminal into its place, once its script has been loaded.
    async fn terminal(place: &Element) -> Option<Terminal> {
        let registry = window().custom_elements();
        JsFuture::from(registry.when_defined(TAG).ok()?).await.ok()?;
        let element = dom::document().create_element(TAG).ok()?;
        place.append_child(&element).ok()?;
        Some(element.unchecked_into())
    }

    fn connect(live: Live, terminal: Terminal, machine: MachineName) {
        let offset: Place = Rc::default();
        let role = Rc::new(Cell::new(ConsoleRole::Driver));
        let (name, asked) = (machine.clone(), Rc::clone(&role));
        let purpose = move || TicketPurpose::Console { machine: name.clone(), role: asked.get() };
        let (from, asked) = (Rc::clone(&offset), Rc::clone(&role));
        let path = move || sockets::console(&machine, asked.get(), from.get());
        let shown: Terminal = terminal.clone().unchecked_into();
        let socket = Socket::open(live.status, purpose, path, move |frame| match frame {
            Frame::Bytes(bytes) => {
                offset.set(offset.get().map(|at| at + u64::from(bytes.length())));
                shown.show(&bytes);
                Next::Stay
            }
            Frame::Text(text) => match serde_json::from_str::<ConsoleNotice>(&text) {
                Ok(notice) => take(live, &shown, &offset, &role, notice),
                Err(_) => Next::Closing("The portal was renewed: load the page again.".to_owned()),
            },
        });
        type_into(&terminal, socket.clone());
        Effect::new(move |_| {
            let request = match live.wish.get() {
                Some(true) => ConsoleRequest::TakeOver,
                Some(false) => ConsoleRequest::Release,
                None => return,
            };
            // A request of two words always serialises.
            socket.send_text(&serde_json::to_string(&request).unwrap_or_default());
        });
    }

    fn take(
        live: Live,
        terminal: &Terminal,
        offset: &Place,
        role: &Cell<ConsoleRole>,
        notice: ConsoleNotice,
    ) -> Next {
        match notice {
            ConsoleNotice::Hello { offset: at, .. } => offset.set(Some(at)),
            ConsoleNotice::Skipped { from, to } => {
                offset.set(Some(to));
                terminal.remark(&format!("{} bytes are not shown", to.saturating_sub(from)));
            }
            ConsoleNotice::Viewers { you, driver, watchers } => {
                // A reconnect asks for what one had, so that nobody loses the keyboard to a lost packet.
                role.set(you);
                terminal.set_typing(you == ConsoleRole::Driver);
                live.people.set(People { you: Some(you), driver, watchers });
            }
            ConsoleNotice::Off => live.on.set(false),
            ConsoleNotice::On => live.on.set(true),
            ConsoleNotice::Closing { why } => return Next::Closing(why),
        }
        live.notice.set(String::new());
        Next::Stay
    }

    /// Sends what is typed and pasted. A watcher's keys go nowhere, and the watcher is told.
    fn type_into(terminal: &Element, socket: Socket) {
        let closure = Closure::<dyn FnMut(CustomEvent)>::new(move |event: CustomEvent| {
            if let Some(text) = event.detail().as_string() {
                socket.send_bytes(text.as_bytes());
            }
        });
        if terminal.add_event_listener_with_callback("typed", closure.as_ref().unchecked_ref()).is_ok() {
            closure.forget();
        }
    }
}
