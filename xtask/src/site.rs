//! Everything the server sends as it is: `target/site`.
//!
//! ```text
//! pkg/frontend.js, pkg/frontend_bg.wasm, pkg/snippets/…   the islands
//! pkg/snowglobe.css                                       style/main.css and what it imports
//! pkg/xterm.js, addon-fit.js, addon-search.js, xterm.css  the terminal, loaded by the console page only
//! *                                                       style/public as it is
//! manifest.json                                           { "files": { "pkg/frontend.js": "1f0c…", … } }
//! ```
//!
//! Beside each file that compresses lie `.br` and `.gz`. The hashes of the manifest (the first 16 digits of each
//! file's SHA-256) let a page name `pkg/frontend.js?v=1f0c…`, which a browser may then keep for ever.
//! Called by `up`, `build`, `wasm` and the tests.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::css;
use crate::node;
use crate::progress::Line;
use crate::project::{Project, short_hash};
use crate::sh::{Cmd, Log};
use crate::wasm::{self, remove_dir};

/// What the terminal is made of: the file inside `node_modules`, and its name in the site.
const TERMINAL: [(&str, &str); 4] = [
    ("@xterm/xterm/lib/xterm.mjs", "pkg/xterm.js"),
    ("@xterm/xterm/css/xterm.css", "pkg/xterm.css"),
    ("@xterm/addon-fit/lib/addon-fit.mjs", "pkg/addon-fit.js"),
    ("@xterm/addon-search/lib/addon-search.mjs", "pkg/addon-search.js"),
];

/// Kinds of files that get smaller; pictures and fonts do not.
const COMPRESSES: [&str; 7] = ["css", "html", "js", "json", "svg", "txt", "wasm"];

/// Below this, in bytes, compression saves no packet.
const WORTH_COMPRESSING: usize = 512;

const MANIFEST: &str = "manifest.json";

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
    let meta = fs::metadata(&file).with_context(|| format!("{} is not there", file.display()))?;
    Ok(meta.len())
}

fn assemble(project: &Project, log: &Log, pkg: &Path, modules: &Path) -> Result<()> {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    collect(pkg, "pkg", &mut files)?;
    let public = project.root.join("style/public");
    if public.is_dir() {
        collect(&public, "", &mut files)?;
    }
    for (from, to) in TERMINAL {
        files.insert(to.to_owned(), read(&modules.join(from))?);
    }
    files.insert(
        "pkg/snowglobe.css".to_owned(),
        css::bundle(&project.root.join("style/main.css"))?.into_bytes(),
    );
    let hashes: BTreeMap<&String, String> =
        files.iter().map(|(name, bytes)| (name, short_hash(bytes, 16))).collect();
    let manifest = serde_json::to_vec_pretty(&serde_json::json!({ "files": hashes }))?;

    let site = project.site();
    if fs::read(site.join(MANIFEST)).is_ok_and(|old| old == manifest) {
        return Ok(());
    }
    // Whole or not at all: a server that is running keeps the old files open until the new ones stand.
    let draft = project.target.join("site.draft");
    remove_dir(&draft)?;
    for (name, bytes) in &files {
        write(log, &draft.join(name), bytes)?;
    }
    fs::write(draft.join(MANIFEST), manifest)?;
    remove_dir(&site)?;
    fs::rename(&draft, &site).with_context(|| format!("{} cannot be put in place", site.display()))
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

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("{} cannot be read", file.display()))
}

/// Writes one file and, where it pays, its two compressed forms.
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
