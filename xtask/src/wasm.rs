//! The browser's part: compiled, given its JavaScript, shrunk.
//!
//! `cargo build` → `wasm-glue` (xtask/bindgen) → `wasm-opt`. The last two are skipped when what cargo wrote is
//! what it wrote last time. Called by `site.rs`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::node;
use crate::progress::Line;
use crate::project::{Project, remove_dir, short_hash};
use crate::sh::{Cmd, Log};
use crate::toolchain::{TARGET, Toolchain};

/// The package that is compiled for browsers, and so the name of its files.
pub const PACKAGE: &str = "frontend";

const PROFILE: &str = "wasm-release";

/// Builds the wasm and returns the directory with it and its JavaScript.
pub fn build(project: &Project, log: &Log, line: &Line) -> Result<PathBuf> {
    let toolchain = Toolchain::find(project, log, line)?;
    let cargo = toolchain.cargo_build(project).args(["--package", PACKAGE, "--profile", PROFILE]);
    log.run(&cargo)?;
    let compiled = toolchain.target_dir(project).join(TARGET).join(PROFILE).join(format!("{PACKAGE}.wasm"));
    let bytes = fs::read(&compiled).with_context(|| format!("{} was not written", compiled.display()))?;
    let glue = glue(project, log)?;

    let out = project.target.join("xtask/pkg");
    let stamp = out.join(".made-from");
    let made_from = format!("{} {}", short_hash(&bytes, 64), glue.display());
    if fs::read_to_string(&stamp).is_ok_and(|text| text == made_from) {
        return Ok(out);
    }
    // A directory that is only renamed when complete: an interrupted run leaves nothing that looks finished.
    let draft = project.target.join("xtask/pkg.draft");
    remove_dir(&draft)?;
    fs::create_dir_all(&draft)?;
    log.run(&Cmd::new(&glue).arg(&compiled).arg(&draft))?;
    shrink(project, log, &draft.join(format!("{PACKAGE}_bg.wasm")))?;
    fs::write(draft.join(".made-from"), made_from)?;
    remove_dir(&out)?;
    fs::rename(&draft, &out)?;
    Ok(out)
}

/// The program of xtask/bindgen, built once per version of wasm-bindgen and kept outside the checkout.
fn glue(project: &Project, log: &Log) -> Result<PathBuf> {
    let version = project.locked_version("wasm-bindgen")?;
    let source = fs::read(project.root.join("xtask/bindgen/src/main.rs"))?;
    let home = project.cache.join(format!("tools/wasm-glue-{version}-{}", short_hash(&source, 8)));
    let program = home.join("bin/wasm-glue");
    if program.is_file() {
        return Ok(program);
    }
    let build_dir = home.join("build");
    let build = project
        .cargo()
        .args(["build", "--package", "wasm-glue", "--target-dir"])
        .arg(&build_dir)
        // Half-optimised: compiles in half the time and still takes a second for our wasm.
        .args(["--config", "profile.dev.opt-level=1", "--config", "profile.dev.debug=false"]);
    log.run(&build)?;
    fs::create_dir_all(home.join("bin"))?;
    fs::rename(build_dir.join("debug/wasm-glue"), &program)?;
    remove_dir(&build_dir)?;
    Ok(program)
}

/// What rustc's wasm uses and every browser since 2022 supports.
const WASM_FEATURES: [&str; 6] = [
    "--enable-bulk-memory",
    "--enable-nontrapping-float-to-int",
    "--enable-sign-ext",
    "--enable-mutable-globals",
    "--enable-reference-types",
    "--enable-multivalue",
];

/// Older ones write tables of references that browsers refuse; Debian 12 has 108.
const BINARYEN_MIN: u32 = 116;

/// Makes the wasm file as small as wasm-opt can.
fn shrink(project: &Project, log: &Log, wasm: &Path) -> Result<()> {
    let small = wasm.with_extension("small");
    // The second pass knows which calls have no effect; half a kilobyte less for every first visit.
    let passes = ["-Oz", "--generate-global-effects", "-Oz"];
    log.run(&wasm_opt(project, log)?.args(passes).args(WASM_FEATURES).arg(wasm).arg("-o").arg(&small))?;
    fs::rename(&small, wasm)?;
    Ok(())
}

/// The computer's wasm-opt if it is new enough, else the one from npm, which is slower.
fn wasm_opt(project: &Project, log: &Log) -> Result<Cmd> {
    // `wasm-opt version 108` or `wasm-opt version 120 (version_120)`.
    let said = Cmd::new("wasm-opt").arg("--version").capture().unwrap_or_default();
    let version: Option<u32> = said.split_whitespace().find_map(|word| word.parse().ok());
    if version.is_some_and(|version| version >= BINARYEN_MIN) {
        return Ok(Cmd::new("wasm-opt"));
    }
    Ok(Cmd::new("node").arg(node::install(project, log)?.join("binaryen/bin/wasm-opt")))
}
