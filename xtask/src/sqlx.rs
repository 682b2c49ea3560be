//! `.sqlx`: the database's description of every query, with which the compiler checks them without one.
//!
//! `cargo xtask sqlx` writes it, with sqlx's own tool over a scratch database that the migrations make; the part `sqlx` of the
//! tests checks that it is what would be written.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::project::Project;
use crate::sh::{Cmd, Log, with_fix};
use crate::tools;

/// The one package with queries (`arrows.rs` ensures that), and its directory.
const PACKAGE: (&str, &str) = ("engine", "server/engine");

/// The tool's message when a file of `.sqlx` belongs to no query any more; it calls that a warning.
const UNUSED: &str = "potentially unused queries";

/// What to do with `.sqlx`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Compare it with what would be written.
    Check,
    /// Write it.
    Write,
}

/// The directory of the queries' descriptions, if there is one.
pub fn directory(project: &Project) -> Option<PathBuf> {
    Some(project.root.join(PACKAGE.1).join(".sqlx")).filter(|dir| dir.is_dir())
}

/// Checks or writes `.sqlx`.
///
/// # Errors
/// When it is not what the queries and the migrations give, or a query does not fit the tables.
pub fn run(project: &Project, log: &Log, task: Task) -> Result<()> {
    let version = project.locked_version("sqlx")?;
    let tool = tools::install(project, log, "sqlx-cli", &version, &["sqlite"])?.join("cargo-sqlx");
    let package = project.root.join(PACKAGE.1);
    let database = project.target.join("xtask/sqlx.db");
    let sqlx = |verb: &[&str]| {
        let url = format!("sqlite:{}", database.display());
        Cmd::new(&tool)
            .arg("sqlx")
            .args(verb)
            .dir(&package)
            .env("CARGO", project.cargo_program())
            .env("CARGO_TERM_COLOR", "never")
            .env("DATABASE_URL", url)
    };
    for file in ["db", "db-shm", "db-wal"].map(|kind| database.with_extension(kind)) {
        // An existing one makes the tool add to it, which its migrations then refuse.
        let _ = fs::remove_file(file);
    }
    log.run(&sqlx(&["database", "setup", "--source"]).arg(project.root.join("migrations")))?;

    let times = Times::of_sources(project)?;
    let prepare = match task {
        Task::Check => sqlx(&["prepare", "--check"]),
        Task::Write => sqlx(&["prepare"]),
    };
    let prepared = log.run(&prepare.args(["--", "--all-targets", "--all-features"]));
    times.restore()?;
    let outcome = prepared.and_then(|()| match log.text().contains(UNUSED) {
        true => bail!("files of .sqlx no longer belong to any query"),
        false => Ok(()),
    });
    with_fix(outcome, "run `cargo xtask sqlx` and commit .sqlx")
}

/// When the roots of the package's crates were changed. The tool touches them, so that cargo compiles them again; left so,
/// everything that depends on them would be compiled once more.
struct Times(Vec<(PathBuf, SystemTime, Vec<u8>)>);

impl Times {
    fn of_sources(project: &Project) -> Result<Self> {
        let metadata = project.metadata(&["--no-deps"])?;
        let packages = metadata.get("packages").and_then(Value::as_array).into_iter().flatten();
        let ours = packages.filter(|package| package.get("name").and_then(Value::as_str) == Some(PACKAGE.0));
        let targets = ours.filter_map(|package| package.get("targets")?.as_array()).flatten();
        let roots = targets.filter_map(|target| target.get("src_path")?.as_str().map(PathBuf::from));
        let time = |root: PathBuf| -> std::io::Result<_> {
            let changed = fs::metadata(&root)?.modified()?;
            let text = fs::read(&root)?;
            Ok((root, changed, text))
        };
        let times: std::io::Result<_> = roots.map(time).collect();
        Ok(Self(times.context("the package's sources cannot be read")?))
    }

    /// Restores the times of files that nobody has edited in between.
    fn restore(self) -> Result<()> {
        for (root, changed, text) in self.0 {
            if fs::read(&root)? == text {
                File::options().append(true).open(&root)?.set_modified(changed)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_touched_source_gets_its_time_again_and_an_edited_one_does_not() {
        let dir = std::env::temp_dir().join(format!("snowglobe-sqlx-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let [touched, edited] = ["touched.rs", "edited.rs"].map(|name| {
            fs::write(dir.join(name), "before").unwrap();
            dir.join(name)
        });
        let times = Times([&touched, &edited].map(|file| (file.clone(), then, b"before".to_vec())).into());
        fs::write(&edited, "after").unwrap();
        times.restore().unwrap();
        let [touched, edited] = [touched, edited].map(|file| fs::metadata(file).unwrap().modified().unwrap());
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(touched, then);
        assert_ne!(edited, then);
    }
}
