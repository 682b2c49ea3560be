//! The Nix files that images are made of, and the hash that names them.
//!
//! Either they are the ones in the binary (`nix/` and `profiles/` of the repository) together with the users' own
//! profiles in `<state>/profiles/`; then each state of them is written once to `<state>/flake/<hash>/`, so that a build
//! in progress and the command that reproduces it keep what they began with. Or they are a folder, used as it is.

use model::image::ProfileName;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::sync::lock;

/// The flake in the binary: names and contents.
const EMBEDDED: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/flake_files.rs"));
/// A folder with more files is hardly an image flake, and hashing it would take forever.
const FILES_MAX: usize = 20_000;
/// How many states of the embedded flake are kept on disk.
const KEEP: usize = 4;

/// Where the image flake comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlakeSource {
    /// From the binary, with the users' own profiles beside ours.
    Embedded,
    /// From this folder, used as it is.
    Path(PathBuf),
}

/// The flake as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Current {
    /// SHA-256 over names and contents, in hexadecimal digits.
    pub(super) hash: String,
    /// The folder with `flake.nix`.
    pub(super) dir: PathBuf,
}

/// The flake's files.
#[derive(Debug)]
pub(super) struct Flake {
    source: FlakeSource,
    state: PathBuf,
    /// What was found last time, so that unchanged files are not read again.
    last: Mutex<Option<(Vec<Stamp>, Current)>>,
}

/// What changes when a file does.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    path: PathBuf,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Flake {
    pub(super) fn new(source: FlakeSource, state: &Path) -> Self {
        Self { source, state: state.to_owned(), last: Mutex::new(None) }
    }

    /// Checks the files, and writes the embedded flake out if it is missing. Blocks; takes microseconds while nothing
    /// has changed.
    pub(super) fn current(&self) -> io::Result<Current> {
        let mut last = lock(&self.last);
        let stamps = match &self.source {
            FlakeSource::Embedded => own_profiles(&self.state.join("profiles"))?,
            FlakeSource::Path(dir) => all_files(dir)?,
        };
        if let Some((before, current)) = last.as_ref()
            && *before == stamps
            && current.dir.join("flake.nix").exists()
        {
            return Ok(current.clone());
        }
        let current = match &self.source {
            FlakeSource::Embedded => write_embedded(&self.state.join("flake"), &stamps)?,
            FlakeSource::Path(dir) => {
                Current { hash: hash_folder(dir, &stamps)?, dir: std::path::absolute(dir)? }
            }
        };
        *last = Some((stamps, current.clone()));
        Ok(current)
    }
}

/// The users' profile files, whatever can be read of them; other files in the folder are ignored.
fn own_profiles(dir: &Path) -> io::Result<Vec<Stamp>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut stamps = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if profile_file_name(&path).is_none() {
            continue;
        }
        // For a link, its target, which is what may change; for a dangling one, the link itself.
        let about = fs::metadata(&path).or_else(|_| fs::symlink_metadata(&path));
        match about {
            Ok(about) if about.is_dir() => {}
            Ok(about) => stamps.push(stamp_of(path, &about)),
            // Removed a moment ago.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    stamps.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(stamps)
}

/// The contents of a user's profile: a file in the folder, or a link to one. A link that leads out of it could bring
/// any file that the portal may read into the Nix store, which everyone can read.
fn read_profile(path: &Path) -> io::Result<Vec<u8>> {
    let folder = fs::canonicalize(path.parent().unwrap_or(path))?;
    let real = fs::canonicalize(path)?;
    if !real.starts_with(&folder) {
        return Err(io::Error::other("the link leads out of the folder of profiles"));
    }
    if !fs::metadata(&real)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    fs::read(real)
}

/// `<name>.nix`, if the name is a profile's.
fn profile_file_name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    name.strip_suffix(".nix")?.parse::<ProfileName>().ok()?;
    Some(name.to_owned())
}

/// Every file and link below a folder but git's own.
fn all_files(dir: &Path) -> io::Result<Vec<Stamp>> {
    let (mut stamps, mut folders) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() && entry.file_name() != ".git" {
                folders.push(entry.path());
            } else if !kind.is_dir() {
                stamps.push(stamp(entry.path())?);
            }
            if stamps.len() > FILES_MAX {
                let why =
                    format!("{} has more than {FILES_MAX} files: is it the image flake?", dir.display());
                return Err(io::Error::other(why));
            }
        }
    }
    stamps.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(stamps)
}

fn stamp(path: PathBuf) -> io::Result<Stamp> {
    let about = fs::symlink_metadata(&path)?;
    Ok(stamp_of(path, &about))
}

fn stamp_of(path: PathBuf, about: &Metadata) -> Stamp {
    // The change time, not the modification time: it cannot be set back.
    let changed = (about.ctime(), about.ctime_nsec());
    Stamp { path, inode: about.ino(), size: about.len(), changed }
}

/// Lengths go in as well, so that no two different sets of files feed the same bytes.
fn add(hasher: &mut Sha256, name: &[u8], kind: u8, content: &[u8]) {
    for part in [name, &[kind], content] {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
}

fn hash_folder(dir: &Path, stamps: &[Stamp]) -> io::Result<String> {
    let mut hasher = Sha256::new();
    for Stamp { path, .. } in stamps {
        let name = path.strip_prefix(dir).unwrap_or(path).as_os_str().as_bytes();
        let about = fs::symlink_metadata(path)?;
        if about.is_symlink() {
            add(&mut hasher, name, b'l', fs::read_link(path)?.as_os_str().as_bytes());
        } else if about.is_file() {
            let kind = if about.mode() & 0o100 == 0 { b'f' } else { b'x' };
            add(&mut hasher, name, kind, &fs::read(path)?);
        }
    }
    Ok(hex::encode(hasher.finalize()))
}

/// Our files with the users' profiles laid over them, in a folder named by their hash.
fn write_embedded(flakes: &Path, own: &[Stamp]) -> io::Result<Current> {
    let mut files: BTreeMap<String, Vec<u8>> =
        EMBEDDED.iter().map(|(name, content)| ((*name).to_owned(), content.to_vec())).collect();
    for Stamp { path, .. } in own {
        let Some(name) = profile_file_name(path) else { continue };
        match read_profile(path) {
            Ok(content) => drop(files.insert(format!("profiles/{name}"), content)),
            // One unreadable file must not cost all the others.
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "a profile is left out: it cannot be read");
            }
        }
    }
    let mut hasher = Sha256::new();
    files.iter().for_each(|(name, content)| add(&mut hasher, name.as_bytes(), b'f', content));
    let hash = hex::encode(hasher.finalize());
    let short: String = hash.chars().take(16).collect();
    let dir = std::path::absolute(flakes)?.join(&short);
    if !dir.join("flake.nix").exists() {
        let beside = dir.with_file_name(format!(".tmp-{short}"));
        remove(&beside)?;
        for (name, content) in &files {
            let path = beside.join(name);
            fs::create_dir_all(path.parent().unwrap_or(&beside))?;
            fs::write(path, content)?;
        }
        remove(&dir)?;
        fs::rename(&beside, &dir)?;
        forget_old(flakes, &dir)?;
    }
    Ok(Current { hash, dir })
}

fn remove(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn forget_old(flakes: &Path, current: &Path) -> io::Result<()> {
    let mut old = Vec::new();
    for entry in fs::read_dir(flakes)? {
        let entry = entry?;
        if entry.path() != current {
            old.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    old.sort();
    let excess = old.len().saturating_sub(KEEP - 1);
    old.iter().take(excess).try_for_each(|(_, path)| remove(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_flake_is_written_once_and_renamed_by_every_own_profile() {
        let state = tempfile::tempdir().unwrap();
        let flake = Flake::new(FlakeSource::Embedded, state.path());
        let ours = flake.current().unwrap();
        assert!(ours.dir.join("flake.nix").is_file() && ours.dir.join("profiles/core.nix").is_file());
        assert!(!ours.dir.join("portal").exists() && !ours.dir.join("tests").exists());
        assert_eq!(flake.current().unwrap(), ours);

        fs::create_dir(state.path().join("profiles")).unwrap();
        fs::write(state.path().join("profiles/mine.nix"), "{ }").unwrap();
        fs::write(state.path().join("profiles/.hidden.nix"), "x").unwrap();
        fs::write(state.path().join("profiles/notes.txt"), "x").unwrap();
        let with_mine = flake.current().unwrap();
        assert_ne!(with_mine.hash, ours.hash);
        assert_eq!(fs::read_to_string(with_mine.dir.join("profiles/mine.nix")).unwrap(), "{ }");
        assert!(!with_mine.dir.join("profiles/.hidden.nix").exists());
        fs::write(state.path().join("profiles/mine.nix"), "{a}").unwrap();
        assert_ne!(flake.current().unwrap().hash, with_mine.hash);
        fs::remove_file(state.path().join("profiles/mine.nix")).unwrap();
        assert_eq!(flake.current().unwrap(), ours, "the same files have the same name");
        fs::remove_dir_all(&ours.dir).unwrap();
        assert!(
            flake.current().unwrap().dir.join("flake.nix").is_file(),
            "what someone removed is written again"
        );
        for n in 0..8 {
            fs::write(state.path().join("profiles/mine.nix"), format!("{n}")).unwrap();
            flake.current().unwrap();
        }
        assert_eq!(fs::read_dir(state.path().join("flake")).unwrap().count(), KEEP);
    }

    #[test]
    fn a_profile_that_cannot_be_read_is_left_out_alone() {
        let state = tempfile::tempdir().unwrap();
        let profiles = state.path().join("profiles");
        fs::create_dir(&profiles).unwrap();
        fs::write(profiles.join("mine.nix"), "{ }").unwrap();
        fs::write(state.path().join("secret"), "a key").unwrap();
        let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, profiles.join(name)).unwrap();
        link("/nowhere", "dangling.nix");
        link("round.nix", "round.nix");
        link("../secret", "out.nix");
        link("/dev/zero", "device.nix");
        link("mine.nix", "alias.nix");
        let flake = Flake::new(FlakeSource::Embedded, state.path());
        let current = flake.current().unwrap();
        let there = |name: &str| fs::read_to_string(current.dir.join("profiles").join(name)).ok();
        assert_eq!([there("mine.nix"), there("alias.nix")], [(); 2].map(|()| Some("{ }".to_owned())));
        for name in ["dangling.nix", "round.nix", "out.nix", "device.nix"] {
            assert_eq!(there(name), None, "{name}");
        }
        assert_eq!(flake.current().unwrap(), current);
        fs::write(profiles.join("mine.nix"), "{ a }").unwrap();
        assert_ne!(flake.current().unwrap().hash, current.hash);
    }

    #[test]
    fn a_folder_is_named_by_what_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("flake.nix"), "{}").unwrap();
        let flake = Flake::new(FlakeSource::Path(dir.path().to_owned()), Path::new("/unused"));
        let first = flake.current().unwrap();
        assert_eq!(first.dir, dir.path());
        fs::create_dir_all(dir.path().join(".git")).unwrap();
        fs::write(dir.path().join(".git/HEAD"), "x").unwrap();
        assert_eq!(flake.current().unwrap().hash, first.hash);
        fs::create_dir(dir.path().join("sub")).unwrap();
        std::os::unix::fs::symlink("/nowhere", dir.path().join("sub/link")).unwrap();
        let second = flake.current().unwrap();
        assert_ne!(second.hash, first.hash);
        fs::rename(dir.path().join("sub/link"), dir.path().join("sub/other")).unwrap();
        assert_ne!(flake.current().unwrap().hash, second.hash);
        assert!(Flake::new(FlakeSource::Path("/does/not/exist".into()), dir.path()).current().is_err());
    }
}
