//! Hosts: the hypervisors that the portal manages, and what a check of one finds.

use crate::newtype::label;
use crate::time::Time;
use serde::{Deserialize, Serialize};

crate::id!(
    /// Names a host.
    HostId
);

crate::validated_string!(
    /// A host's name: one label.
    HostName,
    |text| label("A host's name", text)
);

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Works, but not well; the text says what it costs.
    Warning,
    /// Some operations cannot work until it is fixed.
    Error,
}

/// One thing that was checked on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was checked: `connection`, `acceleration`, `kvm`, `firmware`, `network`, `tools`, `disk`, `nix`.
    pub name: String,
    /// Its level.
    pub level: Level,
    /// What was found, in one sentence.
    pub what: String,
    /// How to fix it, where there is something to fix.
    pub fix: Option<String>,
}

/// A host as the hosts page shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostView {
    /// Id.
    pub id: HostId,
    /// Name.
    pub name: HostName,
    /// `libvirt` or `proxmox`.
    pub kind: String,
    /// libvirt's URI or the SSH target.
    pub target: String,
    /// Whether the last contact succeeded.
    pub reachable: bool,
    /// Findings of the last check.
    pub findings: Vec<Finding>,
    /// When it was last checked.
    pub checked: Option<Time>,
    /// How many machines are on it.
    pub machines: u32,
    /// Names of bridges that machines can be put on.
    pub bridges: Vec<String>,
}
