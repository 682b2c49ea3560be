//! What a part of `cargo xtask test` is, and what all of them get.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::nix;
use crate::project::Project;
use crate::sandbox;
use crate::sh::{Cmd, Log};

/// Which parts run side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Cargo for the host: one at a time, as they share a target directory.
    Host,
    /// Cargo for wasm and the checks of scripts, beside the host's.
    Site,
    /// Starts machines; alone, after the others.
    Machines,
}

/// One part.
#[derive(Debug)]
pub struct Part {
    /// Its name for `--only`, and its log's.
    pub name: &'static str,
    /// What it checks.
    pub what: &'static str,
    /// When it runs.
    pub lane: Lane,
    /// Runs it, given its name.
    pub run: fn(&Run<'_>, &str) -> Result<Verdict>,
}

/// The result of a part that did not fail.
#[derive(Debug)]
pub enum Verdict {
    /// With the closing lines of its runner.
    Passed(Vec<String>),
    /// It could not run here; why.
    Skipped(String),
}

/// A row of the table of parts.
pub const fn part(
    lane: Lane,
    name: &'static str,
    what: &'static str,
    run: fn(&Run<'_>, &str) -> Result<Verdict>,
) -> Part {
    Part { name, what, lane, run }
}

/// What the parts share.
pub struct Run<'a> {
    /// Where things are.
    pub project: &'a Project,
    /// The offline image flake, for everything that boots machines.
    pub flake: Option<PathBuf>,
    /// Arguments for the runner of a part.
    pub rest: &'a [String],
}

/// Where the log of a part is, below the target directory.
pub fn log_path(name: &str) -> String {
    format!("xtask/logs/test-{name}.log")
}

impl Run<'_> {
    /// A fresh log for a part.
    pub fn log(&self, name: &str) -> Result<Log> {
        self.project.log(&format!("test-{name}"))
    }

    /// Cargo, without colours in its output.
    pub fn cargo(&self) -> Cmd {
        self.project.cargo().env("CARGO_TERM_COLOR", "never")
    }

    /// Runs a command where it may start machines, with the variables by which the tests find their things.
    pub fn in_sandbox(&self, log: &Log, name: &str, command: Cmd) -> Result<()> {
        let flake = self.flake.as_ref().context("the offline image flake was not prepared")?;
        let command = command
            .env("SNOWGLOBE_TEST_IMAGE_FLAKE", flake)
            .env("SNOWGLOBE_SITE", self.project.site())
            .env("NIX_CONFIG", nix::config(true))
            .env("SNOWGLOBE_NIX_CONFIG", nix::config(true));
        log.run(&sandbox::wrap(name, &command)?)
    }

    /// A script of the checkout, if it exists.
    pub fn script(&self, path: &str) -> Option<PathBuf> {
        Some(self.project.root.join(path)).filter(|file| file.is_file())
    }

    /// Adds a failure to the part's log; some parts have nothing else in theirs. It was also printed, so losing it does
    /// no harm.
    pub fn keep(&self, name: &str, error: &anyhow::Error) {
        let log = Log::append(self.project.target.join(log_path(name)));
        let _ = log.and_then(|log| log.note(&format!("{error:#}")));
    }
}
