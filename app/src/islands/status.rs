//! How a live part of a page is connected, in words.

use leptos::prelude::*;

/// The state of a socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(not(feature = "hydrate"), expect(dead_code, reason = "on the server a page is never connected"))]
pub enum Status {
    /// Not yet there; says nothing, because it takes a blink.
    #[default]
    Connecting,
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

impl Status {
    /// The sentence for the person; empty while all is well.
    fn words(&self) -> String {
        match self {
            Status::Connecting | Status::Live => String::new(),
            Status::Waiting { why, seconds } => format!("Not live: {why} Trying again in {seconds} s."),
            Status::Ended { why } => why.clone(),
        }
    }
}

/// A line that says when what is shown may be old.
pub fn note(status: RwSignal<Status>) -> impl IntoView {
    view! { <p class="live-note" role="status">{move || status.with(Status::words)}</p> }
}
