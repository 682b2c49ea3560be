//! Images as pages show them.

use crate::closure::ClosureDiff;
use crate::image::{ImageId, ProfileSet};
use crate::job::JobId;
use crate::machine::{MachineName, Mode};
use crate::time::Time;
use crate::view::job::FailedJob;
use serde::{Deserialize, Serialize};

/// A built image as pages show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSummary {
    /// Id.
    pub id: ImageId,
    /// Its profiles.
    pub profiles: ProfileSet,
    /// Its mode.
    pub mode: Mode,
    /// Its path in the Nix store.
    pub store_path: String,
    /// Size of the disk image file in bytes.
    pub size: u64,
    /// Size of the store closure in bytes, where Nix reports it.
    pub closure_size: Option<u64>,
    /// Hash of the flake source it was built from.
    pub source: String,
    /// True when its source is the current one.
    pub current: bool,
    /// When it was built.
    pub built: Time,
    /// Who asked for it.
    pub built_by: Option<String>,
    /// The job that built it.
    pub job: Option<JobId>,
    /// Machines that boot it and that the actor may see.
    pub machines: Vec<MachineName>,
    /// How many machines boot it in all.
    pub users: u32,
    /// The actor's last attempt to remove it, which failed.
    pub failed_removal: Option<FailedJob>,
}

/// Two images compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageDiff {
    /// The first.
    pub from: ImageSummary,
    /// The second.
    pub to: ImageSummary,
    /// What the second is made of that the first is not, and the reverse; or why that is not known, as a sentence.
    pub closure: Result<ClosureDiff, String>,
}
