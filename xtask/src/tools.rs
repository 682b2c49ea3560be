//! Programs that cargo compiles from other projects, each in one version: kept in the cache, outside of any checkout.
//!
//! Compiled without optimisation: they run for seconds, and optimising them takes four times as long to compile.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::project::{Project, remove_dir};
use crate::sh::Log;

/// The directory with the programs of a package, which are compiled if missing.
///
/// # Errors
/// When cargo cannot fetch or compile it.
pub fn install(
    project: &Project,
    log: &Log,
    package: &str,
    version: &str,
    features: &[&str],
) -> Result<PathBuf> {
    let home = project.cache.join(format!("tools/{package}-{version}"));
    let programs = home.join("bin");
    if !programs.is_dir() {
        let draft = home.with_extension("draft");
        remove_dir(&draft)?;
        let install = project
            .cargo()
            .args(["install", "--quiet", "--locked", "--debug", "--config", "profile.dev.debug=false"])
            .arg("--root")
            .arg(&draft)
            .arg("--target-dir")
            .arg(draft.join("build"))
            .args(["--no-default-features", "--features", &features.join(",")])
            .arg(format!("{package}@{version}"));
        log.run(&install).with_context(|| format!("{package} {version} could not be installed by cargo"))?;
        remove_dir(&draft.join("build"))?;
        remove_dir(&home)?;
        std::fs::rename(&draft, &home)?;
    }
    Ok(programs)
}
