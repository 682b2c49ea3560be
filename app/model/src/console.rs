//! The frames of `/ws/console/{machine}`. Binary frames carry terminal bytes; text frames carry these, as JSON.

use crate::time::Time;
use serde::{Deserialize, Serialize};

/// How a viewer takes part in a console.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsoleRole {
    /// Types. There is at most one.
    Driver,
    /// Watches.
    Watcher,
}

/// A boot whose console output is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boot {
    /// When it began; no two boots of a machine begin in the same millisecond.
    pub began: Time,
    /// How much of it is kept, in bytes.
    pub bytes: u64,
}

/// From the browser.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ConsoleRequest {
    /// Become the driver; the driver before becomes a watcher.
    TakeOver,
    /// Stop driving and watch.
    Release,
    /// The terminal's size changed. A serial line has none; kept for hypervisors that do.
    Resize {
        /// Columns.
        cols: u16,
        /// Rows.
        rows: u16,
    },
}

/// To the browser.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ConsoleNotice {
    /// First frame: where the following bytes are in the stream. A reconnecting client gives `offset` back.
    Hello {
        /// Absolute offset of the next binary frame's first byte.
        offset: u64,
        /// Absolute offset of the first byte that the guest has not sent yet. Everything before is history: the
        /// terminal shows it and answers none of the queries in it, which were answered long ago or never will be.
        end: u64,
        /// When the current boot's output began.
        since: Option<Time>,
    },
    /// Bytes between the two offsets are not sent: they are older than what is kept, or the viewer was too slow.
    Skipped {
        /// First byte left out.
        from: u64,
        /// First byte that follows.
        to: u64,
    },
    /// The viewers, sent on each change.
    Viewers {
        /// What this viewer is.
        you: ConsoleRole,
        /// Who drives, by user name.
        driver: Option<String>,
        /// Who watches, by user name, this viewer included if it watches.
        watchers: Vec<String>,
    },
    /// What this viewer typed has not reached the guest and will not.
    InputDropped {
        /// Why, in a sentence.
        why: String,
    },
    /// The machine is off; the socket stays and goes on when it starts.
    Off,
    /// The machine's console is connected.
    On,
    /// The server ends the socket, and why, in a sentence.
    Closing {
        /// The reason.
        why: String,
    },
}
