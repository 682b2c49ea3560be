//! What stands around a console's screen: who is there, who types, power. Rendered by the page first and by the island
//! `SerialConsole` after each change.

use crate::parts::actions;
use leptos::prelude::*;
use model::console::ConsoleRole;
use model::machine::MachineName;
use model::operation::OperationKind;

/// The region that says who types and who watches.
pub const PEOPLE: &str = "console-people";
/// The region with the button that takes or gives back the keyboard.
pub const ROLE: &str = "console-role";
/// The region with the power buttons.
pub const POWER: &str = "console-power";
/// The id of the place where the terminal is put.
pub const SCREEN: &str = "screen";

/// Who is at a console.
pub struct People {
    /// What this viewer is.
    pub you: ConsoleRole,
    /// Who types.
    pub driver: Option<String>,
    /// Who watches.
    pub watchers: Vec<String>,
}

/// Who types and who watches, in words.
pub fn people(people: &People) -> String {
    let types = match (people.you, &people.driver) {
        (ConsoleRole::Driver, _) => "You type".to_owned(),
        (ConsoleRole::Watcher, Some(driver)) => format!("{driver} types"),
        (ConsoleRole::Watcher, None) => "Nobody types".to_owned(),
    };
    if people.watchers.is_empty() {
        types
    } else {
        format!("{types} · watching: {}", people.watchers.join(", "))
    }
}

/// The button that changes who types. `data-console` is what the island asks for when it is pressed.
pub fn role(you: ConsoleRole) -> impl IntoView + use<> {
    let (wish, words) = match you {
        ConsoleRole::Driver => ("release", "Only watch"),
        ConsoleRole::Watcher => ("take_over", "Take over the keyboard"),
    };
    view! { <button type="button" class="button" data-console=wish data-key=wish>{words}</button> }
}

/// Power, beside the screen. When the machine is off, the one thing to do is to start it.
pub fn power(machine: &MachineName, on: bool, is_created: bool) -> impl IntoView + use<> {
    let kinds: &[OperationKind] = match (on, is_created) {
        (true, _) => &[OperationKind::ShutDown, OperationKind::Reboot, OperationKind::ForceOff],
        (false, true) => &[OperationKind::Start],
        (false, false) => &[OperationKind::Provision],
    };
    let buttons: Vec<AnyView> = kinds.iter().map(|kind| button(machine, *kind)).collect();
    let off = (!on).then(|| view! { <span class="note">"The machine is off."</span> });
    view! { <div class="buttons">{off}{buttons}</div> }
}

fn button(machine: &MachineName, kind: OperationKind) -> AnyView {
    let class = match kind {
        OperationKind::Start | OperationKind::Provision => "button primary",
        OperationKind::ForceOff => "button danger",
        _ => "button",
    };
    actions::operate(machine, kind, actions::From::Page, class).into_any()
}
