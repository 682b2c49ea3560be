//! The frames of `/ws/events`: the whole state first, then numbered changes. Each socket numbers the changes it is
//! sent. A client that sees a gap reconnects and gets the whole state.

use crate::job::JobBadge;
use crate::machine::MachineId;
use crate::view::machine::MachineRow;
use serde::{Deserialize, Serialize};

/// To the browser, as JSON text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EventFrame {
    /// All machines that the client asked for and may see.
    Full {
        /// Number of the last change contained.
        seq: u64,
        /// The machines.
        machines: Vec<MachineRow>,
    },
    /// One change.
    Delta {
        /// One more than the number before.
        seq: u64,
        /// What changed.
        change: Change,
    },
    /// The server ends the socket, and why.
    Closing {
        /// The reason.
        why: String,
    },
}

/// One thing that changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Change {
    /// A machine is new or different; this is how it is now.
    Machine {
        /// The machine.
        row: Box<MachineRow>,
    },
    /// A machine is gone, or is no longer visible.
    Gone {
        /// Which.
        id: MachineId,
    },
    /// A job began, moved on or ended.
    Job {
        /// The job.
        job: JobBadge,
    },
}
