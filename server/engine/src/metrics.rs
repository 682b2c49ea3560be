//! Figures for monitoring, as a plain struct; the server turns them into whatever its monitoring reads.

use crate::core::Core;
use crate::sync::lock;
use model::machine::MachineState;
use model::operation::OperationKind;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What has happened since the engine was opened, and current values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    /// Jobs that ended, by operation and outcome.
    pub jobs_ended: BTreeMap<(OperationKind, &'static str), u64>,
    /// Jobs that are under way.
    pub jobs_running: u64,
    /// Jobs that wait for their turn.
    pub jobs_queued: u64,
    /// Builds under way, waiting ones included.
    pub builds: u64,
    /// How many builds ended, by whether they produced an image.
    pub builds_ended: BTreeMap<&'static str, u64>,
    /// How long all ended builds took together, in seconds.
    pub build_seconds: f64,
    /// Machines by state.
    pub machines: BTreeMap<&'static str, u64>,
    /// Hosts by whether they answer.
    pub hosts: BTreeMap<&'static str, u64>,
    /// Open consoles.
    pub console_viewers: u64,
    /// Entries written to the audit log since the engine was opened.
    pub audit_entries: u64,
    /// Logins refused since the engine was opened.
    pub logins_refused: u64,
}

/// The figures right now.
pub(crate) fn collect(core: &Core) -> Metrics {
    let counts = &core.counts;
    let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let mut machines: BTreeMap<&'static str, u64> = BTreeMap::new();
    for state in ALL_STATES {
        machines.insert(state.as_str(), 0);
    }
    for known in core.fleet.all() {
        *machines.entry(known.row.observed.state.as_str()).or_default() += 1;
    }
    let (queued, running) = core.jobs.queued_and_running();
    let reachable = core.hosts.all().filter(|h| h.is_reachable()).count();
    let unreachable = core.hosts.all().count() - reachable;
    let millis = counts.build_millis.load(Ordering::Relaxed);
    Metrics {
        jobs_ended: lock(&counts.jobs).clone(),
        jobs_running: number(running),
        jobs_queued: number(queued),
        builds: number(core.builds.len()),
        builds_ended: lock(&counts.builds).clone(),
        build_seconds: Duration::from_millis(millis).as_secs_f64(),
        machines,
        hosts: [("reachable", number(reachable)), ("unreachable", number(unreachable))].into(),
        console_viewers: number(core.consoles.viewers()),
        audit_entries: counts.audit.load(Ordering::Relaxed),
        logins_refused: counts.logins_refused.load(Ordering::Relaxed),
    }
}

/// Every state, so that monitoring sees a zero instead of nothing.
const ALL_STATES: [MachineState; 7] = [
    MachineState::Configured,
    MachineState::Off,
    MachineState::Running,
    MachineState::ShuttingDown,
    MachineState::Paused,
    MachineState::Crashed,
    MachineState::Unknown,
];
