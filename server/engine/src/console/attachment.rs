//! One viewer of a console: a cursor into its history and a place among its people.
//!
//! A viewer's notices are worked out from the difference between the console as it is and what the viewer last
//! received. So nothing is queued per viewer, and however slow it is, the next notice is the current state.

use super::history::Found;
use super::line::{Line, Link, Shared};
use bytes::Bytes;
use model::console::{ConsoleNotice, ConsoleRequest};
use ports::console::{InputError, Pace};
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

const NOT_READING: &str = "The guest is not reading; input was dropped.";
const PAUSED: &str = "The machine is paused; input was dropped.";

/// What a viewer gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsoleItem {
    /// The guest's output, verbatim.
    Bytes(Bytes),
    /// Something about the console.
    Notice(ConsoleNotice),
}

/// A viewer's end of a console. Dropping it detaches.
#[derive(Debug)]
pub struct Attachment {
    line: Arc<Line>,
    number: u64,
    changes: watch::Receiver<()>,
    offset: u64,
    told: ToldViewer,
    /// Not woken before: the guest is flooding, and fifty viewers woken five thousand times a second would slow it
    /// down.
    rest: Option<Instant>,
    pace: Pace,
    /// Set when it typed without driving: it is to be notified again of who drives.
    remind: bool,
    /// Why input was dropped since some was last accepted, and whether the viewer has been notified: once, not per
    /// key.
    dropped: Option<(&'static str, bool)>,
}

/// What this viewer was last sent.
#[derive(Debug)]
struct ToldViewer {
    hello: bool,
    people: Option<u64>,
    link: Link,
    lost_input: u64,
    closing: bool,
}

impl Attachment {
    pub(super) fn new(line: Arc<Line>, number: u64, offset: u64) -> Self {
        let lost_input = line.look(|shared| shared.lost_input);
        let told = ToldViewer { hello: false, people: None, link: Link::Unknown, lost_input, closing: false };
        Self {
            changes: line.changes(),
            line,
            number,
            offset,
            told,
            rest: None,
            pace: Pace::new(Instant::now().into_std()),
            remind: false,
            dropped: None,
        }
    }

    /// What comes next. `None` after the console was closed and [`ConsoleNotice::Closing`] has said why. Safe to cancel:
    /// nothing is lost.
    pub async fn next(&mut self) -> Option<ConsoleItem> {
        loop {
            if let Some(until) = self.rest {
                sleep_until(until).await;
                self.rest = None;
            }
            // Before looking, so that what changes while we look wakes us again.
            self.changes.borrow_and_update();
            let line = self.line.clone();
            if let Some(item) = line.look(|shared| self.due(shared)) {
                return Some(item);
            }
            if self.told.closing || self.changes.changed().await.is_err() {
                return None;
            }
        }
    }

    /// The first thing that this viewer does not know yet.
    fn due(&mut self, shared: &Shared) -> Option<ConsoleItem> {
        if !self.told.hello {
            self.told.hello = true;
            let (offset, end) = (self.offset, shared.history.end());
            return Some(ConsoleItem::Notice(ConsoleNotice::Hello { offset, end, since: shared.since }));
        }
        let remind = std::mem::take(&mut self.remind);
        if remind || self.told.people != Some(shared.people) {
            self.told.people = Some(shared.people);
            return Some(ConsoleItem::Notice(shared.people_for(self.number)));
        }
        if let Some(why) = self.dropped_input(shared) {
            return Some(ConsoleItem::Notice(ConsoleNotice::InputDropped { why: why.to_owned() }));
        }
        // “On” comes before the machine's output, “off” after it.
        if shared.link == Link::On && self.told.link != Link::On {
            self.told.link = Link::On;
            return Some(ConsoleItem::Notice(ConsoleNotice::On));
        }
        match shared.history.read(self.offset) {
            Found::Bytes(bytes) => {
                self.offset += bytes.len() as u64;
                let now = Instant::now();
                let pours =
                    self.pace.pours(bytes.len(), now.into_std()) && self.offset == shared.history.end();
                self.rest = pours.then(|| now + Pace::REST);
                return Some(ConsoleItem::Bytes(bytes));
            }
            Found::Gap { .. } => {
                let from = std::mem::replace(&mut self.offset, shared.history.catch_up());
                return Some(ConsoleItem::Notice(ConsoleNotice::Skipped { from, to: self.offset }));
            }
            Found::End => (),
        }
        if shared.link == Link::Off && self.told.link != Link::Off {
            self.told.link = Link::Off;
            return Some(ConsoleItem::Notice(ConsoleNotice::Off));
        }
        let why = shared.closed.as_ref().filter(|_| !self.told.closing)?;
        self.told.closing = true;
        Some(ConsoleItem::Notice(ConsoleNotice::Closing { why: why.clone() }))
    }

    /// A notice about dropped input that this viewer has not had yet.
    fn dropped_input(&mut self, shared: &Shared) -> Option<&'static str> {
        let lost = std::mem::replace(&mut self.told.lost_input, shared.lost_input) != shared.lost_input;
        if lost && shared.drives(self.number) {
            self.dropped.get_or_insert((NOT_READING, false));
        }
        let (why, told) = self.dropped.as_mut()?;
        (!std::mem::replace(told, true)).then_some(*why)
    }

    /// Queues typed input for the guest; never waits. False when it was refused, which the viewer learns from
    /// [`Attachment::next`]: it does not drive, the machine is paused, or the guest has not read earlier input. While
    /// the machine is off, input is dropped, as on a real line.
    pub fn type_in(&mut self, bytes: &[u8]) -> bool {
        let pushed = self.line.look(|shared| {
            let may = shared.drives(self.number);
            may.then(|| shared.input().filter(|_| !self.line.is_paused()).map(|input| input.push(bytes)))
        });
        match pushed {
            None => {
                self.remind = true;
                false
            }
            Some(Some(Ok(()))) => {
                self.dropped = None;
                true
            }
            Some(Some(Err(InputError::Full))) => self.drop_input(NOT_READING),
            Some(None) if self.line.is_paused() => self.drop_input(PAUSED),
            Some(None | Some(Err(InputError::Closed))) => false,
        }
    }

    fn drop_input(&mut self, why: &'static str) -> bool {
        if self.dropped.is_none_or(|(before, _)| before != why) {
            self.dropped = Some((why, false));
        }
        false
    }

    /// Takes the keyboard, releases it, or reports the terminal's size, which a serial line does not have.
    pub fn request(&self, request: ConsoleRequest) {
        match request {
            ConsoleRequest::TakeOver => self.line.update(|s| s.take_over(self.number)),
            ConsoleRequest::Release => self.line.update(|s| s.release(self.number)),
            ConsoleRequest::Resize { .. } => (),
        }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.line.update(|s| s.leave(self.number));
    }
}
