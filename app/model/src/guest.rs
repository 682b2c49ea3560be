//! What a running guest reports through its agent: which image it booted, and whether its boot is done.
//!
//! The engine asks once per boot and pages show the answer. It comes from a computer that its owner controls: it is
//! parsed into the fixed values below, bounded, and never used for any decision.

use crate::image::ProfileSet;
use crate::machine::Mode;
use serde::{Deserialize, Serialize};

/// The file that describes an image: lines `profiles=`, `mode=`, `revision=` and `date=`.
pub const IMAGE_FILE: &str = "/etc/snowglobe-image";
/// The file that appears when the guest is up: logins, agent and services are available.
pub const BOOTED_FILE: &str = "/run/snowglobe/boot-complete";

/// The longest revision that is shown, in characters; a Git revision has 40 and a Nix hash some 60.
const REVISION_MAX: usize = 72;

/// What a running guest has reported since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guest {
    /// True once its boot is done. Stays false for an image that does not report it.
    pub booted: bool,
    /// The image that it runs. None for an image that does not report it, or reports nonsense.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<GuestImage>,
}

/// The image that a guest runs, as it reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestImage {
    /// Its profiles.
    pub profiles: ProfileSet,
    /// Its mode.
    pub mode: Mode,
    /// Revision or hash of the source that it was built from; printable characters only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The day on which that source was last changed, as `2026-05-22`. Not the day of the build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
}

impl GuestImage {
    /// Reads the contents of [`IMAGE_FILE`]; `None` unless profiles and mode are valid. Unknown lines are ignored, so
    /// that later images may report more.
    pub fn read(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let value = |key: &str| {
            text.lines()
                .filter_map(|line| line.split_once('='))
                .find(|(k, _)| *k == key)
                .map(|(_, v)| v.trim())
        };
        Some(Self {
            profiles: value("profiles")?.parse().ok()?,
            mode: value("mode")?.parse().ok()?,
            revision: value("revision").and_then(revision),
            date: value("date").and_then(date),
        })
    }
}

/// A revision that can be shown. Images built outside version control say `unknown`.
fn revision(text: &str) -> Option<String> {
    let fine = (1..=REVISION_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    (fine && text != "unknown").then(|| text.to_owned())
}

/// `20260522` as an ISO date.
fn date(text: &str) -> Option<String> {
    if text.len() != 8 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (year, month, day) = (text.get(..4)?, text.get(4..6)?, text.get(6..)?);
    let is_day = ("01"..="12").contains(&month) && ("01"..="31").contains(&day);
    is_day.then(|| format!("{year}-{month}-{day}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_four_lines_are_read_and_unknown_ones_are_left_out() {
        let text = b"profiles=core,docker\nmode=semi-mutable\nrevision=3f2a-dirty\ndate=20260522\nlater=x\n";
        let image = GuestImage::read(text).unwrap();
        assert_eq!((image.profiles.to_string().as_str(), image.mode), ("core,docker", Mode::SemiMutable));
        assert_eq!(
            (image.revision.as_deref(), image.date.as_deref()),
            (Some("3f2a-dirty"), Some("2026-05-22"))
        );
        let bare = GuestImage::read(b"mode=mutable\nprofiles=\nrevision=unknown\ndate=unknown").unwrap();
        assert_eq!((bare.profiles.to_string().as_str(), bare.revision, bare.date), ("core", None, None));
    }

    #[test]
    fn what_a_hostile_guest_says_is_nothing() {
        for text in [
            &b""[..],
            b"profiles=core",
            b"profiles=<script>\nmode=immutable",
            b"profiles=core\nmode=root",
            b"\xff\xfe",
            b"PROFILES=core\nMODE=immutable",
        ] {
            assert_eq!(GuestImage::read(text), None, "{text:?}");
        }
        let odd = b"profiles=core\nmode=immutable\nrevision=\x1b[31mred\ndate=20261345";
        let odd = GuestImage::read(odd).unwrap();
        assert_eq!((odd.revision, odd.date), (None, None));
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered_and_nothing_long_or_unprintable_comes_out(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            revision in "\\PC{0,100}",
        ) {
            let _ = GuestImage::read(&bytes);
            let text = format!("profiles=core\nmode=immutable\nrevision={revision}\n");
            if let Some(shown) = GuestImage::read(text.as_bytes()).unwrap().revision {
                prop_assert!(shown.len() <= REVISION_MAX && shown.bytes().all(|b| b.is_ascii_graphic()));
            }
        }
    }
}
