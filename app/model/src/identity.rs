//! The identity of a guest: the files in `/var/identity` that make one machine itself.
//!
//! [`TABLE`] is the one list of them. Disks, the live re-application, forms and the import of the CLI's machine folders
//! all read it; a new file is one row here and one concern in `nix/identity/`. A file whose content is `None`
//! does not exist on the disk: removing the last key removes the file.

use crate::address::{HostsEntry, PortRange, StaticAddress};
use crate::certificates::Certificates;
use crate::machine::{HardwareIds, MachineName};
use crate::newtype::Refused;
use crate::samba::{SambaCredentials, SambaShare};
use crate::ssh_key::SshKey;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

crate::validated_string!(
    /// A crypt(5) hash of a password, `$6$…` (SHA-512); the guest's `/etc/shadow` takes it as it is.
    PasswordHash,
    |text| {
        let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'$' | b'.' | b'/' | b'=');
        if text.starts_with("$6$") && (20..=256).contains(&text.len()) && text.bytes().all(fine) {
            Ok(())
        } else {
            Err(Refused::new("That is not a SHA-512 crypt hash."))
        }
    }
);

/// The person's choices about the guest's identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Keys that log in as `admin`, who may become root.
    #[serde(default)]
    pub admin_keys: Vec<SshKey>,
    /// Keys that log in as `user`.
    #[serde(default)]
    pub user_keys: Vec<SshKey>,
    /// TCP ports that the guest's firewall lets in.
    #[serde(default)]
    pub tcp_ports: Vec<PortRange>,
    /// UDP ports that the guest's firewall lets in.
    #[serde(default)]
    pub udp_ports: Vec<PortRange>,
    /// Name servers; none means those from DHCP.
    #[serde(default)]
    pub dns: Vec<IpAddr>,
    /// Extra lines of `/etc/hosts`.
    #[serde(default)]
    pub hosts: Vec<HostsEntry>,
    /// A fixed address instead of DHCP.
    #[serde(default)]
    pub static_address: Option<StaticAddress>,
    /// Root's password for the serial console; none locks root.
    #[serde(default)]
    pub root_password: Option<PasswordHash>,
    /// Certificate authorities that the guest trusts besides the usual ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificates: Option<Certificates>,
    /// Shares that the guest mounts, with profile `samba-mount`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samba_shares: Vec<SambaShare>,
    /// The credentials for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samba_credentials: Option<SambaCredentials>,
}

impl Identity {
    /// Removes what nobody should see: hashes and passwords.
    pub fn hide_secrets(&mut self) {
        self.root_password = None;
        self.samba_credentials = None;
    }
}

impl Default for Identity {
    /// Port 22 is open: a machine that nobody can reach helps nobody.
    fn default() -> Self {
        Self {
            admin_keys: Vec::new(),
            user_keys: Vec::new(),
            tcp_ports: "22".parse().into_iter().collect(),
            udp_ports: Vec::new(),
            dns: Vec::new(),
            hosts: Vec::new(),
            static_address: None,
            root_password: None,
            certificates: None,
            samba_shares: Vec::new(),
            samba_credentials: None,
        }
    }
}

/// A file as it is in `/var/identity`, owner root.
#[derive(Clone, PartialEq, Eq)]
pub struct IdentityFile {
    /// Its name.
    pub name: &'static str,
    /// Its permission bits.
    pub mode: u32,
    /// Its content; `None` means that the file must not exist.
    pub content: Option<String>,
}

impl std::fmt::Debug for IdentityFile {
    /// Without the content, because some of them are secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({:04o})", self.name, self.mode)
    }
}

/// The input for rendering a row.
pub struct Source<'a> {
    /// The machine's name, which is its host name.
    pub name: &'a MachineName,
    /// What it was given at birth.
    pub hardware: &'a HardwareIds,
    /// Its owner's choices.
    pub identity: &'a Identity,
}

/// One row of the identity table.
pub struct Row {
    /// The file's name in `/var/identity`.
    pub name: &'static str,
    /// Its permission bits.
    pub mode: u32,
    /// The form field that edits it, where a person does.
    pub field: Option<&'static str>,
    /// Its content from the configuration.
    pub render: fn(&Source<'_>) -> Option<String>,
}

/// Every file of `/var/identity` that the portal writes. The guest adds its own SSH host key.
pub const TABLE: &[Row] = &[
    Row { name: "hostname", mode: 0o644, field: None, render: |s| Some(s.name.to_string()) },
    Row { name: "machine-id", mode: 0o644, field: None, render: |s| Some(s.hardware.machine_id.to_string()) },
    Row {
        name: "admin_authorized_keys",
        mode: 0o644,
        field: Some("admin_keys"),
        render: |s| lines(&s.identity.admin_keys),
    },
    Row {
        name: "user_authorized_keys",
        mode: 0o644,
        field: Some("user_keys"),
        render: |s| lines(&s.identity.user_keys),
    },
    Row {
        name: "tcp_ports",
        mode: 0o644,
        field: Some("tcp_ports"),
        render: |s| lines(&s.identity.tcp_ports),
    },
    Row {
        name: "udp_ports",
        mode: 0o644,
        field: Some("udp_ports"),
        render: |s| lines(&s.identity.udp_ports),
    },
    Row {
        name: "resolv.conf",
        mode: 0o644,
        field: Some("dns"),
        render: |s| lines(&s.identity.dns.iter().map(|ip| format!("nameserver {ip}")).collect::<Vec<_>>()),
    },
    Row { name: "hosts", mode: 0o644, field: Some("hosts"), render: |s| lines(&s.identity.hosts) },
    Row {
        name: "static_address",
        mode: 0o644,
        field: Some("static_address"),
        render: |s| {
            let fixed = s.identity.static_address.as_ref()?;
            let gateway = fixed.gateway.map(|g| format!("gateway={g}\n")).unwrap_or_default();
            Some(format!("address={}\n{gateway}", fixed.address))
        },
    },
    Row {
        name: "root_password_hash",
        mode: 0o600,
        field: Some("root_password"),
        render: |s| s.identity.root_password.as_ref().map(ToString::to_string),
    },
    Row {
        name: "ca-cert.pem",
        mode: 0o644,
        field: Some("certificates"),
        render: |s| s.identity.certificates.as_ref().map(ToString::to_string),
    },
    Row {
        name: "samba_client_shares",
        mode: 0o644,
        field: Some("samba_shares"),
        render: |s| lines(&s.identity.samba_shares),
    },
    Row {
        name: "samba_credentials",
        mode: 0o600,
        field: Some("samba_password"),
        render: |s| s.identity.samba_credentials.as_ref().map(SambaCredentials::to_file),
    },
];

/// All files of the table for one machine, those to be removed included.
pub fn files(source: &Source<'_>) -> Vec<IdentityFile> {
    TABLE
        .iter()
        .map(|row| IdentityFile { name: row.name, mode: row.mode, content: (row.render)(source) })
        .collect()
}

/// One item a line with a final newline, or no file at all.
fn lines<T: ToString>(items: &[T]) -> Option<String> {
    if items.is_empty() {
        return None;
    }
    Some(items.iter().map(|item| item.to_string() + "\n").collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    /// The repository's file or folder of this name.
    fn repository(path: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
    }

    fn texts(folder: &str) -> String {
        let files = std::fs::read_dir(repository(folder)).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.is_file()).map(|path| std::fs::read_to_string(path).unwrap()).collect()
    }

    /// The files that the guest reads: the ones its concerns ask `common.sh` for, and the ones profiles name below
    /// `/var/identity`.
    fn read_by_the_guest() -> BTreeSet<String> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        let mut found = BTreeSet::new();
        let concerns = texts("nix/identity/concerns");
        let code = concerns.lines().filter(|line| !line.trim_start().starts_with('#'));
        let words: Vec<&str> = code.flat_map(str::split_whitespace).collect();
        for pair in words.windows(2) {
            let asked = pair[0].rsplit("$(").next();
            if matches!(asked, Some("given" | "contents" | "first_word")) {
                let name = pair[1].trim_matches(['"', ')', ';', '|']);
                match name.strip_prefix("${user}") {
                    Some(rest) => found.extend(["admin", "user"].map(|user| format!("{user}{rest}"))),
                    None => drop(found.insert(name.to_owned())),
                }
            }
        }
        let profiles = texts("profiles");
        for after in profiles.split("/var/identity/").skip(1) {
            found.insert(after.split(|c: char| !is_name(c)).next().unwrap_or_default().to_owned());
        }
        found
    }

    #[test]
    fn the_table_and_the_guest_know_the_same_files() {
        let guest = read_by_the_guest();
        let table: BTreeSet<String> = TABLE.iter().map(|row| row.name.to_owned()).collect();
        assert_eq!(guest, table, "left: what nix/identity and profiles/ read, right: what the portal writes");
    }

    #[test]
    fn every_file_is_edited_by_a_field_or_by_nobody() {
        let forms = crate::form::fields::machine_groups();
        let fields: BTreeSet<&str> = forms.iter().flat_map(|g| &g.fields).map(|f| f.name).collect();
        for row in TABLE {
            assert!(row.field.is_none_or(|field| fields.contains(field)), "{}", row.name);
        }
    }
}
