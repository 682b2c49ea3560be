//! `/dev/kvm`: open to QEMU's user, or machines are emulated and ten times slower.
//!
//! udev gives the device to the group `kvm`, and to everyone on some systems. Where no udev runs (containers, small
//! rescue systems) it stays root's alone: libvirt then lists KVM, root may open it, and a machine's start fails, as
//! QEMU has its own user. Called by `up` and `sandbox`.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::groups;
use crate::progress::Line;
use crate::sh::{self, Cmd, Log};

const DEVICE: &str = "/dev/kvm";

/// The group whose members may use the device.
pub const GROUP: &str = "kvm";

/// Where udev listens; while it does, the device's owner and mode are its business.
const UDEV: &str = "/run/udev/control";

/// What is between QEMU and the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    /// Nothing: everyone may open it.
    Open,
    /// Membership in its group.
    Group,
    /// It is root's alone.
    Closed,
}

impl Access {
    /// By the mode and the group of the device. Its group helps only if QEMU's user is in it.
    fn of(mode: u32, group: u32, kvm_group: Option<u32>) -> Self {
        match mode & 0o666 {
            bits if bits & 0o006 == 0o006 => Self::Open,
            bits if bits & 0o060 == 0o060 && Some(group) == kvm_group => Self::Group,
            _ => Self::Closed,
        }
    }
}

/// Lets QEMU use the device, if it exists and we may; else reports what is in the way. Emulation works without it, so
/// nothing here is an error except a failing command.
pub fn ensure(log: &Log, line: &Line) -> Result<()> {
    let Ok(device) = fs::metadata(DEVICE) else { return Ok(()) };
    match Access::of(device.mode(), device.gid(), groups::id(GROUP)?) {
        Access::Open => Ok(()),
        // For root, libvirt runs QEMU as its own user, which its package puts into the group.
        Access::Group if sh::is_root() => Ok(()),
        Access::Group => groups::join(log, GROUP, "run machines on KVM", line),
        Access::Closed if Path::new(UDEV).exists() || groups::id(GROUP)?.is_none() => {
            line.note(&format!(
                "only root may open {DEVICE}, so machines are emulated, which is ten times slower; fix: \
                 chown root:{GROUP} {DEVICE} && chmod 0660 {DEVICE}, and the same in a udev rule"
            ));
            Ok(())
        }
        Access::Closed => give_to_group(log, line),
    }
}

/// The device's state, in one line.
pub fn describe() -> String {
    let Ok(device) = fs::metadata(DEVICE) else {
        return format!("none     {DEVICE}; machines are emulated, which works and is ten times slower");
    };
    match Access::of(device.mode(), device.gid(), groups::id(GROUP).ok().flatten()) {
        Access::Open => format!("ok       {DEVICE}"),
        Access::Group => format!("ok       {DEVICE}, for the group {GROUP}"),
        Access::Closed => format!("closed   {DEVICE} to all but root; `cargo xtask up` opens it or says how"),
    }
}

/// What udev would have done.
fn give_to_group(log: &Log, line: &Line) -> Result<()> {
    line.note(&format!("opening {DEVICE} to the group {GROUP}, as no udev does{}", sh::may_ask()));
    for command in [Cmd::new("chgrp").args([GROUP, DEVICE]), Cmd::new("chmod").args(["0660", DEVICE])] {
        sh::run_as_root(log, command).with_context(|| format!("{DEVICE} could not be opened to QEMU"))?;
    }
    if sh::is_root() { Ok(()) } else { groups::join(log, GROUP, "run machines on KVM", line) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_who_may_open_the_device() {
        let kvm = Some(107);
        assert_eq!(Access::of(0o20666, 0, kvm), Access::Open);
        assert_eq!(Access::of(0o20660, 107, kvm), Access::Group);
        for (mode, group) in [(0o20600, 0), (0o20600, 107), (0o20660, 0), (0o20640, 107), (0o20664, 0)] {
            assert_eq!(Access::of(mode, group, kvm), Access::Closed, "{mode:o} {group}");
        }
        assert_eq!(Access::of(0o20660, 0, None), Access::Closed, "a missing group opens nothing");
    }
}
