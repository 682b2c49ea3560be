//! A person's choices about a machine.

use crate::host::HostName;
use crate::identity::{self, Identity, IdentityFile};
use crate::image::ProfileSet;
use crate::machine::{HardwareIds, MachineName, Mode, Network};
use crate::notes::Notes;
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
    /// What people wrote down about it.
    #[serde(default, skip_serializing_if = "Notes::is_empty")]
    pub notes: Notes,
    /// Whether its host starts it when it boots.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub autostart: bool,
    /// Whether it must not be removed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub delete_protection: bool,
}

impl Spec {
    /// All identity files of the machine with this configuration, those to be removed included.
    pub fn identity_files(&self, hardware: &HardwareIds) -> Vec<IdentityFile> {
        identity::files(&identity::Source { name: &self.name, hardware, identity: &self.identity })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Machines and jobs of earlier versions are read forever.
    #[test]
    fn what_was_saved_before_there_were_options_is_read_and_written_as_it_was() {
        let saved = serde_json::json!({
            "name": "web", "host": "local", "profiles": ["core"], "mode": "immutable",
            "memory": 512, "vcpus": 1, "disk": 2, "network": "nat",
            "identity": serde_json::to_value(Identity::default()).unwrap(),
        });
        let spec: Spec = serde_json::from_value(saved.clone()).unwrap();
        assert!(spec.notes.is_empty() && !spec.delete_protection && !spec.autostart);
        assert_eq!(serde_json::to_value(&spec).unwrap(), saved);
    }
}
