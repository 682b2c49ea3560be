//! The partition table of a disk, as far as needed to find one file system (UEFI specification 2.10, §5.3).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

const SECTOR: u64 = 512;
/// Tables have 128 entries by convention; a larger one is not ours.
const ENTRIES_MAX: u32 = 256;
const ENTRY_MIN: u32 = 128;
const ENTRY_MAX: u32 = 4096;

/// The start of each partition, in bytes, in the table's order. Empty when there is no partition table.
pub(super) fn partitions(disk: &File) -> io::Result<Vec<u64>> {
    let mut header = [0_u8; 92];
    disk.read_exact_at(&mut header, SECTOR)?;
    let Some((entries_at, count, entry_size)) = parse_header(&header) else { return Ok(Vec::new()) };
    let mut starts = Vec::new();
    let mut entry = [0_u8; 40];
    for index in 0..u64::from(count) {
        let at = entries_at.saturating_add(index * u64::from(entry_size));
        disk.read_exact_at(&mut entry, at)?;
        // A type of all zeros marks an unused entry.
        let used = entry.iter().take(16).any(|b| *b != 0);
        if let (true, Some(first_sector)) = (used, long(&entry, 32)) {
            starts.extend(first_sector.checked_mul(SECTOR));
        }
    }
    Ok(starts)
}

fn parse_header(header: &[u8]) -> Option<(u64, u32, u32)> {
    if !header.starts_with(b"EFI PART") {
        return None;
    }
    let (count, size) = (short(header, 80)?, short(header, 84)?);
    if !(ENTRY_MIN..=ENTRY_MAX).contains(&size) {
        return None;
    }
    Some((long(header, 72)?.checked_mul(SECTOR)?, count.min(ENTRIES_MAX), size))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

fn short(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}
