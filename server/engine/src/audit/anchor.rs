//! The anchor: where the chain ended when last checked, in a file beside the database. A database that was restored
//! from a backup or truncated is consistent in itself; what gives it away is that the chain no longer contains the
//! anchor's link.
//!
//! It is written when the portal starts, every hour and when it stops, and the same figures go to the server's log:
//! what someone who can write to the database cut off since the last write goes unnoticed. Anyone who ships the
//! server's log elsewhere can compare even when the whole state directory was replaced.

use crate::db::audit::{Head, Keys};
use crate::error::{Error, Result};
use crate::key::write_private;
use model::Time;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

/// The anchor's file in the state directory.
pub(super) const FILE: &str = "audit.head";

/// Where the chain ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Anchor {
    pub link: i64,
    pub hash: String,
    /// How many entries there were.
    pub entries: i64,
    /// When, in milliseconds since 1970.
    pub at: Time,
    key: String,
    tag: String,
}

/// The contents of the file.
pub(super) enum Found {
    Nothing,
    /// By a missing key, or changed, or damaged.
    Unreadable,
    Anchor(Anchor),
}

impl Anchor {
    pub fn new(keys: &Keys, head: Head, entries: i64, at: Time) -> Self {
        let Head { link, hash } = head;
        let mut anchor =
            Self { link, hash, entries, at, key: keys.current.id().to_owned(), tag: String::new() };
        anchor.tag = keys.current.tag(&[LABEL, anchor.text().as_bytes()]);
        anchor
    }

    /// The link that was the newest.
    pub fn head(&self) -> Head {
        Head { link: self.link, hash: self.hash.clone() }
    }

    fn text(&self) -> String {
        format!("{} {} {} {}", self.link, self.hash, self.entries, self.at.0)
    }

    fn is_genuine(&self, keys: &Keys) -> bool {
        keys.find(&self.key).is_some_and(|key| key.fits(&[LABEL, self.text().as_bytes()], &self.tag))
    }

    /// Writes it, replacing the previous one.
    pub fn write(&self, state: &Path) -> Result<()> {
        let text = serde_json::to_string(self).map_err(io::Error::other);
        text.and_then(|text| write_private(&state.join(FILE), &text)).map_err(failed)
    }
}

fn failed(source: io::Error) -> Error {
    Error::Io { what: "the file of the audit log's end cannot be read or written", source }
}

const LABEL: &[u8] = b"snowglobe audit anchor";

/// The anchor written last.
pub(super) fn read(state: &Path, keys: &Keys) -> Result<Found> {
    match fs::read(state.join(FILE)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Found::Nothing),
        Err(error) => Err(failed(error)),
        Ok(bytes) => Ok(match serde_json::from_slice::<Anchor>(&bytes) {
            Ok(anchor) if anchor.is_genuine(keys) => Found::Anchor(anchor),
            _ => Found::Unreadable,
        }),
    }
}
