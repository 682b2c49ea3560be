//! Queries about hosts.

use crate::authorize::authorize;
use crate::core::Core;
use crate::cx::Cx;
use crate::error::Result;
use crate::hosts::HostEntry;
use crate::watch;
use model::Fault;
use model::host::{Finding, HostName, HostView};
use model::permission::{Action, Subject};

/// All hosts with the findings of their last check.
pub(super) async fn list(core: &Core, cx: &Cx) -> Result<Vec<HostView>> {
    authorize(core, cx, Action::SeeHosts, Subject::Portal, None).await?;
    let nix = core.catalogue.latest().await.finding();
    Ok(core.hosts.all().map(|entry| view(core, entry, &nix)).collect())
}

/// Checks a host again.
pub(super) async fn check(core: &Core, cx: &Cx, name: &HostName) -> Result<HostView> {
    authorize(core, cx, Action::CheckHost, Subject::Portal, Some(name.as_str())).await?;
    let entry = core.hosts.get(name).ok_or_else(|| Fault::not_found("host"))?.clone();
    watch::check_now(core, &entry).await;
    core.audit.done_now(cx, Action::CheckHost.name(), Some(name.as_str()), None).await?;
    Ok(view(core, &entry, &core.catalogue.latest().await.finding()))
}

/// A host with what Nix last answered, if the portal manages it.
fn view(core: &Core, entry: &HostEntry, nix: &Finding) -> HostView {
    let machines = core.fleet.on_host(&entry.name).len();
    let mut view = entry.view(u32::try_from(machines).unwrap_or(u32::MAX));
    view.findings.extend(entry.hypervisor().map(|_| nix.clone()));
    view
}
