//! How the live parts of a page are connected, in words: one line, empty while all is well.

use leptos::prelude::*;

/// The line's `data-live`.
const REGION: &str = "status";

/// The line, as every live island renders it.
pub fn note() -> impl IntoView + use<> {
    view! { <p class="live-note" role="status" data-live=REGION></p> }
}

/// The state of a socket.
#[cfg(feature = "hydrate")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Changes arrive.
    Live,
    /// Lost; tried again after so many seconds.
    Waiting {
        /// What happened.
        why: String,
        /// The pause.
        seconds: u32,
    },
    /// Over for good.
    Ended {
        /// Why; empty when everything has been said.
        why: String,
    },
}

/// Says when what is shown may be old.
#[cfg(feature = "hydrate")]
pub fn show(status: Status) {
    let words = match status {
        Status::Live => String::new(),
        Status::Waiting { why, seconds } => format!("Not live: {why} Trying again in {seconds} s."),
        Status::Ended { why } => why,
    };
    if let Some(line) = super::dom::region(REGION) {
        line.set_text_content(Some(&words));
    }
}
