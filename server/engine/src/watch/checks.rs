//! Looking at a host for everything that could go wrong before it does.

use crate::core::Core;
use crate::hosts::HostEntry;

/// Looks at a host: its own findings, its bridges, and what Nix last said, which is the same for all.
pub(crate) async fn check(core: &Core, entry: &HostEntry) {
    let Some(hypervisor) = entry.hypervisor() else { return };
    let (mut findings, bridges, nix) =
        tokio::join!(hypervisor.check(), hypervisor.bridges(), core.catalogue.latest());
    findings.push(nix.finding());
    entry.checked(findings, bridges.ok(), core.clock.now());
}
