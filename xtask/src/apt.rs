//! Debian's package manager, and the quirks of Debian 12.
//!
//! Debian 12's own libvirt 9.0 cannot start the QEMU of its backports, and its QEMU conflicts with the tools from
//! there. So on Debian 12 both come from `bookworm-backports`. That suite is rarely configured: it is
//! added with the address and the signing key of the source that is, so a mirror or a proxy stays in use.
//! Called by `system.rs` and `toolchain.rs`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};

use crate::distribution;
use crate::sh::{self, Cmd, Log};

/// The release whose virtualisation packages come from its backports.
const OLD_RELEASE: &str = "bookworm";
const BACKPORTS: &str = "bookworm-backports";

/// Packages that come from the backports there, all of them or none: their versions depend on each other.
const FROM_BACKPORTS: [&str; 5] =
    ["libvirt-daemon-system", "libvirt-clients", "libvirt-dev", "qemu-system-x86", "qemu-utils"];

const OUR_SOURCE: &str = "/etc/apt/sources.list.d/snowglobe-backports.sources";

/// Installs packages, with the package lists brought up to date first.
pub fn install(log: &Log, packages: &[&str]) -> Result<()> {
    let old = distribution::os_release("VERSION_CODENAME").as_deref() == Some(OLD_RELEASE);
    if old && packages.iter().any(|package| FROM_BACKPORTS.contains(package)) {
        add_backports(log)?;
    }
    // A broken source that is not ours must not stop us: the install below shows whether it mattered.
    if let Err(error) = sh::run_as_root(log, apt_get().arg("update")) {
        log.note(&format!("continuing with the old package lists: {error:#}"))?;
    }
    let mut install = apt_get().args(["install", "--yes", "--no-install-recommends"]);
    if old && has_suite(BACKPORTS) {
        // All in one transaction and from one suite: libraries from there and tools of the old release that want
        // the old libraries would shut each other out.
        install = install.arg(format!("--target-release={BACKPORTS}"));
    }
    sh::run_as_root(log, install.args(packages))
}

/// Brings the package lists up to date when they do not know `package`: fresh systems come without any.
pub fn ensure_lists(log: &Log, package: &str) -> Result<()> {
    if Cmd::new("apt-cache").args(["show", package]).succeeds() {
        return Ok(());
    }
    sh::run_as_root(log, apt_get().arg("update"))
}

/// apt-get that asks nothing, waits for another apt to finish, and retries a lost connection.
fn apt_get() -> Cmd {
    Cmd::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").args([
        "--quiet",
        "--option=DPkg::Lock::Timeout=300",
        "--option=Acquire::Retries=3",
        "--option=Dpkg::Use-Pty=0",
    ])
}

/// Where packages come from: the parts of a source that a second suite of the same archive shares.
#[derive(Debug, PartialEq, Eq)]
struct Archive {
    uris: String,
    /// The value of `Signed-By`: a key file, or a whole key on lines of its own.
    signed_by: Option<String>,
}

fn add_backports(log: &Log) -> Result<()> {
    if has_suite(BACKPORTS) {
        return Ok(());
    }
    let sources = configured_sources();
    let found = sources.iter().find_map(|(file, text)| archive_with_suite(file, text, OLD_RELEASE));
    let archive = found.ok_or_else(|| {
        anyhow!(
            "libvirt and QEMU must come from {BACKPORTS}, and no configured source names {OLD_RELEASE}, from which its \
             address could be taken\n  fix: add {BACKPORTS} to /etc/apt/sources.list.d"
        )
    })?;
    let signed = archive.signed_by.map(|key| format!("Signed-By: {key}\n")).unwrap_or_default();
    let text = format!(
        "# Written by `cargo xtask`: matching versions of libvirt and QEMU, from the archive that was already configured.\n\
         Types: deb\nURIs: {}\nSuites: {BACKPORTS}\nComponents: main\n{signed}",
        archive.uris
    );
    log.note(&format!("adding {OUR_SOURCE}"))?;
    write_as_root(log, Path::new(OUR_SOURCE), &text)
}

/// Whether a configured source has a suite.
fn has_suite(suite: &str) -> bool {
    configured_sources().iter().any(|(file, text)| archive_with_suite(file, text, suite).is_some())
}

/// Writes beside the logs first, then lets `install` put it in place, which sudo can do for us.
fn write_as_root(log: &Log, file: &Path, text: &str) -> Result<()> {
    let draft = log.path().with_extension("draft");
    fs::write(&draft, text)?;
    sh::run_as_root(log, Cmd::new("install").args(["-m", "0644"]).arg(&draft).arg(file))
}

/// Every source file with its text. Unreadable ones are apt's to complain about.
fn configured_sources() -> Vec<(PathBuf, String)> {
    let listed =
        fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten().map(|entry| entry.path());
    let files = listed.chain([PathBuf::from("/etc/apt/sources.list")]);
    files.filter_map(|file| fs::read_to_string(&file).ok().map(|text| (file, text))).collect()
}

fn archive_with_suite(file: &Path, text: &str, suite: &str) -> Option<Archive> {
    match file.extension()?.to_str()? {
        "sources" => text.replace("\r\n", "\n").split("\n\n").find_map(|stanza| from_stanza(stanza, suite)),
        "list" => text.lines().find_map(|line| from_line(line, suite)),
        _ => None,
    }
}

/// One stanza of a deb822 file.
fn from_stanza(stanza: &str, suite: &str) -> Option<Archive> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in stanza.lines().filter(|line| !line.starts_with('#')) {
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push('\n');
                value.push_str(line);
            }
        } else if let Some((key, value)) = line.split_once(':') {
            fields.push((key.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    let get = |key: &str| fields.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    let has =
        |key: &str, word: &str| get(key).is_some_and(|value| value.split_whitespace().any(|w| w == word));
    let enabled = get("enabled").is_none_or(|value| value != "no");
    if !(enabled && has("types", "deb") && has("suites", suite) && has("components", "main")) {
        return None;
    }
    Some(Archive { uris: get("uris")?.to_owned(), signed_by: get("signed-by").map(str::to_owned) })
}

/// One line of the older format: `deb [signed-by=FILE] URI SUITE COMPONENT…`.
fn from_line(line: &str, suite: &str) -> Option<Archive> {
    let rest = line.trim().strip_prefix("deb")?;
    let rest = rest.strip_prefix([' ', '\t'])?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']')?,
        None => ("", rest),
    };
    let mut words = rest.split_whitespace();
    let uri = words.next()?;
    if words.next()? != suite || !words.any(|component| component == "main") {
        return None;
    }
    let signed_by = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by="));
    Some(Archive { uris: uri.to_owned(), signed_by: signed_by.map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_archive_in_a_deb822_file() {
        let text = "# a comment\nTypes: deb\nURIs: http://mirror.example/security\nSuites: bookworm-security\n\
                    Components: main\n\nTypes: deb\n# where from\nURIs: http://mirror.example/debian\n\
                    Suites: bookworm bookworm-updates\nComponents: main contrib\nSigned-By: /usr/share/keyrings/a.gpg\n";
        let found = archive_with_suite(Path::new("debian.sources"), text, "bookworm").unwrap();
        assert_eq!(found.uris, "http://mirror.example/debian");
        assert_eq!(found.signed_by.as_deref(), Some("/usr/share/keyrings/a.gpg"));
        assert_eq!(archive_with_suite(Path::new("debian.sources"), text, "bookworm-backports"), None);
    }

    #[test]
    fn keeps_a_key_that_is_written_into_the_source() {
        let text = "Types: deb deb-src\nURIs: http://m.example\nSuites: bookworm\nComponents: main\nSigned-By:\n -----BEGIN\n .\n abc\n";
        let found = archive_with_suite(Path::new("x.sources"), text, "bookworm").unwrap();
        assert_eq!(found.signed_by.as_deref(), Some("\n -----BEGIN\n .\n abc"));
    }

    #[test]
    fn skips_what_is_switched_off_or_has_another_component() {
        let off = "Enabled: no\nTypes: deb\nURIs: http://m.example\nSuites: bookworm\nComponents: main\n";
        assert_eq!(archive_with_suite(Path::new("x.sources"), off, "bookworm"), None);
        let other = "deb http://m.example bookworm contrib\n";
        assert_eq!(archive_with_suite(Path::new("x.list"), other, "bookworm"), None);
    }

    #[test]
    fn finds_the_archive_in_the_older_format() {
        let text = "#deb http://no.example bookworm main\ndeb-src http://no.example bookworm main\n\
                    deb [arch=amd64 signed-by=/k.gpg] http://m.example/debian bookworm main non-free\n";
        let found = archive_with_suite(Path::new("sources.list"), text, "bookworm").unwrap();
        assert_eq!(
            (found.uris.as_str(), found.signed_by.as_deref()),
            ("http://m.example/debian", Some("/k.gpg"))
        );
    }
}
