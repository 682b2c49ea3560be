//! An operation is a value: what a form posts, what the permission table matches on, what the planner turns into a
//! plan, what a job stores and what the audit log records.
//!
//! To add one: a variant here, its row in `catalog.rs`, and its file in the engine's `ops/`.

use crate::image::{ImageId, ProfileSet};
use crate::machine::{GenerationNumber, MachineName, Mode, Network};
use crate::newtype::Refused;
use crate::size::{DiskGib, MemoryMib, Vcpus};
use crate::spec::Spec;
use serde::{Deserialize, Serialize};
use std::fmt;
use strum::VariantArray as _;

/// Something that changes the world, with everything needed to do it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "snake_case")]
pub enum Operation {
    /// Build an image and keep it.
    Build {
        /// What it is composed of.
        profiles: ProfileSet,
        /// Its mode.
        mode: Mode,
    },
    /// Forget an image that no machine uses, so that Nix may collect it.
    RemoveImage {
        /// The image.
        image: ImageId,
    },
    /// Save a new machine's configuration, build its image, create it and start it.
    Create {
        /// The machine.
        spec: Box<Spec>,
    },
    /// Save a new machine's configuration and nothing more.
    Configure {
        /// The machine.
        spec: Box<Spec>,
    },
    /// Do something to an existing machine. Written flat: `{"machine": "web-1", "operation": "start"}`.
    #[serde(untagged)]
    OnMachine {
        /// The machine.
        machine: MachineName,
        /// What is done to it.
        #[serde(flatten)]
        action: MachineAction,
    },
}

/// What can be done to an existing machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "snake_case")]
pub enum MachineAction {
    /// Create and start a machine that has only a configuration.
    Provision,
    /// Save another configuration, and apply what can be applied now.
    Reconfigure(Box<Reconfigure>),
    /// Make true what of the configuration is not yet, with a restart where the machine runs.
    Apply,
    /// Go back to the configuration that is true on the host.
    Revert,
    /// Build the image of the configuration's profiles and boot it from now on, or go back if it does not come up.
    Upgrade,
    /// Boot an earlier generation.
    RollBack {
        /// Its number.
        generation: GenerationNumber,
    },
    /// Switch on.
    Start,
    /// Ask the guest to shut down (ACPI), and wait until it has.
    ShutDown,
    /// Ask the guest to reboot.
    Reboot,
    /// Pull the plug.
    ForceOff,
    /// Stop the processors, keep the memory.
    Suspend,
    /// Let the processors run again.
    Resume,
    /// Give a machine that is off another name.
    Rename {
        /// The new one.
        name: MachineName,
    },
    /// Make another machine with a copy of its disk.
    Clone(Box<NewCopy>),
    /// Make new disks from the configuration, boot them, and remove the former ones.
    Recreate,
    /// Remove domain and disks; keep the configuration.
    Destroy,
    /// Remove domain, disks and configuration.
    Purge,
    /// Remove the configuration and leave what is on the host, which is gone for good.
    Forget,
}

/// What a copy of a machine gets of its own. The rest of its configuration is that of the machine that it is a copy of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewCopy {
    /// Its name.
    pub name: MachineName,
    /// Memory.
    pub memory: MemoryMib,
    /// Virtual processors.
    pub vcpus: Vcpus,
    /// The disk; no smaller than the one that is copied.
    pub disk: DiskGib,
    /// How it reaches the network.
    pub network: Network,
    /// What its image is composed of.
    pub profiles: ProfileSet,
    /// Whether it is started.
    #[serde(default)]
    pub start: bool,
}

/// What a machine's configuration becomes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconfigure {
    /// What it was when the form was opened, without secrets: somebody else may have changed it since.
    pub base: Spec,
    /// What it becomes.
    pub spec: Spec,
    /// The secrets that stay as they are; they are not in `spec`.
    #[serde(default)]
    pub kept: KeptSecrets,
}

/// Which secrets of a configuration stay as they are. A form cannot show them, so it says what becomes of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptSecrets {
    /// The console password of root.
    pub root_password: bool,
    /// The Samba user and password.
    pub samba: bool,
}

impl Reconfigure {
    /// The whole new configuration, given the present one.
    #[must_use]
    pub fn over(&self, present: &Spec) -> Spec {
        let mut spec = self.spec.clone();
        if self.kept.root_password {
            spec.identity.root_password.clone_from(&present.identity.root_password);
        }
        if self.kept.samba {
            spec.identity.samba_credentials.clone_from(&present.identity.samba_credentials);
        }
        spec
    }
}

/// An operation without its particulars.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    strum::EnumString,
    strum::VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", parse_err_ty = Refused, parse_err_fn = no_such_kind)]
pub enum OperationKind {
    /// [`Operation::Build`]
    Build,
    /// [`Operation::RemoveImage`]
    RemoveImage,
    /// [`Operation::Create`]
    Create,
    /// [`Operation::Configure`]
    Configure,
    /// [`MachineAction::Provision`]
    Provision,
    /// [`MachineAction::Reconfigure`]
    Reconfigure,
    /// [`MachineAction::Apply`]
    Apply,
    /// [`MachineAction::Revert`]
    Revert,
    /// [`MachineAction::Upgrade`]
    Upgrade,
    /// [`MachineAction::RollBack`]
    RollBack,
    /// [`MachineAction::Start`]
    Start,
    /// [`MachineAction::ShutDown`]
    ShutDown,
    /// [`MachineAction::Reboot`]
    Reboot,
    /// [`MachineAction::Suspend`]
    Suspend,
    /// [`MachineAction::Resume`]
    Resume,
    /// [`MachineAction::ForceOff`]
    ForceOff,
    /// [`MachineAction::Rename`]
    Rename,
    /// [`MachineAction::Clone`]
    Clone,
    /// [`MachineAction::Recreate`]
    Recreate,
    /// [`MachineAction::Destroy`]
    Destroy,
    /// [`MachineAction::Purge`]
    Purge,
    /// [`MachineAction::Forget`]
    Forget,
}

impl OperationKind {
    /// Every kind there is, in the order that menus show them.
    pub const ALL: &[OperationKind] = OperationKind::VARIANTS;

    /// The name in forms and URLs, in the database and in the log.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

fn no_such_kind(_: &str) -> Refused {
    Refused::new("There is no such operation.")
}

impl fmt::Display for OperationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl MachineAction {
    /// Its kind.
    pub fn kind(&self) -> OperationKind {
        match self {
            MachineAction::Provision => OperationKind::Provision,
            MachineAction::Reconfigure(_) => OperationKind::Reconfigure,
            MachineAction::Apply => OperationKind::Apply,
            MachineAction::Revert => OperationKind::Revert,
            MachineAction::Upgrade => OperationKind::Upgrade,
            MachineAction::RollBack { .. } => OperationKind::RollBack,
            MachineAction::Start => OperationKind::Start,
            MachineAction::ShutDown => OperationKind::ShutDown,
            MachineAction::Reboot => OperationKind::Reboot,
            MachineAction::ForceOff => OperationKind::ForceOff,
            MachineAction::Suspend => OperationKind::Suspend,
            MachineAction::Resume => OperationKind::Resume,
            MachineAction::Rename { .. } => OperationKind::Rename,
            MachineAction::Clone(_) => OperationKind::Clone,
            MachineAction::Recreate => OperationKind::Recreate,
            MachineAction::Destroy => OperationKind::Destroy,
            MachineAction::Purge => OperationKind::Purge,
            MachineAction::Forget => OperationKind::Forget,
        }
    }

    /// Done to this machine.
    pub fn on(self, machine: MachineName) -> Operation {
        Operation::OnMachine { machine, action: self }
    }
}

impl Operation {
    /// Its kind.
    pub fn kind(&self) -> OperationKind {
        match self {
            Operation::Build { .. } => OperationKind::Build,
            Operation::RemoveImage { .. } => OperationKind::RemoveImage,
            Operation::Create { .. } => OperationKind::Create,
            Operation::Configure { .. } => OperationKind::Configure,
            Operation::OnMachine { action, .. } => action.kind(),
        }
    }

    /// The same without what nobody should see, for keeping once it is over.
    #[must_use]
    pub fn without_secrets(mut self) -> Operation {
        match &mut self {
            Operation::Create { spec } | Operation::Configure { spec } => spec.identity.hide_secrets(),
            Operation::OnMachine { action: MachineAction::Reconfigure(change), .. } => {
                change.spec.identity.hide_secrets();
                change.base.identity.hide_secrets();
            }
            _ => {}
        }
        self
    }

    /// The machine it is done to, or creates where there was none, if any.
    pub fn machine(&self) -> Option<&MachineName> {
        match self {
            Operation::Build { .. } | Operation::RemoveImage { .. } => None,
            Operation::Create { spec } | Operation::Configure { spec } => Some(&spec.name),
            Operation::OnMachine { machine, .. } => Some(machine),
        }
    }

    /// The machine that its job works on and holds: of one that makes a copy, the copy.
    pub fn works_on(&self) -> Option<&MachineName> {
        match self {
            Operation::OnMachine { action: MachineAction::Clone(copy), .. } => Some(&copy.name),
            _ => self.machine(),
        }
    }

    /// The configuration of the machine that it makes, if it says all of it.
    pub fn new_machine(&self) -> Option<&Spec> {
        match self {
            Operation::Create { spec } | Operation::Configure { spec } => Some(spec),
            _ => None,
        }
    }

    /// The name that a machine gets from this and did not have before; nobody else may have it.
    pub fn new_name(&self) -> Option<&MachineName> {
        match self {
            Operation::OnMachine { action: MachineAction::Rename { name }, .. } => Some(name),
            Operation::OnMachine { action: MachineAction::Clone(copy), .. } => Some(&copy.name),
            _ => self.new_machine().map(|spec| &spec.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_exactly_one_kind() {
        for kind in OperationKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(*kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }

    /// Jobs and audit entries of earlier versions are read forever.
    #[test]
    fn the_stored_form_is_flat_and_stays_as_it_is() {
        let start = MachineAction::Start.on("web".parse().unwrap());
        let stored = serde_json::json!({ "operation": "start", "machine": "web" });
        assert_eq!(serde_json::to_value(&start).unwrap(), stored);
        assert_eq!(serde_json::from_value::<Operation>(stored).unwrap(), start);
        let build = serde_json::json!({ "operation": "build", "profiles": ["core"], "mode": "immutable" });
        let read: Operation = serde_json::from_value(build.clone()).unwrap();
        assert_eq!((read.kind(), serde_json::to_value(&read).unwrap()), (OperationKind::Build, build));
        let copy = serde_json::json!({
            "operation": "clone", "machine": "web", "name": "db", "memory": 512, "vcpus": 1, "disk": 2,
            "network": "nat", "profiles": ["core"], "start": true,
        });
        let read: Operation = serde_json::from_value(copy.clone()).unwrap();
        assert_eq!((read.machine(), read.works_on()), (Some(&"web".parse().unwrap()), read.new_name()));
        assert_eq!((read.kind(), serde_json::to_value(&read).unwrap()), (OperationKind::Clone, copy));
        for damaged in
            [r#"{"operation":"start"}"#, r#"{"machine":"web"}"#, r#"{"operation":"x","machine":"web"}"#]
        {
            assert!(serde_json::from_str::<Operation>(damaged).is_err(), "{damaged}");
        }
    }
}
