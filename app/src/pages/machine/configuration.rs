//! `/machines/{name}/configuration`: the machine's configuration as a form, and what of it is not yet true.

use super::{facts, operate, tab};
use crate::parts::actions::{self, From};
use crate::parts::address;
use crate::parts::machine_head::Region;
use crate::routes::Tab;
use leptos::prelude::*;
use model::change::{Change, When};
use model::operation::OperationKind;
use model::view::machine::MachineDetail;

/// What the form asks for.
const KIND: OperationKind = OperationKind::Reconfigure;

#[component]
pub fn Configuration() -> impl IntoView {
    tab(Tab::Configuration, |cx, machine| async move {
        let form = operate::form_of(&cx, KIND.row(), &machine.row.name, Some(&machine)).await?;
        Ok(view! {
            <div data-live=Region::Pending.as_str() aria-live="polite">{pending(&machine)}</div>
            <div class="columns">{fixed(&machine)}{secrets(&machine)}</div>
            {form}
        }
        .into_any())
    })
}

/// What was saved and is not true on the host, with what makes it so. Nothing while a job works on it.
fn pending(machine: &MachineDetail) -> Option<AnyView> {
    let row = &machine.row;
    if machine.pending.is_empty() || row.job.is_some() {
        return None;
    }
    let is_active = row.observed.state.is_active();
    let item = |change: &Change| {
        let when = match change.when {
            When::Now | When::Restart if is_active => When::Restart.title(),
            When::Now | When::Restart => "applied at the next start",
            later => later.title(),
        };
        view! { <li>{change.what.clone()}" "<span class="note">{when}</span></li> }
    };
    let by_restart = machine.pending.iter().any(|change| change.when.is_restart_enough());
    let needs = |when| machine.pending.iter().any(|change| change.when == when);
    let button = |kind, class| actions::operate(&row.name, kind, From::Page, class);
    Some(
        view! {
            <section class="notice" data-tone="warn">
                <h2>"Pending changes"</h2>
                <ul>{machine.pending.iter().map(item).collect_view()}</ul>
                <div class="buttons">
                    {by_restart.then(|| button(OperationKind::Apply, "button primary"))}
                    {needs(When::Upgrade).then(|| button(OperationKind::Upgrade, "button"))}
                    {needs(When::Recreate).then(|| button(OperationKind::Recreate, "button danger"))}
                    {button(OperationKind::Revert, "button")}
                </div>
            </section>
        }
        .into_any(),
    )
}

/// What the form does not change.
fn fixed(machine: &MachineDetail) -> AnyView {
    facts(
        "Machine",
        vec![
            ("Host", machine.spec.host.to_string().into_any()),
            ("MAC address", address::copyable(machine.hardware.mac.to_string(), "address").into_any()),
        ],
    )
}

/// Whether there are secrets, which no form shows.
fn secrets(machine: &MachineDetail) -> AnyView {
    let set = |is_set: bool, none: &'static str| if is_set { "set".into_any() } else { none.into_any() };
    facts(
        "Secrets",
        vec![
            ("Console password for root", set(machine.has_root_password, "not set; root cannot log in")),
            ("Samba user and password", set(machine.has_samba_credentials, "not set")),
        ],
    )
}
