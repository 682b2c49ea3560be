//! What a host can do for a machine: acceleration and firmware, found once and kept until the host's next check.

use super::acceleration::{self, Acceleration, AccelerationSetting};
use super::connect::{is_local, is_session};
use super::error::of_host;
use super::firmware::{self, Firmware};
use super::kvm::{self, Problem};
use ports::hypervisor::Result;
use std::path::Path;
use virt::connect::Connect;

/// What a host can do for a machine.
#[derive(Clone, Debug)]
pub struct HostFacts {
    /// KVM or emulation.
    pub acceleration: Acceleration,
    /// What is wrong with the permissions of `/dev/kvm`.
    pub kvm: Option<Problem>,
    /// UEFI; none if there is none without Secure Boot.
    pub firmware: Option<Firmware>,
}

impl HostFacts {
    /// Inspects the host of this URI.
    pub fn look(connect: &Connect, uri: &str, setting: AccelerationSetting) -> Self {
        let with = |kind| connect.domain_capabilities(None, Some("x86_64"), Some("q35"), Some(kind), 0);
        let kvm = with("kvm");
        let capabilities = kvm.as_ref().ok().cloned().or_else(|| with("qemu").ok());
        let local = is_local(uri);
        // In a session QEMU has our own rights, and then trying is the better test.
        let closed =
            (local && !is_session(uri)).then(|| kvm::problem(&connect.capabilities().ok()?)).flatten();
        Self {
            acceleration: acceleration::decide(setting, local, kvm.is_ok(), closed.as_ref()),
            kvm: closed,
            firmware: firmware::find(capabilities.as_deref(), Path::is_file),
        }
    }
}

/// The host's memory in bytes.
pub fn memory(connect: &Connect) -> Result<u64> {
    let node = connect.node_info().map_err(of_host("Asking for the host's memory"))?;
    // In KiB (`virNodeInfo`).
    Ok(node.memory.saturating_mul(1024))
}
