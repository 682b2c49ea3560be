//! The rules of Snowglobe. [`portal`] is the door; `ops/` is what there is to do; `job/` runs it;
//! `ports/` is what it needs from the world. Nothing here knows HTTP, Leptos, libvirt or SSH.

mod audit;
mod auth;
mod authorize;
mod backoff;
mod builds;
pub mod console;
mod core;
mod counts;
mod cx;
mod db;
pub mod engine;
mod error;
mod hosts;
pub mod image;
mod job;
mod key;
pub mod live;
mod machine;
pub mod metrics;
mod ops;
pub mod portal;
pub mod probe;
mod retention;
mod roots;
mod settings;
mod slots;
mod steps;
mod sync;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod text;
mod watch;

pub use backoff::Backoff;
pub use engine::Engine;
pub use error::OpenError;
pub use hosts::Host;
pub use live::ConsoleSession;
pub use metrics::Metrics;
pub use settings::{PasswordCost, Settings};
