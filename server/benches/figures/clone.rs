//! A disk of 20 GiB that holds 2 GiB, copied as a clone of a machine that is off copies it, beside `cp` on the same file system.
//!
//! A copy has its name when it is on stable storage, so what is measured includes that; `cp` says it is done before. The same
//! with `sync` stands beside it.

use crate::report::{Figure, Samples, Target, Unit, millis};
use anyhow::{Context as _, Result, ensure};
use host_tools::disk::copy::Draft;
use host_tools::exec::Program;
use ports::hypervisor::CopyEvent;
use std::ffi::OsString;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The size of the disk, and how much of it is written, in bytes.
const SIZE: u64 = 20 << 30;
const HELD: u64 = 2 << 30;
/// How much is written in one place.
const EXTENT: usize = 16 << 20;
const ROUNDS: usize = 3;
const LIMIT: Duration = Duration::from_secs(600);
/// Of what `cp` takes.
const AS_CP: f64 = 1.1;
/// With shared blocks, in milliseconds.
const SHARED: f64 = 100.0;

/// Measures.
///
/// # Errors
/// If a copy cannot be made.
pub async fn run() -> Result<Vec<Figure>> {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let disk = dir.path().join("disk.qcow2");
    make(dir.path(), &disk).await?;
    let (mut ours, mut theirs, mut synced, mut shared) = (Vec::new(), Vec::new(), Vec::new(), false);
    for round in 0..=ROUNDS {
        let begun = Instant::now();
        shared = clone(&disk, &dir.path().join("copy.qcow2")).await?;
        let by_us = begun.elapsed();
        let begun = Instant::now();
        let copy = dir.path().join("cp.qcow2");
        cp(&disk, &copy).await?;
        let by_cp = begun.elapsed();
        File::open(&copy)?.sync_all()?;
        let with_sync = begun.elapsed();
        for made in ["copy.qcow2", "cp.qcow2"] {
            std::fs::remove_file(dir.path().join(made))?;
        }
        // What is on stable storage from before must not count; nor the first round, which fills the caches.
        Program::new("sync").limit(LIMIT).run().await?;
        if round > 0 {
            ours.push(by_us);
            theirs.push(by_cp);
            synced.push(with_sync);
        }
    }
    let none = "no copy was measured";
    let (ours, theirs) = (millis(&ours).context(none)?, millis(&theirs).context(none)?);
    let ratio = Samples::one(ours.median() / theirs.median());
    let target = if shared { Target::AtMost(SHARED) } else { Target::None };
    let copy = Figure::new("clone: copy of a 20 GiB disk with 2 GiB", Unit::Millis, ours).target(target);
    let copy = copy.beside("cp --sparse=always", theirs).beside("with sync", millis(&synced).context(none)?);
    let ratio = Figure::new("clone: copy as against cp", Unit::Times, ratio);
    Ok(vec![copy, if shared { ratio } else { ratio.target(Target::AtMost(AS_CP)) }])
}

/// The disk: data in many places, as a guest writes them.
async fn make(dir: &Path, disk: &Path) -> Result<()> {
    let raw = dir.join("raw");
    let file = File::create(&raw)?;
    file.set_len(SIZE)?;
    let mut piece = vec![0_u8; EXTENT];
    let extents = HELD / EXTENT as u64;
    for at in 0..extents {
        // Nothing that a file system could leave out.
        piece.chunks_mut(4096).zip(at..).for_each(|(block, n)| {
            let _ = (&mut *block).write_all(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes().repeat(512));
        });
        file.write_all_at(&piece, at * (SIZE / extents))?;
    }
    let args = ["convert", "-f", "raw", "-O", "qcow2"].map(OsString::from);
    let convert = Program::new("qemu-img").args(args).arg(&raw).arg(disk).limit(LIMIT);
    convert.run().await?;
    std::fs::remove_file(raw)?;
    File::open(disk)?.sync_all()?;
    Ok(())
}

/// Copies as the step does; returns whether the blocks are shared.
async fn clone(disk: &Path, target: &Path) -> Result<bool> {
    let shared = Arc::new(AtomicBool::new(false));
    let told = shared.clone();
    let listener = Arc::new(move |event| {
        told.fetch_or(event == CopyEvent::Shared, Ordering::Relaxed);
    });
    Draft::of(target).await?.copy_from(disk, listener).await?.keep().await?;
    ensure!(target.exists(), "the copy has no name");
    Ok(shared.load(Ordering::Relaxed))
}

async fn cp(disk: &Path, target: &Path) -> Result<()> {
    let cp = Program::new("cp").args(["--sparse=always", "--reflink=never"]).arg(disk).arg(target);
    cp.limit(LIMIT).run().await?;
    Ok(())
}
