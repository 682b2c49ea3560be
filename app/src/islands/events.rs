//! The socket `/ws/events` as a list of machines that keeps itself fresh; both live islands read it.

use super::socket::{Frame, Next, Socket};
use super::status::Status;
use crate::routes::sockets;
use leptos::prelude::*;
use model::account::TicketPurpose;
use model::event::{Change, EventFrame};
use model::machine::{MachineId, MachineRow};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// All machines that the user may see, by id.
pub type Machines = BTreeMap<MachineId, MachineRow>;

/// What happened to the list.
pub enum News {
    /// All of it is new.
    All,
    /// This machine is new, different or gone.
    One(MachineId),
}

/// Follows the machines and tells of each change.
pub fn follow(status: RwSignal<Status>, mut tell: impl FnMut(&Machines, News) + 'static) {
    let machines = Rc::new(RefCell::new(Machines::new()));
    let mut last = None;
    Socket::open(
        status,
        || TicketPurpose::Events,
        || sockets::EVENTS.to_owned(),
        move |frame| {
            let Frame::Text(text) = frame else { return Next::Stay };
            // A frame that cannot be read comes from a newer server: connecting again does not help, loading does.
            let Ok(frame) = serde_json::from_str::<EventFrame>(&text) else {
                return Next::Closing("The portal was renewed: load the page again.".to_owned());
            };
            let mut machines = machines.borrow_mut();
            match frame {
                EventFrame::Full { seq, machines: all } => {
                    last = Some(seq);
                    *machines = all.into_iter().map(|row| (row.id, row)).collect();
                    tell(&machines, News::All);
                }
                EventFrame::Delta { seq, change } => {
                    if last.is_none_or(|last| seq != last + 1) {
                        return Next::Again;
                    }
                    last = Some(seq);
                    if let Some(id) = apply(&mut machines, change) {
                        tell(&machines, News::One(id));
                    }
                }
                EventFrame::Closing { why } => return Next::Closing(why),
            }
            Next::Stay
        },
    );
}

/// Applies a change and says which machine it concerned.
fn apply(machines: &mut Machines, change: Change) -> Option<MachineId> {
    match change {
        Change::Machine { row } => {
            let id = row.id;
            machines.insert(id, *row);
            Some(id)
        }
        Change::Gone { id } => machines.remove(&id).map(|_| id),
        Change::Job { job } => {
            let held =
                machines.values_mut().find(|row| row.job.as_ref().is_some_and(|held| held.id == job.id))?;
            held.job = (!job.state.is_over()).then_some(job);
            Some(held.id)
        }
        Change::Nothing => None,
    }
}
