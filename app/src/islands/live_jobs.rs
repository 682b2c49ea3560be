//! Keeps a list of jobs up to date: a job that starts, progresses or ends shows without a reload.

use super::status;
use leptos::prelude::*;

/// Follows the jobs and fetches the list again when one of them has changed: only the server knows which jobs belong on
/// this page.
#[island]
pub fn LiveJobs() -> impl IntoView {
    #[cfg(feature = "hydrate")]
    client::follow();
    status::note()
}

#[cfg(feature = "hydrate")]
mod client {
    use crate::islands::events::{self, Update};
    use crate::islands::refresh::Refresh;

    pub fn follow() {
        let page = Refresh::new(&["[data-live=jobs]"]);
        events::follow(None, move |_, update| {
            // On connecting too: something may have happened between the page and the socket.
            if matches!(update, Update::All | Update::Job(_)) {
                page.ask();
            }
        });
    }
}
