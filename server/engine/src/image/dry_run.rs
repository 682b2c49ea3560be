//! What a build would do, from the words of `nix build --dry-run`. There is no other form: with `--json` it lists derivations
//! alone.

use crate::text::strip_escapes;
use model::forecast::BuildWork;

/// Adds what a line of Nix's announces; other lines say nothing. The sentences are those of `printMissing` in Nix's
/// `src/libmain/shared.cc`, the same since 2.4 and in Lix, but for the unit: MiB always, since 2.30 the one that fits.
pub(super) fn read(work: &mut BuildWork, line: &[u8]) {
    let line = strip_escapes(&String::from_utf8_lossy(line));
    let Some((what, becomes)) = line.trim().split_once(" will be ") else { return };
    let Some(count) = count(what) else { return };
    if becomes == "built:" {
        work.to_build = work.to_build.saturating_add(count);
    } else if becomes.starts_with("fetched") {
        work.to_fetch = work.to_fetch.saturating_add(count);
        if let Some((download, unpacked)) = sizes(becomes) {
            work.download = work.download.saturating_add(download);
            work.unpacked = work.unpacked.saturating_add(unpacked);
        }
    }
}

/// `this derivation`, `these 12 derivations`.
fn count(what: &str) -> Option<u32> {
    match what.split(' ').collect::<Vec<_>>().as_slice() {
        ["this", _] => Some(1),
        ["these", count, _] => count.parse().ok(),
        _ => None,
    }
}

/// `fetched (1.50 MiB download, 7.25 MiB unpacked):`
fn sizes(becomes: &str) -> Option<(u64, u64)> {
    let (_, sizes) = becomes.split_once('(')?;
    let (download, rest) = sizes.split_once(" download, ")?;
    let (unpacked, _) = rest.split_once(" unpacked")?;
    Some((bytes(download)?, bytes(unpacked)?))
}

fn bytes(size: &str) -> Option<u64> {
    let (number, unit) = size.trim().split_once(' ')?;
    let factor = match unit {
        "B" => 1.0,
        "KiB" => f64::from(1 << 10),
        "MiB" => f64::from(1 << 20),
        "GiB" => f64::from(1 << 30),
        "TiB" => f64::from(1 << 30) * 1024.0,
        _ => return None,
    };
    let bytes = number.parse::<f64>().ok()? * factor;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates, and is for people"
    )]
    Some(bytes.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn work(lines: &[&str]) -> BuildWork {
        let mut work = BuildWork::default();
        lines.iter().for_each(|line| read(&mut work, line.as_bytes()));
        work
    }

    #[test]
    fn the_words_of_every_version_are_understood() {
        let before_2_30 = [
            "warning: Git tree '/x' is dirty",
            "these 12 derivations will be built:",
            "  /nix/store/0c4yfq1rk3n5xz7w9d8g6hjabcpsvlmi-nixos-system-will be built:.drv",
            "these 340 paths will be fetched (1.50 MiB download, 7.25 MiB unpacked):",
            "  /nix/store/0c4yfq1rk3n5xz7w9d8g6hjabcpsvlmi-glibc-2.40",
        ];
        let (download, unpacked) = (1536 << 10, 7424 << 10);
        assert_eq!(work(&before_2_30), BuildWork { to_build: 12, to_fetch: 340, download, unpacked });
        let since = [
            "\u{1b}[0mthis derivation will be built:",
            "this path will be fetched (512.0 KiB download, 1.5 GiB unpacked):",
        ];
        let (download, unpacked) = (512 << 10, 1536 << 20);
        assert_eq!(work(&since), BuildWork { to_build: 1, to_fetch: 1, download, unpacked });
        assert_eq!(work(&["these 3 paths will be fetched:"]).to_fetch, 3, "sizes are not needed");
        assert_eq!(work(&["these 3 paths will be fetched (x MiB download, 1 PiB unpacked):"]).to_fetch, 3);
        assert_eq!(work(&["", "these will be built:", "these -1 derivations will be built:"]), work(&[]));
        let many = ["these 4294967295 derivations will be built:"; 2];
        assert_eq!(work(&many).to_build, u32::MAX);
    }

    proptest! {
        #[test]
        fn any_line_is_read(line in "(this|these [0-9]{0,12}) paths? will be (built:|fetched \\([^)]{0,30}\\):)", any in ".*") {
            read(&mut BuildWork::default(), line.as_bytes());
            read(&mut BuildWork::default(), any.as_bytes());
        }
    }
}
