//! The islands: the only code that becomes wasm. Each is rendered on the server like any other part of a page, so that a
//! page is whole without JavaScript, and comes alive where JavaScript runs.
//!
//! `LiveMachines` and `LiveMachine` do not render what they keep fresh: they put the same `parts` that the server used in
//! its place (`dom::patch`). A page therefore carries no second copy of its data, and hydrating costs nothing.

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
