//! Buttons that do something to a machine: each a form of its own, so that it works without JavaScript.

use leptos::prelude::*;
use model::machine::{MachineName, MachineState};
use model::operation::OperationKind;
use model::view::machine::Available;

use crate::routes;

/// What a person most likely wants of a machine in this state; `None` where nothing is likely.
pub fn primary(state: MachineState) -> Option<OperationKind> {
    match state {
        MachineState::Configured => Some(OperationKind::Provision),
        MachineState::Off | MachineState::Crashed => Some(OperationKind::Start),
        MachineState::Running => Some(OperationKind::ShutDown),
        MachineState::ShuttingDown => Some(OperationKind::ForceOff),
        MachineState::Paused => Some(OperationKind::Resume),
        MachineState::Unknown => None,
    }
}

/// Where a form is posted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The machine list, to which one wants to return.
    List,
    /// A page of the machine.
    Page,
}

/// A form with one button that does `kind` to the machine.
pub fn operate(
    machine: &MachineName,
    kind: OperationKind,
    from: From,
    class: &'static str,
) -> impl IntoView + use<> {
    let label = format!("{} {machine}", kind.title());
    view! {
        <form method="post" class="inline" data-key=kind.as_str()>
            <input type="hidden" name="machine" value=machine.to_string()/>
            {(from == From::List).then(|| view! { <input type="hidden" name="from" value="list"/> })}
            <button class=class name="intent" value=kind.as_str() aria-label=label>{kind.title()}</button>
        </form>
    }
}

/// Everything that may be done to a machine, the likely thing as a button, the rest in a menu: first what can be done, then
/// what cannot be done now, with the reason in words.
pub fn bar(machine: &MachineName, state: MachineState, actions: &[Available]) -> AnyView {
    let likely = primary(state);
    let first = actions.iter().find(|a| Some(a.kind) == likely && a.refused.is_none());
    let first = first.map(|a| operate(machine, a.kind, From::Page, "button primary"));
    let (possible, refused): (Vec<_>, Vec<_>) = actions
        .iter()
        .filter(|a| Some(a.kind) != likely || a.refused.is_some())
        .filter(|a| is_worth_a_word(a.kind, state))
        .partition(|a| a.refused.is_none());
    let rest: Vec<AnyView> = possible.into_iter().chain(refused).map(|a| item(machine, a)).collect();
    view! {
        <div class="actions" data-actions="">
            {first}
            <details class="menu">
                <summary class="button">"More"</summary>
                <ul>{rest}</ul>
            </details>
        </div>
    }
    .into_any()
}

/// Purging stands on the page that destroys; and what was created once need not be told that it cannot be created now.
fn is_worth_a_word(kind: OperationKind, state: MachineState) -> bool {
    match kind {
        OperationKind::Purge => false,
        OperationKind::Provision => state == MachineState::Configured,
        _ => true,
    }
}

fn item(machine: &MachineName, action: &Available) -> AnyView {
    let kind = action.kind;
    if let Some(why) = &action.refused {
        return view! {
            <li class="refused" data-key=kind.as_str()>
                <button class="menu-item" disabled>{kind.title()}</button>
                <span class="note">{why.clone()}</span>
            </li>
        }
        .into_any();
    }
    if kind == OperationKind::Destroy {
        let href = routes::destroy(machine);
        return view! {
            <li data-key=kind.as_str()><a class="menu-item danger" href=href>"Destroy or purge…"</a></li>
        }
        .into_any();
    }
    let class = if kind == OperationKind::ForceOff { "menu-item danger" } else { "menu-item" };
    view! { <li data-key=kind.as_str()>{operate(machine, kind, From::Page, class)}</li> }.into_any()
}
