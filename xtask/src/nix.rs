//! Nix: its settings for our children, whether a binary cache answers, and which flake the images come from.
//!
//! NixOS images need a binary cache; without one the small offline image flake (`end2end/tiny-image`) takes their
//! place, so that everything else still works. Called by `up` and by the tests.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::apt;
use crate::distribution::Family;
use crate::groups;
use crate::progress::Line;
use crate::project::{Project, remove_dir};
use crate::sh::{self, Cmd, Log};

/// Where Nix's daemon listens, on installations that have one.
const DAEMON: &str = "/nix/var/nix/daemon-socket/socket";

/// The unit that systemd starts the daemon with.
const DAEMON_UNIT: &str = "nix-daemon.socket";

/// Whose members Debian's and Arch's daemon lets in. Elsewhere there is no such group, and everyone may.
pub const GROUP: &str = "nix-users";

/// Which flake images are built from, as given on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageFlake {
    /// NixOS where a binary cache answers, else the offline one.
    Auto,
    /// The NixOS flake that is built into the portal.
    Nixos,
    /// The small flake that needs no network.
    Tiny,
    /// A flake of the user's own.
    Path(PathBuf),
}

impl FromStr for ImageFlake {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "auto" => Self::Auto,
            "nixos" => Self::Nixos,
            "tiny" => Self::Tiny,
            path => Self::Path(PathBuf::from(path)),
        })
    }
}

/// Settings for whatever builds images: what the user has set, and what Snowglobe needs. Lines of nix.conf, for
/// `NIX_CONFIG` and for the server's setting `SNOWGLOBE_NIX_CONFIG`.
pub fn config(offline: bool) -> String {
    let users = ["NIX_CONFIG", "SNOWGLOBE_NIX_CONFIG"].map(|name| std::env::var(name).unwrap_or_default());
    let mut lines = Vec::from(users);
    lines.push("extra-experimental-features = nix-command flakes".to_owned());
    lines.push("warn-dirty = false".to_owned());
    if sh::is_root() && !has_build_users() {
        // Root without build users is a single-user installation: Nix refuses to start unless configured so.
        lines.push("build-users-group =".to_owned());
    }
    if offline {
        // The offline image is put together by programs of this computer, which a build sandbox would hide.
        lines.push("sandbox = false".to_owned());
        lines.push("substituters =".to_owned());
    }
    lines.retain(|line| !line.is_empty());
    lines.join("\n")
}

fn has_build_users() -> bool {
    std::fs::read_to_string("/etc/group")
        .is_ok_and(|groups| groups.lines().any(|line| line.starts_with("nixbld:")))
}

/// Ensures that this user may build. Root always may; other users need their own store, as in Nix's single-user
/// installation, or a daemon that lets them in.
pub fn ensure_store(log: &Log, line: &Line) -> Result<()> {
    let store = Path::new("/nix");
    let user = rustix::process::getuid().as_raw();
    let owner = std::fs::metadata(store).ok().map(|meta| meta.uid());
    if sh::is_root() || owner == Some(user) {
        return Ok(());
    }
    if !Path::new(DAEMON).exists() && has_daemon_unit() {
        line.note(&format!("starting the Nix daemon, which builds images{}", sh::may_ask()));
        let start = Cmd::new("systemctl").args(["enable", "--now", DAEMON_UNIT]);
        sh::run_as_root(log, start).context("the Nix daemon could not be started")?;
    }
    if Path::new(DAEMON).exists() {
        return groups::join(log, GROUP, "build images", line);
    }
    if owner.is_some() {
        bail!(
            "this user cannot write to /nix, and there is no Nix daemon\n  fix: install the daemon (Debian: \
             nix-setup-systemd), or run this command as the owner of /nix"
        );
    }
    line.note(&format!("creating /nix, where images are built{}", sh::may_ask()));
    let make =
        Cmd::new("install").args(["--directory", "--mode=0755"]).arg(format!("--owner={user}")).arg(store);
    sh::run_as_root(log, make)
}

/// Whether systemd runs and knows Nix's daemon: Fedora and Arch install it but leave it disabled.
fn has_daemon_unit() -> bool {
    Path::new("/run/systemd/system").is_dir() && Cmd::new("systemctl").args(["cat", DAEMON_UNIT]).succeeds()
}

/// Whether one of the configured binary caches answers. Takes at most some seconds.
pub fn cache_answers(project: &Project) -> bool {
    let nix = || Cmd::new("nix").env("NIX_CONFIG", config(false)).limit(6);
    let shown = nix().args(["config", "show", "--json"]).capture();
    let Ok(shown) = shown.or_else(|_| nix().args(["show-config", "--json"]).capture()) else { return false };
    // Nix remembers for a week that a cache answered; an empty cache makes it ask.
    let memory = project.target.join("xtask/nix-probe");
    let answers = caches(&shown).iter().any(|cache| {
        let ping = [
            "store",
            "ping",
            "--option",
            "connect-timeout",
            "3",
            "--option",
            "download-attempts",
            "1",
            "--store",
        ];
        nix().args(ping).arg(cache).env("XDG_CACHE_HOME", &memory).succeeds()
    });
    // A left-over directory only costs another query next time.
    let _ = remove_dir(&memory);
    answers
}

/// The addresses of the setting `substituters`.
fn caches(shown: &str) -> Vec<String> {
    let settings: Value = serde_json::from_str(shown).unwrap_or_default();
    let urls = settings.pointer("/substituters/value").and_then(Value::as_array);
    urls.into_iter().flatten().filter_map(|url| url.as_str().map(str::to_owned)).collect()
}

/// Puts the offline image flake together (once; later runs only check) and returns its directory.
pub fn prepare_tiny(project: &Project, log: &Log) -> Result<PathBuf> {
    let script = project.root.join("end2end/tiny-image/prepare");
    if !script.is_file() {
        bail!("{} does not exist\n  fix: use a complete checkout", script.display());
    }
    if Family::detect() != Family::Apt {
        bail!(
            "no Nix binary cache answers, and the offline image is made of Debian's packages, which this computer \
             does not have\n  fix: connect to a binary cache, or name a flake with --image-flake PATH"
        );
    }
    // Beside the script's own cache of unpacked packages.
    let out = project.cache.join("tiny-image/flake");
    if !out.is_dir() {
        apt::ensure_lists(log, "linux-image-cloud-amd64")?;
    }
    log.run(&Cmd::new(&script).arg(&out).dir(&project.root))
        .context("the offline image flake could not be prepared")?;
    Ok(out)
}

/// Builds the offline image in its usual mode, and returns the file that a machine boots.
pub fn tiny_image(flake: &Path, log: &Log) -> Result<PathBuf> {
    let image = format!("path:{}#immutable", flake.display());
    let nix = |verb: &[&str]| Cmd::new("nix").args(verb).arg(&image).env("NIX_CONFIG", config(true));
    log.run(&nix(&["build", "--no-link", "--no-write-lock-file"]))
        .context("the offline image could not be built")?;
    let out = nix(&["path-info", "--no-write-lock-file"]).capture()?;
    Ok(Path::new(out.trim()).join("nixos.qcow2"))
}

/// Whether a directory is a flake; better found before the server starts than by the first build.
pub fn check_flake(path: &Path) -> Result<PathBuf> {
    let path = path.canonicalize().with_context(|| {
        format!(
            "the image flake {} does not exist\n  fix: name a directory with a flake.nix, `nixos` or `tiny`",
            path.display()
        )
    })?;
    if !path.join("flake.nix").is_file() {
        bail!("{} has no flake.nix\n  fix: name a directory with a flake, `nixos` or `tiny`", path.display());
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_caches_of_a_configuration() {
        let shown = r#"{"substituters": {"value": ["https://cache.example/", "https://other.example"], "aliases": []}}"#;
        assert_eq!(caches(shown), ["https://cache.example/", "https://other.example"]);
        assert!(caches("warning: not JSON").is_empty());
        assert!(caches(r#"{"substituters": {"value": []}}"#).is_empty());
    }

    #[test]
    fn keeps_each_setting_on_a_line_of_its_own() {
        let config = config(true);
        assert!(config.lines().all(|line| line.contains('=')), "{config}");
        assert!(config.lines().any(|line| line == "substituters ="));
    }
}
