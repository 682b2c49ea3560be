//! Whose a machine's folder is: `<state>/machines/<name>/` carries a marker with the machine's id.
//!
//! The marker is there before anything else and goes after everything else: a folder is made with it beside its place
//! and renamed into it, which fails where something is. So a folder without one, or with another's, is someone else's,
//! and no function of the store touches it.

use super::disks::{NVRAM, Store, blocking, io_error, make_dir, none_if_gone};
use super::error::failed;
use model::machine::{MachineId, MachineName};
use ports::hypervisor::{Belonging, HypervisorError, MachineRef, Result, Volume};
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The file in a machine's folder that says whose it is.
const MARKER: &str = ".snowglobe-machine";
/// The largest marker, in bytes: an id takes 37.
const MARKER_MAX: u64 = 256;
/// The same before it is complete.
const UNFINISHED_MARKER: &str = ".snowglobe-machine.new";
/// The prefix of a folder that is not in its place yet.
const UNFINISHED: &str = ".new-";

/// Whose a folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// There is none, or it is empty: reserving and releasing leave an empty one when interrupted.
    Nobody,
    /// Something is in it, and nothing says for whom.
    Unmarked,
    /// This machine's.
    Machine(MachineId),
}

impl Store {
    /// Makes the folder with its marker, or finds it.
    pub async fn reserve(&self, id: MachineId, name: &MachineName) -> Result<()> {
        make_dir(self.root(), 0o711)?;
        let (folder, unfinished) = (self.folder(name), self.unfinished(id));
        match owner(&folder)? {
            Owner::Machine(owner) if owner == id => return Ok(()),
            Owner::Nobody => {}
            Owner::Machine(_) | Owner::Unmarked => return Err(foreign(&folder)),
        }
        make_dir(&unfinished, 0o711)?;
        let place = folder.clone();
        let taken = blocking("Making the folder", unfinished, move |unfinished| {
            write_marker(unfinished, id)?;
            let is_taken = rename_to_free(unfinished, &place)?;
            if !is_taken {
                fs::remove_dir_all(unfinished)?;
            }
            Ok(is_taken)
        });
        if taken.await? { Ok(()) } else { Err(foreign(&folder)) }
    }

    /// Removes the folder of this machine, which must be empty but for its marker. Someone else's stays.
    pub async fn release(&self, id: MachineId, name: &MachineName) -> Result<()> {
        let folder = self.folder(name);
        blocking("Removing", self.unfinished(id), |path| none_if_gone(fs::remove_dir_all(path))).await?;
        if owner(&folder)? != Owner::Machine(id) {
            return Ok(());
        }
        if !self.files(&folder).await?.is_empty() {
            return Err(failed(
                "Giving up the folder",
                format!("there still are files in {}", folder.display()),
            ));
        }
        blocking("Removing", folder, |folder| {
            none_if_gone(fs::remove_file(folder.join(MARKER)))?;
            none_if_gone(fs::remove_dir(folder)).map(drop)
        })
        .await
    }

    /// Moves the folder of this machine to another name, or finds it moved. Returns its old and new path.
    ///
    /// # Errors
    /// [`HypervisorError::Foreign`] if there is something of that name; nothing is changed then.
    pub async fn move_folder(&self, machine: &MachineRef, to: &MachineName) -> Result<(PathBuf, PathBuf)> {
        let (from, folder) = (self.folder(&machine.name), self.folder(to));
        let is_ours = |owner: Owner| owner == Owner::Machine(machine.id);
        let (before, after) = (owner(&from)?, owner(&folder)?);
        if is_ours(after) && !is_ours(before) {
            return Ok((from, folder));
        }
        if after != Owner::Nobody {
            return Err(foreign(&folder));
        }
        let source = self.reserved_folder(machine)?;
        self.clear_scratch(&source).await?;
        let place = folder.clone();
        let is_moved =
            blocking("Moving the folder", source, move |source| rename_to_free(source, &place)).await?;
        if is_moved { Ok((from, folder)) } else { Err(foreign(&folder)) }
    }

    /// Marks the folder of a machine from before there were markers; false, and nothing is changed, unless it has just these disks.
    pub async fn adopt(&self, id: MachineId, name: &MachineName, disks: &[Volume]) -> Result<bool> {
        let folder = self.folder(name);
        match owner(&folder)? {
            Owner::Machine(owner) => return Ok(owner == id),
            Owner::Nobody => return Ok(false),
            Owner::Unmarked => {}
        }
        if folder.is_symlink() {
            return Ok(false);
        }
        let mut named: Vec<PathBuf> = disks.iter().map(|disk| PathBuf::from(&disk.0)).collect();
        named.sort();
        let mut lying = self.files(&folder).await?;
        // A marker that a crash kept from its place does not count, and is written again.
        lying.retain(|path| path.file_name().is_none_or(|name| name != NVRAM && name != UNFINISHED_MARKER));
        if lying != named {
            return Ok(false);
        }
        blocking("Marking the folder", folder, move |folder| write_marker(folder, id)).await?;
        Ok(true)
    }

    /// The folder of a machine, if there is one.
    ///
    /// # Errors
    /// [`HypervisorError::Foreign`] if it is someone else's.
    pub fn own_folder(&self, machine: &MachineRef) -> Result<Option<PathBuf>> {
        let folder = self.folder(&machine.name);
        match owner(&folder)? {
            Owner::Nobody => Ok(None),
            Owner::Machine(owner) if owner == machine.id => Ok(Some(folder)),
            Owner::Machine(_) | Owner::Unmarked => Err(foreign(&folder)),
        }
    }

    /// The same where there must be one.
    pub fn reserved_folder(&self, machine: &MachineRef) -> Result<PathBuf> {
        self.own_folder(machine)?.ok_or_else(|| {
            failed(
                "Using the machine's folder",
                format!("{} was not made", self.folder(&machine.name).display()),
            )
        })
    }

    /// All folders with their marks.
    pub async fn belongings(&self) -> Result<Vec<Belonging>> {
        let folders = blocking("Listing", self.root().to_owned(), |root| {
            let entries = none_if_gone(fs::read_dir(root))?.into_iter().flatten();
            let mut paths = entries.map(|e| e.map(|e| e.path())).collect::<io::Result<Vec<PathBuf>>>()?;
            paths.sort();
            Ok(paths)
        });
        let mut found = Vec::new();
        for folder in folders.await? {
            let owner = match owner(&folder)? {
                Owner::Nobody => continue,
                Owner::Machine(id) => Some(id),
                Owner::Unmarked => None,
            };
            found.push(Belonging {
                owner,
                what: format!("The folder {}", folder.display()),
                fix: "Move or remove it once you know what is in it and nobody needs it.".to_owned(),
            });
        }
        Ok(found)
    }

    /// Everything in a machine's folder but its marker.
    pub(super) async fn files(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        blocking("Listing", folder.to_owned(), |folder| {
            let mut found = Vec::new();
            for entry in none_if_gone(fs::read_dir(folder))?.into_iter().flatten() {
                let entry = entry?;
                if entry.file_name() != MARKER {
                    found.push(entry.path());
                }
            }
            found.sort();
            Ok(found)
        })
        .await
    }

    fn unfinished(&self, id: MachineId) -> PathBuf {
        self.root().join(format!("{UNFINISHED}{id}"))
    }
}

/// Renames a folder to a place where nothing is but an empty folder (rename(2)); false if something is.
fn rename_to_free(folder: &Path, place: &Path) -> io::Result<bool> {
    match fs::rename(folder, place) {
        Err(e) if matches!(e.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::NotADirectory) => Ok(false),
        renamed => renamed.map(|()| true),
    }
}

fn foreign(folder: &Path) -> HypervisorError {
    HypervisorError::Foreign { what: format!("the folder {}", folder.display()) }
}

fn owner(folder: &Path) -> Result<Owner> {
    read_owner(folder).map_err(|error| io_error("Reading whose a folder is", folder, &error))
}

fn read_owner(folder: &Path) -> io::Result<Owner> {
    // Neither follows a link nor waits for the other end of a pipe.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(folder.join(MARKER));
    match opened.and_then(|marker| read_marker(&marker)) {
        Ok(owner) => Ok(owner),
        Err(e) if matches!(e.kind(), ErrorKind::InvalidData | ErrorKind::NotADirectory) => {
            Ok(Owner::Unmarked)
        }
        Err(e) if Errno::from_io_error(&e) == Some(Errno::LOOP) => Ok(Owner::Unmarked),
        Err(e) if e.kind() == ErrorKind::NotFound => {
            let mut entries = none_if_gone(fs::read_dir(folder))?.into_iter().flatten();
            Ok(if entries.next().is_some() { Owner::Unmarked } else { Owner::Nobody })
        }
        Err(e) => Err(e),
    }
}

/// The contents of a marker: nothing if it is not a small file with an id in it.
fn read_marker(marker: &File) -> io::Result<Owner> {
    let about = marker.metadata()?;
    if !about.is_file() || about.len() > MARKER_MAX {
        return Ok(Owner::Unmarked);
    }
    let mut text = String::new();
    marker.take(MARKER_MAX).read_to_string(&mut text)?;
    Ok(text.trim().parse().map_or(Owner::Unmarked, Owner::Machine))
}

/// Written completely or not at all: beside its place first.
fn write_marker(folder: &Path, id: MachineId) -> io::Result<()> {
    let unfinished = folder.join(UNFINISHED_MARKER);
    none_if_gone(fs::remove_file(&unfinished))?;
    // What is there now is not our file, and a link may lead anywhere.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    writeln!(file, "{id}")?;
    file.sync_all()?;
    fs::rename(unfinished, folder.join(MARKER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ports::hypervisor::HostRef;
    use rustix::fs::{FileType, Mode};
    use uuid::Uuid;

    struct World {
        _dir: tempfile::TempDir,
        store: Store,
    }

    fn world() -> World {
        let dir = tempfile::tempdir().unwrap();
        World { store: Store::new(dir.path()), _dir: dir }
    }

    fn machine(number: u128) -> MachineRef {
        let id = MachineId(Uuid::from_u128(number));
        MachineRef { id, name: "web".parse().unwrap(), host_ref: HostRef(String::new()) }
    }

    fn is_foreign<T: std::fmt::Debug>(answer: Result<T>) {
        assert!(matches!(answer, Err(HypervisorError::Foreign { .. })), "{answer:?}");
    }

    #[tokio::test]
    async fn an_unmarked_folder_with_something_in_it_is_neither_taken_nor_emptied() {
        let World { store, _dir } = world();
        let (one, folder) = (machine(1), store.root().join("web"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("data.qcow2"), "somebody's").unwrap();
        is_foreign(store.reserve(one.id, &one.name).await);
        is_foreign(store.remove_disks(&one, &[]).await);
        is_foreign(store.disks(&one).await);
        is_foreign(store.reserved_folder(&one));
        store.release(one.id, &one.name).await.unwrap();
        assert_eq!(fs::read_to_string(folder.join("data.qcow2")).unwrap(), "somebody's");
        let found = store.belongings().await.unwrap();
        assert_eq!(found.iter().map(|b| b.owner).collect::<Vec<_>>(), [None]);
        // An invalid marker counts as none.
        fs::write(folder.join(MARKER), "?").unwrap();
        is_foreign(store.reserve(one.id, &one.name).await);
    }

    #[tokio::test]
    async fn a_marker_is_a_small_file_and_nothing_else() {
        let World { store, _dir } = world();
        let (one, folder) = (machine(1), store.root().join("web"));
        let volume = Volume(folder.join("boot.qcow2").to_str().unwrap().to_owned());
        fs::create_dir_all(&folder).unwrap();
        fs::write(&volume.0, "somebody's").unwrap();
        let (marker, elsewhere) = (folder.join(MARKER), store.root().join("elsewhere"));
        fs::write(&elsewhere, one.id.to_string()).unwrap();
        let put: [&dyn Fn(); 4] = [
            &|| std::os::unix::fs::symlink(&elsewhere, &marker).unwrap(),
            &|| fs::write(&marker, format!("{}{}", one.id, " ".repeat(4096))).unwrap(),
            &|| fs::write(&marker, [0xff; 8]).unwrap(),
            &|| rustix::fs::mknodat(rustix::fs::CWD, &marker, FileType::Fifo, Mode::RWXU, 0).unwrap(),
        ];
        for put in put {
            put();
            is_foreign(store.reserve(one.id, &one.name).await);
            is_foreign(store.reserved_folder(&one));
            store.release(one.id, &one.name).await.unwrap();
            assert_eq!(fs::read_to_string(&volume.0).unwrap(), "somebody's");
            fs::remove_file(&marker).unwrap();
        }
        // Adopting writes neither through a link nor through a linked folder.
        std::os::unix::fs::symlink(&elsewhere, folder.join(UNFINISHED_MARKER)).unwrap();
        assert!(store.adopt(one.id, &one.name, &[volume]).await.unwrap());
        assert_eq!(fs::read_to_string(&elsewhere).unwrap(), one.id.to_string());
        fs::remove_file(&marker).unwrap();
        std::os::unix::fs::symlink(&folder, store.root().join("link")).unwrap();
        let linked = Volume(store.root().join("link/boot.qcow2").to_str().unwrap().to_owned());
        assert!(!store.adopt(one.id, &"link".parse().unwrap(), &[linked]).await.unwrap());
    }

    #[tokio::test]
    async fn a_folder_is_one_machines_until_it_is_given_up() {
        let World { store, _dir } = world();
        let (one, two) = (machine(1), machine(2));
        for _ in 0..2 {
            store.reserve(one.id, &one.name).await.unwrap();
        }
        let folder = store.reserved_folder(&one).unwrap();
        fs::write(folder.join("boot.qcow2"), "x").unwrap();
        is_foreign(store.reserve(two.id, &two.name).await);
        is_foreign(store.remove_disks(&two, &[]).await);
        assert!(store.release(one.id, &one.name).await.is_err(), "there is a disk in it");
        store.remove_disks(&one, &[]).await.unwrap();
        store.release(two.id, &two.name).await.unwrap();
        assert_eq!(store.belongings().await.unwrap().first().unwrap().owner, Some(one.id));
        for _ in 0..2 {
            store.release(one.id, &one.name).await.unwrap();
        }
        assert!(!folder.exists());
        assert_eq!(store.belongings().await.unwrap(), []);
    }

    #[tokio::test]
    async fn a_folder_moves_with_all_that_is_in_it_and_only_to_where_nothing_is() {
        let World { store, _dir } = world();
        let (one, two) = (machine(1), machine(2));
        let called = |name: &str| MachineRef { name: name.parse().unwrap(), ..one.clone() };
        store.reserve(one.id, &one.name).await.unwrap();
        let folder = store.reserved_folder(&one).unwrap();
        fs::write(folder.join("boot.qcow2"), "x").unwrap();
        let taken = called("taken").name;
        store.reserve(two.id, &taken).await.unwrap();
        fs::create_dir(store.root().join("unmarked")).unwrap();
        fs::write(store.root().join("unmarked/data.qcow2"), "y").unwrap();
        fs::write(store.root().join("file"), "z").unwrap();
        for occupied in ["taken", "unmarked", "file"] {
            is_foreign(store.move_folder(&one, &called(occupied).name).await);
        }
        assert_eq!(fs::read_to_string(folder.join("boot.qcow2")).unwrap(), "x");
        // An interrupted reservation leaves an empty folder.
        fs::create_dir(store.root().join("db")).unwrap();
        for _ in 0..2 {
            let (from, to) = store.move_folder(&one, &called("db").name).await.unwrap();
            assert_eq!((from, to), (folder.clone(), store.root().join("db")));
        }
        assert!(!folder.exists() && store.root().join("db/boot.qcow2").exists());
        // Someone else has the old name by now: moved is moved.
        store.reserve(two.id, &one.name).await.unwrap();
        store.move_folder(&one, &called("db").name).await.unwrap();
        is_foreign(store.move_folder(&called("db"), &one.name).await);
        store.release(two.id, &one.name).await.unwrap();
        for _ in 0..2 {
            store.move_folder(&called("db"), &one.name).await.unwrap();
        }
        assert!(folder.join("boot.qcow2").exists());
        assert!(store.move_folder(&two, &called("nowhere").name).await.is_err(), "another's folder");
    }

    #[tokio::test]
    async fn what_a_crash_leaves_of_reserving_and_of_giving_up_is_in_nobodys_way() {
        let World { store, _dir } = world();
        let one = machine(1);
        // Before the rename, and between removing the marker and the folder.
        fs::create_dir_all(store.unfinished(one.id)).unwrap();
        fs::create_dir_all(store.root().join("web")).unwrap();
        store.reserve(one.id, &one.name).await.unwrap();
        assert!(!store.unfinished(one.id).exists());
        fs::create_dir_all(store.unfinished(one.id)).unwrap();
        store.release(one.id, &one.name).await.unwrap();
        assert_eq!(fs::read_dir(store.root()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn an_old_folder_is_marked_only_if_it_has_just_the_disks_of_the_row() {
        let World { store, _dir } = world();
        let (one, two, folder) = (machine(1), machine(2), store.root().join("web"));
        let volume = |file: &str| Volume(folder.join(file).to_str().unwrap().to_owned());
        let disks = [volume("boot.qcow2"), volume("data.qcow2")];
        assert!(!store.adopt(one.id, &one.name, &disks).await.unwrap(), "there is no folder");
        fs::create_dir_all(&folder).unwrap();
        for file in ["boot.qcow2", "data.qcow2", NVRAM] {
            fs::write(folder.join(file), "").unwrap();
        }
        for wrong in [&disks[..1], &[volume("boot.qcow2"), volume("other.qcow2")], &[]] {
            assert!(!store.adopt(one.id, &one.name, wrong).await.unwrap(), "{wrong:?}");
        }
        is_foreign(store.reserved_folder(&one));
        for _ in 0..2 {
            assert!(store.adopt(one.id, &one.name, &disks).await.unwrap());
        }
        assert!(!store.adopt(two.id, &two.name, &disks).await.unwrap());
        assert_eq!(store.reserved_folder(&one).unwrap(), folder);
    }
}
