//! A private libvirt: `cargo xtask sandbox -- COMMAND…`.
//!
//! The command runs in new network, mount and process namespaces, with its own loopback device, its own virbr0 and
//! its own libvirtd, which neither sees nor touches the machines of this computer. No packet leaves. When the command
//! ends, however it ends, the kernel ends everything that was started inside, as the namespace's first
//! process is gone; there is nothing to clean up, even after kill -9.
//!
//! ```text
//! xtask sandbox ── setpriv (dies with us) ── unshare ── xtask sandbox-init, process 1 inside
//!                                                        ├─ virtlogd, libvirtd ── dnsmasq, QEMU …
//!                                                        └─ COMMAND
//! ```
//!
//! Needs root. The tests that start machines run in it, and developers may.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::{Pid, WaitOptions, wait};

use crate::kvm;
use crate::libvirt;
use crate::progress::Line;
use crate::project::Project;
use crate::sh::{self, Cmd};

/// Set inside, so that a test can tell that starting machines is safe.
pub const INSIDE: &str = "SNOWGLOBE_SANDBOX";

/// libvirt's directories. Each is empty inside; everything below lives in memory and is gone afterwards. `/run/lock` holds its
/// locks on consoles: one left by a sandbox that was killed names a process id that lives in every later sandbox too.
const PRIVATE: [&str; 6] = [
    "/run/libvirt",
    "/run/lock",
    "/var/lib/libvirt",
    "/var/cache/libvirt",
    "/var/log/libvirt",
    "/etc/libvirt/qemu",
];

/// Ways to the computer's own service manager, which would manage the wrong processes.
const HIDDEN: [&str; 2] = ["/run/dbus", "/run/systemd"];

/// Started in this order. Their usual process id files lie in /run itself, which is not private.
const DAEMONS: [(&str, &str); 2] =
    [("virtlogd", "/run/libvirt/sandbox-virtlogd.pid"), ("libvirtd", "/run/libvirt/sandbox-libvirtd.pid")];

/// libvirtd probes QEMU at its first start, and the cache of that is private too. Only a daemon that hangs takes as long as
/// this; one that ends is noticed at once, however busy the computer is.
const PATIENCE: Duration = Duration::from_secs(300);

/// The command that runs `command` in a new sandbox.
pub fn wrap(name: &str, command: &Cmd) -> Result<Cmd> {
    let this = std::env::current_exe().context("this program's own file is not known")?;
    let outer = Cmd::new("setpriv")
        .args([
            "--pdeathsig",
            "KILL",
            "--",
            "unshare",
            "--net",
            "--mount",
            "--pid",
            "--ipc",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "--",
        ])
        .arg(this)
        .args(["sandbox-init", "--log-name", name, "--"])
        .args(command.argv());
    let wrapped = command.surroundings_into(outer);
    if sh::is_root() {
        return Ok(wrapped);
    }
    if sh::find_program("sudo").is_none() {
        bail!("a sandbox needs root, and sudo is not installed\n  fix: run this command as root");
    }
    // The tests find their tools and caches by these.
    const KEPT: [&str; 4] = ["CARGO", "CARGO_HOME", "RUSTUP_HOME", "XDG_CACHE_HOME"];
    let kept = KEPT.iter().filter_map(|key| Some((*key, std::env::var_os(key)?)));
    let as_user = Cmd::new("env").args(sh::login_environment()).args(wrapped.argv());
    Ok(wrapped.surroundings_into(as_user).envs(kept).by_root())
}

/// Runs a command of the user's in a sandbox, on this terminal. Returns its exit code.
pub fn run(command: &[OsString]) -> Result<u8> {
    let Some((program, args)) = command.split_first() else {
        bail!("a sandbox needs a command: cargo xtask sandbox -- COMMAND…");
    };
    let status = wrap("sandbox", &Cmd::new(program).args(args))?.on_terminal()?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// The inside: process 1 of the new namespaces. Sets up, runs the command, and returns its exit code.
pub fn init(project: &Project, name: &str, command: &[OsString]) -> Result<u8> {
    if std::process::id() != 1 {
        bail!(
            "sandbox-init is what `cargo xtask sandbox` runs inside; it changes mounts, so it runs nowhere else"
        );
    }
    let Some((program, args)) = command.split_first() else { bail!("a sandbox needs a command") };
    let log = project.log(&format!("{name}-libvirt"))?;
    kvm::ensure(&log, &Line::plain())?;
    prepare_mounts()?;
    log.run(&Cmd::new("ip").args(["link", "set", "lo", "up"]))?;
    // Killed by the kernel together with this process; only the reaper below waits for them.
    let mut daemons: Vec<Child> = DAEMONS
        .iter()
        .map(|(daemon, pid_file)| Cmd::new(daemon).args(["--pid-file", pid_file]).spawn(&log))
        .collect::<Result<_>>()?;
    let ended = libvirt::wait_until(PATIENCE, || {
        daemons.iter_mut().any(|daemon| daemon.try_wait().is_ok_and(|ended| ended.is_some()))
            || libvirt::socket_answers(Path::new(libvirt::SOCKET))
    });
    if ended.is_err() || !libvirt::socket_answers(Path::new(libvirt::SOCKET)) {
        bail!("the sandbox's libvirtd does not answer; its output:\n{}", log.text());
    }
    libvirt::ensure_network(&log, libvirt::DEFAULT_URI)?;

    let child = Cmd::new(program)
        .args(args)
        .env(INSIDE, "1")
        .env("SNOWGLOBE_TEST_LIBVIRT", libvirt::DEFAULT_URI)
        .spawn_on_terminal()?;
    let code = reap_until(&child)?;
    if code != 0 {
        keep_machine_logs(&log)?;
    }
    drop(daemons);
    Ok(code)
}

/// Empty directories for libvirt, no service manager, and a /sys that shows the new network.
fn prepare_mounts() -> Result<()> {
    // libvirt would sort machines into the computer's control groups, under names that another libvirt may use.
    if Path::new("/sys/fs/cgroup").is_dir() {
        while unmount("/sys/fs/cgroup", UnmountFlags::DETACH).is_ok() {}
    }
    mount("sysfs", "/sys", "sysfs", MountFlags::empty(), None).context("a new /sys cannot be mounted")?;
    for dir in PRIVATE {
        fs::create_dir_all(dir).with_context(|| format!("{dir} cannot be made"))?;
        mount_tmpfs(dir)?;
    }
    for dir in HIDDEN.into_iter().filter(|dir| Path::new(dir).is_dir()) {
        mount_tmpfs(dir)?;
    }
    Ok(())
}

fn mount_tmpfs(dir: &str) -> Result<()> {
    mount("tmpfs", dir, "tmpfs", MountFlags::empty(), Some(c"mode=0755"))
        .with_context(|| format!("a private {dir} cannot be mounted"))
}

/// Waits for `child`, and meanwhile for every orphaned process: process 1 must, or ended machines would stay as zombies
/// and libvirt would consider them running. Returns the exit code of `child`.
fn reap_until(child: &Child) -> Result<u8> {
    let wanted =
        i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("the command has no process id")?;
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == wanted => {
                // As in shells: for a command ended by a signal, 128 more than the signal's number.
                let signalled = status.terminating_signal().map(|signal| 128 + signal);
                let code = status.exit_status().or(signalled).unwrap_or(1);
                return Ok(u8::try_from(code).unwrap_or(1));
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("the sandbox lost its command"),
        }
    }
}

/// QEMU's own log of each machine, which would be lost with the sandbox.
fn keep_machine_logs(log: &sh::Log) -> Result<()> {
    for entry in fs::read_dir("/var/log/libvirt/qemu").into_iter().flatten().flatten() {
        let text = fs::read(entry.path()).unwrap_or_default();
        log.note(&format!(
            "== {} ==\n{}",
            entry.file_name().to_string_lossy(),
            String::from_utf8_lossy(&text)
        ))?;
    }
    Ok(())
}
