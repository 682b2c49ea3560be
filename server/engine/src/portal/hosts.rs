//! Questions about hosts.

use crate::audit;
use crate::authorize::authorize;
use crate::cx::Cx;
use crate::engine::Engine;
use crate::error::Result;
use crate::hosts::{self, HostEntry};
use crate::watch;
use model::Fault;
use model::host::{HostName, HostView};
use model::permission::Action;

/// All hosts with the findings of their last check.
pub(super) async fn list(engine: &Engine, cx: &Cx) -> Result<Vec<HostView>> {
    authorize(engine, cx, Action::SeeHosts, &[], None).await?;
    Ok(engine.hosts.all().map(|entry| view(engine, entry)).collect())
}

/// Looks at a host again.
pub(super) async fn check(engine: &Engine, cx: &Cx, name: &HostName) -> Result<HostView> {
    authorize(engine, cx, Action::CheckHost, &[], Some(name.as_str())).await?;
    let entry = engine.hosts.get(name).ok_or_else(|| Fault::not_found("host"))?.clone();
    hosts::check(engine, &entry).await;
    watch::take_inventory(engine, &entry).await;
    audit::done(engine, cx, &Action::CheckHost.name(), Some(name.as_str()), None).await?;
    Ok(view(engine, &entry))
}

fn view(engine: &Engine, entry: &HostEntry) -> HostView {
    let machines = engine.fleet.on_host(&entry.name).len();
    entry.view(u32::try_from(machines).unwrap_or(u32::MAX))
}
