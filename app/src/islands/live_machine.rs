//! Keeps a machine's page fresh: state, addresses, figures, the job that holds it, and what can be done.

use super::status;
use leptos::prelude::*;
use model::machine::MachineId;

/// Follows one machine and patches the regions of its page that are marked as live.
#[island]
pub fn LiveMachine(
    /// The machine.
    id: MachineId,
) -> impl IntoView {
    #[cfg(feature = "hydrate")]
    client::follow(id);
    #[cfg(not(feature = "hydrate"))]
    let _ = id;
    status::note()
}

#[cfg(feature = "hydrate")]
mod client {
    use crate::islands::events;
    use crate::islands::status::{self, Status};
    use crate::islands::{dom, refresh};
    use crate::parts::address;
    use crate::parts::machine_head::{Region, head, notices, usage};
    use leptos::prelude::*;
    use model::job::JobId;
    use model::machine::{MachineId, MachineRow, MachineState};

    pub fn follow(id: MachineId) {
        // What the page shows of the machine; nothing is known of what the server rendered, so that the first state is
        // shown in full.
        let mut shown: Option<MachineRow> = None;
        events::follow(move |machines, _| {
            let Some(row) = machines.get(id) else {
                return status::show(Status::Ended { why: "This machine is gone.".to_owned() });
            };
            if shown.as_ref() == Some(row) {
                return;
            }
            show(row);
            // What can be done depends on more than the row; the server is asked when that may have changed.
            if shown.as_ref().map(possibilities) != Some(possibilities(row)) {
                refresh::refresh(&["[data-live=actions]", "[data-live=jobs]"]);
            }
            shown = Some(row.clone());
        });
    }

    fn possibilities(row: &MachineRow) -> (MachineState, Option<JobId>, bool) {
        (row.observed.state, row.job.as_ref().map(|job| job.id), row.update_available)
    }

    fn show(row: &MachineRow) {
        patch(Region::Head, head(row).into_any());
        patch(Region::Notices, notices(row).into_any());
        patch(Region::Usage, usage(row).into_any());
        patch(Region::Addresses, address::all(&row.observed.addresses));
    }

    fn patch(region: Region, view: AnyView) {
        // A tab shows only some of the regions.
        if let Some(place) = dom::region(region.as_str()) {
            dom::patch(&place, view);
        }
    }
}
