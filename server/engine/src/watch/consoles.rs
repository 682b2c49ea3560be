//! Tells the console hub when a machine starts, pauses and stops, so that open consoles go on with the next boot, and each boot is kept
//! whether or not anybody looks, as far as the hub reads that many.

use crate::core::Core;
use crate::machine::fleet::{Changed, MachineEntry};
use model::machine::{MachineId, MachineState};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::broadcast::error::RecvError;

/// Relays for ever.
pub(super) async fn relay(core: Arc<Core>) {
    let mut changes = core.fleet.changes();
    let mut states: HashMap<MachineId, MachineState> = HashMap::new();
    for known in core.fleet.all() {
        tell(&core, &mut states, &known).await;
    }
    loop {
        match changes.recv().await {
            Ok(changed) => match &*changed {
                Changed::Machine(known) => tell(&core, &mut states, known).await,
                Changed::Gone { id, .. } => {
                    states.remove(id);
                    core.consoles.close(*id, "The machine has been removed.");
                }
                Changed::Job { .. } => {}
            },
            Err(RecvError::Lagged(_)) => {
                for known in core.fleet.all() {
                    tell(&core, &mut states, &known).await;
                }
            }
            Err(RecvError::Closed) => return,
        }
    }
}

async fn tell(core: &Core, states: &mut HashMap<MachineId, MachineState>, known: &MachineEntry) {
    let state = known.row.observed.state;
    let id = known.row.id;
    if states.insert(id, state) == Some(state) {
        return;
    }
    if state.is_active()
        && let Ok(hypervisor) = core.hosts.hypervisor(&known.row.host)
        && let Some(machine) = known.on_host()
    {
        core.consoles.follow(machine, id, hypervisor).await;
    }
    core.consoles.set_state(id, state);
}
