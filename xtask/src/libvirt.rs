//! libvirt: answering, and with its `default` network.
//!
//! Where systemd runs, it starts libvirt; elsewhere (containers, small rescue systems) the two daemons are started
//! directly. They keep running when the portal ends: they hold the machines. Called by `up`, and by `sandbox` for the
//! network.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};

use crate::groups;
use crate::progress::Line;
use crate::project::Project;
use crate::sh::{self, Cmd, Log};

/// The connection used when no setting names another.
pub const DEFAULT_URI: &str = "qemu:///system";

/// The group whose members may manage machines; NixOS has its own name for it.
pub const GROUPS: [&str; 2] = ["libvirt", "libvirtd"];

/// How long a daemon may take until it answers. Its first start probes every QEMU binary, with and without KVM; where a virtual
/// computer's own KVM hangs, each of these takes 40 s.
const PATIENCE: Duration = Duration::from_secs(240);

/// Exists while systemd runs.
const SYSTEMD: &str = "/run/systemd/system";

/// Where libvirtd listens.
pub const SOCKET: &str = "/run/libvirt/libvirt-sock";

/// libvirt's usual network, for distributions that define none: NAT behind virbr0, addresses by DHCP.
const DEFAULT_NETWORK: &str = "<network>
  <name>default</name>
  <forward mode='nat'/>
  <bridge name='virbr0' stp='on' delay='0'/>
  <ip address='192.168.122.1' netmask='255.255.255.0'>
    <dhcp><range start='192.168.122.2' end='192.168.122.254'/></dhcp>
  </ip>
</network>
";

/// Ensures that this computer's libvirt answers and has its network. If the portal's hosts are others, their
/// administrator starts them; the portal's hosts page shows their state.
pub fn ensure(project: &Project, line: &Line) -> Result<()> {
    let hosts = std::env::var("SNOWGLOBE_HOSTS").unwrap_or_default();
    if !hosts.is_empty() && !hosts.contains(DEFAULT_URI) {
        return Ok(());
    }
    let log = project.log("libvirt")?;
    for group in GROUPS {
        groups::join(&log, group, "manage its machines", line)?;
    }
    if !answers(DEFAULT_URI) {
        bring_up(
            |attempt| start(&log, attempt),
            || wait_until(PATIENCE, || answers(DEFAULT_URI)),
            || last_words(&log),
        )?;
    }
    if let Err(error) = ensure_network(&log, DEFAULT_URI) {
        line.note(&format!("machines may get no network: {error:#}"));
    }
    Ok(())
}

/// Whether this computer's libvirt answers, in one line.
pub fn describe() -> String {
    match answers(DEFAULT_URI) {
        true => format!("ok       libvirt at {DEFAULT_URI}"),
        false => {
            format!(
                "silent   libvirt at {DEFAULT_URI}; `cargo xtask up` starts it and gives this user access"
            )
        }
    }
}

/// Whether libvirt answers.
fn answers(uri: &str) -> bool {
    virsh(uri).is_ok_and(|virsh| virsh.arg("version").limit(20).succeeds())
}

/// virsh with the group that opens libvirt's socket, which the user may have got a moment ago.
fn virsh(uri: &str) -> Result<Cmd> {
    groups::with_all(Cmd::new("virsh").args(["--quiet", "--connect", uri]), &GROUPS)
}

/// Identifies this start of libvirt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    First,
    Second,
}

/// Starts libvirt and waits for its answer, at most twice: a daemon that came up while its package was still being set
/// up may never answer, and its next start does at once. The error includes its last log lines.
fn bring_up(
    mut start: impl FnMut(Attempt) -> Result<()>,
    mut answered: impl FnMut() -> Result<()>,
    last_words: impl Fn() -> String,
) -> Result<()> {
    start(Attempt::First)?;
    if answered().is_ok() {
        return Ok(());
    }
    let first_words = last_words();
    start(Attempt::Second)?;
    answered().map_err(|error| {
        let second_words = last_words();
        anyhow!(
            "libvirt was started twice and does not answer at {DEFAULT_URI}: {error:#}\nIts last log lines, at the first \
             start:\n{first_words}and at the second:\n{second_words}  fix: run `libvirtd` in a terminal, as root, and read \
             what it says"
        )
    })
}

/// Starts the daemons. At the second attempt the one that does not answer is ended first; machines keep running without
/// it.
fn start(log: &Log, attempt: Attempt) -> Result<()> {
    if Path::new(SYSTEMD).is_dir() {
        return start_by_systemd(log, attempt);
    }
    if attempt == Attempt::Second {
        end_libvirtd(log)?;
    }
    let daemons = [
        (Cmd::new("virtlogd").arg("--daemon"), "/run/libvirt/virtlogd-sock"),
        (Cmd::new("libvirtd").arg("--daemon").args(without_polkit(log)?), SOCKET),
    ];
    for (daemon, socket) in daemons {
        if !socket_answers(Path::new(socket)) {
            sh::run_as_root(log, daemon.clone()).with_context(|| format!("`{daemon}` failed"))?;
        }
    }
    Ok(())
}

/// Ends the libvirtd that was started before, if it still runs. Its socket closes long before it has ended, and until then the
/// next one does not get its PID file: a QEMU that it probes may hang in the kernel's KVM for a minute.
fn end_libvirtd(log: &Log) -> Result<()> {
    let Ok(id) = std::fs::read_to_string("/run/libvirtd.pid") else { return Ok(()) };
    let process = Path::new("/proc").join(id.trim());
    for signal in ["-TERM", "-KILL"] {
        if sh::run_as_root(log, Cmd::new("kill").args([signal, id.trim()])).is_err()
            || wait_until(PATIENCE, || !process.exists()).is_ok()
        {
            return Ok(());
        }
    }
    bail!("libvirtd (process {}) does not end", id.trim())
}

/// The end of what libvirt's daemons have logged.
fn last_words(log: &Log) -> String {
    let ask = if Path::new(SYSTEMD).is_dir() {
        let units = ["--unit=libvirtd.service", "--unit=virtqemud.service"];
        Cmd::new("journalctl").args(["--no-pager", "--output=short-iso", "--lines=20"]).args(units)
    } else {
        Cmd::new("tail").args(["--lines=20", "/var/log/libvirt/libvirtd.log"])
    };
    let said =
        ask.by_root().capture().unwrap_or_else(|error| format!("nothing that could be read: {error:#}"));
    // For those who send the log instead of the terminal output.
    let _ = log.note(&said);
    said.lines().map(|line| format!("    {line}\n")).collect()
}

/// Where no systemd runs, there is no polkit either, and libvirt would let in only root. The group named in polkit's
/// rule then opens the socket itself.
fn without_polkit(log: &Log) -> Result<Vec<String>> {
    if sh::is_root() {
        return Ok(Vec::new());
    }
    let file = log.path().with_file_name("libvirtd.conf");
    // NixOS, which has the other name, has systemd.
    let [group, _] = GROUPS;
    let settings =
        format!("unix_sock_group = \"{group}\"\nunix_sock_rw_perms = \"0770\"\nauth_unix_rw = \"none\"\n");
    std::fs::write(&file, settings)?;
    Ok(vec![format!("--config={}", file.display())])
}

/// One daemon for all (Debian, Arch), or one for each driver (Fedora).
fn start_by_systemd(log: &Log, attempt: Attempt) -> Result<()> {
    let systemctl = |verb: &str, units: &[&str]| {
        sh::run_as_root(log, Cmd::new("systemctl").arg(verb).args(units))
            .context("systemd could not start libvirt")
    };
    let by_driver = Cmd::new("systemctl").args(["is-enabled", "--quiet", "virtqemud.socket"]).succeeds();
    match (by_driver, attempt) {
        (true, Attempt::First) => systemctl(
            "start",
            &["virtlogd.socket", "virtqemud.socket", "virtnetworkd.socket", "virtnwfilterd.socket"],
        ),
        (true, Attempt::Second) => systemctl("restart", &["virtqemud.service"]),
        (false, Attempt::First) => systemctl("start", &["libvirtd.service"]),
        (false, Attempt::Second) => systemctl("restart", &["libvirtd.service"]),
    }
}

/// Ensures that the network `default` exists, runs, and starts at the next boot.
pub fn ensure_network(log: &Log, uri: &str) -> Result<()> {
    let names = |more: &[&str]| -> Result<bool> {
        let list = virsh(uri)?.args(["net-list", "--name"]).args(more).limit(120).capture()?;
        Ok(list.lines().any(|name| name.trim() == "default"))
    };
    if !names(&["--all"])? {
        let file = log.path().with_extension("network.xml");
        std::fs::write(&file, DEFAULT_NETWORK)?;
        log.run(&virsh(uri)?.arg("net-define").arg(&file))?;
    }
    if !names(&[])? {
        log.run(&virsh(uri)?.args(["net-autostart", "default"]))?;
        log.run(&virsh(uri)?.args(["net-start", "default"]))?;
    }
    Ok(())
}

/// Whether anything listens on a socket. A socket file alone may be left over from a daemon that died.
pub fn socket_answers(socket: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(socket).is_ok()
}

/// Polls until `done` returns true.
#[expect(clippy::disallowed_methods, reason = "a daemon of another project does not signal when it is ready")]
pub fn wait_until(patience: Duration, mut done: impl FnMut() -> bool) -> Result<()> {
    let start = Instant::now();
    while !done() {
        if start.elapsed() > patience {
            bail!("nothing answered within {} s", patience.as_secs());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `bring_up` does with a libvirt that answers from its start number `from` on.
    fn brought_up(from: usize) -> (Result<()>, Vec<Attempt>) {
        let attempts = std::cell::RefCell::new(Vec::new());
        let outcome = bring_up(
            |attempt| {
                attempts.borrow_mut().push(attempt);
                Ok(())
            },
            || if attempts.borrow().len() >= from { Ok(()) } else { bail!("nothing answered") },
            || format!("    words of start {}\n", attempts.borrow().len()),
        );
        (outcome, attempts.into_inner())
    }

    #[test]
    fn a_libvirt_that_answers_is_started_once() {
        let (outcome, attempts) = brought_up(1);
        assert!(outcome.is_ok());
        assert_eq!(attempts, [Attempt::First]);
    }

    #[test]
    fn a_silent_libvirt_is_started_once_more() {
        let (outcome, attempts) = brought_up(2);
        assert!(outcome.is_ok());
        assert_eq!(attempts, [Attempt::First, Attempt::Second]);
    }

    #[test]
    fn one_that_stays_silent_is_quoted() {
        let (outcome, attempts) = brought_up(3);
        assert_eq!(attempts, [Attempt::First, Attempt::Second]);
        let error = outcome.unwrap_err().to_string();
        for words in ["nothing answered", "words of start 1", "words of start 2", "fix:"] {
            assert!(error.contains(words), "{error}");
        }
    }
}
