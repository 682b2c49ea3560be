//! An operation is a value: what a form posts, what the permission table matches on, what the planner turns into a
//! plan, what a job stores and what the audit log records.
//!
//! To add one: a variant of [`Operation`] and of [`OperationKind`], a row in `permission.rs`, a form in `form.rs`, and
//! a row in the engine's `operations.rs`. The compiler finds each place that is still missing.

use crate::image::{ImageId, ProfileSet};
use crate::machine::{MachineName, Mode};
use crate::spec::Spec;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

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
    /// Create and start a machine of which there is only the configuration.
    Provision {
        /// The machine.
        machine: MachineName,
    },
    /// Switch on.
    Start {
        /// The machine.
        machine: MachineName,
    },
    /// Ask the guest to shut down (ACPI), and wait until it has.
    ShutDown {
        /// The machine.
        machine: MachineName,
    },
    /// Ask the guest to reboot.
    Reboot {
        /// The machine.
        machine: MachineName,
    },
    /// Pull the plug.
    ForceOff {
        /// The machine.
        machine: MachineName,
    },
    /// Stop the processors, keep the memory.
    Suspend {
        /// The machine.
        machine: MachineName,
    },
    /// Let the processors run again.
    Resume {
        /// The machine.
        machine: MachineName,
    },
    /// Remove domain and disks; keep the configuration.
    Destroy {
        /// The machine.
        machine: MachineName,
    },
    /// Remove domain, disks and configuration.
    Purge {
        /// The machine.
        machine: MachineName,
    },
    /// Forget an image that no machine uses, so that Nix may collect it.
    RemoveImage {
        /// The image.
        image: ImageId,
    },
}

macro_rules! kinds {
    ($($(#[$meta:meta])* $kind:ident = $name:literal, $title:literal;)*) => {
        /// An operation without its particulars.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum OperationKind {
            $($(#[$meta])* $kind,)*
        }

        impl OperationKind {
            /// Every kind there is.
            pub const ALL: &[OperationKind] = &[$(OperationKind::$kind,)*];

            /// The word in forms, in the database and in the log.
            pub fn as_str(self) -> &'static str {
                match self { $(OperationKind::$kind => $name,)* }
            }

            /// The words on its button.
            pub fn title(self) -> &'static str {
                match self { $(OperationKind::$kind => $title,)* }
            }
        }
    };
}

kinds! {
    /// [`Operation::Build`]
    Build = "build", "Build image";
    /// [`Operation::Create`]
    Create = "create", "Create and start";
    /// [`Operation::Configure`]
    Configure = "configure", "Save configuration only";
    /// [`Operation::Provision`]
    Provision = "provision", "Create from configuration";
    /// [`Operation::Start`]
    Start = "start", "Start";
    /// [`Operation::ShutDown`]
    ShutDown = "shut_down", "Shut down";
    /// [`Operation::Reboot`]
    Reboot = "reboot", "Reboot";
    /// [`Operation::ForceOff`]
    ForceOff = "force_off", "Force off";
    /// [`Operation::Suspend`]
    Suspend = "suspend", "Suspend";
    /// [`Operation::Resume`]
    Resume = "resume", "Resume";
    /// [`Operation::Destroy`]
    Destroy = "destroy", "Destroy";
    /// [`Operation::Purge`]
    Purge = "purge", "Purge";
    /// [`Operation::RemoveImage`]
    RemoveImage = "remove_image", "Remove image";
}

impl FromStr for OperationKind {
    type Err = crate::newtype::Refused;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        OperationKind::ALL
            .iter()
            .copied()
            .find(|k| k.as_str() == text)
            .ok_or_else(|| crate::newtype::Refused::new("There is no such operation."))
    }
}

impl fmt::Display for OperationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Operation {
    /// Its kind.
    pub fn kind(&self) -> OperationKind {
        match self {
            Operation::Build { .. } => OperationKind::Build,
            Operation::Create { .. } => OperationKind::Create,
            Operation::Configure { .. } => OperationKind::Configure,
            Operation::Provision { .. } => OperationKind::Provision,
            Operation::Start { .. } => OperationKind::Start,
            Operation::ShutDown { .. } => OperationKind::ShutDown,
            Operation::Reboot { .. } => OperationKind::Reboot,
            Operation::ForceOff { .. } => OperationKind::ForceOff,
            Operation::Suspend { .. } => OperationKind::Suspend,
            Operation::Resume { .. } => OperationKind::Resume,
            Operation::Destroy { .. } => OperationKind::Destroy,
            Operation::Purge { .. } => OperationKind::Purge,
            Operation::RemoveImage { .. } => OperationKind::RemoveImage,
        }
    }

    /// The same without what is for nobody's eyes, for keeping when it is over.
    #[must_use]
    pub fn without_secrets(mut self) -> Operation {
        if let Operation::Create { spec } | Operation::Configure { spec } = &mut self {
            spec.identity.hide_secrets();
        }
        self
    }

    /// The machine it works on, if it works on one.
    pub fn machine(&self) -> Option<&MachineName> {
        match self {
            Operation::Build { .. } | Operation::RemoveImage { .. } => None,
            Operation::Create { spec } | Operation::Configure { spec } => Some(&spec.name),
            Operation::Provision { machine }
            | Operation::Start { machine }
            | Operation::ShutDown { machine }
            | Operation::Reboot { machine }
            | Operation::ForceOff { machine }
            | Operation::Suspend { machine }
            | Operation::Resume { machine }
            | Operation::Destroy { machine }
            | Operation::Purge { machine } => Some(machine),
        }
    }

    /// In words, for job lists and plans: “Create web-1”.
    pub fn title(&self) -> String {
        match (self, self.machine()) {
            (Operation::Build { profiles, mode }, _) => format!("Build image {profiles} ({})", mode.as_str()),
            (Operation::Create { .. }, Some(name)) => format!("Create {name}"),
            (Operation::Configure { .. }, Some(name)) => format!("Save {name}"),
            (Operation::Provision { .. }, Some(name)) => format!("Create {name} from its configuration"),
            (_, Some(name)) => format!("{} {name}", self.kind().title()),
            (_, None) => self.kind().title().to_owned(),
        }
    }

    /// The operation that does `kind` to a machine and needs nothing but its name; `None` for kinds that need more.
    pub fn on_machine(kind: OperationKind, machine: MachineName) -> Option<Operation> {
        Some(match kind {
            OperationKind::Provision => Operation::Provision { machine },
            OperationKind::Start => Operation::Start { machine },
            OperationKind::ShutDown => Operation::ShutDown { machine },
            OperationKind::Reboot => Operation::Reboot { machine },
            OperationKind::ForceOff => Operation::ForceOff { machine },
            OperationKind::Suspend => Operation::Suspend { machine },
            OperationKind::Resume => Operation::Resume { machine },
            OperationKind::Destroy => Operation::Destroy { machine },
            OperationKind::Purge => Operation::Purge { machine },
            OperationKind::Build
            | OperationKind::Create
            | OperationKind::Configure
            | OperationKind::RemoveImage => return None,
        })
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

    #[test]
    fn an_operation_on_a_machine_keeps_its_kind_and_name() {
        let name: MachineName = "web".parse().unwrap();
        for kind in OperationKind::ALL {
            if let Some(operation) = Operation::on_machine(*kind, name.clone()) {
                assert_eq!((operation.kind(), operation.machine()), (*kind, Some(&name)));
            }
        }
    }
}
