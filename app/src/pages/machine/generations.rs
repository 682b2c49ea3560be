//! `/machines/{name}/generations`: upgrading, what the machine boots, and what it can go back to.

use super::tab;
use crate::parts::actions::{self, From};
use crate::parts::machine_head::Region;
use crate::parts::profiles::composition;
use crate::parts::table::Table;
use crate::parts::{badge, time};
use crate::routes::{self, Tab};
use leptos::prelude::*;
use model::job::JobState;
use model::operation::OperationKind;
use model::sort::Column;
use model::view::job::JobSummary;
use model::view::machine::{Available, GenerationView, MachineDetail};

const COLUMNS: [Column<GenerationView>; 6] = [
    Column::plain("Generation"),
    Column::plain("Profiles"),
    Column::plain("Made"),
    Column::plain("State"),
    Column::plain("Changes"),
    Column::plain("Action"),
];

#[component]
pub fn Generations() -> impl IntoView {
    tab(Tab::Generations, |_, machine| async move {
        Ok(view! {
            <div class="sections" data-live=Region::Generations.as_str() aria-live="polite">
                {upgrade(&machine)}
                {list(&machine)}
                {failed(&machine)}
            </div>
        }
        .into_any())
    })
}

/// The button, or why there is none now.
fn upgrade(machine: &MachineDetail) -> AnyView {
    let row = &machine.row;
    let what = match machine.next_image {
        Some(_) => "The present image of its profiles has been built, and is not what the machine boots.",
        None => "An upgrade builds the present image of its profiles and boots it.",
    };
    let back = if row.observed.state.is_active() {
        " If the new system does not come up, the machine goes back by itself."
    } else {
        " The machine is off: it boots the new system when it is started."
    };
    let body = match offered(machine, OperationKind::Upgrade).map(|offered| &offered.refused) {
        Some(None) => view! {
            <p>{what}" The data disk stays as it is."{back}</p>
            <div class="buttons">
                {actions::operate(&row.name, OperationKind::Upgrade, From::Page, "button primary")}
            </div>
        }
        .into_any(),
        Some(Some(why)) => view! { <p>{why.clone()}</p> }.into_any(),
        None => ().into_any(),
    };
    view! { <section class="card"><h2>"Upgrade"</h2>{body}</section> }.into_any()
}

fn offered(machine: &MachineDetail, kind: OperationKind) -> Option<&Available> {
    machine.actions.iter().find(|offered| offered.kind == kind)
}

fn list(machine: &MachineDetail) -> AnyView {
    if machine.generations.is_empty() {
        return view! { <p class="none">"There are none until the machine is created."</p> }.into_any();
    }
    let can = offered(machine, OperationKind::RollBack).is_some_and(|offered| offered.refused.is_none());
    let row = |generation: &GenerationView| {
        let before = machine.generations.iter().find(|other| other.number < generation.number);
        let compare = before.map(|before| {
            let href = routes::image_diff(before.image, generation.image);
            let label = format!("What changed from generation {} to {}", before.number, generation.number);
            view! { <a href=href aria-label=label>"What changed"</a> }
        });
        let state = if generation.is_current { "current" } else { "former" };
        let action = (can && !generation.is_current).then(|| {
            let href = routes::roll_back(&machine.row.name, generation.number);
            let label = format!("Roll back to generation {}", generation.number);
            view! { <a class="button" href=href aria-label=label>"Roll back…"</a> }
        });
        view! {
            <tr>
                <th scope="row">{format!("Generation {}", generation.number)}</th>
                <td data-label="Profiles">{composition(&generation.profiles)}</td>
                <td data-label="Made"><span>{time::relative(generation.made)}" by "{generation.made_by.clone()}</span></td>
                <td data-label="State"><span class="tag">{state}</span></td>
                <td data-label="Changes">{compare}</td>
                <td class="row-action">{action}</td>
            </tr>
        }
        .into_any()
    };
    let table = Table {
        caption: "Generations of this machine, newest first",
        class: "generations",
        columns: &COLUMNS,
    };
    let rows = machine.generations.iter().map(row).collect_view().into_any();
    view! { <h2>"Generations"</h2>{table.view(None, rows)} }.into_any()
}

/// Upgrades that did not come up: the machine went back.
fn failed(machine: &MachineDetail) -> Option<AnyView> {
    let is_failed =
        |job: &&JobSummary| job.kind == OperationKind::Upgrade && job.badge.state == JobState::Failed;
    let jobs: Vec<&JobSummary> = machine.jobs.iter().filter(is_failed).collect();
    if jobs.is_empty() {
        return None;
    }
    let item = |job: &&JobSummary| {
        let when = time::relative(job.ended.unwrap_or(job.created));
        view! { <li><a href=routes::job(job.badge.id)>{badge::job_state(job.badge.state)}" "{when}</a></li> }
    };
    Some(view! { <h2>"Failed upgrades"</h2><ul>{jobs.iter().map(item).collect_view()}</ul> }.into_any())
}
