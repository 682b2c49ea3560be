//! `cargo xtask test`: everything that must hold before a change is merged; `.ci/run` calls exactly this.
//!
//! Two lanes run side by side, as wasm has its own compiler and target directory: the host's checks and compilations,
//! and the site with the scripts' checks. What boots machines runs after both, alone, so that no other load can make a
//! guest late. A part that fails hides no other.
//!
//! What a part is stands in `test/part.rs`, the parts are in `test/parts.rs`; the reading of the runners' closing lines is in `test/summary.rs`.

mod part;
mod parts;
mod summary;

use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::nix;
use crate::progress::Steps;
use crate::project::Project;
use crate::sh::{self, Cmd};
use crate::system::{self, For};
use part::{Lane, Part, Run, Verdict};
use parts::PARTS;

/// Options of `test`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Run only these parts and what they need; `--list` names them.
    #[arg(long, value_name = "PART", num_args = 1.., value_delimiter = ',')]
    only: Vec<String>,
    /// Name the parts and what each is.
    #[arg(long)]
    list: bool,
    /// Passed on to the runner of the part, such as the name of a test: `--only unit -- NAME`.
    #[arg(last = true, value_name = "ARGUMENT")]
    rest: Vec<String>,
}

/// How one part ended.
struct Outcome {
    part: &'static Part,
    verdict: Result<Verdict>,
}

/// Runs the parts and prints their results. An error when one failed.
pub fn run(project: &Project, options: &Options) -> Result<()> {
    if options.list {
        PARTS.iter().for_each(|part| println!("{:10} {}", part.name, part.what));
        return Ok(());
    }
    if let Some(unknown) =
        options.only.iter().find(|name| PARTS.iter().all(|part| part.name != name.as_str()))
    {
        bail!("there is no part called {unknown}\n  fix: `cargo xtask test --list` names them");
    }
    system::enter_dev_shell(project)?;
    let is_asked_for = |part: &Part| {
        options.only.iter().any(|name| name == part.name || parts::needs(name).contains(&part.name))
    };
    let chosen: Vec<&'static Part> =
        PARTS.iter().filter(|part| options.only.is_empty() || is_asked_for(part)).collect();
    let flake = prepare(project, chosen.iter().any(|part| part.lane == Lane::Machines))?;
    let run = Run { project, flake, rest: &options.rest };
    let outcomes = run_all(&run, &chosen);
    report(&outcomes)
}

/// Installs what the tests need and puts the offline image flake together.
fn prepare(project: &Project, machines: bool) -> Result<Option<std::path::PathBuf>> {
    let mut steps = Steps::new(if machines { 3 } else { 2 });
    steps.step("installing what is missing", |line| {
        system::install(project, &[For::Portal, For::Tests], line)?;
        components(project)
    })?;
    // The machines' sandbox reaches no registry.
    steps.step("fetching the crates", |_| {
        project.log("fetch")?.run(&project.cargo().args(["fetch", "--locked"]))
    })?;
    if !machines {
        return Ok(None);
    }
    let flake = steps
        .step("preparing the offline image", |_| nix::prepare_tiny(project, &project.log("tiny-image")?))?;
    Ok(Some(flake))
}

/// rustup's minimal installation has neither.
fn components(project: &Project) -> Result<()> {
    let there = |tool: &str| project.cargo().args([tool, "--version"]).succeeds();
    if there("fmt") && there("clippy") {
        return Ok(());
    }
    let add = Cmd::new("rustup").args(["component", "add", "rustfmt", "clippy"]);
    project
        .log("components")?
        .run(&add)
        .context("rustfmt and clippy are needed to check the sources, and rustup could not fetch them")
}

fn run_all(run: &Run<'_>, chosen: &[&'static Part]) -> Vec<Outcome> {
    let outcomes = Mutex::new(Vec::new());
    let started = Instant::now();
    let lane = |lane: Lane| {
        for part in chosen.iter().filter(|part| part.lane == lane) {
            let outcome = run_one(run, part, started);
            // A lane that panicked has poisoned the lock and printed why; the others' results still count.
            outcomes.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(outcome);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| lane(Lane::Host));
        scope.spawn(|| lane(Lane::Site));
    });
    lane(Lane::Machines);
    outcomes.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Runs one part between two lines that say so.
fn run_one(run: &Run<'_>, part: &'static Part, started: Instant) -> Outcome {
    println!("{} {:10} {}", clock(started), part.name, part.what);
    let begun = Instant::now();
    let verdict = (part.run)(run, part.name);
    let took = begun.elapsed().as_secs();
    match &verdict {
        Ok(Verdict::Passed(_)) => println!("{} {:10} passed in {took} s", clock(started), part.name),
        Ok(Verdict::Skipped(why)) => println!("{} {:10} skipped: {why}", clock(started), part.name),
        Err(error) => {
            println!("{} {:10} FAILED after {took} s\n{error:#}", clock(started), part.name);
            run.keep(part.name, error);
        }
    }
    Outcome { part, verdict }
}

/// Minutes and seconds since the start.
fn clock(started: Instant) -> String {
    let seconds = started.elapsed().as_secs();
    format!("[{:2}:{:02}]", seconds / 60, seconds % 60)
}

/// The runners' own closing lines, then the count of the parts that have none, alone on its line.
fn report(outcomes: &[Outcome]) -> Result<()> {
    println!();
    let (mut passed, mut skipped, mut failed) = (0_usize, 0_usize, Vec::new());
    for Outcome { part, verdict } in outcomes {
        match verdict {
            Ok(Verdict::Passed(lines)) => {
                passed += 1;
                lines.iter().for_each(|line| println!("{}: {line}", part.name));
            }
            Ok(Verdict::Skipped(_)) => skipped += 1,
            Err(_) => {
                failed.push(part.name);
                println!(
                    "{} failed; its output is above and in target/{}",
                    part.name,
                    part::log_path(part.name)
                );
            }
        }
    }
    let tail = if skipped > 0 { format!(", {skipped} skipped") } else { String::new() };
    println!("\n{passed} passed, {} failed{tail}", failed.len());
    if failed.is_empty() {
        return Ok(());
    }
    let root = if sh::is_root() { "" } else { " (machines are started in a sandbox, as root)" };
    bail!(
        "failed: {}{root}\n  to look closer: cargo xtask test --only {}",
        failed.join(", "),
        failed.join(",")
    )
}
