//! Where things are: the checkout, its build output, and the caches that outlive it.
//!
//! Made once in `main` and handed to everything else.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::sh::{Cmd, Log};

/// The places of one checkout.
#[derive(Clone, Debug)]
pub struct Project {
    /// The top of the checkout.
    pub root: PathBuf,
    /// Cargo's output for the host.
    pub target: PathBuf,
    /// Tools, packages and images that several checkouts share: `$XDG_CACHE_HOME/snowglobe`.
    pub cache: PathBuf,
}

impl Project {
    /// Finds the checkout that this xtask was built from.
    pub fn find() -> Result<Self> {
        let root =
            Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask is in the root directory")?;
        let root = std::env::var_os("CARGO_MANIFEST_DIR")
            .and_then(|dir| PathBuf::from(dir).parent().map(Path::to_owned))
            .unwrap_or_else(|| root.to_owned());
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir));
        let cache = std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .filter(|dir| dir.is_absolute())
            .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))
            .ok_or_else(|| {
                anyhow!(
                    "neither XDG_CACHE_HOME nor HOME is set, so there is nowhere for caches\n  fix: set HOME"
                )
            })?
            .join("snowglobe");
        Ok(Self { root, target, cache })
    }

    /// The site that the server sends: wasm, scripts, style sheets, each compressed beforehand.
    pub fn site(&self) -> PathBuf {
        self.target.join("site")
    }

    /// A fresh log for the part of the work called `name`.
    pub fn log(&self, name: &str) -> Result<Log> {
        Log::create(self.target.join("xtask/logs").join(format!("{name}.log")))
    }

    /// Cargo, at the top of the checkout, with the host's toolchain.
    pub fn cargo(&self) -> Cmd {
        Cmd::new(self.cargo_program()).dir(&self.root)
    }

    /// The `cargo` to call: the one that runs us, if any.
    pub fn cargo_program(&self) -> OsString {
        std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
    }

    /// The output of `cargo metadata`.
    ///
    /// # Errors
    /// When a manifest is wrong.
    pub fn metadata(&self, options: &[&str]) -> Result<Value> {
        let text = self.cargo().args(["metadata", "--format-version=1"]).args(options).capture()?;
        serde_json::from_str(&text).context("`cargo metadata` printed something other than JSON")
    }

    /// The version of a package in Cargo.lock.
    ///
    /// # Errors
    /// If nothing uses it.
    pub fn locked_version(&self, name: &str) -> Result<String> {
        let metadata = self.metadata(&[])?;
        let packages = metadata.get("packages").and_then(Value::as_array).into_iter().flatten();
        packages
            .filter(|package| package.get("name").and_then(Value::as_str) == Some(name))
            .find_map(|package| package.get("version")?.as_str().map(str::to_owned))
            .ok_or_else(|| anyhow!("no package of the workspace uses {name}"))
    }

    /// The release server's file.
    pub fn server(&self, release: bool) -> PathBuf {
        self.target.join(if release { "release" } else { "debug" }).join("snowglobe")
    }
}

/// The first `len` hexadecimal digits of a SHA-256.
pub fn short_hash(bytes: &[u8], len: usize) -> String {
    let digest = Sha256::digest(bytes);
    let mut hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    hex.truncate(len);
    hex
}

/// Removes a directory that may not exist.
pub fn remove_dir(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} cannot be removed", dir.display()))
        }
        _ => Ok(()),
    }
}
