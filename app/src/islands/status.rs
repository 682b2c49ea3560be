//! How the live parts of a page are connected, in words: one line for all its sockets, empty while all is well.

use leptos::prelude::*;

/// The line's `data-live`.
const REGION: &str = "status";

/// The line, as every live island renders it. Where a page has several, the last one speaks.
pub fn note() -> impl IntoView + use<> {
    view! { <p class="live-note" role="status" data-live=REGION></p> }
}

#[cfg(feature = "hydrate")]
pub use client::{Line, Status};

#[cfg(feature = "hydrate")]
mod client {
    use super::REGION;
    use crate::islands::dom;
    use std::cell::RefCell;

    thread_local! {
        /// The state of each socket of the page.
        static STATES: RefCell<Vec<Status>> = const { RefCell::new(Vec::new()) };
    }

    /// The state of a socket.
    pub enum Status {
        /// Changes arrive.
        Live,
        /// Lost, and tried again; why it was lost.
        Waiting(String),
        /// Over for good, and why; empty when everything has been said.
        Ended(String),
    }

    /// A socket's share in the line.
    pub struct Line(usize);

    impl Line {
        /// A share that says nothing yet.
        pub fn new() -> Self {
            STATES.with_borrow_mut(|states| {
                states.push(Status::Live);
                Self(states.len() - 1)
            })
        }

        /// Says when what is shown may be old.
        pub fn show(&self, status: Status) {
            let words = STATES.with_borrow_mut(|states| {
                if let Some(state) = states.get_mut(self.0) {
                    *state = status;
                }
                words(states)
            });
            let lines = dom::document().query_selector_all(&format!("[data-live={REGION}]"));
            let last = lines.ok().and_then(|lines| lines.item(lines.length().checked_sub(1)?));
            // Only news is written: a screen reader reads it out each time.
            if let Some(line) = last.filter(|line| line.text_content().as_deref() != Some(&words)) {
                line.set_text_content(Some(&words));
            }
        }
    }

    /// What ended for good says more than what is tried again.
    fn words(states: &[Status]) -> String {
        let ended = states.iter().find_map(|state| match state {
            Status::Ended(why) if !why.is_empty() => Some(why.clone()),
            _ => None,
        });
        let waiting = states.iter().find_map(|state| match state {
            Status::Waiting(why) => Some(format!("Not live: {why} Connecting again.")),
            _ => None,
        });
        ended.or(waiting).unwrap_or_default()
    }
}
