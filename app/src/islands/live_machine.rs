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
    use crate::islands::dom::patch_region;
    use crate::islands::events;
    use crate::islands::refresh::Refresh;
    use crate::islands::status::{Line, Status};
    use crate::parts::address;
    use crate::parts::machine_head::{Region, guest, head, notices, usage};
    use model::job::JobId;
    use model::machine::{MachineId, MachineState};
    use model::view::machine::MachineRow;

    pub fn follow(id: MachineId) {
        // What the page shows of the machine; nothing is known of what the server rendered, so that the first state is
        // shown in full.
        let mut shown: Option<MachineRow> = None;
        let page = Refresh::new(&["[data-live=actions]", "[data-live=jobs]"]);
        let line = Line::new();
        events::follow(Some(id), move |machines, _| {
            let Some(row) = machines.get(id) else {
                return line.show(Status::Ended("This machine is gone.".to_owned()));
            };
            if shown.as_ref() == Some(row) {
                return;
            }
            show(row);
            // What can be done depends on more than the row; the server is asked when that may have changed.
            if shown.as_ref().map(possibilities) != Some(possibilities(row)) {
                page.ask();
            }
            shown = Some(row.clone());
        });
    }

    fn possibilities(row: &MachineRow) -> (MachineState, Option<JobId>, bool) {
        (row.observed.state, row.job.as_ref().map(|job| job.id), row.update_available)
    }

    fn show(row: &MachineRow) {
        patch_region(Region::Head.as_str(), head(row));
        patch_region(Region::Notices.as_str(), notices(row));
        patch_region(Region::Usage.as_str(), usage(row));
        patch_region(Region::Addresses.as_str(), address::all(&row.observed.addresses));
        patch_region(Region::Guest.as_str(), guest(row));
    }
}
