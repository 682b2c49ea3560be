//! `cargo xtask bench`: the figures of the portal (`server/benches/figures`), each beside its reference in the same run.
//!
//! Everything is built as people run it: optimised, with the compressed site. What is measured runs in a sandbox, so that
//! neither the computer's machines nor the network take part.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::nix;
use crate::progress::Steps;
use crate::project::Project;
use crate::sandbox;
use crate::sh::Cmd;
use crate::site;
use crate::system::{self, For};
use crate::up;

/// Options of `bench`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Measure only these groups: start, live, list, console, echo, log.
    #[arg(long, value_name = "GROUP", num_args = 1.., value_delimiter = ',')]
    only: Vec<String>,
}

/// Builds everything and measures, on this terminal. Returns the exit code: a figure that misses its target is reported
/// but is no failure, because times depend on the computer.
pub fn run(project: &Project, options: &Options) -> Result<u8> {
    system::enter_dev_shell(project)?;
    let mut steps = Steps::new(5);
    steps.step("installing what is missing", |line| {
        system::install(project, &[For::Portal, For::Tests], line)
    })?;
    steps.step("building the browser's part", |line| site::build(project, line))?;
    let flake = steps
        .step("preparing the offline image", |_| nix::prepare_tiny(project, &project.log("tiny-image")?))?;
    let figures = steps.step("building the figures", |_| build_figures(project))?;
    // After the figures: their build leaves a server with the tests' parts in the same place.
    steps.step("building the server", |_| up::build_server(project))?;
    let mut command = Cmd::new(figures)
        .env("SNOWGLOBE_SERVER", project.server(true))
        .env("SNOWGLOBE_SITE", project.site())
        .env("SNOWGLOBE_TEST_IMAGE_FLAKE", flake)
        .env("NIX_CONFIG", nix::config(true));
    if !options.only.is_empty() {
        command = command.arg("--only").args(&options.only);
    }
    let status = sandbox::wrap("bench", &command)?.on_terminal()?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// Compiles the bench and returns its program, as cargo names it.
fn build_figures(project: &Project) -> Result<PathBuf> {
    let build = project.cargo().args(["bench", "--no-run", "--package", "snowglobe", "--bench", "figures"]);
    let messages = build.arg("--message-format=json-render-diagnostics").capture()?;
    let program =
        messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find_map(|message| {
            let is_ours = message.pointer("/target/name").and_then(Value::as_str) == Some("figures");
            let program = message.get("executable").and_then(Value::as_str).filter(|_| is_ours)?;
            Some(PathBuf::from(program))
        });
    program.context("cargo built the figures but did not report where they are")
}
