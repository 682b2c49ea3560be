//! Rules for source files that no compiler checks. Called by `cargo xtask test`.

use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::project::Project;
use crate::sh::Cmd;

/// More lines than this and people search instead of reading.
const MAX_LINES: usize = 600;

/// Kinds of files that people treat as code.
const CODE: [&str; 7] = ["rs", "ts", "js", "css", "nix", "sh", "sql"];

/// Written by tools, and exempt.
const GENERATED: [&str; 3] = ["Cargo.lock", "package-lock.json", "flake.lock"];

/// Hosts of package registries, in two halves so that this file obeys its own rule. The choice of registry or mirror
/// belongs to each computer's own configuration.
const REGISTRIES: [(&str, &str); 6] = [
    ("registry.npm", "js.org"),
    ("index.crates", ".io"),
    ("static.crates", ".io"),
    ("files.python", "hosted.org"),
    ("deb.deb", "ian.org"),
    ("static.rust", "-lang.org"),
];

/// Directories that exist on one developer's computer only, in two halves for the same reason.
const FOREIGN_PATHS: [(&str, &str); 2] = [("/wo", "rk/"), ("/tmp/se", "tup")];

/// Markup from data is how a log line becomes a script; text goes through the view macro, which escapes it.
const RAW_HTML: (&str, &str) = ("inner_", "html");

/// Checks every file that git knows or would add.
pub fn check(project: &Project) -> Result<()> {
    let list = Cmd::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .dir(&project.root)
        .capture()
        .context("the list of files comes from git\n  fix: run this in a checkout")?;
    let mut broken = Vec::new();
    for name in list.lines() {
        // Deleted but not yet committed, or not text: neither can break a rule about text.
        if let Ok(text) = fs::read_to_string(project.root.join(name)) {
            broken.extend(faults(name, &text).into_iter().map(|fault| format!("  {name}: {fault}\n")));
        }
    }
    if broken.is_empty() {
        return Ok(());
    }
    bail!("{} files break the rules of xtask/src/style_rules.rs:\n{}", broken.len(), broken.concat())
}

/// What is wrong with one file.
fn faults(name: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let base = name.rsplit('/').next().unwrap_or(name);
    if GENERATED.contains(&base) {
        return faults;
    }
    let kind = base.rsplit_once('.').map_or("", |(_, kind)| kind);
    let lines = text.lines().count();
    if CODE.contains(&kind) && lines > MAX_LINES {
        faults.push(format!("{lines} lines, more than {MAX_LINES}: move a part of it to another file"));
    }
    if kind == "rs" {
        rust_faults(text, &mut faults);
    }
    for (a, b) in REGISTRIES {
        if text.contains(&format!("{a}{b}")) {
            faults.push(format!("names the package registry {a}{b}"));
        }
    }
    for (a, b) in FOREIGN_PATHS {
        if names_path(text, &format!("{a}{b}")) {
            faults.push(format!("names {a}{b}…, a directory of one computer"));
        }
    }
    faults
}

fn rust_faults(text: &str, faults: &mut Vec<String>) {
    if !text.trim_start().starts_with("//!") {
        faults.push("does not start with //! saying what it is, why, and who calls it".to_owned());
    }
    let raw_html = format!("{}{}", RAW_HTML.0, RAW_HTML.1);
    for (number, line) in text.lines().enumerate() {
        let number = number + 1;
        let code = line.trim_start();
        if code.starts_with("//") {
            continue;
        }
        if code.contains(&raw_html) {
            faults.push(format!("line {number}: {raw_html}; write the text as text"));
        }
        if code.starts_with("#[allow(") || code.starts_with("#![allow(") {
            faults.push(format!(
                "line {number}: allow; use #[expect(…, reason = …)], which ends with its reason"
            ));
        }
    }
}

/// Whether a text names an absolute path; `a/work/b` is something else.
fn names_path(text: &str, path: &str) -> bool {
    text.match_indices(path).any(|(at, _)| {
        let before = text.get(..at).and_then(|text| text.chars().next_back());
        before.is_none_or(|c| !(c.is_alphanumeric() || matches!(c, '.' | '}' | '_' | '-')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_files_pass() {
        assert!(faults("a/b.rs", "//! What.\n\n// no raw markup\nfn f() {}\n").is_empty());
        assert!(faults("README.md", &"line\n".repeat(2000)).is_empty());
        assert!(faults("Cargo.lock", &format!("{}{}", "index.crates", ".io")).is_empty());
    }

    #[test]
    fn each_rule_is_seen() {
        let long = "//! x\n".repeat(601);
        assert!(faults("a.rs", &long)[0].contains("601 lines"));
        assert!(faults("a.rs", "fn f() {}")[0].contains("//!"));
        assert!(faults("a.rs", "//! x\n#[allow(dead_code)]\nfn f() {}")[0].contains("line 2"));
        let raw = format!("//! x\nview! {{ <p {}{}=x/> }}", "inner_", "html");
        assert!(faults("a.rs", &raw)[0].contains("as text"));
        assert!(
            faults(".npmrc", &format!("registry=https://{}{}/", "registry.npm", "js.org"))[0]
                .contains("registry")
        );
        assert!(
            faults("x.sh", &format!("cd {}{}main", "/wo", "rk/"))[0].contains("directory of one computer")
        );
    }

    #[test]
    fn a_path_inside_another_is_not_one_from_the_top() {
        let path = format!("{}{}", "/wo", "rk/");
        assert!(!names_path(&format!("see frame{path}x"), &path));
        assert!(names_path(&format!("cd \"{path}x\""), &path));
    }
}
