//! Serial consoles: one reader per machine, any number of viewers.
//!
//! ```text
//!            hypervisor.console()             ┌─ cursor ─ Attachment (drives)
//!  guest ───► reader ──► history (offsets) ───┼─ cursor ─ Attachment (watches)
//!    ▲           └─────► transcript (disk)    └─ cursor ─ Attachment (watches)
//!    └──────────────── input ◄──────────────────── the driver only
//! ```
//!
//! The reader never waits for anyone: it puts the guest's output into the [`history`] and continues. A viewer is a
//! cursor into that history and reads at its own pace; one that falls behind what is kept skips ahead and is
//! notified. So a slow browser costs only itself, and fifty watchers share the same bytes.
//!
//! The engine notifies the hub of running machines ([`Hub::follow`], [`Hub::set_state`], [`Hub::rebooted`]), so that
//! the boot is in the history and on disk before anyone watches; sockets attach ([`Hub::attach`]). Offsets count
//! bytes and never run backwards, not even across a restart of the portal: a reconnecting client reports what it has
//! seen.

mod attachment;
pub mod history;
mod hub;
mod line;
mod reader;
#[cfg(test)]
mod tests;
mod transcript;

pub use attachment::{Attachment, ConsoleItem};
pub use hub::Hub;
