//! Taking over a host's current state.

use crate::core::Core;
use crate::error::chain;
use crate::hosts::HostEntry;
use ports::hypervisor::HypervisorError;

/// Takes over what a host has now. Called by the watchers, and by `check_host` when someone asks.
pub(crate) async fn take_inventory(core: &Core, entry: &HostEntry) {
    let Some(hypervisor) = entry.hypervisor() else { return };
    let stamp = core.fleet.stamp();
    match hypervisor.inventory().await {
        Ok(inventory) => {
            core.fleet.take_inventory(&entry.name, stamp, &inventory);
            entry.set_reachable(true);
        }
        Err(error) => {
            let unreachable = matches!(error, HypervisorError::Unreachable { .. });
            if unreachable {
                core.fleet.host_lost(&entry.name, &error.to_string());
            }
            if entry.is_reachable() || !unreachable {
                tracing::warn!(host.name = %entry.name, error = chain(&error), "no inventory");
            }
            entry.set_reachable(!unreachable && entry.is_reachable());
        }
    }
}
