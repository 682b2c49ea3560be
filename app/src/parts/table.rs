//! Lists: tables that become cards on a phone, empty states, and the way to the next page.

use leptos::prelude::*;

/// A table with these columns. Cells carry `data-label`, which the style sheet shows when the table becomes cards.
/// The roles keep its meaning for screen readers when its display changes.
pub fn table(caption: &str, columns: &[&'static str], class: &'static str, rows: AnyView) -> AnyView {
    let heads = columns.iter().map(|title| view! { <th scope="col">{*title}</th> }).collect_view();
    view! {
        <div class="table-wrap">
            <table class=format!("list {class}")>
                <caption class="hidden">{caption.to_owned()}</caption>
                <thead><tr>{heads}</tr></thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
    .into_any()
}

/// One sentence and one button where a list would be.
pub fn empty(sentence: &'static str, link: Option<(&str, &'static str)>) -> AnyView {
    let link =
        link.map(|(href, words)| view! { <p><a class="button primary" href=href.to_owned()>{words}</a></p> });
    view! { <div class="empty"><p>{sentence}</p>{link}</div> }.into_any()
}

/// Links to the pages before and after.
pub fn pager(before: Option<(String, &'static str)>, after: Option<(String, &'static str)>) -> AnyView {
    if before.is_none() && after.is_none() {
        return ().into_any();
    }
    let link = |(href, words): (String, &'static str)| view! { <a class="button" href=href>{words}</a> };
    view! { <nav class="pager" aria-label="Pages">{before.map(link)}{after.map(link)}</nav> }.into_any()
}
