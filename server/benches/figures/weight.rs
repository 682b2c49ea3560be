//! What a first visit costs in bytes, as they are sent to a browser that takes brotli, and which pages load the terminal.
//!
//! A page's files are found as a browser finds them: what the page names, and what the scripts among that import in turn.

use crate::person::Person;
use crate::report::{Figure, Samples, Target, Unit};
use anyhow::{Result, ensure};
use std::collections::{BTreeMap, BTreeSet};

/// What browsers send over TLS; over plain HTTP they leave brotli out.
const ENCODINGS: (&str, &str) = ("accept-encoding", "gzip, deflate, br");
/// The targets, in bytes.
const FIRST_PAGE: f64 = 60e3;
const WASM: f64 = 200e3;
/// How a script loads another file, in the quotes that scripts use.
const IMPORTS: [&str; 8] =
    ["from \"", "from '", "import \"", "import(\"", "import(`", "new URL(\"", "new URL('", "new URL(`"];
/// What only a console may load.
const TERMINAL: &str = "xterm";

/// A page with everything that it loads.
struct Loaded {
    page: usize,
    /// Bytes sent, by path.
    files: BTreeMap<String, usize>,
}

impl Loaded {
    fn sum(&self, is_counted: impl Fn(&str) -> bool) -> f64 {
        self.files.iter().filter(|(path, _)| is_counted(path)).map(|(_, size)| *size as f64).sum()
    }
}

fn is_wasm(path: &str) -> bool {
    path.ends_with(".wasm")
}

/// Checks every page.
///
/// # Errors
/// If a page or a file of one cannot be loaded, or the console does not load the terminal.
pub async fn figures(person: &mut Person) -> Result<Vec<Figure>> {
    let mut stranger = person.stranger().await?;
    let login = load(&mut stranger, app::routes::LOGIN).await?;
    let list = load(person, app::routes::MACHINES).await?;
    let mut figures = Vec::new();
    for (name, loaded) in
        [("weight: first page (login), no wasm", &login), ("weight: list of 100 rows, no wasm", &list)]
    {
        let bytes = loaded.page as f64 + loaded.sum(|path| !is_wasm(path));
        figures.push(Figure::new(name, Unit::Bytes, Samples::one(bytes)).target(Target::AtMost(FIRST_PAGE)));
    }
    let wasm = list.sum(is_wasm);
    ensure!(wasm > 0.0, "the list loads no wasm: {:?}", list.files.keys());
    figures.push(Figure::new("weight: wasm", Unit::Bytes, Samples::one(wasm)).target(Target::AtMost(WASM)));
    let others = pages_with_terminal(person).await?;
    figures.push(
        Figure::new("weight: other pages that load xterm.js", Unit::Count("pages"), Samples::one(others))
            .target(Target::AtMost(0.0)),
    );
    Ok(figures)
}

/// How many pages load the terminal that are not a console.
async fn pages_with_terminal(person: &mut Person) -> Result<f64> {
    let mut others = 0.0;
    let mut consoles = 0;
    for pattern in app::routes::PAGES {
        let path = pattern.replace("{name}", "machine-00000").replace("{id}", &uuid::Uuid::nil().to_string());
        let loaded = load(person, &path).await?;
        let has_terminal = loaded.files.keys().any(|file| file.contains(TERMINAL));
        match (path.ends_with("/console"), has_terminal) {
            (true, true) => consoles += 1,
            (false, true) => others += 1.0,
            (_, false) => {}
        }
    }
    // Otherwise the terminal would not be recognised on the other pages either.
    ensure!(consoles == 1, "the console's page does not load the terminal");
    Ok(others)
}

async fn load(person: &mut Person, path: &str) -> Result<Loaded> {
    // The “not found” page is a page too.
    let sent = person.get(path, &[ENCODINGS]).await?.body.len();
    let text = person.get(path, &[]).await?.text();
    let has_islands = text.contains("<leptos-island");
    let mut found: BTreeSet<String> = named(&text, &["href=\"", "src=\""]).filter(|p| is_file(p)).collect();
    let mut files = BTreeMap::new();
    while let Some(file) = found.pop_first() {
        if files.contains_key(without_query(&file)) {
            continue;
        }
        let reply = person.get(&file, &[ENCODINGS]).await?.expect(200, &file)?;
        files.insert(without_query(&file).to_owned(), reply.body.len());
        if without_query(&file).ends_with(".js") {
            let script = person.get(&file, &[]).await?.text();
            // page.js loads the islands' code only where there are islands.
            let imported = imports(&script).filter(|p| has_islands || !p.contains("frontend"));
            found.extend(imported.map(|name| beside(&file, &name)));
        }
    }
    Ok(Loaded { page: sent, files })
}

/// Whether an address is a file of the site and not a page.
fn is_file(path: &str) -> bool {
    path.starts_with("/pkg/") || without_query(path).ends_with(".svg")
}

/// Files that a script loads from beside itself: modules, style sheets, wasm.
fn imports(script: &str) -> impl Iterator<Item = String> + '_ {
    let names = named(script, &IMPORTS);
    // What follows `${` is the version, which does not change the file.
    let names = names.map(|name| name.split("${").next().unwrap_or_default().to_owned());
    names
        .filter(|name| [".js", ".css", ".wasm"].iter().any(|end| name.ends_with(end)) && !name.contains("//"))
}

/// The text between a mark and the next quote.
fn named<'a>(text: &'a str, marks: &'a [&str]) -> impl Iterator<Item = String> + 'a {
    marks.iter().flat_map(move |mark| {
        text.split(mark)
            .skip(1)
            .map(|rest| rest.split(['"', '\'', '`']).next().unwrap_or_default().replace("&amp;", "&"))
    })
}

fn beside(file: &str, name: &str) -> String {
    let folder = without_query(file).rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("{folder}/{}", name.trim_start_matches("./"))
}

fn without_query(path: &str) -> &str {
    path.split('?').next().unwrap_or(path)
}
