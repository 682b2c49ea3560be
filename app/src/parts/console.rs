//! What surrounds a console's screen: who is there, who has control, power. Rendered by the page first and by the island
//! `SerialConsole` after each change.

use crate::parts::actions;
use leptos::prelude::*;
use model::console::ConsoleRole;
use model::machine::MachineName;
use model::operation::OperationKind;

/// The region that says who has control and who watches.
pub const VIEWERS: &str = "console-people";
/// The region with the button that takes or gives up control.
pub const ROLE: &str = "console-role";
/// The region with the power buttons.
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

/// Power, beside the screen. While the machine is off, the one action is to start it. Forcing it off is set apart from
/// the rest, to avoid hitting it by mistake.
pub fn power(machine: &MachineName, on: bool, is_created: bool) -> impl IntoView + use<> {
    let kinds: &[OperationKind] = match (on, is_created) {
        (true, _) => &[OperationKind::ShutDown, OperationKind::Reboot],
        (false, true) => &[OperationKind::Start],
        (false, false) => &[OperationKind::Provision],
    };
    let class = if on { "button" } else { "button primary" };
    let operate = |kind, class| actions::operate(machine, kind, actions::From::Page, class);
    let buttons: Vec<AnyView> = kinds.iter().map(|kind| operate(*kind, class).into_any()).collect();
    let off = (!on).then(|| view! { <span class="note">"The machine is off."</span> });
    let force = on.then(|| {
        view! { <div class="apart" data-key="apart">{operate(OperationKind::ForceOff, "button danger")}</div> }
    });
    view! { <div class="buttons">{off}{buttons}{force}</div> }
}
