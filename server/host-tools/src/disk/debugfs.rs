//! `debugfs` as a file editor for an ext4 file system that is not mounted.
//!
//! Its exit code is the same whatever single commands do, so anything on standard error but its own banner counts as a
//! failure. No content and no name from outside is ever part of a command: contents travel in files with names of our
//! own, and names are checked by [`is_plain_name`].

use super::error::{DiskError, Result, tool_error};
use crate::exec::{Output, Program};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Checking and growing read all inode tables, which takes a while on a slow disk of many TiB.
pub(super) const LONG: Duration = Duration::from_secs(30 * 60);

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    /// Type and permission bits as in `st_mode`.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// In bytes; meaningless for anything but files.
    pub(super) size: u64,
}

impl Entry {
    /// True for a plain file.
    pub(super) fn is_file(&self) -> bool {
        self.mode & 0o170_000 == 0o100_000
    }

    /// True for a directory.
    pub(super) fn is_dir(&self) -> bool {
        self.mode & 0o170_000 == 0o040_000
    }
}

/// A file system in a plain file.
#[derive(Debug)]
pub(super) struct FileSystem {
    /// Where small files for and from debugfs are; commands name them without a path.
    dir: PathBuf,
    /// The file as e2fsprogs takes it, relative to `dir`, with the file system's offset if it has one.
    device: String,
}

/// Accepts names that can be used in a debugfs command and as a file name without being taken for something else.
pub(super) fn is_plain_name(name: &str) -> bool {
    let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=64).contains(&name.len()) && name.bytes().all(fine) && !name.starts_with(['.', '-'])
}

impl FileSystem {
    /// The file system at `offset` in the file of this plain name in `dir`.
    pub(super) fn new(dir: &Path, file: &str, offset: u64) -> Self {
        let device = if offset == 0 { file.to_owned() } else { format!("{file}?offset={offset}") };
        Self { dir: dir.to_owned(), device }
    }

    /// Replays the journal and repairs what can be repaired without asking. With `thorough`, checks everything even
    /// when the file system is marked clean.
    pub(super) async fn check(&self, thorough: bool) -> Result<()> {
        let options = if thorough { "-fp" } else { "-p" };
        // e2fsck(8): 1 means that errors were corrected.
        let check = Program::new("e2fsck").arg(options).arg(&self.device).dir(&self.dir).accept(&[0, 1]);
        check.limit(LONG).run().await.map_err(tool_error("Checking the file system of a disk"))?;
        Ok(())
    }

    /// Fills the whole device.
    pub(super) async fn grow(&self) -> Result<()> {
        let grow = Program::new("resize2fs").arg(&self.device).dir(&self.dir).limit(LONG);
        grow.run().await.map_err(tool_error("Growing the file system of a disk"))?;
        Ok(())
    }

    /// The entries of a directory, `.` and `..` included; `None` if there is no such directory.
    pub(super) async fn list(&self, directory: &str) -> Result<Option<Vec<Entry>>> {
        let command = format!("ls -p {directory}");
        let output = self.debugfs(&["-R", &command], None).await?;
        let complaint = complaints(&output);
        if complaint.iter().any(|line| line.contains("not found")) {
            return Ok(None);
        }
        self.refuse(&complaint)?;
        Ok(Some(parse_list(&output.stdout.text())))
    }

    /// Runs commands that change nothing.
    pub(super) async fn read(&self, commands: &[String]) -> Result<()> {
        let output = self.debugfs(&["-f", "-"], Some(commands)).await?;
        self.refuse(&complaints(&output))
    }

    /// Runs commands that change something, lists a directory in the same session, and returns its entries.
    pub(super) async fn write(&self, mut commands: Vec<String>, directory: &str) -> Result<Vec<Entry>> {
        commands.push(format!("ls -p {directory}"));
        let output = self.debugfs(&["-w", "-f", "-"], Some(&commands)).await?;
        self.refuse(&complaints(&output))?;
        Ok(parse_list(&output.stdout.text()))
    }

    async fn debugfs(&self, args: &[&str], commands: Option<&[String]>) -> Result<Output> {
        let mut debugfs = Program::new("debugfs").args(args).arg(&self.device).dir(&self.dir).keep(1 << 20);
        if let Some(commands) = commands {
            debugfs = debugfs.input(commands.join("\n") + "\n");
        }
        debugfs.run().await.map_err(tool_error("Editing the file system of a disk"))
    }

    fn refuse(&self, complaints: &[String]) -> Result<()> {
        match complaints.first() {
            None => Ok(()),
            Some(first) => Err(DiskError::Contents {
                path: self.dir.clone(),
                why: format!(
                    "its file system cannot be edited: {first}. Start the machine once to have it check its disk."
                ),
            }),
        }
    }
}

/// Everything that debugfs prints on standard error except “debugfs 1.47.0 (5-Feb-2023)”.
fn complaints(output: &Output) -> Vec<String> {
    let text = output.stderr.text();
    text.lines().filter(|l| !l.trim().is_empty() && !l.starts_with("debugfs ")).map(str::to_owned).collect()
}

/// Lines are `/inode/mode/uid/gid/name/size/`, the mode in octal; a directory has no size.
fn parse_list(text: &str) -> Vec<Entry> {
    text.lines().filter_map(parse_entry).collect()
}

fn parse_entry(line: &str) -> Option<Entry> {
    let mut parts = line.strip_prefix('/')?.split('/');
    let _inode: u64 = parts.next()?.parse().ok()?;
    let mode = u32::from_str_radix(parts.next()?, 8).ok()?;
    let uid = parts.next()?.parse().ok()?;
    let gid = parts.next()?.parse().ok()?;
    let name = parts.next()?.to_owned();
    let size = parts.next()?.parse().unwrap_or_default();
    Some(Entry { name, mode, uid, gid, size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings_are_read_and_other_lines_are_not() {
        let listed =
            parse_list("debugfs: ls -p x\n/12/040755/0/0/.//\n/13/100600/0/7/host name/6/\n/x/y/\n\n//\n");
        assert_eq!(listed.len(), 2);
        assert!(listed[0].is_dir() && !listed[0].is_file());
        let file = Entry { name: "host name".into(), mode: 0o100_600, uid: 0, gid: 7, size: 6 };
        assert_eq!(listed[1], file);
    }

    #[test]
    fn names_that_could_be_more_than_a_name_are_refused() {
        for fine in ["hostname", "resolv.conf", "ssh_host_ed25519_key", "a-b"] {
            assert!(is_plain_name(fine), "{fine}");
        }
        for bad in ["", ".", "..", "a/b", "a b", "a\nrm b", "-x", "<13>", "\"", &"x".repeat(65)] {
            assert!(!is_plain_name(bad), "{bad}");
        }
    }
}
