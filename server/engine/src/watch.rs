//! The reconciler: keeps what is known of each machine in step with its host.
//!
//! Several tasks per host, so that a slow one does not delay a quick one: one follows events (a start or stop reaches
//! browsers within milliseconds), one samples figures and takes an inventory by the clock (so that what no event
//! reported is noticed too), one asks for addresses and other guest data (`guests`), one keeps the host's findings
//! fresh. Recovery after a lost connection is the same inventory as at the start. One more task tells the console hub
//! which machines run (`consoles`), and one removes what need no longer be kept ([`crate::retention`]).

mod checks;
mod consoles;
mod guests;
mod inventory;

pub(crate) use checks::check_now;
pub(crate) use inventory::take_inventory;

use crate::core::Core;
use crate::error::chain;
use crate::hosts::HostEntry;
use crate::machine::fleet::Domain;
use model::machine::MachineState;
use ports::hypervisor::{Counters, HostEvent, HostRef, Hypervisor};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, MissedTickBehavior};

/// How often a host is checked again when nothing suggests that its findings changed.
const CHECK_EVERY: Duration = Duration::from_secs(15 * 60);

/// Starts to watch all hosts.
pub(crate) fn start(core: &Arc<Core>) {
    for entry in core.hosts.all() {
        let Some(hypervisor) = entry.hypervisor().cloned() else { continue };
        let host = Watched { core: core.clone(), entry: entry.clone(), hypervisor };
        spawn(core, host.clone().follow_events());
        spawn(core, host.clone().sample());
        spawn(core, host.clone().ask_guests());
        spawn(core, host.keep_checked());
    }
    spawn(core, consoles::relay(core.clone()));
    spawn(core, crate::roots::keep(core.clone()));
    spawn(core, crate::audit::keep(core.audit.clone()));
    spawn(core, crate::retention::run_retention(core.clone()));
}

/// Runs a task until it ends or the engine closes.
fn spawn(core: &Arc<Core>, task: impl Future<Output = ()> + Send + 'static) {
    let closing = core.closing.clone();
    core.tasks.spawn(async move {
        tokio::select! {
            () = closing.cancelled() => {}
            () = task => {}
        }
    });
}

/// One host being watched.
#[derive(Clone)]
struct Watched {
    core: Arc<Core>,
    entry: Arc<HostEntry>,
    hypervisor: Arc<dyn Hypervisor>,
}

impl Watched {
    async fn follow_events(self) {
        // Subscribed before the inventory is taken: what happens in between is reported twice, never missed.
        let mut events = self.hypervisor.events();
        take_inventory(&self.core, &self.entry).await;
        loop {
            match events.recv().await {
                Ok(event) => self.take_event(event).await,
                Err(RecvError::Lagged(missed)) => {
                    tracing::info!(host.name = %self.entry.name, missed, "events missed, taking an inventory");
                    take_inventory(&self.core, &self.entry).await;
                }
                Err(RecvError::Closed) => return,
            }
        }
    }

    async fn take_event(&self, event: HostEvent) {
        let fleet = &self.core.fleet;
        match event {
            HostEvent::State { machine, state } => {
                fleet.seen(&self.entry.name, &machine, Domain::Present(state));
                self.look_at(&machine);
            }
            HostEvent::Rebooted { machine } => {
                if let Some(known) = fleet.at(&self.entry.name, &machine) {
                    fleet.rebooted(known.row.id);
                    self.core.consoles.rebooted(known.row.id);
                }
                self.look_at(&machine);
            }
            HostEvent::Agent { machine, .. } => self.look_at(&machine),
            // An undefined domain may still run, and a defined one may run already: ask, for this one only.
            HostEvent::Defined { machine } | HostEvent::Undefined { machine } => {
                self.ask_state(&machine).await;
            }
            HostEvent::Disconnected { why } => {
                tracing::warn!(host.name = %self.entry.name, %why, "connection lost");
                fleet.host_lost(&self.entry.name, &why);
                self.entry.set_reachable(false);
                self.entry.doubt();
            }
            HostEvent::Connected => {
                take_inventory(&self.core, &self.entry).await;
                self.entry.doubt();
            }
        }
    }

    /// Checks the host at the start, whenever its connection comes or goes, and by the clock: disks fill up silently.
    async fn keep_checked(self) {
        loop {
            checks::check(&self.core, &self.entry).await;
            // Whether the request comes or not, the effect is the same: the next check.
            let _ = tokio::time::timeout(CHECK_EVERY, self.entry.doubted()).await;
        }
    }

    /// Has a machine's addresses queried soon.
    fn look_at(&self, machine: &HostRef) {
        if let Some(known) = self.core.fleet.at(&self.entry.name, machine) {
            self.entry.look_at(known.row.id);
        }
    }

    async fn ask_state(&self, at: &HostRef) {
        let Some(known) = self.core.fleet.at(&self.entry.name, at) else { return };
        let Some(machine) = known.on_host() else { return };
        let stamp = self.core.fleet.stamp();
        match self.hypervisor.state(&machine).await {
            Ok(state) => self.core.fleet.answered(&self.entry.name, stamp, at, domain(state)),
            Err(error) => {
                tracing::debug!(machine.name = %known.row.name, error = chain(&error), "no state");
            }
        }
    }

    /// Figures and an inventory by the clock.
    async fn sample(self) {
        let mut timer = tokio::time::interval(self.core.settings.sample_every);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut before: HashMap<HostRef, (Counters, Instant)> = HashMap::new();
        loop {
            timer.tick().await;
            if self.entry.is_reachable() {
                self.sample_once(&mut before).await;
            }
            take_inventory(&self.core, &self.entry).await;
        }
    }

    async fn sample_once(&self, before: &mut HashMap<HostRef, (Counters, Instant)>) {
        let counters = match self.hypervisor.counters().await {
            Ok(counters) => counters,
            Err(error) => {
                tracing::debug!(host.name = %self.entry.name, error = chain(&error), "no figures");
                return;
            }
        };
        let now = Instant::now();
        let mut fresh = HashMap::with_capacity(counters.len());
        for (machine, counters) in counters {
            let Some(known) = self.core.fleet.at(&self.entry.name, &machine) else { continue };
            let (then, at) = before.get(&machine).copied().unwrap_or((Counters::default(), now));
            let nanos = u64::try_from(now.duration_since(at).as_nanos()).unwrap_or(u64::MAX);
            let figures = counters.since(&then, nanos, known.row.vcpus.get());
            self.core.fleet.set_figures(known.row.id, figures);
            fresh.insert(machine, (counters, now));
        }
        *before = fresh;
    }
}

/// A state as an answer about the domain: a host that has none says “configured”.
pub(crate) fn domain(state: MachineState) -> Domain {
    match state {
        MachineState::Configured => Domain::Absent,
        state => Domain::Present(state),
    }
}
