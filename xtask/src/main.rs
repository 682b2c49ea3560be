//! Developer commands, `cargo xtask VERB`: the one entry for people and for CI.
//!
//! `up` and `test` do everything on a fresh computer; the other verbs are parts of them.
//!
//! ```text
//! up ──────┬─ system (apt)       what must be installed        test ─┬─ arrows, style_rules
//!          ├─ site               node, css, wasm (toolchain)         ├─ test/parts, test/summary
//!          ├─ libvirt, kvm                                          └─ sandbox (a libvirt of its own)
//!          └─ nix                where images come from
//! sh runs every child process; project knows where things are; progress prints.
//! ```

mod apt;
mod arrows;
mod bench;
mod css;
mod distribution;
mod doctor;
mod groups;
mod kvm;
mod libvirt;
mod modules;
mod nix;
mod node;
#[cfg(test)]
mod programs;
mod progress;
mod project;
mod sandbox;
mod sh;
mod site;
mod sqlx;
mod style_rules;
mod system;
mod test;
mod toolchain;
mod tools;
mod up;
mod wasm;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use progress::Steps;
use project::Project;

/// Developer commands of Snowglobe.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    after_help = "`up` and `test` need nothing but rustup, git and a package manager; start with `up`."
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Installs what is missing, builds everything, and runs the portal.
    Up(up::Options),
    /// Runs all the tests.
    Test(test::Options),
    /// Measures the portal, each figure beside its reference in the same run.
    Bench(bench::Options),
    /// Builds the site (wasm, styles, terminal) and the optimised server.
    Build,
    /// Builds the site only: target/site.
    Wasm,
    /// Writes .sqlx: the database's description of every query.
    Sqlx,
    /// Shows what is missing on this computer, and how to get it.
    Doctor,
    /// Runs a command with a libvirt and a network of its own.
    Sandbox {
        /// The command and its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<OsString>,
    },
    /// The first process inside a sandbox.
    #[command(hide = true)]
    SandboxInit {
        /// What to call its log.
        #[arg(long)]
        log_name: String,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().verb) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> Result<u8> {
    let project = Project::find()?;
    match verb {
        Verb::Up(options) => up::run(&project, &options)?,
        Verb::Test(options) => test::run(&project, &options)?,
        Verb::Bench(options) => return bench::run(&project, &options),
        Verb::Build => {
            let mut steps = Steps::new(2);
            steps.step("building the browser's part", |line| site::build(&project, line))?;
            steps.step("building the server", |_| up::build_server(&project))?;
        }
        Verb::Wasm => {
            Steps::new(1).step("building the browser's part", |line| site::build(&project, line))?
        }
        Verb::Sqlx => Steps::new(1).step("asking a scratch database about every query", |_| {
            sqlx::run(&project, &project.log("sqlx")?, sqlx::Task::Write)
        })?,
        Verb::Doctor => doctor::run(&project)?,
        Verb::Sandbox { command } => return sandbox::run(&command),
        Verb::SandboxInit { log_name, command } => return sandbox::init(&project, &log_name, &command),
    }
    Ok(0)
}
