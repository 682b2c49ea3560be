//! The few fields of an ext4 superblock that decide what to do with it (Documentation/filesystems/ext4 in Linux).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Where it is in the file system, in bytes.
const AT: u64 = 1024;
const MAGIC: [u8; 2] = [0x53, 0xef];
/// `s_state`: unmounted cleanly.
const STATE_VALID: u8 = 0x1;
/// `s_state`: errors were found.
const STATE_ERROR: u8 = 0x2;
/// `s_feature_incompat`: the journal must be replayed.
const NEEDS_RECOVERY: u8 = 0x4;

/// An ext4 file system as its superblock describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Superblock {
    /// Its label.
    pub(super) label: Vec<u8>,
    /// False when it was not unmounted, or has errors: check before any change.
    pub(super) is_clean: bool,
}

/// Reads the superblock of the file system that begins at `offset`; `None` if there is no ext4.
pub(super) fn read(disk: &File, offset: u64) -> io::Result<Option<Superblock>> {
    let mut bytes = [0_u8; 0x88];
    match disk.read_exact_at(&mut bytes, offset.saturating_add(AT)) {
        Ok(()) => Ok(parse(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

fn parse(bytes: &[u8]) -> Option<Superblock> {
    if bytes.get(0x38..0x3a)? != MAGIC {
        return None;
    }
    let state = *bytes.get(0x3a)?;
    let incompat = *bytes.get(0x60)?;
    let label = bytes.get(0x78..0x88)?;
    let label = label.split(|b| *b == 0).next().unwrap_or_default().to_vec();
    let is_clean = state & STATE_VALID != 0 && state & STATE_ERROR == 0 && incompat & NEEDS_RECOVERY == 0;
    Some(Superblock { label, is_clean })
}
