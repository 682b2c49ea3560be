//! Pieces of pages: functions from values to views, without side effects. Those that islands use as well are compiled for
//! both sides, so that a row looks the same whichever side rendered it; the rest exists on the server only.

pub mod actions;
pub mod address;
pub mod badge;
#[cfg(feature = "ssr")]
pub mod batch;
#[cfg(feature = "ssr")]
pub mod choices;
#[cfg(feature = "ssr")]
pub mod closure;
pub mod console;
#[cfg(feature = "ssr")]
pub mod faults;
#[cfg(feature = "ssr")]
pub mod fields;
pub mod figures;
#[cfg(feature = "ssr")]
pub mod forecast;
#[cfg(feature = "ssr")]
pub mod form;
#[cfg(feature = "ssr")]
pub mod frame;
pub mod job;
pub mod machine_form;
pub mod machine_head;
pub mod machine_row;
pub mod plan;
pub mod profiles;
#[cfg(feature = "ssr")]
pub mod table;
pub mod time;
pub mod title;
#[cfg(feature = "ssr")]
pub mod verbatim;
