//! What surrounds a console's screen: who is there and who has control, rendered by the island `SerialConsole`; and power,
//! rendered by the page, which the island `LiveMachine` fetches again after each change.

use crate::parts::actions;
use leptos::prelude::*;
use model::console::ConsoleRole;
use model::machine::MachineState;
use model::operation::OperationKind;
use model::view::machine::{Available, MachineDetail};

/// The region that says who has control and who watches.
pub const VIEWERS: &str = "console-people";
/// The region with the button that takes or gives up control.
pub const ROLE: &str = "console-role";
/// The region with the power buttons; fetched from the server.
pub const POWER: &str = "console-power";
/// The id of the place where the terminal is put.
pub const SCREEN: &str = "screen";

/// Who is at a console.
pub struct Viewers {
    /// This viewer's role.
    pub you: ConsoleRole,
    /// Who has control.
    pub driver: Option<String>,
    /// Who watches.
    pub watchers: Vec<String>,
}

/// Who has control and who watches, as text.
pub fn viewers(viewers: &Viewers) -> String {
    let control = match (viewers.you, &viewers.driver) {
        (ConsoleRole::Driver, _) => "You have control".to_owned(),
        (ConsoleRole::Watcher, Some(driver)) => format!("Read-only · {driver} has control"),
        (ConsoleRole::Watcher, None) => "Read-only · nobody has control".to_owned(),
    };
    if viewers.watchers.is_empty() {
        control
    } else {
        format!("{control} · watching: {}", viewers.watchers.join(", "))
    }
}

/// The button that takes or gives up control. `data-console` is the request that the island sends.
pub fn role(you: ConsoleRole) -> impl IntoView + use<> {
    let (request, words) = match you {
        ConsoleRole::Driver => ("release", "Give up control"),
        ConsoleRole::Watcher => ("take_over", "Take control"),
    };
    view! { <button type="button" class="button" data-console=request data-key=request>{words}</button> }
}

/// Power, beside the screen: what fits the machine's state, and why that is not possible now. While the machine is off,
/// nobody has control of anything, which `data-off` tells the style sheet. Forcing it off is set apart from the rest, to
/// avoid hitting it by mistake.
pub fn power(machine: &MachineDetail) -> AnyView {
    let state = machine.row.observed.state;
    let (kinds, on): (&[OperationKind], bool) = match state {
        MachineState::Paused => (&[OperationKind::Resume], true),
        MachineState::Off | MachineState::Crashed => (&[OperationKind::Start], false),
        MachineState::Configured => (&[OperationKind::Provision], false),
        _ => (&[OperationKind::ShutDown, OperationKind::Reboot], state.is_active()),
    };
    let class = if kinds.len() == 1 { "button primary" } else { "button" };
    let buttons: Vec<AnyView> = kinds.iter().map(|kind| button(machine, *kind, class)).collect();
    let force = on.then(|| {
        let button = button(machine, OperationKind::ForceOff, "button danger");
        view! { <div class="apart" data-key="apart">{button}</div> }
    });
    let why = kinds.iter().find_map(|kind| offered(machine, *kind)?.refused.clone());
    let off = (!on).then(|| "The machine is off.".to_owned());
    let note = why.or(off).map(|words| view! { <span class="note">{words}</span> });
    view! { <div class="buttons" data-off=(!on).then_some("")>{note}{buttons}{force}</div> }.into_any()
}

fn offered(machine: &MachineDetail, kind: OperationKind) -> Option<&Available> {
    machine.actions.iter().find(|action| action.kind == kind)
}

fn button(machine: &MachineDetail, kind: OperationKind, class: &'static str) -> AnyView {
    if offered(machine, kind).is_some_and(|action| action.refused.is_none()) {
        return actions::operate(&machine.row.name, kind, actions::From::Page, class);
    }
    view! { <button class=class data-key=kind.as_str() disabled>{kind.title()}</button> }.into_any()
}
