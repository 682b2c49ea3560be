//! The parts of `cargo xtask test`, in the order they run.
//!
//! Adding one is a row in `PARTS` and its function. A part returns the closing lines of its runner, if it has any.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};

use super::part::{Lane, Part, Run, Verdict, part};
use super::summary;
use crate::arrows;
use crate::nix;
use crate::node;
use crate::progress::Line;
use crate::sh::{Cmd, find_program, with_fix};
use crate::site;
use crate::sqlx;
use crate::style_rules;
use crate::system;

/// The largest wasm that may be sent, in bytes, as browsers get it (brotli).
const WASM_LIMIT: u64 = 200_000;

/// Everything, in order.
pub static PARTS: &[Part] = &[
    part(Lane::Host, "fmt", "sources are formatted", fmt),
    part(Lane::Host, "lock", "Cargo.lock matches the manifests", lock),
    part(Lane::Host, "arrows", "packages use only what they may", arrows),
    part(Lane::Host, "style", "lengths, module heads, banned words", style),
    part(Lane::Host, "sqlx", "queries match the migrations' tables", sqlx_check),
    part(Lane::Host, "clippy", "no warning in any package, tests included", clippy),
    part(Lane::Host, "docs", "documentation builds without a warning", docs),
    part(Lane::Host, "build", "tests and the server compile", build),
    part(Lane::Site, "shell", "shellcheck on every script", shell),
    part(Lane::Site, "identity", "the guest's identity scripts", identity),
    part(Lane::Site, "nix", "the flake, its modules and profiles", nix_check),
    part(Lane::Site, "wasm", "the browser's part compiles and stays small", wasm),
    part(Lane::Machines, "unit", "unit and integration tests, real libvirt, QEMU and Nix", unit),
    part(Lane::Machines, "tiny", "the offline image boots and keeps its contract", tiny),
    part(Lane::Machines, "e2e", "the whole story in Chromium", e2e),
];

/// The parts whose output this one uses; selecting it selects them.
pub fn needs(name: &str) -> &'static [&'static str] {
    match name {
        "e2e" => &["build", "wasm"],
        _ => &[],
    }
}

/// What is compiled for the host: all but the part for browsers and the tool that only its build uses.
const HOST: [&str; 5] = ["--workspace", "--exclude", "frontend", "--exclude", "wasm-glue"];

fn passed() -> Result<Verdict> {
    Ok(Verdict::Passed(Vec::new()))
}

fn absent(what: &str) -> Result<Verdict> {
    Ok(Verdict::Skipped(format!("{what} does not exist")))
}

fn fmt(run: &Run<'_>, name: &str) -> Result<Verdict> {
    let fmt = run.cargo().args(["fmt", "--all", "--check", "--", "--color=never"]);
    with_fix(run.log(name)?.run(&fmt), "run `cargo fmt --all`")?;
    passed()
}

fn lock(run: &Run<'_>, name: &str) -> Result<Verdict> {
    let tree = run.cargo().args(["tree", "--locked", "--workspace", "--depth=0"]);
    with_fix(run.log(name)?.run(&tree), "run `cargo check` and commit Cargo.lock")?;
    passed()
}

fn arrows(run: &Run<'_>, _: &str) -> Result<Verdict> {
    arrows::check(run.project)?;
    passed()
}

fn style(run: &Run<'_>, _: &str) -> Result<Verdict> {
    style_rules::check(run.project)?;
    passed()
}

fn sqlx_check(run: &Run<'_>, name: &str) -> Result<Verdict> {
    if sqlx::directory(run.project).is_none() {
        return absent("a directory .sqlx with the queries");
    }
    sqlx::run(run.project, &run.log(name)?, sqlx::Task::Check)?;
    passed()
}

fn clippy(run: &Run<'_>, name: &str) -> Result<Verdict> {
    let clippy = run.cargo().arg("clippy").args(HOST).args(["--all-targets", "--", "-D", "warnings"]);
    run.log(name)?.run(&clippy)?;
    passed()
}

fn docs(run: &Run<'_>, name: &str) -> Result<Verdict> {
    // The flags that .cargo/config.toml gives to rustc do not reach rustdoc.
    let doc = run.cargo().arg("doc").args(HOST).args(["--no-deps", "--document-private-items"]);
    run.log(name)?.run(&doc.env("RUSTDOCFLAGS", "--cfg erase_components -D warnings"))?;
    passed()
}

fn has_nextest(run: &Run<'_>) -> bool {
    run.cargo().args(["nextest", "--version"]).succeeds()
}

fn build(run: &Run<'_>, name: &str) -> Result<Verdict> {
    let log = run.log(name)?;
    log.run(&run.cargo().args(["build", "--package", "snowglobe"]))?;
    if has_nextest(run) {
        log.run(&run.cargo().args(["nextest", "run", "--no-run"]).args(HOST))?;
    } else {
        log.run(&run.cargo().args(["test", "--no-run"]).args(HOST))?;
    }
    passed()
}

/// The tests of every package. Those named `real_…` start machines, one after the other (.config/nextest.toml).
fn unit(run: &Run<'_>, name: &str) -> Result<Verdict> {
    let log = run.log(name)?;
    let server = run.project.server(false);
    // Inside the sandbox there is no network to ask for crates, and no need to: `build` has compiled everything.
    let image = run.flake.as_ref().map(|flake| nix::tiny_image(flake, &log)).transpose()?.unwrap_or_default();
    let cargo = || run.cargo().env("SNOWGLOBE_SERVER", &server).env("SNOWGLOBE_TEST_IMAGE", &image);
    if has_nextest(run) {
        let nextest =
            cargo().args(["nextest", "run", "--offline", "--no-fail-fast"]).args(HOST).args(run.rest);
        let outcome = run.in_sandbox(&log, name, nextest);
        return summary::of_nextest(&log.text(), outcome);
    }
    let test = || cargo().args(["test", "--offline", "--no-fail-fast"]).args(HOST).args(run.rest).arg("--");
    let quick = run.in_sandbox(&log, name, test().args(["--skip", "real_"]));
    let real = run.in_sandbox(&log, name, test().args(["--test-threads=1", "real_"]));
    summary::of_cargo_test(&log.text(), quick.and(real))
}

/// Every shell script that git knows or would add, recognised by its name or its first line.
fn shell(run: &Run<'_>, name: &str) -> Result<Verdict> {
    let list = Cmd::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .dir(&run.project.root);
    let list = list.capture()?;
    let scripts: Vec<&str> = list.lines().filter(|file| is_shell(&run.project.root.join(file))).collect();
    if scripts.is_empty() {
        return absent("a shell script");
    }
    let check = Cmd::new("shellcheck").arg("--external-sources").args(&scripts).dir(&run.project.root);
    run.log(name)?.run(&check)?;
    Ok(Verdict::Passed(vec![format!("{} scripts", scripts.len())]))
}

fn is_shell(file: &Path) -> bool {
    let Ok(text) = fs::read_to_string(file) else { return false };
    let first = text.lines().next().unwrap_or_default();
    let by_name = file.extension().is_some_and(|kind| kind == "sh");
    by_name
        || first.starts_with("#!")
            && ["/sh", "/bash", " sh", " bash", "/dash"].iter().any(|sh| first.ends_with(sh))
}

/// Runs a script of the checkout that ends with `N passed, N failed`.
fn counting(run: &Run<'_>, name: &str, path: &str) -> Result<Verdict> {
    let Some(script) = run.script(path) else { return absent(path) };
    let log = run.log(name)?;
    let outcome = log.run(&Cmd::new(script).dir(&run.project.root).env("NIX_CONFIG", nix::config(true)));
    summary::of_counts(&log.text(), outcome)
}

fn identity(run: &Run<'_>, name: &str) -> Result<Verdict> {
    counting(run, name, "nix/identity/test.sh")
}

fn nix_check(run: &Run<'_>, name: &str) -> Result<Verdict> {
    counting(run, name, "nix/check")
}

fn wasm(run: &Run<'_>, _: &str) -> Result<Verdict> {
    site::build(run.project, &Line::plain())?;
    let file = format!("pkg/{}_bg.wasm", crate::wasm::PACKAGE);
    let size = site::sent_size(run.project, &file)?;
    if size > WASM_LIMIT {
        bail!(
            "{file} takes {size} bytes as brotli, more than the {WASM_LIMIT} a first visit may cost\n  fix: see \
             what grew (`twiggy top target/site/{file}`); code that only the server needs belongs behind feature ssr"
        );
    }
    Ok(Verdict::Passed(vec![format!("{file} takes {size} bytes as brotli, at most {WASM_LIMIT} allowed")]))
}

fn tiny(run: &Run<'_>, name: &str) -> Result<Verdict> {
    let Some(script) = run.script("end2end/tiny-image/check") else {
        return absent("end2end/tiny-image/check");
    };
    let flake = run.flake.as_ref().context("the offline image flake was not prepared")?;
    let log = run.log(name)?;
    let outcome = run.in_sandbox(&log, name, Cmd::new(script).arg(flake).dir(&run.project.root));
    summary::of_counts(&log.text(), outcome)
}

/// A Chromium that can run in a sandbox. Ubuntu's is a snap, which needs the service manager that a sandbox hides.
fn browser() -> Result<PathBuf> {
    let found: Vec<PathBuf> = system::BROWSERS.iter().filter_map(|name| find_program(name)).collect();
    let is_snap = |file: &PathBuf| {
        let starts = fs::read(file).unwrap_or_default();
        // Either a link into /snap, or a script that starts what is there.
        file.canonicalize().is_ok_and(|real| real.starts_with("/snap") || real.ends_with("bin/snap"))
            || starts.starts_with(b"#!") && String::from_utf8_lossy(&starts).contains("/snap/bin/")
    };
    let snaps_only = !found.is_empty();
    found.into_iter().find(|file| !is_snap(file)).ok_or_else(|| match snaps_only {
        true => anyhow!(
            "the only Chromium here is a snap, which cannot run in a sandbox\n  fix: install Google Chrome's package \
             (google-chrome-stable), or a Chromium that is not a snap"
        ),
        false => anyhow!("there is no Chromium\n  fix: install the package chromium"),
    })
}

/// The browser tests start the server themselves, each with a state of its own; they get it by `SNOWGLOBE_SERVER`.
fn e2e(run: &Run<'_>, name: &str) -> Result<Verdict> {
    let dir = run.project.root.join("end2end");
    if !dir.join("tests").is_dir() {
        return absent("end2end/tests");
    }
    let log = run.log(name)?;
    let modules = node::install(run.project, &log)?;
    let browser = browser()?;
    let playwright = Cmd::new("node")
        .arg(modules.join("@playwright/test/cli.js"))
        .arg("test")
        .args(run.rest)
        .dir(&dir)
        .env("SNOWGLOBE_SERVER", run.project.server(false))
        .env("SNOWGLOBE_CHROMIUM", browser);
    let outcome = run.in_sandbox(&log, name, playwright);
    summary::of_playwright(&log.text(), outcome)
}
