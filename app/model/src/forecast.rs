//! What building an image would take, before anything is built.

use serde::{Deserialize, Serialize};

/// What Nix would have to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildWork {
    /// How many derivations it would build.
    pub to_build: u32,
    /// How many store paths it would fetch.
    pub to_fetch: u32,
    /// How much it would download for them, in bytes; 0 where it does not tell.
    pub download: u64,
    /// How much they take in the store, in bytes; 0 where it does not tell.
    pub unpacked: u64,
}

/// What building an image would take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// What there is to do.
    pub outlook: Outlook,
    /// How long building images of these profiles in this mode has usually taken here, in milliseconds.
    pub usual: Option<u64>,
}

/// What there is to do, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// Nothing: the image has been built.
    Built,
    /// This much, a few minutes ago at the earliest.
    Known(BuildWork),
    /// Nix has been asked, or will be when it has answered another question.
    Asked,
    /// Nix could not tell, for this reason.
    Unknown(String),
}
