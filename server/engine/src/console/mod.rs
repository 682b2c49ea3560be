//! Serial consoles: one reader per machine, any number of viewers.
//!
//! ```text
//!            hypervisor.console()             ┌─ cursor ─ Attachment (drives)
//!  guest ───► reader ──► history (offsets) ───┼─ cursor ─ Attachment (watches)
//!    ▲           └─────► transcript (disk)    └─ cursor ─ Attachment (watches)
//!    └──────────────── input ◄──────────────────── the driver only
//! ```
//!
//! The reader never waits for anybody: it puts what the guest says into the [`history`] and goes on. A viewer is a cursor
//! into that history and takes what is there at its own pace; one that falls behind what is kept skips ahead and is told so.
//! So a slow browser costs nobody but itself, and fifty watchers share the same bytes.
//!
//! The engine tells the hub of machines that run ([`Hub::follow`], [`Hub::set_state`], [`Hub::rebooted`]), so that the
//! boot is in the history and on disk before anybody looks; sockets attach ([`Hub::attach`]). Offsets count bytes and never
//! run backwards, not even over a restart of the portal: a client that reconnects says what it has seen.

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
