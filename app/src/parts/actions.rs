//! Buttons that do something to a machine: each a form of its own, so that it works without JavaScript.

use leptos::prelude::*;
use model::catalog::{self, Tone};
use model::machine::{MachineName, MachineState};
use model::operation::OperationKind;
use model::view::machine::Available;

use crate::routes;

/// What one most likely wants from a machine in this state; `None` where nothing is likely.
pub fn primary(state: MachineState) -> Option<OperationKind> {
    catalog::TABLE.iter().find(|row| row.likely.contains(&state)).map(|row| row.kind)
}

/// Where a form is posted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The machine list, to return to.
    List,
    /// A page of the machine.
    Page,
}

/// A button that does `kind` to the machine; if something has to be entered or confirmed first, a link to the page for
/// that.
pub fn operate(machine: &MachineName, kind: OperationKind, from: From, class: &'static str) -> AnyView {
    let label = format!("{} {machine}", kind.title());
    if kind.row().has_page() {
        let href = routes::operate(machine, kind);
        let words = format!("{}…", kind.title());
        return view! { <a class=class href=href data-key=kind.as_str() aria-label=label>{words}</a> }
            .into_any();
    }
    view! {
        <form method="post" class="inline" data-key=kind.as_str()>
            <input type="hidden" name="machine" value=machine.to_string()/>
            {(from == From::List).then(|| view! { <input type="hidden" name="from" value="list"/> })}
            <button class=class name="intent" value=kind.as_str() aria-label=label>{kind.title()}</button>
        </form>
    }
    .into_any()
}

/// Everything that may be done to a machine, the likely thing as a button, the rest in a menu: first what can be done, then
/// what cannot be done now, with the reason.
pub fn bar(machine: &MachineName, state: MachineState, actions: &[Available]) -> AnyView {
    let likely = primary(state);
    let first = actions.iter().find(|a| Some(a.kind) == likely && a.refused.is_none());
    let first = first.map(|a| operate(machine, a.kind, From::Page, "button primary"));
    let (possible, refused): (Vec<_>, Vec<_>) = actions
        .iter()
        .filter(|a| Some(a.kind) != likely || a.refused.is_some())
        .filter(|a| is_offered(a.kind, state))
        .partition(|a| a.refused.is_none());
    let possible = possible.into_iter().map(|a| item(machine, a.kind));
    let rest: Vec<AnyView> = possible.chain(by_reason(&refused).into_iter().map(unavailable)).collect();
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

/// A machine that exists need not explain that it cannot be created.
fn is_offered(kind: OperationKind, state: MachineState) -> bool {
    let row = kind.row();
    row.in_menu || row.likely.contains(&state)
}

fn item(machine: &MachineName, kind: OperationKind) -> AnyView {
    let class = if kind.row().tone == Tone::Danger { "menu-item danger" } else { "menu-item" };
    view! { <li data-key=kind.as_str()>{operate(machine, kind, From::Page, class)}</li> }.into_any()
}

/// What cannot be done now, together with what cannot be done for the same reason: a job that holds the machine is a reason
/// for all of it, which need not be read ten times.
fn by_reason<'a>(refused: &[&'a Available]) -> Vec<(&'a str, Vec<OperationKind>)> {
    let mut groups: Vec<(&str, Vec<OperationKind>)> = Vec::new();
    for action in refused {
        let why = action.refused.as_deref().unwrap_or_default();
        match groups.iter_mut().find(|(known, _)| *known == why) {
            Some((_, kinds)) => kinds.push(action.kind),
            None => groups.push((why, vec![action.kind])),
        }
    }
    groups
}

fn unavailable((why, kinds): (&str, Vec<OperationKind>)) -> AnyView {
    let key = kinds.first().map(|kind| kind.as_str());
    let buttons =
        kinds.iter().map(|kind| view! { <button class="menu-item" disabled>{kind.title()}</button> });
    view! { <li class="refused" data-key=key>{buttons.collect_view()}<span class="note">{why.to_owned()}</span></li> }
        .into_any()
}
