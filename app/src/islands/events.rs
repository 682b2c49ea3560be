//! The socket `/ws/events` as a list of machines that stays up to date; the live islands read it.

use super::socket::{Frame, Next, Socket};
use crate::routes::sockets;
use model::account::TicketPurpose;
use model::event::{Change, EventFrame};
use model::machine::MachineId;
use model::view::machine::MachineRow;
use std::cell::RefCell;
use std::rc::Rc;

/// All machines that the user may see, in no particular order.
#[derive(Default)]
pub struct Machines(pub Vec<MachineRow>);

impl Machines {
    pub fn get(&self, id: MachineId) -> Option<&MachineRow> {
        self.0.iter().find(|row| row.id == id)
    }
}

/// What changed in the list.
pub enum Update {
    /// Everything may be different.
    All,
    /// This machine is new, different or gone.
    One(MachineId),
    /// A job started, progressed or ended; with the machine that it holds or held, if that is known.
    Job(Option<MachineId>),
}

/// Follows all machines, or only this one, and reports each change.
pub fn follow(only: Option<MachineId>, mut report: impl FnMut(&Machines, Update) + 'static) {
    let machines = Rc::new(RefCell::new(Machines::default()));
    let mut last = None;
    Socket::open(
        || TicketPurpose::Events,
        move || sockets::events(only),
        move |frame| {
            let Frame::Text(text) = frame else { return Next::Continue };
            let Ok(frame) = serde_json::from_slice::<EventFrame>(text.as_bytes()) else {
                return Next::Unreadable;
            };
            let mut machines = machines.borrow_mut();
            match frame {
                EventFrame::Full { seq, machines: all } => {
                    last = Some(seq);
                    machines.0 = all;
                    report(&machines, Update::All);
                }
                EventFrame::Delta { seq, change } => {
                    if last.is_none_or(|last| seq != last + 1) {
                        return Next::Reconnect;
                    }
                    last = Some(seq);
                    let update = apply(&mut machines, change);
                    report(&machines, update);
                }
                EventFrame::Closing { why } => return Next::Closing(why),
            }
            Next::Continue
        },
    );
}

/// Applies a change to the list.
fn apply(machines: &mut Machines, change: Change) -> Update {
    match change {
        Change::Machine { row } => {
            let id = row.id;
            match machines.0.iter_mut().find(|known| known.id == id) {
                Some(known) => *known = *row,
                None => machines.0.push(*row),
            }
            Update::One(id)
        }
        Change::Gone { id } => {
            machines.0.retain(|row| row.id != id);
            Update::One(id)
        }
        Change::Job { job } => {
            let is_held = |row: &&mut MachineRow| row.job.as_ref().is_some_and(|held| held.id == job.id);
            let held = machines.0.iter_mut().find(is_held);
            Update::Job(held.map(|row| {
                row.job = (!job.state.is_over()).then_some(job);
                row.id
            }))
        }
    }
}
