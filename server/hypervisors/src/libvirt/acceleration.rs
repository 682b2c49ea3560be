//! Whether machines can use the computer's own processors.
//!
//! libvirt lists `kvm` wherever QEMU was built with it, and starting then fails. So the check is the one of
//! virt-host-validate(1): `/dev/kvm` can be opened, and the processor has the flag `vmx` (Intel) or `svm` (AMD).

use super::domain_xml::Accelerator;
use super::kvm::{DEVICE, Problem};
use std::fs::OpenOptions;

/// The configured acceleration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccelerationSetting {
    /// KVM where it works, otherwise emulation.
    #[default]
    Auto,
    /// KVM, regardless of the checks.
    Kvm,
    /// Emulation.
    Tcg,
}

impl std::str::FromStr for AccelerationSetting {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "kvm" => Ok(Self::Kvm),
            "tcg" => Ok(Self::Tcg),
            _ => Err(format!("“{text}” is not auto, kvm or tcg")),
        }
    }
}

/// What machines run on, and why it is not KVM if it is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acceleration {
    /// What to use.
    pub accelerator: Accelerator,
    /// Why not KVM; none if KVM is used or emulation was asked for.
    pub problem: Option<Problem>,
}

/// Decides. `local`: the host is the computer we run on; for others only libvirt's list is known. `closed`: what keeps
/// QEMU's user from opening the device.
pub fn decide(
    setting: AccelerationSetting,
    local: bool,
    host_lists_kvm: bool,
    closed: Option<&Problem>,
) -> Acceleration {
    let (accelerator, problem) = match setting {
        AccelerationSetting::Kvm => (Accelerator::Kvm, None),
        AccelerationSetting::Tcg => (Accelerator::Tcg, None),
        AccelerationSetting::Auto => match problem(local, host_lists_kvm, closed) {
            None => (Accelerator::Kvm, None),
            some => (Accelerator::Tcg, some),
        },
    };
    Acceleration { accelerator, problem }
}

fn problem(local: bool, host_lists_kvm: bool, closed: Option<&Problem>) -> Option<Problem> {
    let found = |what: &str, fix: &str| Some(Problem { what: what.to_owned(), fix: fix.to_owned() });
    if local && !std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| has_virtualisation(&text)) {
        return found(
            "the processor offers no virtualisation (flag vmx or svm)",
            "Switch on VT-x or AMD-V in the computer's firmware set-up; in a virtual machine, switch on nested virtualisation \
             on its host.",
        );
    }
    // Before what libvirt lists: a device that is closed to QEMU's user is why it lists no KVM.
    if closed.is_some() {
        return closed.cloned();
    }
    if !host_lists_kvm {
        return found(
            "QEMU on this host has no KVM",
            "Install QEMU with KVM (Debian: apt-get install qemu-system-x86).",
        );
    }
    if !local {
        return None;
    }
    match OpenOptions::new().read(true).write(true).open(DEVICE) {
        Ok(_) => None,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => found(
            "/dev/kvm does not exist",
            "Load the kernel module: modprobe kvm_intel, or modprobe kvm_amd.",
        ),
        // QEMU runs as us, see `Platform::run_as`.
        Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => found(
            "/dev/kvm may not be opened",
            "Join its group: usermod -aG kvm \"$USER\", then log in again.",
        ),
        Err(e) => found(&format!("/dev/kvm cannot be opened ({e})"), "Check dmesg for messages from kvm."),
    }
}

fn has_virtualisation(cpuinfo: &str) -> bool {
    let flags = cpuinfo.lines().filter_map(|line| line.strip_prefix("flags")).next().unwrap_or("");
    flags.split_ascii_whitespace().any(|flag| flag == "vmx" || flag == "svm")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_counts_as_a_whole_word_only() {
        assert!(has_virtualisation("processor\t: 0\nflags\t\t: fpu svm lm\n"));
        assert!(!has_virtualisation("flags\t\t: fpu svm_lock xvmx\nbugs\t: vmx\n"));
        assert!(!has_virtualisation(""));
    }

    #[test]
    fn a_setting_overrules_the_checks() {
        assert_eq!(decide(AccelerationSetting::Kvm, true, false, None).accelerator, Accelerator::Kvm);
        assert_eq!(decide(AccelerationSetting::Tcg, true, true, None).problem, None);
        assert_eq!(decide(AccelerationSetting::Auto, false, false, None).accelerator, Accelerator::Tcg);
    }

    #[test]
    fn a_closed_device_is_named_before_what_follows_from_it() {
        let closed = Problem { what: "closed".to_owned(), fix: "open it".to_owned() };
        let decided = decide(AccelerationSetting::Auto, false, false, Some(&closed));
        assert_eq!(decided.problem, Some(closed));
    }
}
