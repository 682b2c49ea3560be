//! The fleet as one socket follows it: first the current state, then the changes, of what its user may see.
//!
//! Numbers are per socket: it is sent only the changes that concern it, so a page that shows one machine costs one
//! machine's changes, and nobody learns how much happens elsewhere.

use super::fleet::{Changed, Fleet, MachineEntry};
use crate::db::Visible;
use model::event::{Change, EventFrame};
use model::machine::MachineId;
use std::sync::Arc;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// What someone follows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope {
    /// Whose machines.
    pub machines: Visible,
    /// Whose jobs.
    pub jobs: Visible,
    /// This machine and its jobs only.
    pub only: Option<MachineId>,
}

impl Scope {
    fn wants(&self, machine: Option<MachineId>) -> bool {
        self.only.is_none_or(|only| machine == Some(only))
    }

    fn includes(&self, known: &MachineEntry) -> bool {
        self.machines.includes(known.owner) && self.wants(Some(known.row.id))
    }

    /// The change as sent to a follower, if it is sent.
    fn change(&self, changed: &Changed) -> Option<Change> {
        match changed {
            Changed::Machine(known) if self.includes(known) => {
                Some(Change::Machine { row: Box::new(known.row.clone()) })
            }
            Changed::Gone { id, owner } if self.machines.includes(*owner) && self.wants(Some(*id)) => {
                Some(Change::Gone { id: *id })
            }
            Changed::Job { badge, machine, people }
                if self.wants(*machine) && people.iter().any(|p| self.jobs.includes(*p)) =>
            {
                Some(Change::Job { job: badge.clone() })
            }
            _ => None,
        }
    }
}

/// One follower.
pub(crate) struct Feed {
    fleet: Fleet,
    scope: Scope,
    changes: broadcast::Receiver<Arc<Changed>>,
    /// The number of the last frame.
    seq: u64,
}

impl Feed {
    /// The current state, and what follows it.
    pub fn open(fleet: Fleet, scope: Scope) -> (EventFrame, Self) {
        let (machines, changes) = fleet.follow(|known| scope.includes(known));
        let feed = Self { fleet, scope, changes, seq: 0 };
        (feed.full(&machines), feed)
    }

    fn full(&self, machines: &[Arc<MachineEntry>]) -> EventFrame {
        EventFrame::Full { seq: self.seq, machines: machines.iter().map(|known| known.row.clone()).collect() }
    }

    /// The next frame; `None` when there will be none. Safe to cancel: nothing is lost.
    pub async fn next(&mut self) -> Option<EventFrame> {
        loop {
            match self.changes.recv().await {
                Ok(changed) => {
                    if let Some(change) = self.scope.change(&changed) {
                        self.seq += 1;
                        return Some(EventFrame::Delta { seq: self.seq, change });
                    }
                }
                // Too slow to follow: the whole state again is shorter than what was missed.
                Err(RecvError::Lagged(_)) => {
                    let (machines, changes) = self.fleet.follow(|known| self.scope.includes(known));
                    self.changes = changes;
                    self.seq += 1;
                    return Some(self.full(&machines));
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }
}
