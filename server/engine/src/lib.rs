//! The rules of Snowglobe. [`portal`] is the door; `operations.rs` is the table of what there is to do; `job/` runs it;
//! `ports/` is what it needs of the world. Nothing here knows HTTP, Leptos, libvirt or SSH.

pub mod console;
pub mod disk;
pub mod exec;
pub mod ports;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;
