//! The names of steps, their marks, and what they hand on to each other: what a job's rows are made of. A leaf: what steps
//! do stands in `steps/`, which operation has which in `operations.rs`.

use model::image::ImageId;
use model::machine::MachineId;
use ports::image_builder::ImageKey;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What becomes of a step when the job does not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum After {
    /// Nothing: it changes nothing that would have to be undone.
    Nothing,
    /// It is undone.
    Undo,
    /// It stays; it only goes forward.
    Forward,
}

impl After {
    /// The word in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            After::Nothing => "nothing",
            After::Undo => "undo",
            After::Forward => "forward",
        }
    }
}

/// A row's cell: a step and its mark.
pub(crate) type Cell = (Step, After);

macro_rules! steps {
    ($($(#[$meta:meta])* $step:ident = $name:literal;)*) => {
        /// Every step there is. The name is the same in code, database, log and on pages.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(crate) enum Step {
            $($(#[$meta])* $step,)*
        }

        impl Step {
            /// `family.verb`.
            pub const fn name(self) -> &'static str {
                match self { $(Step::$step => $name,)* }
            }

            /// The step of this name.
            pub fn from_name(name: &str) -> Option<Step> {
                match name { $($name => Some(Step::$step),)* _ => None }
            }
        }
    };
}

steps! {
    /// Writes the machine's row.
    RecordNew = "record.new";
    /// Removes the machine's row.
    RecordForget = "record.forget";
    /// Builds the image, or finds it built.
    ImageBuild = "image.build";
    /// Removes an image's row and root.
    ImageForget = "image.forget";
    /// Makes the machine's disks.
    DisksCreate = "disks.create";
    /// Removes them.
    DisksRetire = "disks.retire";
    /// Writes the identity files.
    IdentityWrite = "identity.write";
    /// Defines the domain.
    DefinitionPut = "definition.put";
    /// Removes it.
    DefinitionRemove = "definition.remove";
    /// Switches on.
    PowerStart = "power.start";
    /// Asks the guest to shut down and waits until it has.
    PowerShutDown = "power.shut_down";
    /// Asks the guest to reboot.
    PowerReboot = "power.reboot";
    /// Pulls the plug because somebody asked for it.
    PowerForceOff = "power.force_off";
    /// Pulls the plug because the machine will be removed.
    PowerKill = "power.kill";
    /// Stops the processors.
    PowerSuspend = "power.suspend";
    /// Lets them run.
    PowerResume = "power.resume";
    /// Waits for an address.
    AddressAwait = "address.await";
}

impl Step {
    /// Whether it changes something on the machine's host; what the tests of the operations table ask.
    #[cfg(test)]
    pub const fn works_on_host(self) -> bool {
        !matches!(self, Step::RecordNew | Step::RecordForget | Step::ImageBuild | Step::ImageForget)
    }

    /// Whether it mostly waits for something. Such a step takes no slot from jobs that work: builds have slots of their own.
    pub const fn only_waits(self) -> bool {
        matches!(self, Step::ImageBuild | Step::AddressAwait | Step::PowerShutDown)
    }
}

/// What the steps of one job hand on to each other, saved in the transaction that marks a step as done, so that a job
/// which is taken up again after a crash knows all that its finished steps knew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Work {
    /// The machine that the job works on.
    pub machine: Option<MachineId>,
    /// True when the machine had disks before the job: they hold somebody's data, and undoing must not remove them.
    pub had_disks: bool,
    /// What the job's image is made from.
    pub key: Option<ImageKey>,
    /// The image, once there is one.
    pub image: Option<Image>,
    /// True when this job made the disks with the identity on them, so that writing it again would change nothing.
    pub identity_written: bool,
    /// The image that is to be forgotten.
    pub removing: Option<ImageId>,
}

/// An image that a job uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Image {
    pub id: ImageId,
    pub store_path: PathBuf,
}
