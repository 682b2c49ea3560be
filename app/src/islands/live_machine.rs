//! Keeps a machine's page fresh: state, addresses, figures, the job that holds it, and what can be done.

use super::status;
use leptos::prelude::*;
use model::machine::MachineRow;

/// Follows one machine and patches the regions of its page that are marked as live.
#[island]
pub fn LiveMachine(
    /// The machine as the page shows it.
    row: MachineRow,
) -> impl IntoView {
    let status = RwSignal::new(status::Status::default());
    #[cfg(feature = "hydrate")]
    client::follow(row, status);
    #[cfg(not(feature = "hydrate"))]
    drop(row);
    status::note(status)
}

#[cfg(feature = "hydrate")]
mod client {
    use crate::islands::events::{self};
    use crate::islands::status::Status;
    use crate::islands::{dom, refresh};
    use crate::parts::address;
    use crate::parts::machine_head::{Region, head, job, usage};
    use leptos::prelude::*;
    use model::machine::MachineRow;

    pub fn follow(mut shown: MachineRow, status: RwSignal<Status>) {
        events::follow(status, move |machines, _| {
            let Some(row) = machines.get(&shown.id).filter(|row| **row != shown) else {
                if !machines.contains_key(&shown.id) {
                    status.set(Status::Ended { why: "This machine is gone.".to_owned() });
                }
                return;
            };
            show(row);
            // What can be done depends on more than the row; the server is asked when that may have changed.
            if possibilities(row) != possibilities(&shown) {
                refresh::refresh(&["[data-live=actions]", "[data-live=jobs]"]);
            }
            shown = row.clone();
        });
    }

    fn possibilities(row: &MachineRow) -> impl PartialEq + use<> {
        (row.observed.state, row.job.as_ref().map(|job| job.id), row.update_available)
    }

    fn show(row: &MachineRow) {
        patch(Region::Head, head(row).into_any());
        patch(Region::Job, job(row.job.as_ref()));
        patch(Region::Usage, usage(row).into_any());
        patch(Region::Addresses, address::all(&row.observed.addresses));
    }

    fn patch(region: Region, view: AnyView) {
        // A tab shows only some of the regions.
        if let Some(place) = dom::find(&format!("[data-live={}]", region.as_str())) {
            dom::patch(&place, view);
        }
    }
}
