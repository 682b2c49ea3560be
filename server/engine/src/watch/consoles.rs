//! Notifies the console hub when a machine starts, pauses and stops, so that open consoles continue with the next boot,
//! and each boot is kept whether or not anyone watches, up to the hub's limit.

use crate::core::Core;
use crate::machine::fleet::{Changed, MachineEntry};
use model::machine::{MachineId, MachineState};
use ports::hypervisor::HostRef;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::broadcast::error::RecvError;

/// What the hub was last told about a machine: its state and place. One that was destroyed and created again while
/// changes were missed may be in the same state, but elsewhere.
type Said = (MachineState, Option<HostRef>);

/// Relays indefinitely.
pub(super) async fn relay(core: Arc<Core>) {
    let mut changes = core.fleet.changes();
    let mut states: HashMap<MachineId, Said> = HashMap::new();
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

async fn tell(core: &Core, states: &mut HashMap<MachineId, Said>, known: &MachineEntry) {
    let state = known.row.observed.state;
    let id = known.row.id;
    let told = (state, known.host_ref.clone());
    if states.get(&id) == Some(&told) {
        return;
    }
    states.insert(id, told);
    if state.is_active()
        && let Ok(hypervisor) = core.hosts.hypervisor(&known.row.host)
        && let Some(machine) = known.on_host()
    {
        core.consoles.follow(machine, id, hypervisor).await;
    }
    core.consoles.set_state(id, state);
}
