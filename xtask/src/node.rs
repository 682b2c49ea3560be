//! The few npm packages: the browser's terminal, and the browser tests' runner.
//!
//! Installed once per lock file into the cache and linked as `end2end/node_modules`, so that a fresh clone and a
//! switch of branches cost nothing. Called by `site.rs` and by the tests.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::project::{Project, remove_dir, short_hash};
use crate::sh::{Cmd, Log};

/// What determines which packages are installed, and how.
const INPUTS: [&str; 3] = ["package.json", "package-lock.json", ".npmrc"];

/// Ensures that the packages of the lock file are installed, and returns the directory that holds them.
pub fn install(project: &Project, log: &Log) -> Result<PathBuf> {
    let end2end = project.root.join("end2end");
    let mut key = Vec::new();
    for input in INPUTS {
        let file = end2end.join(input);
        key.extend(fs::read(&file).with_context(|| format!("{} cannot be read", file.display()))?);
    }
    let home = project.cache.join(format!("node-{}", short_hash(&key, 16)));
    if !home.join("node_modules").is_dir() {
        let draft = home.with_extension("draft");
        remove_dir(&draft)?;
        fs::create_dir_all(&draft)?;
        for input in INPUTS {
            fs::copy(end2end.join(input), draft.join(input))?;
        }
        let npm =
            Cmd::new("npm").arg("ci").dir(&draft).env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1").limit(600);
        log.run(&npm).map_err(|error| {
            anyhow!("the npm packages could not be installed: {error:#}\n  fix: see that `npm ping` succeeds")
        })?;
        remove_dir(&home)?;
        fs::rename(&draft, &home)?;
    }
    link(&end2end.join("node_modules"), &home.join("node_modules"))?;
    Ok(home.join("node_modules"))
}

fn link(link: &std::path::Path, to: &std::path::Path) -> Result<()> {
    match fs::symlink_metadata(link) {
        Ok(meta) if meta.is_symlink() && fs::read_link(link).is_ok_and(|old| old == to) => return Ok(()),
        Ok(meta) if meta.is_symlink() => fs::remove_file(link)?,
        Ok(_) => bail!(
            "{} is a directory, and the packages of the lock file belong there\n  fix: remove it",
            link.display()
        ),
        Err(_) => {}
    }
    symlink(to, link).with_context(|| format!("{} cannot be made", link.display()))
}
