//! Jobs: accepted operations being carried out.
//!
//! ```text
//!  submit (accept) ──► queued ──► running ──► succeeded
//!                       │           │ a step fails, or someone cancels
//!                       │           ▼
//!                       └──────► undoing ──► failed | cancelled
//!                                 │    ▲
//!            an undo step fails   ▼    │ someone asks to try again
//!                            needs attention ──► failed (given up)
//! ```
//!
//! One task per open job (`runner`), which holds the job's [`lease::Lease`]; so everything that happens to a job
//! happens in one place, in order. Every arrow and every finished step is one transaction; no transaction spans a step.
//! `recover` starts the same task for each job that a crash or a shutdown left open, so recovery is the ordinary path
//! begun in the middle.

pub(crate) mod accept;
pub(crate) mod follow;
pub(crate) mod give_up;
pub(crate) mod lease;
pub(crate) mod limits;
pub(crate) mod live;
pub(crate) mod log;
pub(crate) mod recover;
pub(crate) mod run;
pub(crate) mod runner;
pub(crate) mod step;
pub(crate) mod unwind;
pub(crate) mod view;
