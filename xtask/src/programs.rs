//! The programs that our sources start: each must be in the table of needs, or a new machine lacks it.
//!
//! Rust, shell, Python and TypeScript are read, as far as their calls name a program. Whatever runs inside guests, or
//! in the offline image's own builders, brings its own programs.

mod rust;
mod shell;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::project::Project;
use crate::sh::Cmd;
use crate::system;
use shell::Script;

/// Scripts below these run in a guest or in the offline image's builders, which have programs of their own.
const ELSEWHERE: [&str; 3] =
    ["end2end/tiny-image/guest/", "end2end/tiny-image/initrd/", "end2end/tiny-image/steps/"];

/// Functions of Python and TypeScript whose first argument is a program, or a list that begins with one.
const CALLS: [&str; 6] = ["run(", "Popen(", "check_output(", "which(", "execFileSync(", "spawn("];

/// Variables that hold a program's name, by the end of their file's path: the constant that lists the names, or none
/// for something that we built ourselves or were given.
const VARIABLES: [(&str, &str, Option<&str>); 9] = [
    ("figures/process.rs", "program", None),
    ("libvirt/check.rs", "name", Some("TOOLS")),
    ("xtask/src/bench.rs", "figures", None),
    ("xtask/src/nix.rs", "script", None),
    ("xtask/src/sqlx.rs", "tool", None),
    ("xtask/src/sandbox.rs", "daemon", Some("DAEMONS")),
    ("xtask/src/sandbox.rs", "program", None),
    ("test/parts.rs", "script", None),
    ("xtask/src/wasm.rs", "glue", None),
];

/// What the table does not install, and why.
const NOT_INSTALLED: [(&str, &[&str]); 5] = [
    ("the README asks for it", &["cargo", "rustc", "rustup"]),
    (
        "it is the family's own package manager, or it lets a user call that",
        &["apt-cache", "apt-get", "dnf", "dpkg", "dpkg-deb", "pacman", "sudo"],
    ),
    ("it is called only where it already runs", &["journalctl", "systemctl"]),
    ("it is used if installed, and something else if not", &["guestfish", "wasm-opt"]),
    ("a test wants a program that is missing", &["no-such-program-here"]),
];

/// What the table installs for programs that we do not start.
const STARTED_BY_OTHERS: [(&str, &str); 4] = [
    ("busybox", "nix/identity/test.sh, by the name of a shell"),
    ("chromium", "Playwright"),
    ("dnsmasq", "libvirt"),
    ("iptables", "libvirt"),
];

type Files = BTreeMap<String, String>;

/// Programs, with the files that start them.
type Started = BTreeMap<String, BTreeSet<String>>;

/// Every program that these sources start, and the variables with undeclared contents.
fn started(files: &Files) -> (Started, Vec<String>) {
    let mut found = Started::new();
    let unknown = by_rust(files, &mut found);
    by_shell(files, &mut found);
    for (name, text) in files {
        if name.ends_with(".ts") || name.ends_with(".py") || is_script(text, "python3") {
            add(&mut found, name, by_calls(text));
        }
    }
    (found, unknown)
}

fn by_calls(text: &str) -> Vec<String> {
    let arguments = CALLS.iter().flat_map(|call| text.split(call).skip(1));
    let called = arguments.filter_map(|rest| {
        let rest = rest.trim_start().trim_start_matches('[').trim_start().strip_prefix('"')?;
        Some(rest.split_once('"')?.0)
    });
    // A list whose second word is an option is an argv.
    let lists = text.split("= [\"").skip(1).filter_map(|rest| {
        let (program, rest) = rest.split_once('"')?;
        rest.starts_with(", \"-").then_some(program)
    });
    called.chain(lists).map(str::to_owned).collect()
}

fn by_rust(files: &Files, found: &mut Started) -> Vec<String> {
    let rust = files.iter().filter(|(name, _)| name.ends_with(".rs"));
    let read = |text: &str| rust::File::read(text).unwrap();
    let rust: BTreeMap<&String, rust::File> = rust.map(|(name, text)| (name, read(text))).collect();
    let dir = |name: &str| name.rsplit_once('/').map_or("", |(dir, _)| dir).to_owned();
    let mut unknown = Vec::new();
    for (name, file) in &rust {
        let beside = rust.iter().filter(|(other, _)| dir(other) == dir(name)).map(|(_, file)| file);
        add(found, name, rust::File::through_functions(file, &beside.collect::<Vec<_>>()));
        add(found, name, file.programs.iter().cloned());
        for variable in &file.variables {
            match VARIABLES.iter().find(|(end, known, _)| name.ends_with(end) && variable == known) {
                None => unknown.push(format!("{name}: the program in `{variable}`")),
                Some((.., None)) => {}
                Some((.., Some(list))) => add(found, name, file.constants[*list].iter().cloned()),
            }
        }
    }
    unknown
}

fn by_shell(files: &Files, found: &mut Started) {
    let ours = |name: &str| !ELSEWHERE.iter().any(|dir| name.starts_with(dir));
    let shell =
        files.iter().filter(|(name, text)| ours(name) && (name.ends_with(".sh") || is_script(text, "sh")));
    let scripts: Vec<(&String, Script)> = shell.map(|(name, text)| (name, Script::read(text))).collect();
    let functions = scripts.iter().flat_map(|(_, script)| script.functions.iter().cloned()).collect();
    for (name, script) in &scripts {
        add(found, name, script.programs(&functions));
    }
}

/// Whether a text begins by naming this interpreter, such as `bash` for `sh`.
fn is_script(text: &str, interpreter: &str) -> bool {
    let first = text.lines().next().unwrap_or_default();
    first.starts_with("#!") && first.ends_with(interpreter)
}

/// Paths and options are no names that a package manager would know.
fn add(found: &mut Started, file: &str, programs: impl IntoIterator<Item = String>) {
    for program in programs {
        let in_names = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
        if program.chars().all(in_names) && !program.starts_with('-') {
            found.entry(program).or_default().insert(file.to_owned());
        }
    }
}

/// What is started but listed nowhere.
fn undeclared(files: &Files) -> Vec<String> {
    let (found, mut faults) = started(files);
    let declared: Vec<&str> = system::programs().flatten().copied().collect();
    let known = |program: &str| {
        declared.contains(&program) || NOT_INSTALLED.iter().any(|(_, programs)| programs.contains(&program))
    };
    faults.extend(
        found
            .iter()
            .filter(|(program, _)| !known(program))
            .map(|(program, by)| format!("{program}, by {by:?}")),
    );
    faults
}

/// The checkout's own sources.
fn checkout() -> Files {
    let project = Project::find().unwrap();
    let list =
        Cmd::new("git").args(["ls-files", "--cached", "--others", "--exclude-standard"]).dir(&project.root);
    let read = |name: &str| Some((name.to_owned(), fs::read_to_string(project.root.join(name)).ok()?));
    list.capture().unwrap().lines().filter_map(read).collect()
}

#[test]
fn every_program_that_is_started_is_declared() {
    assert_eq!(
        undeclared(&checkout()),
        Vec::<String>::new(),
        "fix: give it a row in NEEDS (xtask/src/system.rs), with its package in every family"
    );
}

#[test]
fn every_declared_program_is_started() {
    let (found, _) = started(&checkout());
    let by_others = |program: &&str| STARTED_BY_OTHERS.iter().any(|(other, _)| program == other);
    let is_started = |program: &&str| found.contains_key(*program) || by_others(program);
    let idle: Vec<_> = system::programs().filter(|row| !row.iter().any(&is_started)).collect();
    assert_eq!(idle, Vec::<&[&str]>::new(), "fix: remove the row from NEEDS");
}

#[test]
fn a_program_that_nobody_declared_is_found_in_every_language() {
    for (name, text) in [
        ("a.rs", "fn f() { Cmd::new(\"surprise\"); }"),
        ("a.rs", "const P: &str = \"surprise\"; fn f() { exec::Program::new(P).run() }"),
        ("a.rs", "fn f(name: &'static str) { Program::new(name); } fn g() { f(\"surprise\") }"),
        ("a.rs", "fn f() { for surprise in x { Cmd::new(surprise); } }"),
        ("a.sh", "if true; then true | surprise; fi"),
        ("check", "#!/bin/sh\ncheck() { \"$@\"; }\ncheck surprise"),
        ("check", "#!/usr/bin/env python3\nrun(\"surprise\", x)"),
        ("a.py", "subprocess.run(\n    [\"surprise\", x]\n)"),
        ("a.py", "tool = shutil.which(\"surprise\")"),
        ("a.py", "tool = [\"surprise\", \"--option\"]"),
        ("a.ts", "execFileSync(\"surprise\", []);"),
    ] {
        let faults = undeclared(&Files::from([(name.to_owned(), text.to_owned())]));
        assert!(faults.len() == 1 && faults[0].contains("surprise"), "{text}: {faults:?}");
    }
}
