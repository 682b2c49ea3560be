//! What only a running guest, or the server of its addresses, can report: its addresses, the image that it runs,
//! whether its boot is done.
//!
//! No event reports most of this, so running machines are asked: soon after something happened to one, then less and
//! less often. A guest that does not answer costs its own place among those asked at once and delays nobody else. A
//! guest is asked about its image until it has reported that its boot is done, and not again before the next boot.

use super::Watched;
use crate::db;
use crate::error::{Error, chain};
use crate::machine::fleet::MachineEntry;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use model::address::Address;
use model::guest::{BOOTED_FILE, Guest, GuestImage, IMAGE_FILE};
use model::machine::{MachineId, MachineState};
use ports::hypervisor::{HypervisorError, MachineRef};
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::Instant;

/// How soon a machine that has just started is asked again; doubled up to [`SELDOM`].
const SOON: Duration = Duration::from_millis(500);
/// How often a machine is asked at most when nothing suggests a change.
const SELDOM: Duration = Duration::from_secs(60);
/// Due machines are looked up at most this often: it takes a pass over every machine.
const PACE: Duration = Duration::from_millis(100);
/// How many machines of a host are asked at once.
const AT_ONCE: usize = 4;

/// When each running guest is asked next.
#[derive(Default)]
struct Schedule {
    /// When each running machine's time comes, and how long to wait after that.
    due: HashMap<MachineId, (Instant, Duration)>,
    /// Machines that are due.
    queue: VecDeque<MachineId>,
    /// Machines in the queue or being asked.
    waiting: HashSet<MachineId>,
}

impl Watched {
    /// Asks indefinitely.
    pub(super) async fn ask_guests(self) {
        let mut schedule = Schedule::default();
        let mut asked = FuturesUnordered::new();
        let mut next = Instant::now();
        loop {
            while asked.len() < AT_ONCE
                && let Some(id) = schedule.queue.pop_front()
            {
                asked.push(self.ask(id));
            }
            tokio::select! {
                Some(id) = asked.next(), if !asked.is_empty() => {
                    // Someone may have wanted it asked again while it was being asked.
                    if schedule.done(id) {
                        next = next.min(Instant::now() + PACE);
                    }
                }
                () = self.entry.eager() => next = self.plan(&mut schedule),
                () = tokio::time::sleep_until(next) => next = self.plan(&mut schedule),
            }
        }
    }

    /// Queues those that are due; returns when to check again.
    fn plan(&self, schedule: &mut Schedule) -> Instant {
        let now = Instant::now();
        for id in self.entry.take_eager() {
            schedule.due.insert(id, (now, SOON));
        }
        let mut running = self.core.fleet.on_host(&self.entry.name);
        running.retain(|known| is_running(known.row.observed.state));
        let ids: HashSet<MachineId> = running.iter().map(|known| known.row.id).collect();
        schedule.due.retain(|id, _| ids.contains(id));
        let mut next = now + SELDOM;
        for id in ids {
            let (at, pause) = schedule.due.get(&id).copied().unwrap_or((now, SOON));
            if at > now {
                next = next.min(at);
            } else if schedule.waiting.insert(id) {
                schedule.queue.push_back(id);
                schedule.due.insert(id, (now + pause, (pause * 2).min(SELDOM)));
                next = next.min(now + pause);
            }
        }
        next.max(now + PACE)
    }

    /// Asks one machine; returns its id.
    async fn ask(&self, id: MachineId) -> MachineId {
        let known = self.core.fleet.by_id(id);
        if let Some(known) = known.filter(|known| is_running(known.row.observed.state)) {
            self.ask_addresses(&known).await;
            self.ask_guest(&known).await;
        }
        id
    }

    async fn ask_addresses(&self, known: &MachineEntry) {
        let Some(machine) = known.on_host() else { return };
        match self.hypervisor.addresses(&machine).await {
            Ok(addresses) => {
                self.keep_addresses(known, &addresses).await;
                self.core.fleet.set_addresses(known.row.id, addresses);
            }
            Err(error) => {
                tracing::debug!(machine.name = %known.row.name, error = chain(&error), "no addresses");
            }
        }
    }

    /// Keeps addresses that are new for the next start of the portal.
    async fn keep_addresses(&self, known: &MachineEntry, addresses: &[Address]) {
        let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.ip).collect();
        if addresses.is_empty() || known.last_addresses() == addresses {
            return;
        }
        let (core, id, name) = (self.core.clone(), known.row.id, known.row.name.clone());
        // A task of its own, because this one ends without notice when the engine closes.
        let keep = self.core.tasks.spawn(async move {
            let keep = async {
                let mut tx = core.db.begin().await?;
                db::machines::set_last_addresses(&mut tx, id, &addresses).await?;
                tx.commit().await?;
                Ok::<_, Error>(())
            };
            if let Err(error) = keep.await {
                tracing::warn!(machine.name = %name, error = chain(&error), "addresses are not kept");
            }
        });
        // It fails only if the runtime ends.
        let _ = keep.await;
    }

    /// Asks the guest what it is, unless it has reported everything in this boot.
    async fn ask_guest(&self, known: &MachineEntry) {
        let before = known.row.observed.guest.as_deref();
        if before.is_some_and(|guest| guest.booted) {
            return;
        }
        let Some(machine) = known.on_host() else { return };
        let Some(booted) = self.guest_file(&machine, BOOTED_FILE).await else { return };
        let image = match before.and_then(|guest| guest.image.clone()) {
            Some(image) => Some(image),
            None => {
                let Some(text) = self.guest_file(&machine, IMAGE_FILE).await else { return };
                text.and_then(|text| GuestImage::read(&text))
            }
        };
        let guest = Guest { booted: booted.is_some(), image };
        if guest != Guest::default() {
            self.core.fleet.set_guest(known.row.id, known.boot, guest);
        }
    }

    /// A file of the guest, if it has one; nothing at all if there is no answer.
    async fn guest_file(&self, machine: &MachineRef, path: &str) -> Option<Option<Vec<u8>>> {
        match self.hypervisor.agent_read(machine, path).await {
            Ok(bytes) => Some(Some(bytes)),
            // There is an agent, and it cannot read the file.
            Err(HypervisorError::Failed { .. }) => Some(None),
            Err(error) => {
                tracing::trace!(machine.name = %machine.name, error = chain(&error), "no answer from the guest");
                None
            }
        }
    }
}

impl Schedule {
    /// A machine has been asked. True if it has become due again meanwhile.
    fn done(&mut self, id: MachineId) -> bool {
        self.waiting.remove(&id);
        self.due.get(&id).is_some_and(|(at, _)| *at <= Instant::now())
    }
}

fn is_running(state: MachineState) -> bool {
    matches!(state, MachineState::Running | MachineState::ShuttingDown)
}
