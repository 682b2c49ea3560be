//! The qcow2 container: its header read by ourselves, everything that writes left to `qemu-img`.
//!
//! Reading the header (docs/interop/qcow2.txt in QEMU's source) costs microseconds, where `qemu-img info` costs 20 ms
//! and trips over the lock of a running machine.

use super::error::{DiskError, Result, blocking, contents, io_error, tool_error};
use super::scratch::Scratch;
use crate::exec::Program;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// What a qcow2 file's header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// The size that a guest sees, in bytes.
    pub virtual_size: u64,
    /// What the file occupies, in bytes.
    pub actual_size: u64,
    /// The file it builds on.
    pub backing: Option<PathBuf>,
}

/// The first bytes of the header, up to the virtual size.
const HEADER: usize = 32;
/// QEMU's own bound on the length of a backing file's name.
const BACKING_MAX: u32 = 1023;

/// Reads the header of a qcow2 file, even while a machine uses it.
///
/// # Errors
/// When it cannot be read or is not qcow2.
pub async fn info(path: &Path) -> Result<Info> {
    let path = path.to_owned();
    blocking(move || read_info(&path)).await
}

fn read_info(path: &Path) -> Result<Info> {
    let mut file = File::open(path).map_err(io_error("opening", path))?;
    let actual_size = file.metadata().map_err(io_error("reading", path))?.blocks().saturating_mul(512);
    let mut header = [0_u8; HEADER];
    file.read_exact(&mut header).map_err(io_error("reading", path))?;
    let Some((virtual_size, backing)) = parse_header(&header) else {
        return Err(contents(path, "it is not a qcow2 file."));
    };
    let backing = match backing {
        None => None,
        Some((_, length)) if length > BACKING_MAX => {
            return Err(contents(path, "the name of its backing file is too long."));
        }
        Some((offset, length)) => {
            let mut name = vec![0_u8; length as usize];
            file.read_exact_at(&mut name, offset).map_err(io_error("reading", path))?;
            let name = PathBuf::from(std::ffi::OsString::from_vec(name));
            // A relative name is relative to the file containing it; joining an absolute one yields just that.
            Some(path.parent().unwrap_or(Path::new("")).join(name))
        }
    };
    Ok(Info { virtual_size, actual_size, backing })
}

/// Virtual size, and offset and length of the backing file's name. `None` when it is no qcow2 header.
fn parse_header(header: &[u8; HEADER]) -> Option<(u64, Option<(u64, u32)>)> {
    let long = |at: usize| Some(u64::from_be_bytes(header.get(at..at + 8)?.try_into().ok()?));
    let short = |at: usize| Some(u32::from_be_bytes(header.get(at..at + 4)?.try_into().ok()?));
    if !header.starts_with(b"QFI\xfb") || !(2..=3).contains(&short(4)?) {
        return None;
    }
    let backing = Some((long(8)?, short(16)?)).filter(|(offset, _)| *offset != 0);
    Some((long(24)?, backing))
}

/// Makes a qcow2 overlay on a qcow2 file, replacing what is at `path`. Without `size`, as large as the backing file.
///
/// # Errors
/// When the backing file is missing or not qcow2, or the overlay cannot be written.
pub async fn create_overlay(path: &Path, backing: &Path, size: Option<u64>) -> Result<()> {
    // qemu-img would accept many other things, and take a relative name from where it happens to run.
    let backing = std::path::absolute(backing).map_err(io_error("finding", backing))?;
    let base = info(&backing).await?;
    if size.is_some_and(|s| s < base.virtual_size) {
        let (base, size) =
            (model::size::Bytes(base.virtual_size), model::size::Bytes(size.unwrap_or_default()));
        return Err(DiskError::Refused(format!(
            "The disk must have at least the image's {base}, not {size}."
        )));
    }
    let scratch = Scratch::of(path).await?;
    Program::new("qemu-img")
        .args(["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b"])
        .arg(&backing)
        .arg("overlay")
        .args(size.map(|s| s.to_string()))
        .dir(scratch.dir())
        .run()
        .await
        .map_err(tool_error("Making an overlay"))?;
    scratch.publish("overlay", path).await
}

/// Grows the container to so many bytes; already that large or larger is fine. What is inside does not change.
///
/// # Errors
/// When a machine uses the disk, or it cannot be written.
pub async fn grow(path: &Path, bytes: u64) -> Result<()> {
    if info(path).await?.virtual_size >= bytes {
        return Ok(());
    }
    Program::new("qemu-img")
        .args(["resize", "-q", "-f", "qcow2", "--"])
        .arg(path)
        .arg(bytes.to_string())
        .run()
        .await
        .map_err(tool_error("Growing a disk"))?;
    Ok(())
}

/// Converts a sparse raw file into a new qcow2 file in the same folder.
pub(super) async fn convert_raw(dir: &Path, raw: &str, qcow2: &str) -> Result<()> {
    Program::new("qemu-img")
        .args(["convert", "-f", "raw", "-O", "qcow2", raw, qcow2])
        .dir(dir)
        .run()
        .await
        .map_err(tool_error("Converting a disk"))?;
    Ok(())
}
