//! The socket `/ws/events` as a list of machines that keeps itself fresh; the live islands read it.

use super::socket::{Frame, Next, Socket};
use crate::routes::sockets;
use model::account::TicketPurpose;
use model::event::{Change, EventFrame};
use model::machine::MachineId;
use model::view::machine::MachineRow;
use std::cell::RefCell;
use std::rc::Rc;

/// All machines that the user may see, in no order.
#[derive(Default)]
pub struct Machines(pub Vec<MachineRow>);

impl Machines {
    /// A machine by its id.
    pub fn get(&self, id: MachineId) -> Option<&MachineRow> {
        self.0.iter().find(|row| row.id == id)
    }
}

/// What happened to the list.
pub enum News {
    /// All of it is new.
    All,
    /// This machine is new, different or gone.
    One(MachineId),
    /// A job began, moved on or ended; with the machine that it holds or held, if that is known.
    Job(Option<MachineId>),
}

/// Follows all machines, or this one alone, and tells of each change.
pub fn follow(only: Option<MachineId>, mut tell: impl FnMut(&Machines, News) + 'static) {
    let machines = Rc::new(RefCell::new(Machines::default()));
    let mut last = None;
    Socket::open(
        || TicketPurpose::Events,
        move || sockets::events(only),
        move |frame| {
            let Frame::Text(text) = frame else { return Next::Stay };
            // A frame that cannot be read comes from a newer server: connecting again does not help, loading does.
            let Ok(frame) = serde_json::from_slice::<EventFrame>(text.as_bytes()) else {
                return Next::Closing("The portal was renewed: load the page again.".to_owned());
            };
            let mut machines = machines.borrow_mut();
            match frame {
                EventFrame::Full { seq, machines: all } => {
                    last = Some(seq);
                    machines.0 = all;
                    tell(&machines, News::All);
                }
                EventFrame::Delta { seq, change } => {
                    if last.is_none_or(|last| seq != last + 1) {
                        return Next::Again;
                    }
                    last = Some(seq);
                    let news = apply(&mut machines, change);
                    tell(&machines, news);
                }
                EventFrame::Closing { why } => return Next::Closing(why),
            }
            Next::Stay
        },
    );
}

/// Applies a change and says what it was.
fn apply(machines: &mut Machines, change: Change) -> News {
    match change {
        Change::Machine { row } => {
            let id = row.id;
            match machines.0.iter_mut().find(|known| known.id == id) {
                Some(known) => *known = *row,
                None => machines.0.push(*row),
            }
            News::One(id)
        }
        Change::Gone { id } => {
            machines.0.retain(|row| row.id != id);
            News::One(id)
        }
        Change::Job { job } => {
            let is_held = |row: &&mut MachineRow| row.job.as_ref().is_some_and(|held| held.id == job.id);
            let held = machines.0.iter_mut().find(is_held);
            News::Job(held.map(|row| {
                row.job = (!job.state.is_over()).then_some(job);
                row.id
            }))
        }
    }
}
