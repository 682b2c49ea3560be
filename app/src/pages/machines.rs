//! `/`: the machines. Search, filter and order are in the URL; the rows are live where JavaScript runs.

use super::{may, page};
use crate::cx::Cx;
use crate::islands::live_machines::LiveMachines;
use crate::parts::frame::{Section, heading};
use crate::parts::machine_row::{BULK_FORM, count, machine_row};
use crate::parts::table::{Sorting, Table};
use crate::parts::{faults, table};
use crate::routes;
use leptos::prelude::*;
use model::catalog;
use model::machine::MachineState;
use model::operation::OperationKind;
use model::permission::Action;
use model::sort::Sort;
use model::view::machine::{Due, MACHINE_COLUMNS, MACHINES_PER_PAGE, MachineFilter, MachinePage};

/// The states in the order in which the filter offers them.
const STATES: [MachineState; 7] = [
    MachineState::Running,
    MachineState::Off,
    MachineState::Configured,
    MachineState::Paused,
    MachineState::ShuttingDown,
    MachineState::Crashed,
    MachineState::Unknown,
];

#[component]
pub fn Machines() -> impl IntoView {
    page(Section::Machines, |cx| async move {
        let filter = filter(&cx);
        let found = cx.portal.machines(&cx.actor, &filter).await?;
        let new = view! {
            <a class="button" href=routes::NEW_BATCH>"Several at once"</a>
            <a class="button primary" href=routes::NEW_MACHINE>"New machine"</a>
        }
        .into_any();
        Ok(view! {
            {heading("Machines", new)}
            {faults::summary(&cx.form, &[])}
            {faults::confirmation(&cx)}
            {unreadable(&cx, &found)}
            {search(&filter, &found)}
            {bulk()}
            {rows(&found, &filter)}
            {pager(&found, &filter)}
        }
        .into_any())
    })
}

fn filter(cx: &Cx) -> MachineFilter {
    let state = cx.query("state");
    MachineFilter {
        search: cx.query("q"),
        state: STATES.into_iter().find(|s| s.as_str() == state),
        due: Due::ALL.into_iter().find(|due| due.as_str() == cx.query("due")),
        sort: cx.query_as("sort"),
        page: cx.query_as("page").unwrap_or(0),
    }
}

/// Machines whose record cannot be read: named here, so that nobody thinks they are gone.
fn unreadable(cx: &Cx, found: &MachinePage) -> Option<AnyView> {
    let may_forget = may(cx, Action::Operate(OperationKind::Forget));
    let machines = found.unreadable.iter().map(|machine| {
        let forget = may_forget.then(|| {
            let label = format!("Forget {}", machine.name);
            let href = routes::operate(&machine.name, OperationKind::Forget);
            view! { " "<a class="button danger" href=href aria-label=label>"Forget…"</a> }
        });
        view! {
            <li>
                <strong>{machine.name.to_string()}</strong>
                {format!(", of {}, on host {}: its record cannot be read.", machine.owner, machine.host)}
                {forget}
            </li>
        }
    });
    let what_to_do = "Someone edited the portal's database, or a later version of Snowglobe wrote it. Nothing happens to these \
                      machines. Run that version, or restore the database from a backup, and restart the portal. An \
                      administrator can also have the portal forget them.";
    (!found.unreadable.is_empty()).then(|| {
        view! {
            <div class="notice" data-tone="bad">
                <ul>{machines.collect_view()}</ul>
                <p>{what_to_do}</p>
            </div>
        }
        .into_any()
    })
}

/// The search box; left out while there is nothing to search.
fn search(filter: &MachineFilter, found: &MachinePage) -> AnyView {
    if found.total == 0 {
        return ().into_any();
    }
    let sort = filter.sort.as_ref().map(ToString::to_string);
    let due = Due::ALL.into_iter().map(|due| {
        let selected = filter.due == Some(due);
        view! { <option value=due.as_str() selected=selected>{due.title()}</option> }
    });
    let options = STATES.into_iter().map(|state| {
        let selected = filter.state == Some(state);
        view! { <option value=state.as_str() selected=selected>{state.title()}</option> }
    });
    view! {
        <form method="get" class="filter" role="search">
            <input
                type="search" name="q" value=filter.search.clone() aria-label="Search machines"
                placeholder="Name, address, profile, owner" autocapitalize="none" autocomplete="off"
            />
            <select name="state" aria-label="State">
                <option value="">"Any state"</option>
                {options.collect_view()}
            </select>
            <select name="due" aria-label="Left to be done">
                <option value="">"Up to date or not"</option>
                {due.collect_view()}
            </select>
            {sort.map(|sort| view! { <input type="hidden" name="sort" value=sort/> })}
            <button class="button">"Search"</button>
            <span class="count" data-count="">{count(found.matching, found.total)}</span>
        </form>
    }
    .into_any()
}

/// The actions on all selected machines. The style sheet shows them in place of the search while something is selected;
/// `js/page.js` counts.
fn bulk() -> AnyView {
    let rows = catalog::TABLE.iter().filter(|row| row.in_bulk);
    let buttons = rows.map(|row| {
        let kind = row.kind;
        view! { <button class="button" name="intent" value=kind.as_str()>{kind.title()}</button> }
    });
    view! {
        <form method="post" id=BULK_FORM class="bulk" aria-label="The selected machines">
            <strong data-selected="">"Selected"</strong>
            <input type="hidden" name="from" value="list"/>
            {buttons.collect_view()}
            <span class="bulk-end">
                <button type="button" class="button js-only" data-select-all="">"Select all"</button>
                <button type="reset" class="button">"Clear"</button>
            </span>
        </form>
    }
    .into_any()
}

fn rows(found: &MachinePage, filter: &MachineFilter) -> AnyView {
    let body: Vec<AnyView> = found.rows.iter().map(|row| machine_row(row).into_any()).collect();
    let instead = match (found.total, body.is_empty()) {
        (0, _) if !found.unreadable.is_empty() => None,
        (0, _) => Some(table::empty(
            "No machines yet. The first one takes a form and a minute.",
            Some((routes::NEW_MACHINE, "Create the first machine")),
        )),
        (_, true) => Some(table::empty(
            "No machines match this search.",
            Some((routes::MACHINES, "Show all machines")),
        )),
        _ => None,
    };
    let link = |sort| routes::machines(&MachineFilter { sort: Some(sort), page: 0, ..filter.clone() });
    let sort = filter.sort.clone().unwrap_or_else(|| Sort::by("name", false));
    let table = Table { caption: "Machines", class: "machines", columns: &MACHINE_COLUMNS };
    view! {
        <div data-empty="">{instead}</div>
        <LiveMachines filter=filter.clone()/>
        {table.view(Some(&Sorting { sort, link: &link }), body.into_any())}
    }
    .into_any()
}

fn pager(found: &MachinePage, filter: &MachineFilter) -> AnyView {
    let to = |page: u32| routes::machines(&MachineFilter { page, ..filter.clone() });
    let shown_before = u64::from(filter.page) * u64::from(MACHINES_PER_PAGE);
    let shown = shown_before.saturating_add(found.rows.len() as u64);
    let before = filter.page.checked_sub(1).map(|page| (to(page), "Previous"));
    let after = (shown < found.matching).then(|| (to(filter.page.saturating_add(1)), "Next"));
    table::pager(before, after)
}
