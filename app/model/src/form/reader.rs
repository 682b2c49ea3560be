//! Reads the fields of a posted form one by one, and collects what is wrong with them.

use super::data::{FormData, TYPE_AGAIN};
use crate::account::password_fault;
use crate::certificates::Certificates;
use crate::fault::FieldError;
use crate::host::HostName;
use crate::identity::{Identity, PasswordHash};
use crate::image::{ProfileName, ProfileSet};
use crate::machine::{MachineName, Mode, Network};
use crate::newtype::Refused;
use crate::operation::{KeptSecrets, MachineAction, NewCopy, Operation, Reconfigure};
use crate::samba::SambaCredentials;
use crate::size::{Copies, DiskGib};
use crate::spec::Spec;
use crate::ssh_key::SshKey;
use std::collections::BTreeSet;
use std::str::FromStr;

/// The largest number of lines in one field.
const LINES_MAX: usize = 128;

/// Makes the crypt hash of a clear password. The browser only validates and supplies a dummy.
pub type HashPassword<'a> = &'a dyn Fn(&str) -> Result<PasswordHash, Refused>;

/// A configuration as a hidden field has it.
struct Json(Spec);

impl FromStr for Json {
    type Err = serde_json::Error;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(text).map(Self)
    }
}

/// Reads fields one by one and collects what is wrong.
pub struct Reader<'a> {
    data: &'a FormData,
    hash: HashPassword<'a>,
    errors: Vec<FieldError>,
}

/// The longest console password, in bytes: it is typed on a terminal.
const CONSOLE_PASSWORD_MAX: usize = 256;

/// Stands for the number of each of several copies in their name.
const NUMBER: &str = "{n}";

/// How many images one form has built at most.
pub const BUILDS_MAX: usize = 32;

impl<'a> Reader<'a> {
    /// A reader of this form.
    pub(crate) fn new(data: &'a FormData, hash: HashPassword<'a>) -> Self {
        Self { data, hash, errors: Vec::new() }
    }

    /// Images to build: `set` is repeated for each combination to build; without it the ticked `profiles` are one combination, or one each
    /// with `each`.
    pub(crate) fn builds(&mut self) -> Option<Vec<Operation>> {
        let data = self.data;
        let mode: Option<Mode> = self.value("mode");
        let sets: BTreeSet<ProfileSet> = if data.has("set") {
            data.all("set").take(BUILDS_MAX + 1).filter_map(|text| self.parse("set", text)).collect()
        } else if data.has("each") {
            data.all("profiles")
                .take(BUILDS_MAX + 1)
                .filter_map(|text| self.parse("profiles", text))
                .collect()
        } else {
            self.profiles().into_iter().collect()
        };
        if sets.is_empty() && self.errors.is_empty() {
            self.errors.push(FieldError::new("profiles", "Choose at least one profile."));
        }
        if sets.len() > BUILDS_MAX {
            let why = format!("Choose at most {BUILDS_MAX} images at a time.");
            self.errors.push(FieldError::new("profiles", why));
        }
        let mode = mode?;
        Some(sets.into_iter().map(|profiles| Operation::Build { profiles, mode }).collect())
    }

    /// Copies of a machine, each with its number in its name.
    pub(crate) fn clones(&mut self) -> Option<Vec<Operation>> {
        let machine: Option<MachineName> = self.value("machine");
        let names = self.names_of_copies();
        let (memory, vcpus, disk) = (self.value("memory"), self.value("vcpus"), self.value("disk"));
        let (network, profiles) = (self.value("network"), self.profiles());
        let (machine, names) = (machine?, names?);
        let (memory, vcpus, disk, network, profiles) = (memory?, vcpus?, disk?, network?, profiles?);
        let start = self.data.has("start");
        let copy = |name| NewCopy {
            name,
            memory,
            vcpus,
            disk,
            network: Network::clone(&network),
            profiles: profiles.clone(),
            start,
        };
        let copies = names.into_iter().map(|name| MachineAction::Clone(Box::new(copy(name))));
        Some(copies.map(|action| action.on(machine.clone())).collect())
    }

    fn names_of_copies(&mut self) -> Option<Vec<MachineName>> {
        let data = self.data;
        let (name, copies) = (data.get("name"), self.value::<Copies>("copies")?);
        if copies.get() > 1 && !name.contains(NUMBER) {
            let why = format!("Several copies need {NUMBER} in their name, as in web-{NUMBER}.");
            self.errors.push(FieldError::new("name", why));
            return None;
        }
        // What is wrong with one is wrong with all but the last few: it is told once.
        (1..=copies.get()).map(|n| self.parse("name", &name.replace(NUMBER, &n.to_string()))).collect()
    }

    /// A whole machine. Everything is read before any field is found missing, so that all errors are reported at once.
    pub(crate) fn spec(&mut self) -> Option<Spec> {
        let name = self.value("name");
        let host = self.value("host");
        let profiles = self.profiles();
        let mode = self.value("mode");
        self.spec_of(name, host, profiles, mode, None)
    }

    /// The rest of a machine with this name, host and image.
    fn spec_of(
        &mut self,
        name: Option<MachineName>,
        host: Option<HostName>,
        profiles: Option<ProfileSet>,
        mode: Option<Mode>,
        disk_now: Option<DiskGib>,
    ) -> Option<Spec> {
        let (memory, vcpus, disk) = (self.value("memory"), self.value("vcpus"), self.disk(disk_now));
        let network = self.value("network");
        let identity = self.identity();
        let notes = self.value("notes");
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
            notes: notes?,
            autostart: self.data.has("autostart"),
            delete_protection: self.data.has("delete_protection"),
        })
    }

    /// The disk's size. One that is made or grown has a narrower bound than one that stays as it is.
    fn disk(&mut self, now: Option<DiskGib>) -> Option<DiskGib> {
        let wanted = self.data.get("disk").parse();
        let fits = |wanted| (DiskGib::MIN..=DiskGib::NEW_MAX).contains(&wanted);
        if wanted.is_ok_and(|wanted| !fits(wanted) && now.map(u64::from) != Some(wanted)) {
            let (min, max) = (DiskGib::MIN, DiskGib::NEW_MAX);
            let why = format!("The disk in GiB must be between {min} and {max}.");
            self.errors.push(FieldError::new("disk", why));
            return None;
        }
        self.value("disk")
    }

    /// The image that a machine gets from this form, unless it has it already.
    pub(crate) fn new_image(&mut self) -> Option<(ProfileSet, Mode)> {
        let (profiles, mode) = (self.profiles()?, self.value("mode")?);
        if !self.data.has("base") {
            return Some((profiles, mode));
        }
        let Json(base) = self.hidden("base")?;
        ((&base.profiles, base.mode) != (&profiles, mode)).then_some((profiles, mode))
    }

    fn identity(&mut self) -> Identity {
        Identity {
            admin_keys: self.keys("admin_keys"),
            user_keys: self.keys("user_keys"),
            root_password: self.password(),
            tcp_ports: self.lines("tcp_ports"),
            udp_ports: self.lines("udp_ports"),
            static_address: self.optional("static_address"),
            dns: self.addresses("dns"),
            hosts: self.lines("hosts"),
            certificates: self.certificates(),
            samba_shares: self.lines("samba_shares"),
            samba_credentials: self.samba_credentials(),
        }
    }

    /// Another configuration of a machine, beside the one that its form was opened with. An empty field of a secret keeps what
    /// is set; what is to go is ticked.
    pub(crate) fn reconfigure(&mut self) -> Option<MachineAction> {
        let base = self.hidden::<Json>("base").map(|Json(base)| base);
        let of = base.as_ref();
        let (name, host) = (of.map(|base| base.name.clone()), of.map(|base| base.host.clone()));
        let (profiles, mode) = (self.profiles(), self.value("mode"));
        let spec = self.spec_of(name, host, profiles, mode, of.map(|base| base.disk));
        let kept = KeptSecrets {
            root_password: self.is_kept("root_password", "remove_root_password"),
            samba: self.is_kept("samba_password", "remove_samba"),
        };
        let (mut base, spec) = (base?, spec?);
        base.identity.hide_secrets();
        Some(MachineAction::Reconfigure(Box::new(Reconfigure { base, spec, kept })))
    }

    /// Whether a secret stays: nothing was typed, and its removal is not ticked.
    fn is_kept(&mut self, field: &str, removal: &str) -> bool {
        let (is_empty, is_removed) = (self.data.raw(field).is_empty(), self.data.has(removal));
        if is_removed && !is_empty {
            let why = "Either enter a new password or remove the one that is set, not both.";
            self.errors.push(FieldError::new(field, why));
        }
        is_empty && !is_removed
    }

    /// Whether a secret has to be typed again.
    fn is_overlooked(&mut self, name: &str) -> bool {
        let is_overlooked = self.data.must_retype(name);
        if is_overlooked {
            self.errors.push(FieldError::new(name, TYPE_AGAIN));
        }
        is_overlooked
    }

    /// The value if nothing was wrong. A missing value always comes with an error: each `None` came with its message.
    pub(crate) fn finish<T>(self, value: Option<T>) -> Result<T, Vec<FieldError>> {
        match value {
            Some(value) if self.errors.is_empty() => Ok(value),
            _ => Err(self.errors),
        }
    }

    fn parse<T: FromStr<Err = Refused>>(&mut self, name: &str, text: &str) -> Option<T> {
        text.parse().map_err(|e: Refused| self.errors.push(FieldError::new(name, e.0))).ok()
    }

    /// A value that must be there.
    pub(crate) fn value<T: FromStr<Err = Refused>>(&mut self, name: &str) -> Option<T> {
        let data = self.data;
        self.parse(name, data.get(name))
    }

    /// A value that only our own pages fill in.
    pub(crate) fn hidden<T: FromStr>(&mut self, name: &str) -> Option<T> {
        let parsed = self.data.get(name).parse().ok();
        if parsed.is_none() {
            self.errors.push(FieldError::new(name, "This page is out of date. Reload it and try again."));
        }
        parsed
    }

    /// The action on the machine that the page names; `action` reads the operation's own fields.
    pub(crate) fn on_machine(
        &mut self,
        action: impl FnOnce(&mut Self) -> Option<MachineAction>,
    ) -> Option<Vec<Operation>> {
        let machine: Option<MachineName> = self.value("machine");
        let action = action(self)?;
        Some(vec![action.on(machine?)])
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

    /// Ticked profiles; a value may also be a list with commas, as from a link or a REST client.
    fn profiles(&mut self) -> Option<ProfileSet> {
        let data = self.data;
        let names: Vec<&str> = data.all("profiles").flat_map(|v| v.split(',')).map(str::trim).collect();
        let names: Vec<ProfileName> =
            names.into_iter().filter(|n| !n.is_empty()).filter_map(|n| self.parse("profiles", n)).collect();
        ProfileSet::try_from(names.into_iter().collect::<BTreeSet<_>>())
            .map_err(|e| self.errors.push(FieldError::new("profiles", e.0)))
            .ok()
    }

    /// The whole field, not its lines: certificates have more of those than anything else, and they belong together.
    fn certificates(&mut self) -> Option<Certificates> {
        let data = self.data;
        let text = data.get("certificates");
        if text.is_empty() { None } else { self.parse("certificates", text) }
    }

    fn samba_credentials(&mut self) -> Option<SambaCredentials> {
        let (user, password) = (self.data.get("samba_user"), self.data.raw("samba_password"));
        if self.is_overlooked("samba_password") {
            return None;
        }
        if user.is_empty() && password.is_empty() {
            return None;
        }
        let read = SambaCredentials::new(user, password);
        read.map_err(|e| self.errors.push(FieldError::new("samba_password", e.0))).ok()
    }

    fn password(&mut self) -> Option<PasswordHash> {
        let clear = self.data.raw("root_password");
        if self.is_overlooked("root_password") || clear.is_empty() {
            return None;
        }
        let is_typable = !clear.chars().any(char::is_control) && clear.len() <= CONSOLE_PASSWORD_MAX;
        let untypable = || format!("Use at most {CONSOLE_PASSWORD_MAX} bytes and no control characters.");
        if let Some(why) = password_fault(clear).or_else(|| (!is_typable).then(untypable)) {
            self.errors.push(FieldError::new("root_password", why));
            return None;
        }
        (self.hash)(clear).map_err(|e| self.errors.push(FieldError::new("root_password", e.0))).ok()
    }
}
