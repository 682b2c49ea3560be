//! A person's choices about a machine.

use crate::host::HostName;
use crate::identity::{self, Identity, IdentityFile};
use crate::image::ProfileSet;
use crate::machine::{HardwareIds, MachineName, Mode, Network};
use crate::size::{DiskGib, MemoryMib, Vcpus};
use serde::{Deserialize, Serialize};

/// All of a person's choices about a machine. The database row holds exactly this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Its name.
    pub name: MachineName,
    /// The host it is on.
    pub host: HostName,
    /// What its image is composed of.
    pub profiles: ProfileSet,
    /// How much of it may change.
    pub mode: Mode,
    /// Memory.
    pub memory: MemoryMib,
    /// Virtual processors.
    pub vcpus: Vcpus,
    /// The data disk; in mutable mode the only disk.
    pub disk: DiskGib,
    /// How it reaches the network.
    pub network: Network,
    /// What the guest reads about itself at boot.
    pub identity: Identity,
}

impl Spec {
    /// All identity files of the machine with this configuration, those to be removed included.
    pub fn identity_files(&self, hardware: &HardwareIds) -> Vec<IdentityFile> {
        identity::files(&identity::Source { name: &self.name, hardware, identity: &self.identity })
    }
}
