//! The modules inside a package: no cycle of files, and in `engine` only the arrows of its table.
//!
//! Files in a cycle can only be understood, tested or moved all together. What counts is what a file names of another
//! one, followed through re-exports to the file that defines it (`source.rs` reads, `resolve.rs` follows). Called by
//! `arrows.rs`.

mod graph;
mod resolve;
mod source;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use source::Crate;

/// Packages that still have cycles, and how many of their files are in one. These numbers may only fall.
const NOT_YET_CLEAN: [(&str, usize); 0] = [];

/// Which modules of a package may use which. A row is a file or a directory below `src`, without `.rs`, and covers what
/// lies in it; the longest one that fits counts. The lowest floor comes first: a row names only rows above it.
type Table = &'static [(&'static str, &'static [&'static str])];

/// The packages that have a table.
const TABLES: [(&str, Table); 1] = [("engine", ENGINE)];

#[rustfmt::skip]
const ENGINE: Table = &[
    // Vocabulary and small tools.
    ("sync", &[]),
    ("text", &[]),
    ("probe", &[]),
    ("backoff", &[]),
    ("slots", &["sync"]),
    ("settings", &["backoff"]),
    ("key", &[]),
    ("job/step", &[]),
    ("counts", &["sync"]),
    ("console", &["sync", "backoff"]),
    ("auth", &["sync", "key", "settings"]),
    ("error", &["auth"]),
    ("image", &["sync", "text", "error"]),
    ("cx", &["error"]),
    ("builds", &["sync", "slots", "counts"]),
    // What is kept, and what the handles below are made of.
    ("db", &["text", "key", "job/step", "error"]),
    ("hosts", &["sync", "error", "db"]),
    ("machine", &["sync", "error", "db", "hosts"]),
    ("job/log", &["sync", "text"]),
    ("job/lease", &["sync"]),
    ("job/live", &["sync", "job/log", "job/lease"]),
    ("audit", &["sync", "text", "settings", "key", "counts", "auth", "error", "cx", "db"]),
    // The handles that everything below takes.
    ("core", &["sync", "slots", "probe", "settings", "counts", "console", "auth", "error", "image", "cx", "builds", "db", "audit", "hosts", "machine", "job/live"]),
    // Who may do what.
    ("authorize", &["error", "cx", "db", "machine", "core"]),
    ("auth/sessions", &["auth", "error", "cx", "db", "core"]),
    ("auth/login", &["auth", "error", "cx", "db", "core", "auth/sessions"]),
    // What looks after machines, and what changes them.
    ("retention", &["console", "error", "db", "core"]),
    ("roots", &["error", "db", "core"]),
    ("machine/adopt", &["error", "db", "machine", "core"]),
    ("watch", &["error", "db", "audit", "hosts", "machine", "core", "retention", "roots", "machine/adopt"]),
    ("machine/facts", &["error", "db", "hosts", "machine", "core"]),
    ("steps", &["text", "job/step", "error", "builds", "db", "machine", "job/log", "job/lease", "core", "roots", "watch", "machine/facts", "machine/adopt"]),
    ("ops", &["job/step", "machine/facts", "steps"]),
    ("job", &["slots", "job/step", "error", "cx", "probe", "db", "job/log", "job/lease", "job/live", "core", "authorize", "machine/facts", "ops", "steps"]),
    // The whole of it.
    ("metrics", &["sync", "core"]),
    ("engine", &["sync", "probe", "settings", "auth", "error", "hosts", "core", "auth/login", "job", "watch", "metrics"]),
    // The door.
    ("live", &["console", "auth", "error", "cx", "db", "machine", "core", "authorize", "job", "engine"]),
    ("portal", &["auth", "error", "cx", "db", "hosts", "core", "authorize", "auth/sessions", "auth/login", "machine/facts", "ops", "job", "watch", "engine", "live"]),
];

/// Checks the crates of `package`, whose roots are these files. Returns the violations.
///
/// # Errors
/// When a file cannot be read as Rust.
pub fn faults(package: &str, roots: &[&Path]) -> Result<Vec<String>> {
    let crates = roots.iter().map(|root| read(root)).collect::<Result<Vec<_>>>();
    let crates = crates.with_context(|| format!("the modules of {package} cannot be read"))?;
    let known = NOT_YET_CLEAN.iter().find(|(name, _)| *name == package).map_or(0, |(_, files)| *files);
    let mut faults = cycles(package, &crates, known);
    if let Some((_, table)) = TABLES.iter().find(|(name, _)| *name == package) {
        faults.extend(crates.iter().flat_map(|found| against(table, package, found)));
    }
    Ok(faults)
}

fn read(root: &Path) -> Result<Crate> {
    let dir = root.parent().context("a crate's root is in a directory")?;
    let name = root.file_name().context("a crate's root is a file")?.to_string_lossy();
    Crate::read(&name, &|file| fs::read_to_string(dir.join(file)).ok())
}

/// Cycles of files, each by its shortest one, where more than `known` files of the package are in one.
fn cycles(package: &str, crates: &[Crate], known: usize) -> Vec<String> {
    let mut files = 0;
    let mut faults = Vec::new();
    for found in crates {
        let edges = found.edges();
        for group in graph::cycles(&edges) {
            let shortest = graph::shortest_cycle(&group, &edges);
            let names: Vec<&str> =
                shortest.iter().chain(shortest.first()).map(|file| found.name(*file)).collect();
            let (count, shortest) = (group.len(), names.join(" → "));
            faults.push(format!(
                "{package}: {count} files use each other in a cycle; the shortest: {shortest}"
            ));
            files += count;
        }
    }
    match files {
        0 if known > 0 => {
            vec![format!("{package} no longer has a cycle of files: remove it from the list NOT_YET_CLEAN")]
        }
        files if files <= known => Vec::new(),
        _ => faults,
    }
}

/// The edges that a table does not allow.
fn against(table: Table, package: &str, found: &Crate) -> Vec<String> {
    let mut faults = Vec::new();
    for (from, to) in found.edges() {
        let (from, to) = (found.name(from), found.name(to));
        match (row(table, from), row(table, to)) {
            (Some((from_row, may)), Some((to_row, _))) if from_row == to_row || may.contains(to_row) => {}
            (Some((from_row, _)), Some((to_row, _))) => {
                faults.push(format!("{package}: {from} uses {to}, and {from_row} may not use {to_row}"));
            }
            (from_row, _) => {
                let without = if from_row.is_none() { from } else { to };
                faults.push(format!("{package}: {without} has no row in the table"));
            }
        }
    }
    faults.sort();
    faults.dedup();
    faults
}

/// The longest row that covers a file.
fn row(table: Table, file: &str) -> Option<&'static (&'static str, &'static [&'static str])> {
    let module = file.trim_end_matches(".rs").trim_end_matches("/mod");
    let covers =
        |name: &str| module.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    table.iter().filter(|(name, _)| covers(name)).max_by_key(|(name, _)| name.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A crate of files given as pairs of name and text; the first is its root.
    fn crate_of(files: &[(&str, &str)]) -> Crate {
        let read = |wanted: &str| {
            let file = files.iter().find(|(name, _)| *name == wanted)?;
            Some(file.1.to_owned())
        };
        Crate::read(files[0].0, &read).unwrap()
    }

    /// The edges as text, `from → to`.
    fn edges_of(files: &[(&str, &str)]) -> Vec<String> {
        let found = crate_of(files);
        let name = |(from, to)| format!("{} → {}", found.name(from), found.name(to));
        let mut edges: Vec<String> = found.edges().into_iter().map(name).collect();
        edges.sort();
        edges
    }

    fn cycles_of(files: &[(&str, &str)], known: usize) -> Vec<String> {
        cycles("p", &[crate_of(files)], known)
    }

    const CYCLE: [(&str, &str); 4] = [
        ("lib.rs", "mod a; mod b; mod c;"),
        ("a.rs", "pub fn a() { crate::b::b() }"),
        ("b/mod.rs", "use crate::c; pub fn b() { c::c() }"),
        ("c.rs", "pub fn c() { format!(\"{}\", super::a::a()); }"),
    ];

    #[test]
    fn every_way_to_name_another_file_is_seen() {
        let files = [
            ("lib.rs", "mod a; mod b; mod inner { pub mod deep; }"),
            ("a.rs", "use super::b::{self, Two as Three}; struct One(crate::inner::deep::Deep);"),
            ("b.rs", "pub struct Two; impl Two { fn f() { vec![super::inner::deep::make()]; } }"),
            ("inner/deep.rs", "pub struct Deep; pub fn make() {}"),
        ];
        assert_eq!(edges_of(&files), ["a.rs → b.rs", "a.rs → inner/deep.rs", "b.rs → inner/deep.rs"]);
    }

    #[test]
    fn a_reexported_name_leads_to_the_file_that_defines_it() {
        let files = [
            ("lib.rs", "mod door; mod user; pub use door::Thing;"),
            ("door/mod.rs", "mod thing; mod other; pub use thing::*; pub use self::other::Other;"),
            ("door/thing.rs", "pub struct Thing; newtype!(Made);"),
            ("door/other.rs", "use super::Thing; pub struct Other(Thing);"),
            ("user.rs", "use crate::Thing; fn f() -> crate::door::Other { Thing }"),
        ];
        assert_eq!(
            edges_of(&files),
            ["door/other.rs → door/thing.rs", "user.rs → door/other.rs", "user.rs → door/thing.rs"]
        );
        assert_eq!(cycles_of(&files, 0), Vec::<String>::new());
    }

    #[test]
    fn other_crates_and_what_only_tests_see_do_not_count() {
        let files = [
            ("lib.rs", "mod a; mod b; #[cfg(any(test, feature = \"testing\"))] pub mod testing;"),
            (
                "a.rs",
                "use std::fmt; use model::b::X; pub(super) fn f() { #[cfg(test)] crate::b::g(); }
                 struct S { #[cfg(test)] x: super::b::B } #[cfg(test)] mod tests { use super::super::b; }
                 impl S { #[cfg(test)] fn g() { crate::b::g() } }",
            ),
            ("b.rs", "#[cfg(not(test))] use crate::a::f; pub struct B;"),
        ];
        assert_eq!(edges_of(&files), ["b.rs → a.rs"]);
    }

    #[test]
    fn a_child_that_uses_its_parent_is_in_a_cycle_with_it_only_if_that_uses_the_child() {
        let child = ("a/child.rs", "use super::Parent; pub fn f(_: Parent) {}");
        let names =
            [("lib.rs", "mod a;"), ("a.rs", "mod child; pub use child::f; pub struct Parent;"), child];
        assert_eq!(cycles_of(&names, 0), Vec::<String>::new());
        let calls = [
            ("lib.rs", "mod a;"),
            ("a.rs", "mod child; pub struct Parent; fn g() { child::f(Parent) }"),
            child,
        ];
        assert_eq!(cycles_of(&calls, 0).len(), 1);
    }

    #[test]
    fn a_cycle_is_named_by_its_shortest_way_round() {
        assert_eq!(
            cycles_of(&CYCLE, 0),
            ["p: 3 files use each other in a cycle; the shortest: a.rs → b/mod.rs → c.rs → a.rs"]
        );
    }

    #[test]
    fn known_cycles_may_not_grow_and_leave_the_list_once_they_are_gone() {
        assert_eq!(cycles_of(&CYCLE, 3), Vec::<String>::new());
        assert_eq!(cycles_of(&CYCLE, 2).len(), 1);
        let gone = cycles_of(&[("lib.rs", "")], 2);
        assert!(gone[0].contains("remove it from the list"), "{gone:?}");
    }

    #[test]
    fn the_table_allows_what_it_names_and_covers_every_file() {
        const TABLE: Table = &[("b", &[]), ("b/inner", &["b"]), ("a", &["b"])];
        let found = crate_of(&[
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "use crate::b::B; use crate::b::inner::I; use crate::c::C;"),
            ("b.rs", "pub mod inner; pub struct B;"),
            ("b/inner.rs", "pub struct I(super::B);"),
            ("c.rs", "pub struct C;"),
        ]);
        assert_eq!(
            against(TABLE, "p", &found),
            ["p: a.rs uses b/inner.rs, and a may not use b/inner", "p: c.rs has no row in the table"]
        );
    }

    #[test]
    fn the_tables_go_from_the_lowest_floor_up() {
        for (package, table) in TABLES {
            for (index, (name, may)) in table.iter().enumerate() {
                let lower: Vec<&str> = table[..index].iter().map(|(name, _)| *name).collect();
                let higher = may.iter().find(|used| !lower.contains(*used));
                assert_eq!(higher, None, "{package}: {name} uses a row that is not above it");
            }
        }
    }
}
