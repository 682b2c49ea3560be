//! The vocabulary of Snowglobe and the door to it: plain types, validated newtypes, `trait Portal`.
//!
//! Every other package uses these types. Nothing here does IO, nothing knows a framework, and all of it
//! but [`portal`] also compiles for the browser. A value of a type from this package is valid: what comes from
//! outside (a form, a database row, a command line) becomes one only by passing its `TryFrom`.

pub mod account;
pub mod address;
pub mod audit;
pub mod catalog;
pub mod certificates;
pub mod change;
pub mod closure;
pub mod console;
pub mod event;
pub mod fault;
pub mod forecast;
pub mod form;
pub mod guest;
pub mod host;
pub mod identity;
pub mod image;
pub mod job;
pub mod machine;
pub mod newtype;
pub mod notes;
pub mod operation;
pub mod permission;
pub mod plan;
#[cfg(feature = "portal")]
pub mod portal;
pub mod samba;
pub mod size;
pub mod sort;
pub mod spec;
pub mod ssh_key;
pub mod time;
pub mod view;

pub use fault::{Fault, FieldError};
pub use time::Time;
