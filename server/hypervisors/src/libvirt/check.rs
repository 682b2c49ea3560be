//! What could go wrong on the host, checked before it does: the hosts page's findings, each with its fix.

use super::Libvirt;
use super::connect::is_local;

use super::domain_xml::{Accelerator, NAT_NETWORK};
use super::error::of_host;
use super::facts::HostFacts;
use super::finding::{broken, ok, warning};
use super::firmware::{FIRMWARE_FIX, NO_FIRMWARE};
use super::limits;
use super::network::{self, NatState};
use futures::future::join_all;
use host_tools::exec::{ExecError, Program, chain};
use model::host::Finding;
use model::size::Bytes;
use ports::hypervisor::Result;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const GIB: u64 = 1 << 30;
/// Below this a new machine may fill the disk.
const LITTLE_SPACE: u64 = 10 * GIB;
/// Below this none is made.
const NO_SPACE: u64 = 2 * GIB;

/// The programs that make and edit disks: name, an argument that makes it print its version.
const TOOLS: [(&str, &str); 7] = [
    ("qemu-img", "--version"),
    ("qemu-storage-daemon", "--version"),
    ("mke2fs", "-V"),
    ("debugfs", "-V"),
    ("e2fsck", "-V"),
    ("resize2fs", "-h"),
    ("fusermount3", "--version"),
];

impl Libvirt {
    pub(super) async fn findings(&self) -> Vec<Finding> {
        self.link.try_again();
        let (mut findings, tools) = tokio::join!(self.host_findings(), tools());
        findings.push(tools);
        findings.push(disk(self.store.root()));
        findings
    }

    async fn host_findings(&self) -> Vec<Finding> {
        let uri = self.link.uri();
        let connection = match self.versions().await {
            Ok(versions) => ok("connection", format!("Connected to {uri}: {versions}.")),
            Err(error) => {
                let fix = format!(
                    "Start libvirt (systemctl start libvirtd, or virtqemud), and make sure that “virsh -c {uri} version” works \
                     for the portal's user: unless it is root, it must be in the group libvirt."
                );
                return vec![broken("connection", format!("{uri}: {error}."), fix)];
            }
        };
        let mut findings = vec![connection];
        if !is_local(uri) {
            findings.push(warning(
                "connection",
                "This host is another computer, but disks are made on the portal's.".into(),
                "Share the portal's state directory and /nix/store with it under the same paths.".into(),
            ));
        }
        match self.look_again().await {
            Ok(facts) => {
                findings.extend([acceleration(&facts), firmware(&facts)]);
                // Separate: it costs time even where machines are emulated for another reason, or on purpose.
                let closed = facts.kvm.map(|kvm| warning("kvm", format!("{}.", kvm.what), kvm.fix));
                findings.extend(closed);
            }
            Err(error) => findings.push(warning("acceleration", format!("{error}."), "Test again.".into())),
        }
        findings.push(self.network().await);
        findings.extend(limits::finding(uri));
        findings
    }

    async fn versions(&self) -> Result<String> {
        self.link
            .call(|live| {
                let fault = || of_host("Asking libvirt for its version");
                let driver = live.connect.driver_type().map_err(fault())?;
                let library = live.connect.lib_version().map_err(fault())?;
                let hypervisor = live.connect.hyp_version().map_err(fault())?;
                Ok(format!("libvirt {}, {driver} {}", version(library), version(hypervisor)))
            })
            .await
    }

    async fn network(&self) -> Finding {
        let state = self.link.call(|live| network::nat_state(&live.connect)).await;
        let uri = self.link.uri();
        match state {
            Ok(NatState::Active) => ok("network", format!("The network “{NAT_NETWORK}” is active.")),
            Ok(NatState::Inactive) => warning(
                "network",
                format!("The network “{NAT_NETWORK}” is not active; the first machine that needs it starts it."),
                format!("Start it now: virsh -c {uri} net-start {NAT_NETWORK}"),
            ),
            Ok(NatState::Missing) => warning(
                "network",
                format!("There is no network “{NAT_NETWORK}”; the first machine that needs it creates it."),
                "Nothing to do, unless 192.168.122.0/24 is in use on the host: then define the network with another range."
                    .into(),
            ),
            Err(error) => broken(
                "network",
                format!("{error}."),
                "Install libvirt's network driver (Debian: libvirt-daemon-config-network), or use bridges only.".into(),
            ),
        }
    }
}

fn acceleration(facts: &HostFacts) -> Finding {
    match (&facts.acceleration.problem, facts.acceleration.accelerator) {
        (Some(problem), _) => warning(
            "acceleration",
            format!("Machines are emulated, about ten times slower: {}.", problem.what),
            problem.fix.clone(),
        ),
        (None, Accelerator::Kvm) => ok("acceleration", "Machines run on KVM.".into()),
        (None, Accelerator::Tcg) => ok("acceleration", "Machines are emulated, as configured.".into()),
    }
}

fn firmware(facts: &HostFacts) -> Finding {
    match &facts.firmware {
        Some(found) => ok("firmware", format!("UEFI firmware: {}.", found.code.display())),
        None => broken("firmware", format!("Machines cannot boot: {NO_FIRMWARE}."), FIRMWARE_FIX.into()),
    }
}

async fn tools() -> Finding {
    let tried = join_all(TOOLS.map(|(name, argument)| async move {
        // Some print their version or usage with exit status 1.
        Program::new(name).args([argument]).accept(&[0, 1]).run().await.err()
    }));
    let problems: Vec<ExecError> = tried.await.into_iter().flatten().collect();
    let what: Vec<String> = problems.iter().map(|problem| chain(problem)).collect();
    if !what.is_empty() {
        let fix = "Debian and Ubuntu: apt-get install qemu-utils e2fsprogs fuse3; Fedora: dnf install qemu-img e2fsprogs fuse3; \
                   Arch: pacman -S qemu-img e2fsprogs fuse3.";
        return broken("tools", what.join("; "), fix.into());
    }
    if !Path::new("/dev/fuse").exists() {
        let fix = "Load the kernel module: modprobe fuse.";
        return broken("tools", "Disks cannot be edited: /dev/fuse does not exist.".into(), fix.into());
    }
    ok("tools", format!("Found {}.", TOOLS.map(|(name, _)| name).join(", ")))
}

/// Space for machines, and whether QEMU's user can reach their folders.
fn disk(machines: &Path) -> Finding {
    // Before the first machine the folder does not exist; its parent does.
    let Some(existing) = machines.ancestors().find(|path| path.exists()) else {
        return broken("disk", format!("{} does not exist.", machines.display()), "Create it.".into());
    };
    if rustix::process::geteuid().is_root() {
        let closed = existing
            .ancestors()
            .find(|path| path.metadata().is_ok_and(|facts| facts.permissions().mode() & 0o001 == 0));
        if let Some(closed) = closed {
            return broken(
                "disk",
                format!(
                    "QEMU's user cannot reach {}: {} is closed to it.",
                    machines.display(),
                    closed.display()
                ),
                format!("Let others pass through it: chmod o+x {}", closed.display()),
            );
        }
    }
    let free = match rustix::fs::statvfs(existing) {
        Ok(facts) => facts.f_bavail.saturating_mul(facts.f_frsize),
        Err(error) => {
            let what = format!("The free space of {} cannot be read: {error}.", existing.display());
            return warning("disk", what, "Check it with df.".into());
        }
    };
    let what = format!("{} free in {}.", Bytes(free), existing.display());
    let fix = || "Remove machines or images that nobody needs, then run nix-collect-garbage.".to_owned();
    match free {
        0..NO_SPACE => broken("disk", what, fix()),
        NO_SPACE..LITTLE_SPACE => warning("disk", what, fix()),
        _ => ok("disk", what),
    }
}

/// libvirt writes a version as one number: major · 1,000,000 + minor · 1,000 + release.
fn version(number: u32) -> String {
    format!("{}.{}.{}", number / 1_000_000, number / 1000 % 1000, number % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::host::Level;
    use std::fs::{Permissions, set_permissions};

    #[test]
    fn versions_read_as_people_write_them() {
        assert_eq!(version(11_003_000), "11.3.0");
    }

    #[test]
    fn a_folder_that_qemu_cannot_pass_through_is_an_error_with_the_command() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: only root's machines run as another user");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
        let found = disk(&dir.path().join("machines"));
        assert_eq!(found.level, Level::Error);
        assert_eq!(
            found.fix.unwrap(),
            format!("Let others pass through it: chmod o+x {}", dir.path().display())
        );
        set_permissions(dir.path(), Permissions::from_mode(0o711)).unwrap();
        assert!(disk(&dir.path().join("machines")).what.contains("free in"));
    }
}
