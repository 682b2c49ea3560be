//! Keeps the machine list up to date: states, addresses, figures, progress, new and removed rows.

use super::status;
use leptos::prelude::*;
use model::view::machine::MachineFilter;

/// Follows the machines and patches the rows that the page shows. Renders only the line that says when they may be out of
/// date.
#[island]
pub fn LiveMachines(
    /// The page's filter; a row that no longer matches is removed.
    filter: MachineFilter,
) -> impl IntoView {
    #[cfg(feature = "hydrate")]
    client::follow(filter);
    #[cfg(not(feature = "hydrate"))]
    drop(filter);
    status::note()
}

#[cfg(feature = "hydrate")]
mod client {
    use crate::islands::dom;
    use crate::islands::events::{self, Machines, Update};
    use crate::islands::refresh::Refresh;
    use crate::parts::machine_row::{count, machine_row};
    use model::machine::MachineId;
    use model::view::machine::{MACHINE_COLUMNS, MACHINES_PER_PAGE, MachineFilter, MachineRow};
    use wasm_bindgen::JsCast;
    use web_sys::{Element, HtmlElement};

    pub fn follow(filter: MachineFilter) {
        let Some(body) = dom::find("table.machines tbody") else { return };
        let page = Refresh::new(&["[data-empty]"]);
        events::follow(None, move |machines, update| match update {
            Update::Job(None) => {}
            Update::One(id) | Update::Job(Some(id)) if stays(&body, machines, id, &filter) => {
                if let (Some(tr), Some(row)) = (row_of(&body, id), machines.get(id)) {
                    show(&tr, row);
                }
            }
            _ => {
                show_all(&body, machines, &filter);
                // The text of an empty list comes from the server.
                if body.child_element_count() == 0 {
                    page.ask();
                }
            }
        });
    }

    /// True when a change can be shown in the existing row, which stays where it is. Figures that change do not move rows: a list
    /// that is sorted by them would jump with every sample.
    fn stays(body: &Element, machines: &Machines, id: MachineId, filter: &MachineFilter) -> bool {
        let (Some(tr), Some(row)) = (row_of(body, id), machines.get(id)) else { return false };
        let was_being_created = tr.has_attribute("data-creating");
        filter.fits(row) && was_being_created == row.is_being_created()
    }

    fn row_of(body: &Element, id: MachineId) -> Option<Element> {
        body.query_selector(&format!("tr[data-machine=\"{id}\"]")).ok().flatten()
    }

    fn show(tr: &Element, row: &MachineRow) {
        if let Some(new) = built(row) {
            dom::morph(tr, &new);
        }
    }

    fn built(row: &MachineRow) -> Option<Element> {
        dom::build("tbody", machine_row(row))?.first_element_child()
    }

    /// The whole page of the list in its order: existing rows are patched or moved, missing ones are built.
    fn show_all(body: &Element, machines: &Machines, filter: &MachineFilter) {
        let mut fitting: Vec<&MachineRow> = machines.0.iter().filter(|row| filter.fits(row)).collect();
        fitting.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some(sort) = &filter.sort {
            fitting.sort_by(|a, b| sort.compare(&MACHINE_COLUMNS, a, b));
        }
        fitting.sort_by_key(|row| !row.is_being_created());
        let per_page = MACHINES_PER_PAGE as usize;
        let first = per_page.saturating_mul(filter.page as usize);
        let shown: Vec<&MachineRow> = fitting.iter().copied().skip(first).take(per_page).collect();
        for gone in rows(body).iter().filter(|tr| !shown.iter().any(|row| is_row_of(tr, row.id))) {
            gone.remove();
        }
        let mut place = body.first_element_child();
        for row in shown {
            match place.as_ref().filter(|tr| is_row_of(tr, row.id)).cloned() {
                Some(tr) => {
                    place = tr.next_element_sibling();
                    show(&tr, row);
                }
                None => insert_before(body, place.as_ref(), row),
            }
        }
        show_counts(fitting.len(), machines.0.len());
    }

    /// Moves the machine's row here, or builds it.
    fn insert_before(body: &Element, place: Option<&Element>, row: &MachineRow) {
        let tr = match row_of(body, row.id) {
            Some(tr) => {
                show(&tr, row);
                Some(tr)
            }
            None => built(row),
        };
        if let Some(tr) = tr {
            // Fails only if `place` has just left the table; the next full state corrects that.
            let _ = body.insert_before(&tr, place.map(AsRef::as_ref));
        }
    }

    fn rows(body: &Element) -> Vec<Element> {
        let list = body.children();
        (0..list.length()).filter_map(|i| list.item(i)).collect()
    }

    fn is_row_of(tr: &Element, id: MachineId) -> bool {
        tr.get_attribute("data-machine").is_some_and(|have| have == id.to_string())
    }

    fn show_counts(matching: usize, total: usize) {
        if let Some(place) = dom::find("[data-count]") {
            place.set_text_content(Some(&count(matching as u64, total as u64)));
        }
        if let Some(empty) = dom::find("[data-empty]").and_then(|e| e.dyn_into::<HtmlElement>().ok()) {
            empty.set_hidden(matching > 0);
        }
    }
}
