//! The groups that let an ordinary user manage machines and build images: libvirt's, and sometimes KVM's and Nix's.
//!
//! A login's groups are fixed when it begins. So that the first `up` needs no re-login, the server is then started in a
//! session that reads them again. Called by `libvirt.rs`, `kvm.rs`, `nix.rs` and `up.rs`.

use std::fs;

use anyhow::{Context as _, Result, anyhow};

use crate::progress::Line;
use crate::sh::{self, Cmd, Log};

/// Makes the user a member of a group, if they are not. Root needs no group.
pub fn join(log: &Log, group: &str, purpose: &str, line: &Line) -> Result<()> {
    let file = fs::read_to_string("/etc/group").context("/etc/group cannot be read")?;
    let Some(entry) = Entry::find(&file, group) else { return Ok(()) };
    let user = user()?;
    if sh::is_root() || entry.has(&user) {
        return Ok(());
    }
    line.note(&format!("adding {user} to the group {group}, to {purpose}{}", sh::may_ask()));
    sh::run_as_root(log, Cmd::new("usermod").args(["--append", "--groups", group, &user]))
        .with_context(|| format!("{user} could not be added to the group {group}"))
}

/// A group's number, if there is such a group.
pub fn id(group: &str) -> Result<Option<u32>> {
    let file = fs::read_to_string("/etc/group").context("/etc/group cannot be read")?;
    Ok(Entry::find(&file, group).map(|entry| entry.id))
}

/// `command` with all the user's groups: unchanged if this login has them, else in a new session of the same user.
pub fn with_all(command: Cmd, groups: &[&str]) -> Result<Cmd> {
    let file = fs::read_to_string("/etc/group").context("/etc/group cannot be read")?;
    let user = user()?;
    let ours: Vec<u32> =
        rustix::process::getgroups()?.into_iter().map(rustix::process::Gid::as_raw).collect();
    let lacks = groups
        .iter()
        .filter_map(|group| Entry::find(&file, group))
        .any(|entry| entry.has(&user) && !ours.contains(&entry.id));
    if sh::is_root() || !lacks {
        return Ok(command);
    }
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let others = std::env::vars_os().filter(|(key, _)| {
        let key = key.to_string_lossy();
        ["LANG", "TERM"].contains(&&*key)
            || ["XDG_", "SNOWGLOBE_", "NIX_", "SSL_"].iter().any(|prefix| key.starts_with(prefix))
    });
    let session = Cmd::new("setpriv")
        .args([format!("--reuid={uid}"), format!("--regid={gid}")])
        .args(["--init-groups", "--inh-caps=-all", "--", "env"])
        .args(sh::login_environment())
        .args(command.argv())
        .envs(others);
    Ok(command.surroundings_into(session).by_root())
}

/// A line of `/etc/group`.
struct Entry<'a> {
    id: u32,
    members: &'a str,
}

impl<'a> Entry<'a> {
    /// `name:x:gid:member,member`.
    fn find(file: &'a str, group: &str) -> Option<Self> {
        file.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let id = fields.nth(1)?.parse().ok()?;
            (name == group).then(|| Self { id, members: fields.next().unwrap_or_default() })
        })
    }

    fn has(&self, user: &str) -> bool {
        self.members.split(',').any(|member| member == user)
    }
}

/// The user's name, from the authoritative file.
fn user() -> Result<String> {
    let uid = rustix::process::getuid().as_raw().to_string();
    let file = fs::read_to_string("/etc/passwd").context("/etc/passwd cannot be read")?;
    let name = file.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    });
    // Directory-service users are in no file.
    name.or_else(|| std::env::var("USER").ok()).ok_or_else(|| anyhow!("the user {uid} has no name; set USER"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_group() {
        let file = "root:x:0:\nlibvirt:x:108:ada,grace\nlibvirt-qemu:x:64055:\n";
        let entry = Entry::find(file, "libvirt").unwrap();
        assert_eq!(entry.id, 108);
        assert!(entry.has("ada") && entry.has("grace") && !entry.has("ad"));
        assert!(!Entry::find(file, "root").unwrap().has("ada"));
        assert!(Entry::find(file, "kvm").is_none());
    }
}
