//! What is on a disk: a file that only new disks may not have, and whether the disk is whole.

#![expect(clippy::disallowed_methods, reason = "disks are checked as people check them")]

use host_tools::disk::ext4;
use model::identity::IdentityFile;
use ports::hypervisor::DiskRole;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::sleep;

/// No file of the identity.
const NAME: &str = "chaos";
/// How often a disk is tried that something else reads for a moment.
const TRIES: u32 = 5;

/// Writes the file.
pub async fn write(disk: &Path, content: &str) -> Result<(), String> {
    let file = [IdentityFile { name: NAME, mode: 0o600, content: Some(content.to_owned()) }];
    let mut tries = 0;
    loop {
        match ext4::write_identity(disk, DiskRole::Data, &file).await {
            Ok(()) => return Ok(()),
            Err(error) if tries == TRIES => return Err(format!("{error:?}")),
            Err(_) => tries += 1,
        }
        sleep(Duration::from_millis(300)).await;
    }
}

/// Reads it, if it is there.
pub async fn read(disk: &Path) -> Result<Option<String>, String> {
    let mut tries = 0;
    loop {
        match ext4::read_identity(disk, DiskRole::Data, NAME).await {
            Ok(found) => return Ok(found.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if tries == TRIES => return Err(format!("{error:?}")),
            Err(_) => tries += 1,
        }
        sleep(Duration::from_millis(300)).await;
    }
}

/// What is wrong with the file of a disk. Clusters that nobody refers to are what a killed QEMU leaves, and harm nobody.
pub async fn check(disk: &Path) -> Result<(), String> {
    run("qemu-img", &["check", "-f", "qcow2"], &[disk], &[0, 3]).await?;
    run("qemu-img", &["info", "--backing-chain"], &[disk], &[0]).await
}

/// What is wrong with the file system of a data disk, judged on a copy. Its journal is replayed first, as at the next boot.
pub async fn check_file_system(disk: &Path, copy: &Path) -> Result<(), String> {
    run("qemu-img", &["convert", "-f", "qcow2", "-O", "raw"], &[disk, copy], &[0]).await?;
    run("e2fsck", &["-fp"], &[copy], &[0, 1]).await?;
    let checked = run("e2fsck", &["-fn"], &[copy], &[0]).await;
    std::fs::remove_file(copy).unwrap();
    checked
}

/// How large a disk is for its guest, in bytes.
pub async fn size(disk: &Path) -> u64 {
    host_tools::disk::qcow::info(disk).await.map_or(0, |info| info.virtual_size)
}

/// Runs a program, which must end with one of these.
async fn run(program: &str, args: &[&str], paths: &[&Path], good: &[i32]) -> Result<(), String> {
    let mut command = Command::new(program);
    let output =
        command.args(args).args(paths).stdin(Stdio::null()).output().await.expect("the program runs");
    let code = output.status.code().unwrap_or(-1);
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    if good.contains(&code) { Ok(()) } else { Err(format!("{program} {args:?} ended with {code}: {said}")) }
}
