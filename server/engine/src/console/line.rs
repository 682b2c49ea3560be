//! One machine's console: what the reader, the viewers and the engine share.

use super::history::History;
use crate::sync::lock;
use bytes::Bytes;
use model::console::{ConsoleNotice, ConsoleRole};
use model::time::Time;
use ports::console::ConsoleInput;
use ports::hypervisor::MachineRef;
use std::collections::BTreeMap;
use std::sync::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Whether the machine's console is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// The first attempt to open it is under way.
    Unknown,
    /// It is.
    On,
    /// It is not, because the machine is off, or its host does not give us the console.
    Off,
}

/// What the engine reports about the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct MachineNews {
    /// Whether it runs; `None` before the engine has reported anything.
    pub(super) running: Option<bool>,
    /// Whether it is paused: it reads nothing then.
    pub(super) paused: bool,
    /// Counts stops. A stop and a start in quick succession are seen as one change; this shows that they were two.
    pub(super) stops: u64,
    /// Counts reboots without a stop.
    pub(super) reboots: u64,
}

/// Someone watching the console.
#[derive(Debug)]
struct Viewer {
    user: String,
}

/// What changes.
#[derive(Debug)]
pub(super) struct Shared {
    /// Which machine it is on its host. One that is destroyed and created again may have another place there.
    machine: MachineRef,
    pub(super) history: History,
    /// When the current boot's output began.
    pub(super) since: Option<Time>,
    pub(super) link: Link,
    /// Where to write what is typed, while the console is connected.
    input: Option<ConsoleInput>,
    /// Counts consoles that ended with input that the guest had not read.
    pub(super) lost_input: u64,
    /// Why the console was closed for good.
    pub(super) closed: Option<String>,
    /// Counts changes of viewers.
    pub(super) people: u64,
    viewers: BTreeMap<u64, Viewer>,
    driver: Option<u64>,
    next_viewer: u64,
}

impl Shared {
    /// Adds a viewer and returns its number. It drives if it wants to and nobody else does.
    pub(super) fn enter(&mut self, user: String, role: ConsoleRole) -> u64 {
        let number = self.next_viewer;
        self.next_viewer += 1;
        self.people += 1;
        self.viewers.insert(number, Viewer { user });
        if role == ConsoleRole::Driver && self.driver.is_none() {
            self.set_driver(Some(number));
        }
        number
    }

    /// Removes a viewer. Nobody inherits the keyboard: taking over is a decision.
    pub(super) fn leave(&mut self, number: u64) {
        self.release(number);
        self.viewers.remove(&number);
        self.people += 1;
    }

    pub(super) fn take_over(&mut self, number: u64) {
        self.set_driver(Some(number));
        self.people += 1;
    }

    pub(super) fn release(&mut self, number: u64) {
        if self.driver == Some(number) {
            self.set_driver(None);
            self.people += 1;
        }
    }

    fn set_driver(&mut self, driver: Option<u64>) {
        self.driver = driver;
        if let Some(input) = &self.input {
            input.set_driven(driver.is_some());
        }
    }

    /// The console is connected: this is where what is typed goes.
    pub(super) fn connect(&mut self, input: ConsoleInput) {
        input.set_driven(self.driver.is_some());
        self.input = Some(input);
        self.link = Link::On;
    }

    /// It is no longer connected.
    pub(super) fn disconnect(&mut self) {
        if self.input.take().is_some_and(|input| input.waiting() > 0) {
            self.lost_input += 1;
        }
    }

    /// Where to write what is typed, while the console is connected.
    pub(super) fn input(&self) -> Option<&ConsoleInput> {
        self.input.as_ref()
    }

    pub(super) fn drives(&self, number: u64) -> bool {
        self.driver == Some(number)
    }

    pub(super) fn count(&self) -> usize {
        self.viewers.len()
    }

    /// Who is there, from this viewer's point of view.
    pub(super) fn people_for(&self, number: u64) -> ConsoleNotice {
        let name = |n: &u64| self.viewers.get(n).map(|v| v.user.clone());
        let watchers = self.viewers.iter().filter(|(n, _)| Some(**n) != self.driver);
        ConsoleNotice::Viewers {
            you: if self.drives(number) { ConsoleRole::Driver } else { ConsoleRole::Watcher },
            driver: self.driver.as_ref().and_then(name),
            watchers: watchers.map(|(_, v)| v.user.clone()).collect(),
        }
    }
}

/// One machine's console.
#[derive(Debug)]
pub(super) struct Line {
    shared: Mutex<Shared>,
    changed: watch::Sender<()>,
    news: watch::Sender<MachineNews>,
    /// Ends the reader.
    pub(super) stop: CancellationToken,
    /// Cancelled when the reader has ended and all that it read is on disk.
    pub(super) ended: CancellationToken,
}

impl Line {
    /// A console with this much output from earlier runs of the portal. `offset` is that of its first byte.
    pub(super) fn new(machine: MachineRef, offset: u64, past: Bytes, stop: CancellationToken) -> Self {
        let shared = Shared {
            machine,
            history: History::recalling(offset, past),
            since: None,
            link: Link::Unknown,
            input: None,
            lost_input: 0,
            closed: None,
            people: 0,
            viewers: BTreeMap::new(),
            driver: None,
            next_viewer: 0,
        };
        let (changed, news) = (watch::Sender::new(()), watch::Sender::new(MachineNews::default()));
        Self { shared: Mutex::new(shared), changed, news, stop, ended: CancellationToken::new() }
    }

    /// Which machine it is on its host, as far as anyone has reported.
    pub(super) fn machine(&self) -> MachineRef {
        self.look(|s| s.machine.clone())
    }

    /// Takes over where the machine is now; the next stream is opened there.
    pub(super) fn set_machine(&self, machine: MachineRef) {
        lock(&self.shared).machine = machine;
    }

    /// Reads the shared state.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Shared) -> T) -> T {
        look(&lock(&self.shared))
    }

    /// Changes the shared state and wakes everyone who waits for a change.
    pub(super) fn update<T>(&self, change: impl FnOnce(&mut Shared) -> T) -> T {
        let result = change(&mut lock(&self.shared));
        self.changed.send_replace(());
        result
    }

    /// Wakes at every change of the shared state.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Wakes when the engine reports something new about the machine.
    pub(super) fn news(&self) -> watch::Receiver<MachineNews> {
        self.news.subscribe()
    }

    pub(super) fn tell(&self, change: impl FnOnce(&mut MachineNews)) {
        self.news.send_if_modified(|news| {
            let before = *news;
            change(news);
            *news != before
        });
    }

    /// Whether its machine is paused.
    pub(super) fn is_paused(&self) -> bool {
        self.news.borrow().paused
    }

    /// Whether nobody is watching.
    pub(super) fn is_unseen(&self) -> bool {
        self.look(|s| s.count() == 0)
    }

    /// Whether its machine is off and all its output has been read.
    pub(super) fn is_off(&self) -> bool {
        self.news.borrow().running == Some(false) && self.look(|s| s.link == Link::Off)
    }

    /// Ends it for good: the reader stops, every viewer is sent the reason.
    pub(super) fn close(&self, why: &str) {
        self.stop.cancel();
        self.update(|s| {
            s.closed.get_or_insert_with(|| why.to_owned());
            s.disconnect();
        });
    }
}
