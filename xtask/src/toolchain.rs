//! The compiler that makes wasm.
//!
//! Any toolchain with the standard library for wasm will do, and rustup can usually fetch it. If it cannot (its server
//! is unreachable), Debian packages a compiler whose library comes as source and is built along; that one gets its own
//! target directory, or the two compilers would spoil each other's caches. Called by `wasm.rs`.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::apt;
use crate::distribution::Family;
use crate::progress::Line;
use crate::project::Project;
use crate::sh::{Cmd, Log, find_program};

/// The browser's platform.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Debian's compiler for the web: its packages and where they put it.
const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
/// The oldest compiler that the workspace is written for.
const OLDEST: &str = env!("CARGO_PKG_RUST_VERSION");
const DEBIAN_STD: &str = "/usr/lib/rustlib/src";

/// A compiler for wasm that is ready to be used.
#[derive(Debug)]
pub enum Toolchain {
    /// The toolchain in use also has the standard library for wasm.
    Own,
    /// Debian's, which builds the standard library along.
    Debian {
        /// The linker for wasm: rustup's, or the one of package `lld`.
        linker: PathBuf,
    },
}

impl Toolchain {
    /// Finds a compiler for wasm, fetching what is missing.
    pub fn find(project: &Project, log: &Log, line: &Line) -> Result<Self> {
        if has_std() {
            return Ok(Self::Own);
        }
        // Found before and still present: asking rustup's server again would cost a second at each start.
        if debian_is_here() && project.target.join("wasm").is_dir() {
            return debian(log);
        }
        let add = Cmd::new("rustup").args(["target", "add", TARGET]).limit(300);
        if find_program("rustup").is_some() && log.run(&add).is_ok() && has_std() {
            return Ok(Self::Own);
        }
        if !debian_is_here() {
            if Family::detect() != Family::Apt {
                bail!(
                    "there is no standard library for {TARGET}, the browser part's target, and rustup \
                     could not fetch it (see {})\n  fix: run `rustup target add {TARGET}` where rustup's \
                     server can be reached, or install your distribution's package of it ({})",
                    log.path().display(),
                    "Fedora: rust-std-static-wasm32-unknown-unknown, Arch: rust-wasm"
                );
            }
            line.note(&format!(
                "rustup cannot fetch {TARGET}: installing Debian's {}",
                DEBIAN_PACKAGES.join(" ")
            ));
            apt::install(log, &DEBIAN_PACKAGES)?;
        }
        if !debian_is_here() {
            bail!(
                "rustup cannot fetch {TARGET}, and the compiler of Debian's rustc-web is older than {OLDEST}\n  fix: \
                  add the suite of Debian's security updates to the apt sources, or let rustup reach its server"
            );
        }
        debian(log)
    }

    /// Where this compiler's output goes.
    pub fn target_dir(&self, project: &Project) -> PathBuf {
        match self {
            Self::Own => project.target.clone(),
            Self::Debian { .. } => project.target.join("wasm"),
        }
    }

    /// `cargo build` for wasm with this compiler.
    pub fn cargo_build(&self, project: &Project) -> Cmd {
        let build = ["build", "--target", TARGET, "--target-dir"];
        match self {
            Self::Own => project.cargo().args(build).arg(self.target_dir(project)),
            Self::Debian { linker } => Cmd::new(DEBIAN_CARGO)
                .dir(&project.root)
                .args(build)
                .arg(self.target_dir(project))
                .arg("-Zbuild-std=std,panic_abort")
                .env("CARGO", DEBIAN_CARGO)
                .env("RUSTC", DEBIAN_RUSTC)
                .env_remove("RUSTUP_TOOLCHAIN")
                // The packaged compiler is a stable one; building the standard library is not a stable feature.
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker),
        }
    }
}

/// Whether the toolchain in use has the standard library for wasm.
fn has_std() -> bool {
    let libdir = Cmd::new("rustc").args(["--print", "target-libdir", "--target", TARGET]).capture();
    libdir.is_ok_and(|dir| {
        std::fs::read_dir(dir.trim()).is_ok_and(|files| {
            files.flatten().any(|file| file.file_name().to_string_lossy().starts_with("libstd-"))
        })
    })
}

/// Whether Debian's compiler is installed and new enough; the release without its security updates has an old one.
fn debian_is_here() -> bool {
    let there = [DEBIAN_CARGO, DEBIAN_RUSTC, DEBIAN_STD].iter().all(|path| Path::new(path).exists());
    let version =
        || Cmd::new(DEBIAN_RUSTC).arg("--version").capture().ok().and_then(|said| version_of(&said));
    there && version() >= version_of(&format!("rustc {OLDEST}"))
}

/// `rustc 1.96.0 (…)` → (1, 96).
fn version_of(said: &str) -> Option<(u32, u32)> {
    let mut numbers = said.split_whitespace().nth(1)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn debian(log: &Log) -> Result<Toolchain> {
    if let Some(linker) = rust_lld().or_else(|| find_program("wasm-ld")) {
        return Ok(Toolchain::Debian { linker });
    }
    apt::install(log, &["lld"])?;
    match find_program("wasm-ld") {
        Some(linker) => Ok(Toolchain::Debian { linker }),
        None => bail!("there is no linker for wasm\n  fix: install the package lld"),
    }
}

/// The linker that comes with every toolchain of rustup.
fn rust_lld() -> Option<PathBuf> {
    let sysroot = Cmd::new("rustc").args(["--print", "sysroot"]).capture().ok()?;
    let rustlib = Path::new(sysroot.trim()).join("lib/rustlib");
    let hosts = std::fs::read_dir(rustlib).ok()?.flatten();
    hosts.map(|host| host.path().join("bin/rust-lld")).find(|file| file.is_file())
}

/// Which compiler would be used, in one line.
pub fn describe() -> String {
    if has_std() {
        return format!("ok       standard library for {TARGET}");
    }
    if debian_is_here() {
        return format!("ok       Debian's compiler, which also builds the standard library for {TARGET}");
    }
    format!("missing  standard library for {TARGET}; rustup target add {TARGET}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_versions_as_numbers() {
        assert_eq!(version_of("rustc 1.96.0 (ac68faa20 2026-05-25)"), Some((1, 96)));
        assert!(version_of("rustc 1.100.0") > version_of("rustc 1.90"));
        assert_eq!(version_of("rustc"), None);
        assert!(version_of(&format!("rustc {OLDEST}")).is_some());
    }
}
