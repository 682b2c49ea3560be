//! What the steps of one job hand on to each other: one typed struct, saved in the transaction that marks a step as done,
//! so that a job which is taken up again after a crash knows all that its finished steps knew.

use crate::ports::image_builder::ImageKey;
use model::image::ImageId;
use model::machine::MachineId;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Shared by the steps of a job.
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
