//! Tells the console hub when a machine starts and stops, so that open consoles go on with the next boot, and each boot is kept
//! whether or not anybody looks, as far as the hub reads that many.

use crate::core::Core;
use crate::machine::fleet::{Changed, Known};
use model::machine::MachineId;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::broadcast::error::RecvError;

/// Relays for ever.
pub(super) async fn relay(core: Arc<Core>) {
    let mut changes = core.fleet.changes();
    let mut running: HashMap<MachineId, bool> = HashMap::new();
    for known in core.fleet.all() {
        tell(&core, &mut running, &known).await;
    }
    loop {
        match changes.recv().await {
            Ok(changed) => match &*changed {
                Changed::Machine(known) => tell(&core, &mut running, known).await,
                Changed::Gone { id, .. } => {
                    running.remove(id);
                    core.consoles.close(*id, "The machine has been removed.");
                }
                Changed::Job { .. } => {}
            },
            Err(RecvError::Lagged(_)) => {
                for known in core.fleet.all() {
                    tell(&core, &mut running, &known).await;
                }
            }
            Err(RecvError::Closed) => return,
        }
    }
}

async fn tell(core: &Core, running: &mut HashMap<MachineId, bool>, known: &Known) {
    let active = known.row.observed.state.is_active();
    let id = known.row.id;
    if running.insert(id, active) == Some(active) {
        return;
    }
    if active
        && let Ok(hypervisor) = core.hosts.hypervisor(&known.row.host)
        && let Some(machine) = known.on_host()
    {
        core.consoles.follow(machine, id, hypervisor).await;
    }
    core.consoles.set_running(id, active);
}
