//! Whether the live parts of a page are connected: one line for all its sockets, empty while they are.

use leptos::prelude::*;

const REGION: &str = "status";

/// The line, as every live island renders it. Where a page has several, the last one is used.
pub fn note() -> impl IntoView + use<> {
    view! { <p class="live-note" role="status" data-live=REGION></p> }
}

#[cfg(feature = "hydrate")]
pub use client::{Indicator, Status};

#[cfg(feature = "hydrate")]
mod client {
    use super::REGION;
    use crate::islands::dom;
    use std::cell::RefCell;

    thread_local! {
        /// Of each socket of the page.
        static STATES: RefCell<Vec<Status>> = const { RefCell::new(Vec::new()) };
    }

    /// The state of a socket's connection.
    pub enum Status {
        /// Connected.
        Live,
        /// Lost, for this reason, and retried.
        Waiting(String),
        /// Ended for good, for this reason; empty if it simply came to its end.
        Ended(String),
    }

    /// One socket's part in the line.
    pub struct Indicator(usize);

    impl Indicator {
        /// Shows nothing at first.
        pub fn new() -> Self {
            STATES.with_borrow_mut(|states| {
                states.push(Status::Live);
                Self(states.len() - 1)
            })
        }

        /// Shows the state of this socket's connection.
        pub fn show(&self, status: Status) {
            let text = STATES.with_borrow_mut(|states| {
                if let Some(state) = states.get_mut(self.0) {
                    *state = status;
                }
                summary(states)
            });
            let lines = dom::document().query_selector_all(&format!("[data-live={REGION}]"));
            let last = lines.ok().and_then(|lines| lines.item(lines.length().checked_sub(1)?));
            // Written only if it differs: a screen reader reads it out each time.
            if let Some(line) = last.filter(|line| line.text_content().as_deref() != Some(&text)) {
                line.set_text_content(Some(&text));
            }
        }
    }

    /// A connection that ended for good matters more than one that is retried.
    fn summary(states: &[Status]) -> String {
        let ended = states.iter().find_map(|state| match state {
            Status::Ended(why) if !why.is_empty() => Some(why.clone()),
            _ => None,
        });
        let waiting = states.iter().find_map(|state| match state {
            Status::Waiting(why) => Some(format!("Not live: {why} Reconnecting…")),
            _ => None,
        });
        ended.or(waiting).unwrap_or_default()
    }
}
