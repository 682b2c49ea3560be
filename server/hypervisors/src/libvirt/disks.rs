//! The files of machines: `<state>/machines/<name>/{boot,data,nvram}.qcow2`, made and edited by `host_tools::disk`. Those of
//! later generations are `boot-2.qcow2`, `data-2.qcow2` and so on.
//!
//! A machine's folder can be traversed by everyone (0711) because QEMU may run as another user, but its files are 0600
//! and its names are known to no one else. A [`Volume`] is the absolute path of one of these files; every other path is
//! refused, whoever passes it in.

use super::error::failed;
use host_tools::disk::{DiskError, ext4, qcow};
use host_tools::exec::{Program, chain};
use model::identity::IdentityFile;
use model::machine::MachineName;
use model::size::{Bytes, DiskGib};
use ports::hypervisor::{BootDisk, DiskRole, DiskUse, HypervisorError, MachineRef, Result, Volume};
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use uuid::Uuid;

pub(super) const NVRAM: &str = "nvram.qcow2";
/// How a scratch folder of `host_tools::disk` begins.
const SCRATCH: &str = ".tmp-";

/// The folders of all machines of one host.
#[derive(Clone, Debug)]
pub struct Store {
    machines: PathBuf,
    firmware: PathBuf,
}

impl Store {
    /// The store in this state directory.
    pub fn new(state: &Path) -> Self {
        // Relative paths are resolved at start; without a current directory the path stays as it is, and its use fails.
        let state = std::path::absolute(state).unwrap_or_else(|_| state.to_owned());
        Self { machines: state.join("machines"), firmware: state.join("firmware") }
    }

    /// Where the machines' folders are.
    pub fn root(&self) -> &Path {
        &self.machines
    }

    /// Where a machine's folder is, whoever owns it.
    pub(super) fn folder(&self, name: &MachineName) -> PathBuf {
        self.machines.join(name.as_str())
    }

    /// Makes a boot disk as an overlay on the image, or keeps an existing one on the same image.
    pub async fn create_boot_disk(
        &self,
        machine: &MachineRef,
        generation: u32,
        from: &BootDisk,
    ) -> Result<Volume> {
        let path = self.reserved_folder(machine)?.join(file(DiskRole::Boot, generation));
        let size = from.grow_to.map(DiskGib::bytes);
        let fits = |found: &qcow::Info| {
            found.backing.as_deref() == Some(&*from.image) && size.is_none_or(|s| found.virtual_size >= s)
        };
        if !qcow::info(&path).await.is_ok_and(|found| fits(&found)) {
            qcow::create_overlay(&path, &from.image, size)
                .await
                .map_err(disk_error("Making the boot disk"))?;
        }
        volume(&path)
    }

    /// Where a disk of a generation is, or would be.
    pub fn disk(&self, machine: &MachineRef, role: DiskRole, generation: u32) -> PathBuf {
        self.folder(&machine.name).join(file(role, generation))
    }

    /// Makes the data disk, or keeps an existing one of this size. Its identity files are brought up to date either
    /// way.
    pub async fn create_data_disk(
        &self,
        machine: &MachineRef,
        generation: u32,
        size: DiskGib,
        identity: &[IdentityFile],
    ) -> Result<Volume> {
        let path = self.reserved_folder(machine)?.join(file(DiskRole::Data, generation));
        if qcow::info(&path).await.is_ok_and(|found| found.virtual_size == size.bytes()) {
            ext4::write_identity(&path, DiskRole::Data, identity).await
        } else {
            ext4::create_data_disk(&path, size.bytes(), identity).await
        }
        .map_err(disk_error("Making the data disk"))?;
        volume(&path)
    }

    /// See the port.
    pub async fn write_identity(
        &self,
        volume: &Volume,
        role: DiskRole,
        files: &[IdentityFile],
    ) -> Result<()> {
        let path = self.checked(volume)?;
        ext4::write_identity(path, role, files).await.map_err(disk_error("Writing the identity files"))
    }

    /// See the port.
    pub async fn read_identity(
        &self,
        volume: &Volume,
        role: DiskRole,
        name: &str,
    ) -> Result<Option<Vec<u8>>> {
        let path = self.checked(volume)?;
        ext4::read_identity(path, role, name).await.map_err(disk_error("Reading an identity file"))
    }

    /// See the port.
    pub async fn forget_guest(&self, volume: &Volume, role: DiskRole) -> Result<()> {
        let path = self.checked(volume)?;
        ext4::forget_guest(path, role).await.map_err(disk_error("Removing the guest's own keys"))
    }

    /// Where a machine's own disk is, and where its copy for another machine is, or will be.
    pub fn copy_paths(
        &self,
        machine: &MachineRef,
        volume: &Volume,
        to: &MachineRef,
        role: DiskRole,
    ) -> Result<(PathBuf, PathBuf)> {
        let disk = self.checked(volume)?.to_owned();
        if !disk.starts_with(self.reserved_folder(machine)?) {
            return Err(failed("Copying the disk", format!("{} is another machine's", disk.display())));
        }
        Ok((disk, self.reserved_folder(to)?.join(file(role, 1))))
    }

    /// Whether there is something unfinished in a machine's folder.
    pub fn has_scratch(&self, folder: &Path) -> bool {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with(SCRATCH))
    }

    /// See the port.
    pub async fn disk_use(&self, volume: &Volume) -> Result<Option<DiskUse>> {
        let path = self.checked(volume)?;
        if !path.exists() {
            return Ok(None);
        }
        let found = qcow::info(path).await.map_err(disk_error("Measuring a disk"))?;
        Ok(Some(DiskUse { size: found.virtual_size, used: found.actual_size }))
    }

    /// Refuses to make a disk smaller.
    pub async fn only_larger(&self, volume: &Volume, size: DiskGib) -> Result<()> {
        let path = self.checked(volume)?;
        let now = qcow::info(path).await.map_err(disk_error("Measuring a disk"))?.virtual_size;
        if now > size.bytes() {
            let why = format!("it has {} and cannot shrink to {size}", Bytes(now));
            return Err(failed("Growing a disk", why));
        }
        Ok(())
    }

    /// Grows the disk of a machine that is off, and the file system on a data disk: also when only the disk has grown before
    /// a crash.
    pub async fn grow(&self, volume: &Volume, role: DiskRole, size: DiskGib) -> Result<()> {
        let path = self.checked(volume)?;
        match role {
            DiskRole::Data => ext4::grow(path, size.bytes()).await,
            DiskRole::Boot => qcow::grow(path, size.bytes()).await,
        }
        .map_err(disk_error("Growing a disk"))
    }

    /// The image below a boot disk.
    pub async fn image_of(&self, volume: &Volume) -> Result<Option<PathBuf>> {
        let path = self.checked(volume)?;
        Ok(qcow::info(path).await.map_err(disk_error("Reading the boot disk"))?.backing)
    }

    /// Every file in the machine's folder but its UEFI variables, which go with the definition.
    pub async fn disks(&self, machine: &MachineRef) -> Result<Vec<Volume>> {
        let Some(folder) = self.own_folder(machine)? else { return Ok(Vec::new()) };
        let mut found = self.files(&folder).await?;
        found.retain(|path| path.is_file() && path.file_name().is_none_or(|name| name != NVRAM));
        found.iter().map(|path| volume(path)).collect()
    }

    /// See the port.
    pub async fn remove_disk(&self, machine: &MachineRef, role: DiskRole, generation: u32) -> Result<()> {
        let Some(folder) = self.own_folder(machine)? else { return Ok(()) };
        let path = folder.join(file(role, generation));
        host_tools::disk::clear_scratch(&path).await.map_err(disk_error("Clearing an unfinished edit"))?;
        let remove = |path: &Path| none_if_gone(fs::remove_file(path)).map(drop);
        blocking("Removing a disk", path, remove).await
    }

    /// Removes everything in the machine's folder but its marker and these disks; its UEFI variables stay while a disk does.
    pub async fn remove_disks(&self, machine: &MachineRef, keep: &[Volume]) -> Result<()> {
        let Some(folder) = self.own_folder(machine)? else { return Ok(()) };
        self.clear_scratch(&folder).await?;
        let mut paths = self.files(&folder).await?;
        let stays = |path: &PathBuf| {
            let is_kept = keep.iter().any(|volume| Path::new(&volume.0) == path);
            is_kept || !keep.is_empty() && path.file_name().is_some_and(|name| name == NVRAM)
        };
        paths.retain(|path| !stays(path));
        // The blocks of a large disk take the file system seconds to free.
        blocking("Removing", folder, move |_| {
            paths.iter().try_for_each(|path| {
                let is_folder = path.symlink_metadata().is_ok_and(|about| about.is_dir());
                let removed = if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) };
                none_if_gone(removed).map(drop)
            })
        })
        .await
    }

    /// Ends what a crash in the middle of an edit left: its folder contains a mount, and cannot be removed before.
    pub(super) async fn clear_scratch(&self, folder: &Path) -> Result<()> {
        let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if let Some(disk) = name.to_str().and_then(|n| n.strip_prefix(SCRATCH)) {
                let disk = folder.join(disk);
                host_tools::disk::clear_scratch(&disk)
                    .await
                    .map_err(disk_error("Clearing an unfinished edit"))?;
            }
        }
        Ok(())
    }

    /// The machine's UEFI variables, copied from the template the first time and its own from then on: a snapshot of a
    /// running machine refers to them, and so does the guest's boot order.
    pub async fn ensure_nvram(&self, machine: &MachineRef, template: &Path) -> Result<PathBuf> {
        let path = self.reserved_folder(machine)?.join(NVRAM);
        if path.exists() {
            return Ok(path);
        }
        let template = self.qcow2_template(template).await?;
        blocking("Making the UEFI variables", path.clone(), move |path| {
            let unfinished = path.with_extension("new");
            fs::copy(template, &unfinished)?;
            fs::set_permissions(&unfinished, Permissions::from_mode(0o600))?;
            fs::rename(unfinished, path)
        })
        .await?;
        Ok(path)
    }

    /// Removes them. Already gone is fine.
    pub fn remove_nvram(&self, machine: &MachineRef) -> Result<()> {
        let Some(folder) = self.own_folder(machine)? else { return Ok(()) };
        let path = folder.join(NVRAM);
        none_if_gone(fs::remove_file(&path)).map(drop).map_err(|e| io_error("Removing", &path, &e))
    }

    /// The template as qcow2, converted once: a copy takes no time, a conversion for each machine would.
    async fn qcow2_template(&self, template: &Path) -> Result<PathBuf> {
        let about = |e: &io::Error| io_error("Reading the UEFI variables' template", template, e);
        let facts = fs::metadata(template).map_err(|e| about(&e))?;
        // Another version of the package is recognised by the file's time and size.
        let key = format!("{}-{}-{}.qcow2", facts.len(), facts.mtime(), facts.ino());
        let path = self.firmware.join(key);
        if path.exists() {
            return Ok(path);
        }
        make_dir(&self.firmware, 0o700)?;
        // A name of its own: the first machines of a new portal may be created at the same time.
        let unfinished = path.with_extension(format!("{}.new", Uuid::now_v7()));
        Program::new("qemu-img")
            .args(["convert", "-f", "raw", "-O", "qcow2"])
            .arg(template)
            .arg(&unfinished)
            .run()
            .await
            .map_err(|e| failed("Making the UEFI variables' template", chain(&e)))?;
        fs::rename(&unfinished, &path).map_err(|e| io_error("Renaming", &path, &e))?;
        Ok(path)
    }

    /// The path of a volume, if it is one of ours: `<machines>/<name>/<file>`.
    fn checked<'a>(&self, volume: &'a Volume) -> Result<&'a Path> {
        let path = Path::new(&volume.0);
        let inside = path.strip_prefix(&self.machines).ok().is_some_and(|rest| {
            rest.components().count() == 2 && rest.components().all(|c| matches!(c, Component::Normal(_)))
        });
        if inside {
            Ok(path)
        } else {
            Err(failed("Using a disk", format!("{} is not a machine's disk", volume.0)))
        }
    }
}

/// What a disk of a generation is called.
fn file(role: DiskRole, generation: u32) -> String {
    let name = match role {
        DiskRole::Boot => "boot",
        DiskRole::Data => "data",
    };
    match generation {
        0 | 1 => format!("{name}.qcow2"),
        later => format!("{name}-{later}.qcow2"),
    }
}

fn volume(path: &Path) -> Result<Volume> {
    match path.to_str() {
        Some(text) => Ok(Volume(text.to_owned())),
        None => Err(failed("Using a disk", format!("the path {} is not UTF-8", path.display()))),
    }
}

/// Makes a folder with exactly this mode, whatever the umask says; an existing one keeps its own.
pub(super) fn make_dir(path: &Path, mode: u32) -> Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(mode)),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(e),
    }
    .map_err(|e| io_error("Making the folder", path, &e))
}

pub(super) fn none_if_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Runs work with a file or folder off the async threads.
pub(super) async fn blocking<T: Send + 'static>(
    what: &'static str,
    path: PathBuf,
    work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> Result<T> {
    let about = path.clone();
    let done = tokio::task::spawn_blocking(move || work(&path)).await;
    done.unwrap_or_else(|gone| Err(io::Error::other(gone))).map_err(|e| io_error(what, &about, &e))
}

pub(super) fn io_error(what: &str, path: &Path, error: &io::Error) -> HypervisorError {
    failed(what, format!("{}: {error}", path.display()))
}

pub(super) fn disk_error(what: &'static str) -> impl FnOnce(DiskError) -> HypervisorError {
    move |error| failed(what, chain(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_machines_may_be_created_at_the_same_time() {
        let state = tempfile::tempdir().unwrap();
        let (store, raw) = (Store::new(state.path()), state.path().join("VARS.fd"));
        fs::write(&raw, vec![7; 1 << 20]).unwrap();
        let made = futures::future::join_all((0..8).map(|_| store.qcow2_template(&raw))).await;
        let made: Vec<PathBuf> = made.into_iter().map(Result::unwrap).collect();
        assert!(made.iter().all(|path| path == &made[0] && path.exists()), "{made:?}");
        assert_eq!(fs::read_dir(&store.firmware).unwrap().count(), 1, "nothing unfinished stays");
    }

    #[test]
    fn only_files_of_machines_are_volumes() {
        let store = Store::new(Path::new("/state"));
        assert!(store.checked(&Volume("/state/machines/web/boot.qcow2".into())).is_ok());
        for foreign in [
            "/etc/passwd",
            "/state/machines/web",
            "/state/machines/../machines/x",
            "/state/machines/web/../../db",
            "machines/web/boot.qcow2",
            "/state/machines2/web/boot.qcow2",
            "",
        ] {
            assert!(store.checked(&Volume(foreign.into())).is_err(), "{foreign}");
        }
    }
}
