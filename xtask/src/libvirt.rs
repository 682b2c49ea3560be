//! libvirt: answering, and with its `default` network.
//!
//! Where systemd runs, it starts libvirt; elsewhere (containers, small rescue systems) the two daemons are started
//! as they are. They go on running when the portal ends: they hold the machines. Called by `up`, and by `sandbox` for
//! the network.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::groups;
use crate::progress::Line;
use crate::project::Project;
use crate::sh::{self, Cmd, Log};

/// The connection used when no setting names another.
pub const DEFAULT_URI: &str = "qemu:///system";

/// Whose members may manage machines; NixOS has a name of its own.
pub const GROUPS: [&str; 2] = ["libvirt", "libvirtd"];

/// How long a daemon may take until it answers. Its first start probes every QEMU binary.
const PATIENCE: Duration = Duration::from_secs(60);

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

/// Makes sure that this computer's libvirt answers and has its network. Where the portal's hosts are others, they
/// are its administrator's to start; the portal's page of hosts says how they are.
pub fn ensure(project: &Project, line: &Line) -> Result<()> {
    let hosts = std::env::var("SNOWGLOBE_LIBVIRT_URI").unwrap_or_default();
    if !hosts.is_empty() && !hosts.contains(DEFAULT_URI) {
        return Ok(());
    }
    let log = project.log("libvirt")?;
    for group in GROUPS {
        groups::join(&log, group, "manage its machines", line)?;
    }
    if !answers(DEFAULT_URI) {
        start(&log)?;
        wait_until(PATIENCE, || answers(DEFAULT_URI)).with_context(|| unreachable(&log))?;
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
            format!("silent   libvirt at {DEFAULT_URI}; `cargo xtask up` starts it and lets this user in")
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

fn start(log: &Log) -> Result<()> {
    if Path::new("/run/systemd/system").is_dir() {
        return start_by_systemd(log);
    }
    let daemons = [
        (Cmd::new("virtlogd").arg("--daemon"), "/run/libvirt/virtlogd-sock"),
        (Cmd::new("libvirtd").arg("--daemon").args(without_polkit(log)?), "/run/libvirt/libvirt-sock"),
    ];
    for (daemon, socket) in daemons {
        if !socket_answers(Path::new(socket)) {
            sh::run_as_root(log, daemon.clone()).with_context(|| format!("`{daemon}` failed"))?;
        }
    }
    Ok(())
}

/// Where no systemd runs, no polkit does either, and libvirt would let nobody in but root. The group that polkit's rule
/// names then opens the socket itself.
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
fn start_by_systemd(log: &Log) -> Result<()> {
    let systemctl = |units: &[&str]| sh::run_as_root(log, Cmd::new("systemctl").arg("start").args(units));
    if Cmd::new("systemctl").args(["is-enabled", "--quiet", "virtqemud.socket"]).succeeds() {
        return systemctl(&[
            "virtlogd.socket",
            "virtqemud.socket",
            "virtnetworkd.socket",
            "virtnwfilterd.socket",
        ]);
    }
    systemctl(&["libvirtd.service"]).context("systemd could not start libvirtd")
}

fn unreachable(log: &Log) -> String {
    format!(
        "libvirt was started and does not answer at {DEFAULT_URI} (see {})\n  fix: run `libvirtd` in a terminal, as \
         root, and read what it says",
        log.path().display()
    )
}

/// Makes sure that the network `default` is there, runs, and comes back at the next boot.
pub fn ensure_network(log: &Log, uri: &str) -> Result<()> {
    let names = |more: &[&str]| -> Result<bool> {
        let list = virsh(uri)?.args(["net-list", "--name"]).args(more).limit(20).capture()?;
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

/// Whether somebody listens on a socket. A socket file alone may be left over from a daemon that died.
pub fn socket_answers(socket: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(socket).is_ok()
}

/// Asks again and again until `done` says yes.
#[expect(clippy::disallowed_methods, reason = "a daemon of another project tells nobody when it is ready")]
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
