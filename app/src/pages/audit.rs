//! `/audit`: who did what to which machine, when, from where, with what outcome. Always newest first: the log is paged by the
//! position of its entries, and in another order there would be no next page.

use super::page;
use crate::parts::frame::{Section, heading};
use crate::parts::table::Table;
use crate::parts::{badge, faults, table, time};
use crate::routes;
use leptos::prelude::*;
use model::audit::{AuditFilter, AuditRow, ChainState, Outcome};
use model::operation::OperationKind;
use model::sort::Column;

const TABLE: Table<'static, AuditRow> = Table {
    caption: "Audit log",
    class: "audit",
    columns: &[
        Column::plain("Time"),
        Column::plain("User"),
        Column::plain("Action"),
        Column::plain("Subject"),
        Column::plain("Outcome"),
        Column::plain("Details"),
    ],
};
/// The id of the filter's suggestions for actions.
const ACTIONS: &str = "actions";

/// The audit log.
#[component]
pub fn Audit() -> impl IntoView {
    page(Section::Audit, |cx| async move {
        let filter = AuditFilter::from_query(|name| cx.query(name));
        let found = cx.portal.audit(&cx.actor, &filter).await?;
        let newest = filter.before.map(|_| (link(&AuditFilter { before: None, ..filter.clone() }), "Newest"));
        let older =
            found.next.map(|next| (link(&AuditFilter { before: Some(next), ..filter.clone() }), "Older"));
        let export = routes::audit(routes::AUDIT_CSV, &AuditFilter { before: None, ..filter.clone() });
        let beside = view! {
            <form method="post" class="inline">
                <button class="button" name="intent" value="verify_audit">"Verify integrity"</button>
            </form>
            <a class="button" href=export download="audit.csv">"Export CSV"</a>
        };
        Ok(view! {
            {heading("Audit log", beside.into_any())}
            {faults::summary(&cx.form, &[])}
            {found.warning.map(|words| view! { <p class="notice" data-tone="bad" role="alert">{words}</p> })}
            {cx.form.chain.as_ref().map(chain_state)}
            {search(&filter)}
            {list(&found.rows)}
            {table::pager(newest, older)}
        }
        .into_any())
    })
}

fn link(filter: &AuditFilter) -> String {
    routes::audit(routes::AUDIT, filter)
}

fn chain_state(state: &ChainState) -> AnyView {
    match state {
        ChainState::Intact { entries, unkeyed } => {
            let mut words =
                format!("The log is intact: each of its {entries} entries matches the one before it.");
            if *unkeyed > 0 {
                words.push_str(&format!(
                    " The first {unkeyed} were written before the log had a key: for them this detects damage, not \
                     forgery."
                ));
            }
            view! { <p class="notice" data-tone="ok" role="status">{words}</p> }.into_any()
        }
        ChainState::Unproven { entries, lost } => {
            let words = format!(
                "{lost} of {entries} entries cannot be verified: the key that they were written with is not on this \
                 server. The others fit."
            );
            view! { <p class="notice" data-tone="bad" role="alert">{words}</p> }.into_any()
        }
        ChainState::Broken { at } => {
            let words = format!(
                "The log has been tampered with or damaged: entry {at} does not match the one before it. Compare with a \
                 backup of the database."
            );
            view! { <p class="notice" data-tone="bad" role="alert">{words}</p> }.into_any()
        }
    }
}

fn search(filter: &AuditFilter) -> AnyView {
    let field = |name: &'static str,
                 label: &'static str,
                 value: Option<String>,
                 list: Option<&'static str>| {
        let value = value.unwrap_or_default();
        view! {
            <input
                type="search" name=name value=value placeholder=label aria-label=label autocapitalize="none" list=list
            />
        }
    };
    let actions = OperationKind::ALL.iter().map(|kind| view! { <option value=kind.title()></option> });
    let options = Outcome::ALL.into_iter().map(|outcome| {
        let selected = filter.outcome == Some(outcome);
        view! { <option value=outcome.as_str() selected=selected>{outcome.title()}</option> }
    });
    view! {
        <form method="get" class="filter" role="search">
            {field("actor", "User", filter.actor.clone(), None)}
            {field("subject", "Machine, user or host", filter.subject.clone(), None)}
            {field("action", "Action", filter.action.as_deref().map(words), Some(ACTIONS))}
            <datalist id=ACTIONS>{actions.collect_view()}</datalist>
            <select name="outcome" aria-label="Outcome">
                <option value="">"Any outcome"</option>
                {options.collect_view()}
            </select>
            <button class="button">"Filter"</button>
            <a class="button" href=routes::AUDIT>"Clear"</a>
        </form>
    }
    .into_any()
}

fn list(rows: &[AuditRow]) -> AnyView {
    if rows.is_empty() {
        return table::empty("No entries match this filter.", None);
    }
    let rows = rows.iter().map(|row| {
        let from = row.from.clone().map(|from| view! { <span class="note">{format!("from {from}")}</span> });
        let what = words(&row.action);
        let what = match row.job {
            Some(job) => view! { <a href=routes::job(job)>{what}</a> }.into_any(),
            None => what.into_any(),
        };
        view! {
            <tr>
                <th scope="row">{time::relative(row.began)}</th>
                <td data-label="User">{row.actor.clone().unwrap_or_else(|| "not logged in".to_owned())}{from}</td>
                <td data-label="Action">{what}</td>
                <td data-label="Subject">{row.subject.clone().unwrap_or_default()}</td>
                <td data-label="Outcome">{badge::outcome(row.outcome)}</td>
                <td data-label="Details">{row.detail.clone().unwrap_or_default()}</td>
            </tr>
        }
    });
    TABLE.view(None, rows.collect_view().into_any())
}

/// An action's name for people: an operation's title, or its words without the underscores.
fn words(action: &str) -> String {
    if let Ok(kind) = action.parse::<OperationKind>() {
        return kind.title().to_owned();
    }
    let mut letters = action.chars().map(|c| if c == '_' { ' ' } else { c });
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn actions_are_named_in_words() {
        assert_eq!(words("force_off"), "Force off");
        assert_eq!(words("watch_console"), "Watch console");
        assert_eq!(words(""), "");
    }
}
