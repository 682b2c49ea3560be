//! Garbage-collector roots: links below `<state>/gcroots/` that Nix knows about. The target of one, with all its
//! dependencies, survives `nix store gc`; a machine's boot disk builds on its image, so it must.

use super::nix::{Nix, failed, other, refused};
use ports::image_builder::BuildError;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The roots of the portal.
#[derive(Debug)]
pub(super) struct Roots {
    dir: PathBuf,
}

impl Roots {
    pub(super) fn new(state: &Path) -> Self {
        Self { dir: state.join("gcroots") }
    }

    fn path(&self, name: &str) -> Result<PathBuf, BuildError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if name.is_empty() || name.len() > 200 || name.starts_with('.') || !name.bytes().all(plain) {
            return Err(refused(format!("“{name}” cannot name a garbage-collector root.")));
        }
        Ok(self.dir.join(name))
    }

    /// Makes or redirects a root. Nix writes the link and notes where it is, in one step.
    pub(super) async fn add(&self, nix: &Nix, name: &str, store_path: &Path) -> Result<(), BuildError> {
        let path = std::path::absolute(self.path(name)?)
            .map_err(|e| other("finding the root's folder failed", e))?;
        fs::create_dir_all(&self.dir).map_err(|e| other("making the folder of roots failed", e))?;
        // Versions before 2.5 make the root a direct one without `--indirect`, later ones accept it.
        let add = nix
            .program("nix-store")
            .arg("--add-root")
            .arg(path)
            .args(["--indirect", "--realise"])
            .arg(store_path);
        add.run().await.map(drop).map_err(|e| failed("making a garbage-collector root failed", e))
    }

    /// Removes a root.
    pub(super) fn remove(&self, name: &str) -> Result<(), BuildError> {
        match fs::remove_file(self.path(name)?) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(other("removing a garbage-collector root failed", error))
            }
            _ => Ok(()),
        }
    }

    /// Where a root points.
    pub(super) fn target(&self, name: &str) -> Result<Option<PathBuf>, BuildError> {
        match fs::read_link(self.path(name)?) {
            Ok(target) => Ok(Some(target)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(other("reading a garbage-collector root failed", error)),
        }
    }

    /// All roots' names, sorted.
    pub(super) fn names(&self) -> Result<Vec<String>, BuildError> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(other("reading the folder of roots failed", error)),
        };
        let names: io::Result<Vec<_>> = entries.map(|e| Ok(e?.file_name().into_string().ok())).collect();
        let mut names: Vec<String> = names
            .map_err(|e| other("reading the folder of roots failed", e))?
            .into_iter()
            .flatten()
            .collect();
        // While it redirects a root, Nix has a second link beside it.
        names.retain(|name| self.path(name).is_ok());
        names.sort();
        Ok(names)
    }
}
