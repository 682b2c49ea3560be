//! The figures of the portal, each beside its reference in the same run: `cargo xtask bench`.
//!
//! ```text
//! start    image built → domain running                 bare     the same by bare tools and by guestfish
//! list     pages of many machines, memory               fleet    a portal with thousands of machines
//! weight   bytes of a first visit                       tiny     a portal with real machines
//! console  guest → sockets      log   build → sockets   inside   a portal in this process
//! echo     key → guest → key                            person, http   a browser; process  the release server
//! clone    a disk copied, beside cp
//! live     a change by virsh → browser                  report   one line per figure
//! ```
//!
//! Times are reported and never fail the run; failures do. Needs libvirt, the release server and the site, which
//! xtask prepares and names in the environment.

mod bare;
mod clone;
mod console;
mod echo;
mod fleet;
mod http;
mod inside;
mod list;
mod live;
mod log;
mod person;
mod process;
mod report;
mod start;
mod tiny;
mod weight;

use anyhow::{Context as _, Result, bail};
use report::{Figure, summary};
use std::process::ExitCode;

/// The groups, in the order in which they run.
const GROUPS: [&str; 7] = ["start", "live", "list", "console", "echo", "log", "clone"];

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = runtime.context("the asynchronous runtime cannot be started").and_then(|runtime| {
        let outcome = runtime.block_on(run());
        // A read of a terminal that never answers must not keep the program.
        runtime.shutdown_background();
        outcome
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let mut figures: Vec<Figure> = Vec::new();
    let mut broken = Vec::new();
    for group in chosen()? {
        eprintln!("measuring {group} …");
        match measure(group).await {
            Ok(measured) => {
                measured.iter().for_each(|figure| println!("{}", figure.line()));
                figures.extend(measured);
            }
            Err(error) => {
                println!("{group}: could not be measured: {error:#}");
                broken.push(group);
            }
        }
    }
    println!("{}", summary(&figures));
    if broken.is_empty() { Ok(()) } else { bail!("could not be measured: {}", broken.join(", ")) }
}

async fn measure(group: &str) -> Result<Vec<Figure>> {
    match group {
        "start" => start::run().await,
        "live" => live::run().await,
        "list" => list::run().await,
        "console" => console::run().await,
        "clone" => clone::run().await,
        "echo" => echo::run().await,
        "log" => log::run().await,
        other => bail!("there is no group {other}"),
    }
}

/// The groups named after `--only`, or all. Other arguments are cargo's.
fn chosen() -> Result<Vec<&'static str>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let names: Vec<&str> =
        arguments.iter().skip_while(|a| *a != "--only").skip(1).map(String::as_str).collect();
    if let Some(unknown) = names.iter().find(|name| !GROUPS.contains(name)) {
        bail!("there is no group {unknown}; there are {}", GROUPS.join(", "));
    }
    Ok(GROUPS.into_iter().filter(|group| names.is_empty() || names.contains(group)).collect())
}
