//! One machine in the list: a row of the table, a card on a phone. Rendered by the server first and by the island `LiveMachines`
//! after each change.

use crate::parts::figures::or_dash;
use crate::parts::profiles::composition_and_mode;
use crate::parts::{actions, address, badge, figures};
use crate::routes;
use leptos::prelude::*;
use model::job::{JobBadge, JobState};
use model::view::machine::MachineRow;

/// The form that the rows' checkboxes belong to.
pub const BULK_FORM: &str = "bulk";

/// The row. While a job works on the machine, its progress takes the place of the figures. A card shows name, state, address and
/// button; what is marked as `rest` is shown when its details are opened, which the style sheet does, without scripts.
pub fn machine_row(row: &MachineRow) -> impl IntoView + use<> {
    let middle = match &row.job {
        Some(job) => progress(job),
        None => view! {
            <td class="rest" data-label="Processor">{or_dash(figures::cpu(&row.observed.figures))}</td>
            <td class="rest" data-label="Memory">{or_dash(figures::memory(row))}</td>
        }
        .into_any(),
    };
    let (select, details) = (format!("Select {}", row.name), format!("Details of {}", row.name));
    view! {
        <tr data-machine=row.id.to_string() data-creating=row.is_being_created().then_some("")>
            <td class="pick">
                <input type="checkbox" name="machine" value=row.name.to_string() form=BULK_FORM aria-label=select/>
            </td>
            <th scope="row">
                <a href=routes::machine(&row.name)>{row.name.to_string()}</a>
                <details class="row-details"><summary aria-label=details></summary></details>
                <span class="note rest">{composition_and_mode(&row.profiles, row.mode)}</span>
                {row.update_available.then(|| view! { <span class="tag rest">"Update available"</span> })}
            </th>
            <td data-label="State">
                {badge::machine_state(row.observed.state)}
                " "
                {row.pending.then(|| view! { <span class="tag">"Changes pending"</span> })}
                {row.observed.warning.clone().map(|text| view! { <span class="note rest">{text}</span> })}
            </td>
            <td data-label="Address">{or_dash(address::best(&row.observed.addresses).map(IntoAny::into_any))}</td>
            {middle}
            <td class="rest" data-label="Host">{row.host.to_string()}</td>
            <td class="rest" data-label="Owner">{row.owner.clone()}</td>
            <td class="row-action">{action(row)}</td>
        </tr>
    }
}

/// How many machines there are, and how many of them match the filter.
pub fn count(matching: u64, total: u64) -> String {
    let all = if total == 1 { "1 machine".to_owned() } else { format!("{total} machines") };
    if matching == total { all } else { format!("{matching} of {all}") }
}

/// A job's progress, in two columns.
fn progress(job: &JobBadge) -> AnyView {
    let step = if job.cancelling { Some("Cancelling".to_owned()) } else { job.step.clone() };
    let step = step.unwrap_or_else(|| job.state.title().to_owned());
    view! {
        <td colspan="2" data-label="Job" data-key="job">
            <a class="job-progress" href=routes::job(job.id)>
                <progress max=job.total.to_string() value=job.done.to_string() aria-label=job.title.clone()></progress>
                " "
                <span>{step}</span>
            </a>
        </td>
    }
    .into_any()
}

fn action(row: &MachineRow) -> AnyView {
    if let Some(job) = row.job.as_ref().filter(|job| job.state == JobState::NeedsAttention) {
        return view! { <a class="button" href=routes::job(job.id)>{job.state.title()}</a> }.into_any();
    }
    if let Some(job) = &row.job {
        if job.cancelling {
            return or_dash(None);
        }
        let label = format!("Cancel: {}", job.title);
        return view! {
            <form method="post" class="inline" data-key="cancel">
                <input type="hidden" name="job" value=job.id.to_string()/>
                <input type="hidden" name="from" value="list"/>
                <button class="button" name="intent" value="cancel" aria-label=label>"Cancel"</button>
            </form>
        }
        .into_any();
    }
    match actions::primary(row.observed.state) {
        Some(kind) => actions::operate(&row.name, kind, actions::From::List, "button").into_any(),
        None => or_dash(None),
    }
}
