//! Keeps a machine's page up to date: state, addresses, figures, the job that holds it, and the possible actions.

use super::status;
use leptos::prelude::*;
use model::machine::MachineId;

/// Follows one machine and patches the live regions of its page.
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
    use crate::islands::status::{Indicator, Status};
    use crate::parts::address;
    use crate::parts::machine_head::{Region, guest, head, notices, usage};
    use model::job::JobId;
    use model::machine::{MachineId, MachineState};
    use model::view::machine::MachineRow;

    pub fn follow(id: MachineId) {
        // What the page shows. The server's rendering is not known here, so the first state is shown in full.
        let mut shown: Option<MachineRow> = None;
        let page = Refresh::new(&[
            "[data-live=actions]",
            "[data-live=failed]",
            "[data-live=console-power]",
            "[data-live=image]",
            "[data-live=pending]",
            "[data-live=generations]",
            "[data-live=jobs]",
        ]);
        let indicator = Indicator::new();
        events::follow(Some(id), move |machines, _| {
            let Some(row) = machines.get(id) else {
                return indicator.show(Status::Ended("This machine no longer exists.".to_owned()));
            };
            if shown.as_ref() == Some(row) {
                return;
            }
            show(row);
            // The possible actions and the page's title come from the server; it is asked when they may have changed.
            if shown.as_ref().map(situation) != Some(situation(row)) {
                page.ask();
            }
            shown = Some(row.clone());
        });
    }

    fn situation(row: &MachineRow) -> (MachineState, Option<JobId>, bool, bool) {
        (row.observed.state, row.job.as_ref().map(|job| job.id), row.update_available, row.pending)
    }

    fn show(row: &MachineRow) {
        patch_region(Region::Head.as_str(), head(row));
        patch_region(Region::Notices.as_str(), notices(row));
        patch_region(Region::Usage.as_str(), usage(row));
        patch_region(Region::Addresses.as_str(), address::all(&row.observed.addresses));
        patch_region(Region::Ssh.as_str(), address::ssh(&row.observed.addresses));
        patch_region(Region::Guest.as_str(), guest(row));
    }
}
