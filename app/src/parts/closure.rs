//! How two images differ: in one line, and package by package.

use leptos::prelude::*;
use model::closure::{Change, ClosureDiff};
use model::size::Bytes;

/// The most packages that one list shows; images without a common past differ by thousands.
const SHOWN: usize = 500;

/// In one line that unfolds to all packages, for a plan or a row.
pub fn fold(diff: &ClosureDiff) -> AnyView {
    if diff.is_empty() {
        return view! { <p class="none">{sentence(diff)}</p> }.into_any();
    }
    view! {
        <details class="fold">
            <summary>{sentence(diff)}</summary>
            {packages(diff)}
        </details>
    }
    .into_any()
}

/// The same in full, for a page of its own.
pub fn whole(diff: &ClosureDiff) -> AnyView {
    let size = format!("{} → {} ({})", Bytes(diff.size.0), Bytes(diff.size.1), diff.growth());
    let facts = [
        ("Kernel", diff.kernel.to_string()),
        ("systemd", diff.systemd.to_string()),
        ("Size of all packages", size),
    ];
    let facts = facts.map(|(term, value)| view! { <div><dt>{term}</dt><dd>{value}</dd></div> });
    view! {
        <section class="card">
            <h2>{sentence(diff)}</h2>
            <dl class="facts">{facts.collect_view()}</dl>
            {packages(diff)}
        </section>
    }
    .into_any()
}

/// Why the difference is not known.
pub fn unknown(why: &str) -> AnyView {
    view! { <div class="empty"><p>{why.to_owned()}</p></div> }.into_any()
}

/// The one line as a sentence's beginning.
fn sentence(diff: &ClosureDiff) -> String {
    let words = diff.to_string();
    let mut letters = words.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

fn packages(diff: &ClosureDiff) -> AnyView {
    let rebuilt = (diff.rebuilt > 0).then(|| {
        let words = match diff.rebuilt {
            1 => "One package stays in its version, but was built anew".to_owned(),
            n => format!("{n} packages stay in their versions, but were built anew"),
        };
        view! { <p class="note">{words}", because something that they are built from has changed."</p> }
    });
    view! {
        <div class="packages">
            {list("Changed", &diff.changed)}
            {list("Added", &diff.added)}
            {list("Removed", &diff.removed)}
            {rebuilt}
        </div>
    }
    .into_any()
}

fn list(title: &'static str, changes: &[Change]) -> Option<impl IntoView + use<>> {
    let items = changes.iter().take(SHOWN).map(|change| {
        view! {
            <li>
                <span class="package-name">{change.name.clone()}</span>
                " "
                <span>{versions(change)}</span>
                " "
                <span class="package-growth">{change.growth.to_string()}</span>
            </li>
        }
    });
    let more = changes.len().saturating_sub(SHOWN);
    let more = (more > 0).then(|| view! { <p class="note">{format!("… and {more} more")}</p> });
    (!changes.is_empty()).then(|| {
        view! {
            <div>
                <h3>{format!("{title} ({})", changes.len())}</h3>
                <ul>{items.collect_view()}</ul>
                {more}
            </div>
        }
    })
}

/// `8.1 → 8.2`; of what comes or goes, the versions alone.
fn versions(change: &Change) -> String {
    let (from, to) = (change.from.join(", "), change.to.join(", "));
    match (from.is_empty(), to.is_empty()) {
        (true, true) => "no version".to_owned(),
        (true, false) => to,
        (false, true) => from,
        (false, false) => format!("{from} → {to}"),
    }
}
