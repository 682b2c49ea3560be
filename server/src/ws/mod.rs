//! Sockets: live events, a job's log, a machine's console. `socket` has what they share and checks who may open one;
//! `open` counts them.

mod console;
mod events;
mod jobs;
pub mod open;
mod socket;

pub use console::{console, request as console_request};
pub use events::events;
pub use jobs::job;
