//! The marks of steps and what they hand on to each other: what a job's rows are made of. A leaf: what steps do stands in
//! `steps/`, which operation has which in `ops/`.

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

/// What the steps of one job hand on to each other, saved in the transaction that marks a step as done, so that a job
/// which is taken up again after a crash knows all that its finished steps knew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Work {
    /// The machine that the job works on.
    pub machine: Option<MachineId>,
    /// True when the machine had disks before the job: they hold somebody's data, and undoing must not remove them.
    pub had_disks: bool,
    /// True when the machine was defined on its host before the job: undoing must not remove the definition.
    pub was_defined: bool,
    /// What the job's image is made from.
    pub key: Option<ImageKey>,
    /// The image, once there is one.
    pub image: Option<Image>,
    /// True when this job made the disks with the identity on them, so that writing it again would change nothing.
    pub identity_written: bool,
    /// True once the host has been asked to do what a person wants of a machine's power, or was about to be. Asking twice could
    /// reboot a guest twice.
    pub asked: bool,
    /// True when the machine has only a configuration and its host is away: no step looks there.
    pub without_host: bool,
    /// What the audit log says about the job when it succeeds.
    pub remark: Option<String>,
    /// The image that is to be forgotten.
    pub removing: Option<ImageId>,
}

/// An image that a job uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Image {
    pub id: ImageId,
    pub store_path: PathBuf,
}
