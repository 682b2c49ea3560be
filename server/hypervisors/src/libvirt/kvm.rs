//! Whether QEMU's user may open `/dev/kvm`, which without udev often belongs to root alone.
//!
//! That the portal may open it proves nothing when the portal is root. libvirt finds out in its own way, silently: it
//! then considers its knowledge of QEMU stale, probes QEMU again at every definition, which takes tens of seconds, and
//! offers no KVM.

use quick_xml::Reader;
use quick_xml::events::Event;
use std::fs;
use std::os::unix::fs::MetadataExt;

/// The device.
pub const DEVICE: &str = "/dev/kvm";

/// Why KVM cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong.
    pub what: String,
    /// How to fix it.
    pub fix: String,
}

/// A user with all its groups.
#[derive(Clone, Debug, PartialEq, Eq)]
struct User {
    id: u32,
    groups: Vec<u32>,
}

/// Owner and permission bits of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owned {
    user: u32,
    group: u32,
    mode: u32,
}

/// What is wrong, by libvirt's capabilities (formatcaps.html) and the files of this computer. Nothing if there is no
/// such device, which is a different problem, or libvirt does not report who QEMU runs as.
pub fn problem(capabilities: &str) -> Option<Problem> {
    let (id, group) = qemu_user(capabilities)?;
    let about = fs::metadata(DEVICE).ok()?;
    let device = Owned { user: about.uid(), group: about.gid(), mode: about.mode() & 0o777 };
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let user = User { id, groups: groups(id, group, &read("/etc/passwd"), &read("/etc/group")) };
    (!may_open(device, &user)).then(|| describe(device, &user))
}

/// Reading and writing, as the kernel decides it: the first match of owner, group and others decides.
fn may_open(file: Owned, user: &User) -> bool {
    let bits = if user.id == 0 {
        return true;
    } else if user.id == file.user {
        file.mode >> 6
    } else if user.groups.contains(&file.group) {
        file.mode >> 3
    } else {
        file.mode
    };
    bits & 0o6 == 0o6
}

fn describe(device: Owned, user: &User) -> Problem {
    let what = format!(
        "QEMU's user ({}) may not open {DEVICE}, which has mode {:04o} and belongs to user {}, group {}: machines run without \
         KVM, and libvirt takes tens of seconds to define one",
        user.id, device.mode, device.user, device.group
    );
    // The device is set up correctly for some group, and QEMU's user is not in it.
    let is_shared = device.group != 0 && device.mode >> 3 & 0o6 == 0o6;
    let fix = if is_shared {
        format!("Put QEMU's user into group {}, and restart libvirt.", device.group)
    } else {
        format!(
            "chgrp kvm {DEVICE} && chmod 660 {DEVICE}; to make it permanent, a udev rule: KERNEL==\"kvm\", GROUP=\"kvm\", \
             MODE=\"0660\""
        )
    };
    Problem { what, fix }
}

/// User and group in the base label of libvirt's DAC driver, written `+64055:+994`. Labels of other drivers look
/// different.
fn qemu_user(capabilities: &str) -> Option<(u32, u32)> {
    let mut reader = Reader::from_str(capabilities);
    let mut is_label = false;
    loop {
        match reader.read_event() {
            Ok(Event::Start(tag)) => is_label = tag.name().as_ref() == b"baselabel",
            Ok(Event::Text(text)) if is_label => {
                let text = text.decode().ok()?;
                let ids = text.trim().strip_prefix('+').and_then(|t| t.split_once(":+"));
                if let Some((user, group)) = ids {
                    return Some((user.parse().ok()?, group.parse().ok()?));
                }
            }
            Ok(Event::Eof) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

/// A user's groups as libvirt gives them to QEMU (`virGetGroupList`): the configured one, the user's own, and those that name
/// the user (passwd(5), group(5)).
fn groups(id: u32, configured: u32, passwd: &str, group: &str) -> Vec<u32> {
    let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<String>>();
    let user = passwd.lines().map(fields).find_map(|line| {
        let [name, _, uid, gid, ..] = line.as_slice() else { return None };
        (uid.parse() == Ok(id)).then(|| (name.clone(), gid.parse().ok()))
    });
    let (name, own) = user.unwrap_or_default();
    let naming = group.lines().map(fields).filter_map(|line| {
        let [_, _, gid, members, ..] = line.as_slice() else { return None };
        let is_member = !name.is_empty() && members.split(',').any(|member| member == name);
        is_member.then(|| gid.parse().ok()).flatten()
    });
    std::iter::once(configured).chain(own).chain(naming).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPABILITIES: &str = "<capabilities><host><secmodel><model>apparmor</model><doi>0</doi></secmodel>\
        <secmodel><model>selinux</model><baselabel type='kvm'>system_u:system_r:svirt_t:s0</baselabel></secmodel>\
        <secmodel><model>dac</model><doi>0</doi><baselabel type='kvm'>+64055:+994</baselabel>\
        <baselabel type='qemu'>+64055:+994</baselabel></secmodel></host></capabilities>";

    #[test]
    fn whom_qemu_runs_as_is_what_libvirt_says() {
        assert_eq!(qemu_user(CAPABILITIES), Some((64055, 994)));
        for none in ["", "<baselabel>s0</baselabel>", "<baselabel>+x:+y</baselabel>", "</a><b>", "+1:+2"] {
            assert_eq!(qemu_user(none), None, "{none}");
        }
    }

    #[test]
    fn groups_are_the_configured_one_the_own_one_and_those_that_name_the_user() {
        let passwd = "root:x:0:0::/root:/bin/sh\nlibvirt-qemu:x:64055:107::/:/usr/sbin/nologin\nbroken\n";
        let group =
            "root:x:0:\nkvm:x:104:libvirt-qemu\nother:x:105:a,libvirt-qemu2\nboth:x:106:a,libvirt-qemu\n";
        assert_eq!(groups(64055, 994, passwd, group), [994, 107, 104, 106]);
        assert_eq!(groups(1, 2, "", ""), [2]);
    }

    #[test]
    fn the_kernels_rule_decides_and_the_fix_fits() {
        let user = User { id: 64055, groups: vec![994, 104] };
        let device = |user, group, mode| Owned { user, group, mode };
        for (file, fine) in [
            (device(0, 0, 0o600), false),
            (device(0, 0, 0o666), true),
            (device(0, 104, 0o660), true),
            (device(0, 105, 0o660), false),
            (device(0, 104, 0o606), false),
            (device(0, 104, 0o640), false),
            (device(64055, 0, 0o600), true),
        ] {
            assert_eq!(may_open(file, &user), fine, "{file:?}");
        }
        assert!(describe(device(0, 0, 0o600), &user).fix.starts_with("chgrp kvm /dev/kvm && chmod 660"));
        assert!(describe(device(0, 105, 0o660), &user).fix.contains("into group 105"));
        assert!(may_open(device(0, 0, 0o600), &User { id: 0, groups: vec![0] }));
    }
}
