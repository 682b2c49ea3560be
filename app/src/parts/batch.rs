//! The machines of one text as a table: a group of rows each, with what is wrong beside its cell and below it.

use crate::parts::plan;
use crate::routes;
use leptos::prelude::*;
use model::view::batch::{BatchCell, BatchProgress, BatchRow, BatchView};

/// How many wrong machines the sentence above the table leads to.
const LINKS_MAX: usize = 10;

/// The table.
pub fn table(batch: &BatchView) -> AnyView {
    let headings = batch.rows.first().map(|row| row.cells.as_slice()).unwrap_or_default();
    let headings = headings.iter().map(|cell| view! { <th scope="col">{cell.label}</th> }).collect_view();
    let rows = batch.rows.iter().enumerate().map(|(place, row)| machine(place, row)).collect_view();
    view! {
        <div class="table-wrap">
            <table class="list batch">
                <caption class="hidden">"Machines of this text"</caption>
                <thead><tr>{headings}</tr></thead>
                {rows}
            </table>
        </div>
    }
    .into_any()
}

/// Leads to what is wrong: the first of it, where that is much.
pub fn links_to_wrong(batch: &BatchView) -> AnyView {
    let wrong: Vec<(usize, &BatchRow)> =
        batch.rows.iter().enumerate().filter(|(_, row)| row.is_wrong()).collect();
    let more = wrong.len().saturating_sub(LINKS_MAX);
    let more = (more > 0).then(|| view! { <li>{format!("and {more} more")}</li> });
    let links = wrong.into_iter().take(LINKS_MAX).map(|(place, row)| {
        view! { <li><a href=format!("#{}", id(place))>{title(place, row)}</a></li> }
    });
    view! { <ul class="wrong-machines">{links.collect_view()}{more}</ul> }.into_any()
}

fn id(place: usize) -> String {
    format!("machine-{}", place + 1)
}

/// A machine's name, or which one it is if it has none.
fn title(place: usize, row: &BatchRow) -> String {
    if row.name.is_empty() { format!("Machine {}", place + 1) } else { model::address::brief(&row.name) }
}

fn machine(place: usize, row: &BatchRow) -> AnyView {
    let (name, cells) =
        row.cells.split_first().map_or((None, [].as_slice()), |(name, cells)| (Some(name), cells));
    let columns = row.cells.len().to_string();
    let wrong = row.is_wrong().then_some("");
    view! {
        <tbody id=id(place) data-wrong=wrong>
            <tr>
                <th scope="rowgroup">{title(place, row)}{name.map(errors)}</th>
                {cells.iter().map(cell).collect_view()}
            </tr>
            {remarks(row).map(|remarks| view! { <tr class="remarks"><td colspan=columns>{remarks}</td></tr> })}
        </tbody>
    }
    .into_any()
}

fn cell(cell: &BatchCell) -> AnyView {
    view! { <td data-label=cell.label>{cell.text.clone()}{errors(cell)}</td> }.into_any()
}

fn errors(cell: &BatchCell) -> Vec<AnyView> {
    cell.errors.iter().map(|message| error(message)).collect()
}

fn error(message: &str) -> AnyView {
    view! { <p class="field-error">{message.to_owned()}</p> }.into_any()
}

/// Everything about a machine that is not in a cell.
fn remarks(row: &BatchRow) -> Option<AnyView> {
    let progress = match row.progress {
        BatchProgress::Open => None,
        BatchProgress::Accepted(job) => {
            Some(view! { <p>"Accepted: "<a href=routes::job(job)>"its job"</a></p> }.into_any())
        }
        BatchProgress::Before => Some(view! { <p>"Accepted before; left out now."</p> }.into_any()),
    };
    let others = row.others.iter().filter(|cell| !cell.text.is_empty() || !cell.errors.is_empty());
    let others: Vec<AnyView> = others.map(other).collect();
    let others = (!others.is_empty()).then(|| view! { <dl class="also">{others}</dl> }.into_any());
    let warnings =
        row.warnings.iter().map(|warning| view! { <p class="warning">{warning.clone()}</p> }.into_any());
    let plan = row.plan.as_ref().filter(|_| row.is_open()).map(|shown| {
        view! { <details><summary>"What will happen"</summary>{plan::plan(shown)}</details> }.into_any()
    });
    let errors = row.errors.iter().map(|message| error(message));
    let all: Vec<AnyView> =
        progress.into_iter().chain(others).chain(errors).chain(warnings).chain(plan).collect();
    (!all.is_empty()).then(|| all.into_any())
}

/// A field that the table has no column for.
fn other(cell: &BatchCell) -> AnyView {
    view! {
        <div>
            <dt>{cell.label}</dt>
            <dd>{cell.text.clone()}{errors(cell)}</dd>
        </div>
    }
    .into_any()
}
