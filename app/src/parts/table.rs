//! Lists: tables that become cards on a phone, sorted by their headings; empty states; the way to the next page.

use crate::cx::Cx;
use crate::routes;
use leptos::prelude::*;
use model::sort::{Column, Sort};

/// The order of a table, and where another order leads to.
pub struct Sorting<'a> {
    /// The order it is in.
    pub sort: Sort,
    /// The URL of the same list in another order.
    pub link: &'a dyn Fn(Sort) -> String,
}

impl Sorting<'_> {
    /// For a list that is on its page as a whole: sorts the rows by the page's `sort` parameter, or else by `default`, and shows
    /// them with `row`.
    pub fn whole<T>(
        cx: &Cx,
        table: &Table<'_, T>,
        default: Sort,
        mut rows: Vec<T>,
        row: impl Fn(&T) -> AnyView,
    ) -> AnyView {
        let sort = cx.query_as("sort").unwrap_or(default);
        rows.sort_by(|a, b| sort.compare(table.columns, a, b));
        let link = |sort| routes::sorted(cx.path(), &sort);
        table.view(Some(&Sorting { sort, link: &link }), rows.iter().map(row).collect_view().into_any())
    }

    /// A heading that sorts by its column, or the other way round if the table is sorted by it already.
    fn heading(&self, name: &str, title: &'static str) -> AnyView {
        let is_current = self.sort.is_by(name);
        let direction = if self.sort.descending { "descending" } else { "ascending" };
        let href = (self.link)(Sort::by(name, is_current && !self.sort.descending));
        view! { <th scope="col" aria-sort=is_current.then_some(direction)><a href=href>{title}</a></th> }
            .into_any()
    }
}

/// A table without its rows. Cells carry `data-label`, which the style sheet shows when the table becomes cards.
pub struct Table<'a, T: 'static> {
    /// What it lists, for screen readers.
    pub caption: &'a str,
    /// Its class in the style sheet.
    pub class: &'static str,
    /// Its columns in order.
    pub columns: &'a [Column<T>],
}

impl<T> Table<'_, T> {
    /// The table with these rows; without `sorting`, its headings are plain.
    pub fn view(&self, sorting: Option<&Sorting<'_>>, rows: AnyView) -> AnyView {
        let headings = self.columns.iter().map(|column| match (&column.order, sorting) {
            (Some(order), Some(sorting)) => sorting.heading(order.name, column.title),
            _ => view! { <th scope="col">{column.title}</th> }.into_any(),
        });
        view! {
            <div class="table-wrap">
                <table class=format!("list {}", self.class)>
                    <caption class="hidden">{self.caption.to_owned()}</caption>
                    <thead><tr>{headings.collect_view()}</tr></thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        }
        .into_any()
    }
}

/// One sentence and one button in place of a list.
pub fn empty(sentence: &'static str, link: Option<(&str, &'static str)>) -> AnyView {
    let link =
        link.map(|(href, words)| view! { <p><a class="button primary" href=href.to_owned()>{words}</a></p> });
    view! { <div class="empty"><p>{sentence}</p>{link}</div> }.into_any()
}

/// Links to the previous and the next page.
pub fn pager(before: Option<(String, &'static str)>, after: Option<(String, &'static str)>) -> AnyView {
    if before.is_none() && after.is_none() {
        return ().into_any();
    }
    let link = |(href, words): (String, &'static str)| view! { <a class="button" href=href>{words}</a> };
    view! { <nav class="pager" aria-label="Pages">{before.map(link)}{after.map(link)}</nav> }.into_any()
}
