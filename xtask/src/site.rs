//! Everything the server sends unchanged: `target/site`.
//!
//! ```text
//! pkg/frontend.js, pkg/frontend_bg.wasm, pkg/snippets/…   the islands
//! pkg/snowglobe.css                                       style/main.css and what it imports
//! pkg/page.js, pkg/terminal.js, …                         app/src/js as it is
//! pkg/xterm.js, pkg/xterm.css, pkg/addon-fit.js           the terminal, loaded by the console page only
//! *                                                       style/public as it is
//! ```
//!
//! Beside each compressible file are `.br` and `.gz`: made once here, at the highest effort, and never by the
//! server. Names contain no hash; the server adds `?v=` with one. Called by `up`, `build`, `wasm` and the tests.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::css;
use crate::node;
use crate::progress::Line;
use crate::project::{Project, remove_dir, short_hash};
use crate::sh::{Cmd, Log};
use crate::wasm;

/// What the terminal is made of: the file inside `node_modules`, and its name in the site.
const TERMINAL: [(&str, &str); 3] = [
    ("@xterm/xterm/lib/xterm.mjs", "pkg/xterm.js"),
    ("@xterm/xterm/css/xterm.css", "pkg/xterm.css"),
    ("@xterm/addon-fit/lib/addon-fit.mjs", "pkg/addon-fit.js"),
];

/// Kinds of files that get smaller; pictures and fonts do not.
const COMPRESSES: [&str; 7] = ["css", "html", "js", "json", "svg", "txt", "wasm"];

/// Below this, in bytes, compression saves no packet.
const WORTH_COMPRESSING: usize = 512;

/// Scripts without a build step of their own.
const SCRIPTS: &str = "app/src/js";

/// Builds the whole site. Quick when nothing changed.
pub fn build(project: &Project, line: &Line) -> Result<()> {
    let log = project.log("site")?;
    let modules = node::install(project, &log)?;
    let pkg = wasm::build(project, &log, line)?;
    assemble(project, &log, &pkg, &modules)
}

/// The size in bytes of a site's file as browsers get it: compressed with brotli.
pub fn sent_size(project: &Project, file: &str) -> Result<u64> {
    let file = project.site().join(format!("{file}.br"));
    let meta = fs::metadata(&file).with_context(|| format!("{} does not exist", file.display()))?;
    Ok(meta.len())
}

fn assemble(project: &Project, log: &Log, pkg: &Path, modules: &Path) -> Result<()> {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    collect(pkg, "pkg", &mut files)?;
    let public = project.root.join("style/public");
    if public.is_dir() {
        collect(&public, "", &mut files)?;
    }
    collect(&project.root.join(SCRIPTS), "pkg", &mut files)?;
    for (from, to) in TERMINAL {
        files.insert(to.to_owned(), without_source_map(read(&modules.join(from))?));
    }
    files.insert(
        "pkg/snowglobe.css".to_owned(),
        css::bundle(&project.root.join("style/main.css"))?.into_bytes(),
    );
    let made_from: String =
        files.iter().map(|(name, bytes)| format!("{} {name}\n", short_hash(bytes, 64))).collect();
    let site = project.site();
    let stamp = project.target.join("xtask/site.made-from");
    if site.is_dir() && fs::read_to_string(&stamp).is_ok_and(|old| old == made_from) {
        return Ok(());
    }
    // All or nothing: a running server keeps the old files open until the new ones are complete.
    let draft = project.target.join("site.draft");
    remove_dir(&draft)?;
    for (name, bytes) in &files {
        write(log, &draft.join(name), bytes)?;
    }
    remove_dir(&site)?;
    fs::rename(&draft, &site).with_context(|| format!("{} cannot be put in place", site.display()))?;
    fs::write(&stamp, made_from).with_context(|| format!("{} cannot be written", stamp.display()))
}

/// Reads a tree of files under their names in the site. Hidden files are our own notes.
fn collect(dir: &Path, prefix: &str, files: &mut BTreeMap<String, Vec<u8>>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("{} cannot be read", dir.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let name = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        if path.is_dir() {
            collect(&path, &name, files)?;
        } else {
            files.insert(name, read(&path)?);
        }
    }
    Ok(())
}

/// Without the last line, which names a file for debuggers that the site does not have.
fn without_source_map(mut script: Vec<u8>) -> Vec<u8> {
    const MARK: &[u8] = b"//# sourceMappingURL=";
    if let Some(at) = script.windows(MARK.len()).rposition(|window| window == MARK) {
        script.truncate(at);
    }
    script
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("{} cannot be read", file.display()))
}

/// Writes one file and, if worthwhile, its two compressed forms.
fn write(log: &Log, file: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(dir) = file.parent() {
        fs::create_dir_all(dir)?;
    }
    fs::write(file, bytes).with_context(|| format!("{} cannot be written", file.display()))?;
    let kind = file.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
    if bytes.len() >= WORTH_COMPRESSING && COMPRESSES.contains(&kind) {
        log.run(&Cmd::new("brotli").args(["--quality=11", "--keep", "--force"]).arg(file))?;
        // Without the name and time in its head, the same file always gives the same bytes.
        log.run(&Cmd::new("gzip").args(["-9", "--keep", "--force", "--no-name"]).arg(file))?;
    }
    Ok(())
}
