//! Keeps a list of jobs fresh: a job that begins, moves on or ends shows without a reload.

use super::status;
use leptos::prelude::*;

/// Follows the jobs and takes the list from the server again when one of them changed: only the server knows which jobs belong
/// on this page.
#[island]
pub fn LiveJobs() -> impl IntoView {
    #[cfg(feature = "hydrate")]
    client::follow();
    status::note()
}

#[cfg(feature = "hydrate")]
mod client {
    use crate::islands::events::{self, News};
    use crate::islands::refresh::Refresh;

    pub fn follow() {
        let page = Refresh::new(&["[data-live=jobs]"]);
        events::follow(None, move |_, news| {
            // The first state too: something may have happened between the page and the socket.
            if matches!(news, News::All | News::Job(_)) {
                page.ask();
            }
        });
    }
}
