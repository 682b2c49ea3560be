//! One viewer of a console: a cursor into its history and a place among its people.
//!
//! What a viewer is told is worked out from the difference between the console as it is and what the viewer was told
//! last. So nothing is queued per viewer, and however slow it is, what it hears next is how things stand.

use super::history::Found;
use super::line::{Line, Link, Shared};
use bytes::Bytes;
use model::console::{ConsoleNotice, ConsoleRequest};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// How long a keystroke may wait for a guest that does not read, before it is dropped.
const INPUT_LIMIT: Duration = Duration::from_secs(5);

/// A viewer that has just been given this many bytes or more, and with them the last, is not woken for each next one: the
/// guest pours, and fifty viewers woken five thousand times a second would slow it down.
const POUR: usize = 1024;
/// For how long it is not.
const PAUSE: Duration = Duration::from_millis(5);

/// What a viewer gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsoleItem {
    /// What the guest said, exactly.
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
    /// Not woken before.
    rest: Option<Instant>,
    /// Set when it typed without driving: it is to hear again who drives.
    remind: AtomicBool,
}

/// What this viewer was told last.
#[derive(Debug)]
struct ToldViewer {
    hello: bool,
    people: Option<u64>,
    link: Link,
    closing: bool,
}

impl Attachment {
    pub(super) fn new(line: Arc<Line>, number: u64, offset: u64) -> Self {
        let told = ToldViewer { hello: false, people: None, link: Link::Unknown, closing: false };
        Self {
            changes: line.changes(),
            line,
            number,
            offset,
            told,
            rest: None,
            remind: AtomicBool::new(false),
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
        let remind = self.remind.swap(false, Ordering::Relaxed);
        if remind || self.told.people != Some(shared.people) {
            self.told.people = Some(shared.people);
            return Some(ConsoleItem::Notice(shared.people_for(self.number)));
        }
        // “On” comes before what the machine then says, “off” after what it said last.
        if shared.link == Link::On && self.told.link != Link::On {
            self.told.link = Link::On;
            return Some(ConsoleItem::Notice(ConsoleNotice::On));
        }
        match shared.history.read(self.offset) {
            Found::Bytes(bytes) => {
                self.offset += bytes.len() as u64;
                let pours = bytes.len() >= POUR && self.offset == shared.history.end();
                self.rest = pours.then(|| Instant::now() + PAUSE);
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

    /// Sends what was typed to the guest. From a viewer that does not drive it is refused: it is told again who does. While
    /// the machine is off, and when the guest does not read for five seconds, it is dropped, as a real line would.
    pub async fn type_in(&self, bytes: Bytes) {
        let (drives, input) = self.line.look(|s| (s.drives(self.number), s.input.clone()));
        if !drives {
            self.remind.store(true, Ordering::Relaxed);
            return;
        }
        if let Some(input) = input
            && tokio::time::timeout(INPUT_LIMIT, input.send(bytes)).await.is_err()
        {
            tracing::debug!(machine.name = %self.line.machine.name, "the guest does not read its console; input dropped");
        }
    }

    /// Takes the keyboard, lets go of it, or tells the terminal's size, which a serial line does not have.
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
