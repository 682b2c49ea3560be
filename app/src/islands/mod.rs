//! The islands: the only code that becomes wasm. Each is rendered on the server like any other part of a page, so that a
//! page is complete without JavaScript, and becomes live where JavaScript runs.
//!
//! Islands do not render what they keep up to date: they patch the server's HTML with the same `parts` that the server used
//! (`dom::patch`). So a page carries no second copy of its data, and hydration costs nothing.

pub mod console;
pub mod form_help;
pub mod job_live;
pub mod live_jobs;
pub mod live_machine;
pub mod live_machines;

#[cfg(feature = "hydrate")]
mod dom;
#[cfg(feature = "hydrate")]
mod events;
#[cfg(feature = "hydrate")]
mod log_view;
#[cfg(feature = "hydrate")]
mod refresh;
#[cfg(feature = "hydrate")]
mod socket;
mod status;
