//! Forms as data: which fields an operation has, and how what was posted becomes operations.
//!
//! One renderer shows every form from [`groups`]; one decoder, [`operations`], reads it back. Both run on the server and in
//! the browser, so that a field is judged by the same rule while it is typed and when it is posted. A decoder answers
//! with all errors at once, each beside its field, and never panics, whatever bytes come.

mod fields;

pub use fields::{Entry, Field, Group, groups};

use crate::certificates::Certificates;
use crate::fault::FieldError;
use crate::identity::{Identity, PasswordHash};
use crate::image::{ProfileName, ProfileSet};
use crate::machine::{MachineName, Mode};
use crate::newtype::Refused;
use crate::operation::{Operation, OperationKind};
use crate::samba::SambaCredentials;
use crate::spec::Spec;
use crate::ssh_key::SshKey;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::str::FromStr;

/// The largest body of a form that is read, in bytes.
pub const BODY_MAX: usize = 256 * 1024;
/// The largest number of fields that is read.
const FIELDS_MAX: usize = 512;
/// The largest number of lines in one field.
const LINES_MAX: usize = 128;

/// What was posted: names and values in order, repeated names included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormData(pub Vec<(String, String)>);

impl FormData {
    /// Reads `application/x-www-form-urlencoded` (WHATWG URL §5.1); any bytes are read as something.
    pub fn from_urlencoded(body: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(body).take(FIELDS_MAX);
        Self(pairs.map(|(k, v)| (k.into_owned(), v.into_owned())).collect())
    }

    /// The first value of this name, without blanks around it; empty if there is none.
    pub fn get(&self, name: &str) -> &str {
        self.raw(name).trim()
    }

    /// The first value of this name exactly as it was posted.
    pub fn raw(&self, name: &str) -> &str {
        self.0.iter().find(|(k, _)| k == name).map_or("", |(_, v)| v)
    }

    /// All values of this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(k, _)| k == name).map(|(_, v)| v.as_str())
    }

    /// True when the name was posted at all, as a ticked checkbox is.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(k, _)| k == name)
    }

    /// Sets a value, replacing what was there.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.retain(|(k, _)| k != name);
        self.0.push((name.to_owned(), value.into()));
    }

    /// The same without the fields that hold secrets, fit to be shown in a form again.
    pub fn without_secrets(mut self) -> Self {
        self.0.retain(|(k, _)| !k.contains("password") && k != "token");
        self
    }
}

/// Makes the crypt hash of a clear password. The browser, which only validates, gives one that is thrown away.
pub type HashPassword<'a> = &'a dyn Fn(&str) -> Result<PasswordHash, Refused>;

/// Reads a posted form. The field `intent` names the operation's kind; a form can mean several operations, as “build
/// each of these” does.
///
/// # Errors
/// Everything that is wrong, in the order of the form.
pub fn operations(data: &FormData, hash: HashPassword<'_>) -> Result<Vec<Operation>, Vec<FieldError>> {
    let kind: OperationKind =
        data.get("intent").parse().map_err(|e: Refused| vec![FieldError::new("intent", e.0)])?;
    match kind {
        OperationKind::Create => Ok(vec![Operation::Create { spec: Box::new(spec(data, hash)?) }]),
        OperationKind::Configure => Ok(vec![Operation::Configure { spec: Box::new(spec(data, hash)?) }]),
        OperationKind::Build => builds(data),
        OperationKind::RemoveImage => {
            let mut read = Reader::new(data);
            let image = read.one("image", "The image is not known; load the page again.");
            read.finish(image.map(|image| vec![Operation::RemoveImage { image }]))
        }
        other => {
            let mut read = Reader::new(data);
            let operation =
                read.value::<MachineName>("machine").and_then(|m| Operation::on_machine(other, m));
            read.finish(operation.map(|o| vec![o]))
        }
    }
}

/// `set` is repeated for each combination to build; without it the ticked `profiles` are one combination, or one each
/// with `each`.
fn builds(data: &FormData) -> Result<Vec<Operation>, Vec<FieldError>> {
    let mut read = Reader::new(data);
    let mode: Option<Mode> = read.value("mode");
    let sets: Vec<ProfileSet> = if data.has("set") {
        data.all("set").filter_map(|text| read.parse("set", text)).collect()
    } else if data.has("each") {
        data.all("profiles").filter_map(|text| read.parse("profiles", text)).collect()
    } else {
        read.profiles().into_iter().collect()
    };
    let sets: BTreeSet<ProfileSet> = sets.into_iter().collect();
    if sets.is_empty() && read.errors.is_empty() {
        read.errors.push(FieldError::new("profiles", "Choose at least one profile."));
    }
    read.finish(
        mode.map(|mode| sets.into_iter().map(|profiles| Operation::Build { profiles, mode }).collect()),
    )
}

fn spec(data: &FormData, hash: HashPassword<'_>) -> Result<Spec, Vec<FieldError>> {
    let mut read = Reader::new(data);
    let name = read.value("name");
    let host = read.value("host");
    let profiles = read.profiles();
    let mode = read.value("mode");
    let (memory, vcpus, disk) = (read.value("memory"), read.value("vcpus"), read.value("disk"));
    let network = read.value("network");
    let identity = Identity {
        admin_keys: read.keys("admin_keys"),
        user_keys: read.keys("user_keys"),
        root_password: read.password(hash),
        tcp_ports: read.lines("tcp_ports"),
        udp_ports: read.lines("udp_ports"),
        static_address: read.optional("static_address"),
        dns: read.addresses("dns"),
        hosts: read.lines("hosts"),
        certificates: read.certificates(),
        samba_shares: read.lines("samba_shares"),
        samba_credentials: read.samba_credentials(),
    };
    let whole = (|| {
        Some(Spec {
            name: name?,
            host: host?,
            profiles: profiles?,
            mode: mode?,
            memory: memory?,
            vcpus: vcpus?,
            disk: disk?,
            network: network?,
            identity,
        })
    })();
    read.finish(whole)
}

/// Reads fields one by one and collects what is wrong.
struct Reader<'a> {
    data: &'a FormData,
    errors: Vec<FieldError>,
}

impl<'a> Reader<'a> {
    fn new(data: &'a FormData) -> Self {
        Self { data, errors: Vec::new() }
    }

    /// The value if nothing was wrong. A missing value without an error cannot be: each `None` came with its message.
    fn finish<T>(self, value: Option<T>) -> Result<T, Vec<FieldError>> {
        match value {
            Some(value) if self.errors.is_empty() => Ok(value),
            _ => Err(self.errors),
        }
    }

    fn parse<T: FromStr<Err = Refused>>(&mut self, name: &str, text: &str) -> Option<T> {
        text.parse().map_err(|e: Refused| self.errors.push(FieldError::new(name, e.0))).ok()
    }

    fn value<T: FromStr<Err = Refused>>(&mut self, name: &str) -> Option<T> {
        let data = self.data;
        self.parse(name, data.get(name))
    }

    fn one<T: FromStr>(&mut self, name: &str, message: &str) -> Option<T> {
        let parsed = self.data.get(name).parse().ok();
        if parsed.is_none() {
            self.errors.push(FieldError::new(name, message));
        }
        parsed
    }

    fn optional<T: FromStr<Err = Refused>>(&mut self, name: &str) -> Option<T> {
        let data = self.data;
        let text = data.get(name);
        if text.is_empty() { None } else { self.parse(name, text) }
    }

    /// Lines that are neither blank nor comments.
    fn items(&mut self, name: &str) -> Vec<&'a str> {
        let lines = self.data.raw(name).lines().map(str::trim);
        let items: Vec<&str> =
            lines.filter(|l| !l.is_empty() && !l.starts_with('#')).take(LINES_MAX + 1).collect();
        if items.len() > LINES_MAX {
            self.errors.push(FieldError::new(name, format!("More than {LINES_MAX} lines are not read.")));
            return Vec::new();
        }
        items
    }

    fn lines<T: FromStr<Err = Refused>>(&mut self, name: &str) -> Vec<T> {
        self.items(name).into_iter().filter_map(|line| self.parse(name, line)).collect()
    }

    /// Keys, each once: a key pasted twice is one key.
    fn keys(&mut self, name: &str) -> Vec<SshKey> {
        let mut keys: Vec<SshKey> = Vec::new();
        for key in self.lines(name) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    }

    fn addresses(&mut self, name: &str) -> Vec<std::net::IpAddr> {
        let mut found = Vec::new();
        for line in self.items(name) {
            match line.parse() {
                Ok(ip) => found.push(ip),
                Err(_) => {
                    let what = crate::address::brief(line);
                    self.errors.push(FieldError::new(name, format!("“{what}” is not an IP address.")));
                }
            }
        }
        found
    }

    /// Ticked profiles; a value may also be a list with commas, as a link or a REST client gives it.
    fn profiles(&mut self) -> Option<ProfileSet> {
        let data = self.data;
        let names: Vec<&str> = data.all("profiles").flat_map(|v| v.split(',')).map(str::trim).collect();
        let names: Vec<ProfileName> =
            names.into_iter().filter(|n| !n.is_empty()).filter_map(|n| self.parse("profiles", n)).collect();
        ProfileSet::try_from(names.into_iter().collect::<BTreeSet<_>>())
            .map_err(|e| self.errors.push(FieldError::new("profiles", e.0)))
            .ok()
    }

    /// The whole field, not its lines: certificates have more of them than anything else, and they belong together.
    fn certificates(&mut self) -> Option<Certificates> {
        let data = self.data;
        let text = data.get("certificates");
        if text.is_empty() { None } else { self.parse("certificates", text) }
    }

    fn samba_credentials(&mut self) -> Option<SambaCredentials> {
        let (user, password) = (self.data.get("samba_user"), self.data.raw("samba_password"));
        if user.is_empty() && password.is_empty() {
            return None;
        }
        let read = SambaCredentials::new(user, password);
        read.map_err(|e| self.errors.push(FieldError::new("samba_password", e.0))).ok()
    }

    fn password(&mut self, hash: HashPassword<'_>) -> Option<PasswordHash> {
        let clear = self.data.raw("root_password");
        if clear.is_empty() {
            return None;
        }
        if clear.chars().any(char::is_control) || clear.len() > 256 {
            let message = "A console password has at most 256 bytes and no control characters.";
            self.errors.push(FieldError::new("root_password", message));
            return None;
        }
        hash(clear).map_err(|e| self.errors.push(FieldError::new("root_password", e.0))).ok()
    }
}

/// The form's values for a specification, so that it can be opened again.
pub fn from_spec(spec: &Spec) -> FormData {
    fn lines<T: ToString>(items: &[T]) -> String {
        items.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }
    let id = &spec.identity;
    let mut data = FormData::default();
    for (name, value) in [
        ("name", spec.name.to_string()),
        ("host", spec.host.to_string()),
        ("mode", spec.mode.as_str().to_owned()),
        ("memory", spec.memory.get().to_string()),
        ("vcpus", spec.vcpus.get().to_string()),
        ("disk", spec.disk.get().to_string()),
        ("network", spec.network.to_string()),
        ("admin_keys", lines(&id.admin_keys)),
        ("user_keys", lines(&id.user_keys)),
        ("tcp_ports", lines(&id.tcp_ports)),
        ("udp_ports", lines(&id.udp_ports)),
        ("static_address", id.static_address.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("dns", lines(&id.dns)),
        ("hosts", lines(&id.hosts)),
        ("certificates", id.certificates.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("samba_shares", lines(&id.samba_shares)),
        ("samba_user", id.samba_credentials.as_ref().map(|c| c.user().to_owned()).unwrap_or_default()),
    ] {
        data.0.push((name.to_owned(), value));
    }
    data.0.extend(spec.profiles.chosen().map(|p| ("profiles".to_owned(), p.to_string())));
    data
}

/// The form as it opens first.
pub fn defaults(kind: OperationKind) -> FormData {
    let fields = groups(kind).into_iter().flat_map(|g| g.fields);
    FormData(
        fields.filter(|f| !f.default.is_empty()).map(|f| (f.name.to_owned(), f.default.to_owned())).collect(),
    )
}

#[cfg(test)]
mod tests;
