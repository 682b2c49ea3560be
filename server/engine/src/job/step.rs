//! The marks of steps and what they pass on to each other: what a job's rows are made of. A leaf: the steps themselves
//! are in `steps/`, which operation has which in `ops/`.

use model::image::ImageId;
use model::machine::{MachineId, Network};
use model::size::{MemoryMib, Vcpus};
use model::spec::Spec;
use ports::hypervisor::Volume;
use ports::image_builder::ImageKey;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What happens to a step when the job does not succeed.
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
    /// Its name in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            After::Nothing => "nothing",
            After::Undo => "undo",
            After::Forward => "forward",
        }
    }
}

/// What the steps of one job pass on to each other, saved in the transaction that marks a step as done, so that a job
/// taken up again after a crash knows all that its finished steps knew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Work {
    /// The machine that the job works on.
    pub machine: Option<MachineId>,
    /// The machine that it copies.
    pub source: Option<MachineId>,
    /// True when the machine had disks before the job: they hold someone's data, and undoing must not remove them.
    pub had_disks: bool,
    /// True when the machine was defined on its host before the job: undoing must not remove the definition.
    pub was_defined: bool,
    /// The inputs of the job's image.
    pub key: Option<ImageKey>,
    /// The image, once there is one.
    pub image: Option<Image>,
    /// True when this job made the disks with the identity on them, so that writing it again would change nothing.
    pub identity_written: bool,
    /// True once the host has been asked for a power action that a person wants, or was about to be. Asking twice could
    /// reboot a guest twice.
    pub asked: bool,
    /// True when the machine has only a configuration and its host is unreachable: no step checks there.
    pub without_host: bool,
    /// The audit log's detail for the job when it succeeds.
    pub remark: Option<String>,
    /// The image to be forgotten.
    pub removing: Option<ImageId>,
    /// What the machine's definition was before this job put another.
    pub former: Option<Hardware>,
    /// Whether the machine ran when the job switched it off.
    pub ran: bool,
    /// The generation that the job makes, or goes back to.
    pub generation: Option<u32>,
    /// The generation that the machine had before the job gave it another.
    pub replaced: Option<u32>,
    /// The data disks, of a job that makes new disks.
    pub renewed: Option<Renewed>,
}

/// The data disks of a machine that gets new disks; none where its mode has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Renewed {
    /// The one that was made.
    pub data: Option<Volume>,
    /// The one that the machine had.
    pub former: Option<Volume>,
}

impl Work {
    /// The machine that its operation was asked for.
    pub fn subject(&self) -> Option<MachineId> {
        self.source.or(self.machine)
    }
}

/// What a definition has of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hardware {
    pub memory: MemoryMib,
    pub vcpus: Vcpus,
    pub network: Network,
}

impl Hardware {
    /// That of a configuration.
    pub fn of(spec: &Spec) -> Self {
        Self { memory: spec.memory, vcpus: spec.vcpus, network: spec.network.clone() }
    }

    /// Gives it to a configuration.
    pub fn give(self, spec: &mut Spec) {
        (spec.memory, spec.vcpus, spec.network) = (self.memory, self.vcpus, self.network);
    }
}

/// An image that a job uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Image {
    pub id: ImageId,
    pub store_path: PathBuf,
}
