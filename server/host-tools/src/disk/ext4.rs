//! The data disk and the identity files on disks.
//!
//! A data disk is one ext4 file system over the whole disk, label `var`, without a partition table; the identity is in
//! `/identity`. A boot disk in mutable mode has partitions; there the identity is in `/var/identity` of the ext4 file
//! system labelled `nixos`.

use super::debugfs::{Entry, FileSystem, LONG, is_plain_name};
use super::error::{DiskError, Result, blocking, contents, io_error, tool_error};
use super::export::Export;
use super::scratch::Scratch;
use super::{gpt, qcow, superblock};
use crate::exec::Program;
use model::identity::IdentityFile;
use ports::hypervisor::DiskRole;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The most that is read of one identity file, in bytes.
pub const READ_MAX: u64 = 1 << 20;

/// Supported by every e2fsprogs since 1.43 and every 5.x or 6.x kernel. Given in full because the defaults in
/// /etc/mke2fs.conf differ between distributions, and an older guest cannot mount what a newer host considers normal.
const FEATURES: &str = "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,\
                        large_file,huge_file,dir_nlink,extra_isize,metadata_csum";
const DATA_LABEL: &str = "var";
const BOOT_LABEL: &str = "nixos";
/// Smaller than this there is no room for a journal.
const DATA_MIN: u64 = 16 << 20;

/// Makes a data disk with its identity folder filled, replacing what is at `path`. The file is as small as its contents.
///
/// # Errors
/// When `bytes` is too small or no whole number of 4 KiB blocks, or the disk cannot be written.
pub async fn create_data_disk(path: &Path, bytes: u64, identity: &[IdentityFile]) -> Result<()> {
    if bytes < DATA_MIN || !bytes.is_multiple_of(4096) {
        return Err(DiskError::Refused(format!(
            "A data disk has at least {} and a whole number of 4 KiB blocks, not {bytes} bytes.",
            model::size::Bytes(DATA_MIN)
        )));
    }
    let scratch = Scratch::of(path).await?;
    let raw = scratch.file("raw");
    File::create_new(&raw).and_then(|f| f.set_len(bytes)).map_err(io_error("making", &raw))?;
    // Discarding punches the file empty, which tells mke2fs that inode tables are zero already: the guest's kernel then
    // has no reason to write hundreds of megabytes of zeros into a thin disk after its first mount.
    Program::new("mke2fs")
        .args(["-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-i", "16384", "-m", "1"])
        .args(["-L", DATA_LABEL, "-O", FEATURES, "-E", "root_owner=0:0,lazy_journal_init=1,discard", "raw"])
        .dir(scratch.dir())
        .limit(LONG)
        .run()
        .await
        .map_err(tool_error("Making a file system"))?;
    Folder::new(scratch.dir(), "raw", 0, DiskRole::Data).fill_new(identity).await?;
    qcow::convert_raw(scratch.dir(), "raw", "qcow2").await?;
    scratch.publish("qcow2", path).await
}

/// Makes the identity folder's files of these names exactly as given; others stay. Writes nothing when they already
/// are.
///
/// # Errors
/// When a machine uses the disk, or the disk has no such file system, or its folder cannot be edited.
pub async fn write_identity(path: &Path, role: DiskRole, identity: &[IdentityFile]) -> Result<()> {
    let export = Export::open(path).await?;
    let written = write_to(&export, path, role, identity).await;
    finish(export, written).await
}

async fn write_to(export: &Export, path: &Path, role: DiskRole, identity: &[IdentityFile]) -> Result<()> {
    let folder = open_folder(export, path, role).await?;
    let written = folder.make_so(identity).await;
    if written.is_err() {
        // Half-written files must not stay; that the check may fail too makes nothing worse.
        let _ = folder.file_system.check(true).await;
    }
    written
}

/// Reads one file of the identity folder; `None` if there is no plain file of this name.
///
/// # Errors
/// As [`write_identity`], and when the file is larger than [`READ_MAX`] or the name is invalid.
pub async fn read_identity(path: &Path, role: DiskRole, name: &str) -> Result<Option<Vec<u8>>> {
    if !is_plain_name(name) {
        return Err(DiskError::Refused("That is not the name of an identity file.".to_owned()));
    }
    let export = Export::open(path).await?;
    let content = async { open_folder(&export, path, role).await?.read_file(name).await }.await;
    finish(export, content).await
}

/// Removes what a guest has made for itself and no two machines may share: SSH host keys, in the identity and where `sshd` has
/// them otherwise, and the seed of its random numbers.
///
/// # Errors
/// As [`write_identity`].
pub async fn forget_guest(path: &Path, role: DiskRole) -> Result<()> {
    let export = Export::open(path).await?;
    let forgotten = async {
        let folder = open_folder(&export, path, role).await?;
        forget_in(&folder, role).await
    }
    .await;
    finish(export, forgotten).await
}

async fn forget_in(folder: &Folder, role: DiskRole) -> Result<()> {
    let systemd = match role {
        DiskRole::Data => "/lib/systemd",
        DiskRole::Boot => "/var/lib/systemd",
    };
    let etc = (role == DiskRole::Boot).then_some("/etc/ssh");
    let mut commands = Vec::new();
    let root = folder.root();
    for (dir, is_secret) in [
        (Some(root.as_str()), (|name| name.starts_with("ssh_host_")) as fn(&str) -> bool),
        (etc, |name| name.starts_with("ssh_host_")),
        (Some(systemd), |name| name == "random-seed"),
    ] {
        let Some(dir) = dir else { continue };
        let there = folder.file_system.list(dir).await?.unwrap_or_default();
        let secrets = there.iter().filter(|e| !e.is_dir() && is_plain_name(&e.name) && is_secret(&e.name));
        commands.extend(secrets.map(|entry| format!("rm {dir}/{}", entry.name)));
    }
    if commands.is_empty() {
        return Ok(());
    }
    folder.file_system.write(commands, "/").await.map(drop)
}

/// Grows a data disk and its file system to so many bytes. Already that large is fine; smaller is refused.
///
/// # Errors
/// When a machine uses the disk, it is no data disk of ours, it would shrink, or its file system cannot be repaired.
pub async fn grow(path: &Path, bytes: u64) -> Result<()> {
    let now = qcow::info(path).await?.virtual_size;
    if now > bytes {
        let (now, asked) = (model::size::Bytes(now), model::size::Bytes(bytes));
        return Err(DiskError::Refused(format!("The disk has {now} and cannot shrink to {asked}.")));
    }
    let scratch = Scratch::of(path).await?;
    qcow::grow(path, bytes).await?;
    let export = Export::open_in(scratch, path).await?;
    let grown = grow_inside(&export, path).await;
    finish(export, grown).await
}

async fn grow_inside(export: &Export, path: &Path) -> Result<()> {
    let (offset, _) = find_file_system(export, path, DiskRole::Data).await?;
    let file_system = FileSystem::new(export.dir(), super::scratch::MOUNT, offset);
    // resize2fs refuses a file system that was not checked since its last mount.
    file_system.check(true).await?;
    file_system.grow().await
}

/// Ends the export however the work went, before the caller is notified: a disk that stays exported cannot be used.
async fn finish<T>(export: Export, result: Result<T>) -> Result<T> {
    let closed = export.close().await;
    let value = result?;
    closed?;
    Ok(value)
}

async fn open_folder(export: &Export, path: &Path, role: DiskRole) -> Result<Folder> {
    let (offset, found) = find_file_system(export, path, role).await?;
    let folder = Folder::new(export.dir(), super::scratch::MOUNT, offset, role);
    // What a killed guest left in the journal would otherwise be replayed later, over what is written now.
    if !found.is_clean || export.was_interrupted() {
        folder.file_system.check(export.was_interrupted()).await?;
    }
    Ok(folder)
}

/// The offset in bytes and the superblock of the file system that holds the identity.
async fn find_file_system(
    export: &Export,
    path: &Path,
    role: DiskRole,
) -> Result<(u64, superblock::Superblock)> {
    let (file, path) = (export.file().to_owned(), path.to_owned());
    blocking(move || {
        let disk = File::open(&file).map_err(io_error("opening", &file))?;
        let starts = match role {
            DiskRole::Data => vec![0],
            DiskRole::Boot => {
                gpt::partitions(&disk).map_err(io_error("reading the partition table of", &path))?
            }
        };
        for start in starts {
            let found = superblock::read(&disk, start).map_err(io_error("reading", &path))?;
            match (role, found) {
                (DiskRole::Data, Some(found)) => return Ok((start, found)),
                (DiskRole::Boot, Some(found)) if found.label == BOOT_LABEL.as_bytes() => {
                    return Ok((start, found));
                }
                _ => (),
            }
        }
        Err(contents(
            &path,
            match role {
                DiskRole::Data => "there is no ext4 file system on it.".to_owned(),
                DiskRole::Boot => {
                    format!("it has no partition with an ext4 file system labelled “{BOOT_LABEL}”.")
                }
            },
        ))
    })
    .await
}

/// The identity folder in a file system.
struct Folder {
    file_system: FileSystem,
    dir: std::path::PathBuf,
    /// From the root of the file system down, without `/`.
    path: &'static [&'static str],
}

impl Folder {
    fn new(dir: &Path, file: &str, offset: u64, role: DiskRole) -> Self {
        let path: &[&str] = match role {
            DiskRole::Data => &["identity"],
            DiskRole::Boot => &["var", "identity"],
        };
        Self { file_system: FileSystem::new(dir, file, offset), dir: dir.to_owned(), path }
    }

    fn root(&self) -> String {
        format!("/{}", self.path.join("/"))
    }

    fn inside(&self, name: &str) -> String {
        format!("{}/{name}", self.root())
    }

    /// Makes the files of a folder exactly as given, unless they already are.
    async fn make_so(&self, files: &[IdentityFile]) -> Result<()> {
        refuse_odd_names(files)?;
        let (commands, there) = self.reach().await?;
        if self.is_so(files, &there).await? {
            return Ok(());
        }
        let there = self.write(commands, files, &there).await?;
        if self.is_so(files, &there).await? { Ok(()) } else { Err(self.not_as_written()) }
    }

    /// The same for a file system that was just made and is still empty.
    async fn fill_new(&self, files: &[IdentityFile]) -> Result<()> {
        refuse_odd_names(files)?;
        let mut commands = Vec::new();
        let mut path = String::new();
        for part in self.path {
            path = format!("{path}/{part}");
            commands.extend(make_directory(&path));
        }
        // Nothing here is older than this session: the directory is proof enough.
        let there = self.write(commands, files, &[]).await?;
        if looks_so(files, &there) { Ok(()) } else { Err(self.not_as_written()) }
    }

    fn not_as_written(&self) -> DiskError {
        contents(&self.dir, "the identity files were written but do not read back; check the disk.")
    }

    /// Runs the commands, replaces the files, and returns the folder's entries afterwards.
    async fn write(
        &self,
        mut commands: Vec<String>,
        files: &[IdentityFile],
        there: &[Entry],
    ) -> Result<Vec<Entry>> {
        for (index, file) in files.iter().enumerate() {
            let target = self.inside(file.name);
            if there.iter().any(|e| e.name == file.name) {
                commands.push(format!("rm {target}"));
            }
            if let Some(content) = &file.content {
                self.lay_out(&format!("new{index}"), content)?;
                commands.push(format!("write new{index} {target}"));
                commands.extend(own(&target, 0o100_000 | (file.mode & 0o777)));
            }
        }
        self.file_system.write(commands, &self.root()).await
    }

    /// The entries of the folder, and the commands that make the folder where there is none.
    async fn reach(&self) -> Result<(Vec<String>, Vec<Entry>)> {
        if let Some(there) = self.file_system.list(&self.root()).await? {
            return Ok((Vec::new(), there));
        }
        let (mut commands, mut path) = (Vec::new(), String::new());
        let mut there = self.file_system.list("/").await?.unwrap_or_default();
        for part in self.path {
            path = format!("{path}/{part}");
            if there.iter().any(|e| e.name == *part && e.is_dir()) {
                there = self.file_system.list(&path).await?.unwrap_or_default();
                continue;
            }
            commands.extend(make_directory(&path));
            there = Vec::new();
        }
        Ok((commands, Vec::new()))
    }

    /// Whether the files are as asked, first by the directory and then by their contents.
    async fn is_so(&self, files: &[IdentityFile], there: &[Entry]) -> Result<bool> {
        if !looks_so(files, there) {
            return Ok(false);
        }
        let given = files.iter().filter_map(|f| Some((f.name, f.content.as_ref()?))).enumerate();
        let given: Vec<_> = given.map(|(n, (name, content))| (name, format!("old{n}"), content)).collect();
        if given.is_empty() {
            return Ok(true);
        }
        let dump = |(name, copy, _): &(&str, String, _)| format!("dump {} {copy}", self.inside(name));
        self.file_system.read(&given.iter().map(dump).collect::<Vec<_>>()).await?;
        for (_, copy, content) in given {
            if self.take_in(&copy)? != content.as_bytes() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn read_file(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let listed = self.file_system.list(&self.root()).await?.unwrap_or_default();
        let Some(entry) = listed.iter().find(|e| e.name == name && e.is_file()) else { return Ok(None) };
        if entry.size > READ_MAX {
            let why = format!(
                "its identity file {name} has {} bytes; more than {READ_MAX} are not read.",
                entry.size
            );
            return Err(contents(&self.dir, why));
        }
        self.file_system.read(&[format!("dump {} out", self.inside(name))]).await?;
        self.take_in("out").map(Some)
    }

    fn lay_out(&self, name: &str, content: &str) -> Result<()> {
        let path = self.dir.join(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        file.and_then(|mut f| f.write_all(content.as_bytes())).map_err(io_error("writing", &path))
    }

    fn take_in(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.dir.join(name);
        let mut bytes = Vec::new();
        let file = File::open(&path).map_err(io_error("opening", &path))?;
        file.take(READ_MAX).read_to_end(&mut bytes).map_err(io_error("reading", &path))?;
        fs::remove_file(&path).map_err(io_error("removing", &path))?;
        Ok(bytes)
    }
}

/// Commands that make a directory that everyone may read.
fn make_directory(path: &str) -> Vec<String> {
    let mut commands = vec![format!("mkdir {path}")];
    commands.extend(own(path, 0o040_755));
    commands
}

/// Commands that give a file or directory to root, whoever we run as, with this `st_mode`.
fn own(path: &str, mode: u32) -> [String; 3] {
    [format!("sif {path} mode 0{mode:o}"), format!("sif {path} uid 0"), format!("sif {path} gid 0")]
}

fn refuse_odd_names(files: &[IdentityFile]) -> Result<()> {
    match files.iter().find(|f| !is_plain_name(f.name)) {
        None => Ok(()),
        Some(odd) => Err(DiskError::Refused(format!("“{}” is no name for an identity file.", odd.name))),
    }
}

/// Whether a directory has these files and lacks those that must not exist, by everything but their contents.
fn looks_so(files: &[IdentityFile], there: &[Entry]) -> bool {
    files.iter().all(|file| match (&file.content, there.iter().find(|e| e.name == file.name)) {
        (None, None) => true,
        (Some(content), Some(entry)) => is_like(entry, file, content),
        _ => false,
    })
}

fn is_like(entry: &Entry, file: &IdentityFile, content: &str) -> bool {
    let owned_by_root = entry.uid == 0 && entry.gid == 0;
    let mode = entry.mode & 0o7777 == file.mode & 0o777;
    entry.is_file() && owned_by_root && mode && entry.size == content.len() as u64
}
