//! The reconciler: keeps what is known of each machine in step with its host.
//!
//! Three tasks per host, so that a slow one does not delay a quick one: one follows events (a start or stop reaches browsers
//! within milliseconds), one samples figures and takes an inventory by the clock (so that what no event told is noticed
//! too), one asks for addresses. Recovery after a lost connection is the same inventory as at the start. One more task tells
//! the console hub which machines run.

use crate::engine::Engine;
use crate::error::chain;
use crate::hosts::{self, HostEntry};
use crate::machine::fleet::{Domain, Known, What};
use crate::ports::hypervisor::{Counters, HostEvent, Hypervisor, HypervisorError};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use model::machine::{MachineId, MachineName, MachineState};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, MissedTickBehavior};
use uuid::Uuid;

/// How soon a machine that has just started is asked for its address again; doubled up to [`ADDRESS_SELDOM`].
const ADDRESS_SOON: Duration = Duration::from_millis(500);
/// How often a machine is asked for its addresses at most when nothing suggests that they changed.
const ADDRESS_SELDOM: Duration = Duration::from_secs(60);
/// How many machines of a host are asked for addresses at once.
const ADDRESSES_AT_ONCE: usize = 4;

/// How many running machines have their console read without a viewer. A host may need a thread for each.
const CONSOLES_READ: usize = 64;

/// Starts to watch all hosts.
pub(crate) fn start(engine: &Arc<Engine>) {
    for entry in engine.hosts.all() {
        let Some(hypervisor) = entry.hypervisor().cloned() else { continue };
        let host = Watched { engine: engine.clone(), entry: entry.clone(), hypervisor };
        spawn(engine, host.clone().follow_events());
        spawn(engine, host.clone().sample());
        spawn(engine, host.clone().ask_addresses());
        spawn(engine, async move { hosts::check(&host.engine, &host.entry).await });
    }
    spawn(engine, relay_to_consoles(engine.clone()));
}

/// Runs a task until it ends or the engine closes.
fn spawn(engine: &Arc<Engine>, task: impl Future<Output = ()> + Send + 'static) {
    let closing = engine.closing.clone();
    engine.tasks.spawn(async move {
        tokio::select! {
            () = closing.cancelled() => {}
            () = task => {}
        }
    });
}

/// Takes over what a host has now. Called by the watchers, and by `check_host` when somebody asks.
pub(crate) async fn take_inventory(engine: &Engine, entry: &HostEntry) {
    let Some(hypervisor) = entry.hypervisor() else { return };
    let stamp = engine.fleet.stamp();
    match hypervisor.inventory().await {
        Ok(inventory) => {
            engine.fleet.take_inventory(&entry.name, stamp, &inventory);
            entry.set_reachable(true);
        }
        Err(error) => {
            let unreachable = matches!(error, HypervisorError::Unreachable { .. });
            if unreachable {
                engine.fleet.host_lost(&entry.name, &error.to_string());
            }
            if entry.is_reachable() || !unreachable {
                tracing::warn!(host.name = %entry.name, error = chain(&error), "no inventory");
            }
            entry.set_reachable(!unreachable && entry.is_reachable());
        }
    }
}

/// One host being watched.
#[derive(Clone)]
struct Watched {
    engine: Arc<Engine>,
    entry: Arc<HostEntry>,
    hypervisor: Arc<dyn Hypervisor>,
}

impl Watched {
    async fn follow_events(self) {
        // Subscribed before the inventory is taken: what happens in between is told twice, never missed.
        let mut events = self.hypervisor.events();
        take_inventory(&self.engine, &self.entry).await;
        loop {
            match events.recv().await {
                Ok(event) => self.take_event(event).await,
                Err(RecvError::Lagged(missed)) => {
                    tracing::info!(host.name = %self.entry.name, missed, "events missed, taking an inventory");
                    take_inventory(&self.engine, &self.entry).await;
                }
                Err(RecvError::Closed) => return,
            }
        }
    }

    async fn take_event(&self, event: HostEvent) {
        let fleet = &self.engine.fleet;
        match event {
            HostEvent::State { uuid, state } => {
                fleet.seen(&self.entry.name, uuid, Domain::Present(state));
                self.look_at(uuid);
            }
            HostEvent::Rebooted { uuid } => {
                if let Some(known) = fleet.by_uuid(uuid) {
                    self.engine.consoles.rebooted(known.row.id);
                }
                self.look_at(uuid);
            }
            HostEvent::Agent { uuid, .. } => self.look_at(uuid),
            // An undefined domain may still run, and a defined one may run already: ask, for this one only.
            HostEvent::Defined { uuid } | HostEvent::Undefined { uuid } => self.ask_state(uuid).await,
            HostEvent::Disconnected { why } => {
                tracing::warn!(host.name = %self.entry.name, %why, "connection lost");
                fleet.host_lost(&self.entry.name, &why);
                self.entry.set_reachable(false);
            }
            HostEvent::Connected => take_inventory(&self.engine, &self.entry).await,
        }
    }

    /// Has the addresses of a machine asked for soon.
    fn look_at(&self, uuid: Uuid) {
        if let Some(known) = self.engine.fleet.by_uuid(uuid) {
            self.entry.look_at(&known.row.name);
        }
    }

    async fn ask_state(&self, uuid: Uuid) {
        let Some(known) = self.engine.fleet.by_uuid(uuid) else { return };
        let stamp = self.engine.fleet.stamp();
        match self.hypervisor.state(&known.machine()).await {
            Ok(state) => self.engine.fleet.answered(&self.entry.name, stamp, uuid, domain(state)),
            Err(error) => {
                tracing::debug!(machine.name = %known.row.name, error = chain(&error), "no state");
            }
        }
    }

    /// Figures and an inventory by the clock.
    async fn sample(self) {
        let mut timer = tokio::time::interval(self.engine.settings.sample_every);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut before: HashMap<Uuid, (Counters, Instant)> = HashMap::new();
        loop {
            timer.tick().await;
            if self.entry.is_reachable() {
                self.sample_once(&mut before).await;
            }
            take_inventory(&self.engine, &self.entry).await;
        }
    }

    async fn sample_once(&self, before: &mut HashMap<Uuid, (Counters, Instant)>) {
        let counters = match self.hypervisor.counters().await {
            Ok(counters) => counters,
            Err(error) => {
                tracing::debug!(host.name = %self.entry.name, error = chain(&error), "no figures");
                return;
            }
        };
        let now = Instant::now();
        let mut fresh = HashMap::with_capacity(counters.len());
        for (uuid, counters) in counters {
            let Some(known) = self.engine.fleet.by_uuid(uuid) else { continue };
            let (then, at) = before.get(&uuid).copied().unwrap_or((Counters::default(), now));
            let nanos = u64::try_from(now.duration_since(at).as_nanos()).unwrap_or(u64::MAX);
            let figures = counters.since(&then, nanos, known.row.vcpus.get());
            self.engine.fleet.set_figures(uuid, figures);
            fresh.insert(uuid, (counters, now));
        }
        *before = fresh;
    }

    /// Asks running machines for their addresses: soon after something happened to one, then ever more seldom.
    async fn ask_addresses(self) {
        let mut due: HashMap<MachineName, (Instant, Duration)> = HashMap::new();
        loop {
            let now = Instant::now();
            for name in self.entry.take_eager() {
                due.insert(name, (now, ADDRESS_SOON));
            }
            let active = self.engine.fleet.on_host(&self.entry.name);
            let active: Vec<_> = active.into_iter().filter(|k| is_running(k.row.observed.state)).collect();
            due.retain(|name, _| active.iter().any(|k| k.row.name == *name));
            let mut asked = FuturesUnordered::new();
            for known in &active {
                let (at, pause) = *due.entry(known.row.name.clone()).or_insert((now, ADDRESS_SOON));
                if at > now {
                    continue;
                }
                if asked.len() >= ADDRESSES_AT_ONCE {
                    asked.next().await;
                }
                due.insert(known.row.name.clone(), (now + pause, (pause * 2).min(ADDRESS_SELDOM)));
                asked.push(self.ask_one(known.row.name.clone(), known.uuid));
            }
            while asked.next().await.is_some() {}
            let next = due.values().map(|(at, _)| *at).min();
            let next = next.unwrap_or(now + ADDRESS_SELDOM).min(now + ADDRESS_SELDOM);
            tokio::select! {
                () = self.entry.eager() => {}
                () = tokio::time::sleep_until(next) => {}
            }
        }
    }

    async fn ask_one(&self, name: MachineName, uuid: Uuid) {
        let machine = crate::ports::hypervisor::MachineRef { name, uuid };
        match self.hypervisor.addresses(&machine).await {
            Ok(addresses) => self.engine.fleet.set_addresses(&machine.name, addresses),
            Err(error) => {
                tracing::debug!(machine.name = %machine.name, error = chain(&error), "no addresses");
            }
        }
    }
}

/// A state as an answer about the domain: a host that has none says “configured”.
pub(crate) fn domain(state: MachineState) -> Domain {
    match state {
        MachineState::Configured => Domain::Absent,
        state => Domain::Present(state),
    }
}

fn is_running(state: MachineState) -> bool {
    matches!(state, MachineState::Running | MachineState::ShuttingDown)
}

/// Tells the console hub when a machine starts and stops, so that open consoles go on with the next boot and each boot of the
/// first [`CONSOLES_READ`] machines is kept, whether or not anybody looks.
async fn relay_to_consoles(engine: Arc<Engine>) {
    let mut changes = engine.fleet.changes();
    let mut running: HashMap<MachineId, bool> = HashMap::new();
    for known in engine.fleet.all() {
        relay(&engine, &mut running, &known);
    }
    loop {
        match changes.recv().await {
            Ok(changed) => match &changed.what {
                What::Machine(known) => relay(&engine, &mut running, known),
                What::Gone { id, .. } => {
                    running.remove(id);
                    engine.consoles.close(*id, "The machine has been removed.");
                }
                What::Job { .. } => {}
            },
            Err(RecvError::Lagged(_)) => {
                for known in engine.fleet.all() {
                    relay(&engine, &mut running, &known);
                }
            }
            Err(RecvError::Closed) => return,
        }
    }
}

fn relay(engine: &Engine, running: &mut HashMap<MachineId, bool>, known: &Known) {
    let active = known.row.observed.state.is_active();
    let id = known.row.id;
    if running.insert(id, active) == Some(active) {
        return;
    }
    let read = running.values().filter(|active| **active).count();
    if active
        && read <= CONSOLES_READ
        && let Ok(hypervisor) = engine.hosts.hypervisor(&known.row.host)
    {
        engine.consoles.follow(known.machine(), id, hypervisor);
    }
    engine.consoles.set_running(id, active);
}
