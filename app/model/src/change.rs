//! What differs between two configurations of one machine, and what each difference needs before it is true.

use crate::identity::Identity;
use crate::image::ProfileSet;
use crate::notes::Notes;
use crate::spec::Spec;
use crate::ssh_key::SshKey;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A part of a configuration that becomes true as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The files of `/var/identity`.
    Identity,
    /// The size of the disk.
    Disk,
    /// Memory, processors and network card.
    Hardware,
    /// Whether the host starts it when it boots.
    Autostart,
    /// What the image is composed of.
    Profiles,
    /// How much of the guest may change.
    Mode,
    /// Notes and delete protection, which only the portal keeps.
    Portal,
}

impl Part {
    /// All of them, in the order in which pages show them.
    pub const ALL: [Part; 7] = [
        Part::Hardware,
        Part::Disk,
        Part::Identity,
        Part::Autostart,
        Part::Profiles,
        Part::Mode,
        Part::Portal,
    ];

    /// What makes it true.
    pub fn when(self) -> When {
        match self {
            Part::Identity | Part::Disk | Part::Autostart => When::Now,
            Part::Hardware => When::Restart,
            Part::Profiles => When::Upgrade,
            Part::Mode => When::Recreate,
            Part::Portal => When::Saved,
        }
    }
}

/// What a change needs before it is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Nothing: it is true as soon as it is saved, and so never pending.
    Saved,
    /// Nothing: it is applied at once, also to a machine that runs.
    Now,
    /// A machine that runs is switched off and on again; a reboot from inside is not enough.
    Restart,
    /// A new image.
    Upgrade,
    /// New disks.
    Recreate,
}

impl When {
    /// Whether switching the machine off and on again makes it true, if nothing has before.
    pub fn is_restart_enough(self) -> bool {
        self <= When::Restart
    }

    /// For people, behind a change of a machine that runs.
    pub fn title(self) -> &'static str {
        match self {
            When::Saved => "takes effect when saved",
            When::Now => "applied at once",
            When::Restart => "needs a restart",
            When::Upgrade => "needs an upgrade",
            When::Recreate => "needs to be recreated",
        }
    }
}

/// One difference, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The part that it belongs to.
    pub part: Part,
    /// What it needs before it is true, for a machine in this mode.
    pub when: When,
    /// “Memory: 2 GiB → 4 GiB”. Nothing of a secret, only that it changes.
    pub what: String,
}

impl Spec {
    /// Takes a part of another configuration.
    pub fn take(&mut self, part: Part, from: &Spec) {
        match part {
            Part::Identity => self.identity = from.identity.clone(),
            Part::Disk => self.disk = from.disk,
            Part::Hardware => {
                (self.memory, self.vcpus) = (from.memory, from.vcpus);
                self.network = from.network.clone();
            }
            Part::Autostart => self.autostart = from.autostart,
            Part::Profiles => self.profiles = from.profiles.clone(),
            Part::Mode => self.mode = from.mode,
            Part::Portal => {
                self.notes = from.notes.clone();
                self.delete_protection = from.delete_protection;
            }
        }
    }

    /// Whether a part is the same in both.
    pub fn agrees(&self, part: Part, other: &Spec) -> bool {
        match part {
            Part::Identity => self.identity == other.identity,
            Part::Disk => self.disk == other.disk,
            Part::Hardware => {
                (self.memory, self.vcpus, &self.network) == (other.memory, other.vcpus, &other.network)
            }
            Part::Autostart => self.autostart == other.autostart,
            Part::Profiles => self.profiles == other.profiles,
            Part::Mode => self.mode == other.mode,
            Part::Portal => (&self.notes, self.delete_protection) == (&other.notes, other.delete_protection),
        }
    }

    /// What is different in `to`, by parts in their order.
    pub fn changes(&self, to: &Spec) -> Vec<Change> {
        Part::ALL.into_iter().flat_map(|part| self.changes_of(part, to)).collect()
    }

    fn changes_of(&self, part: Part, to: &Spec) -> Vec<Change> {
        let what = match part {
            Part::Hardware => vec![
                value("Memory", self.memory, to.memory),
                value("Processors", self.vcpus, to.vcpus),
                value("Network", self.network.title(), to.network.title()),
            ],
            Part::Disk => vec![value("Disk", self.disk, to.disk)],
            Part::Identity => return self.identity_changes(to),
            Part::Autostart => vec![switch("Autostart", self.autostart, to.autostart)],
            Part::Profiles => vec![set("Profiles", &profiles(&self.profiles), &profiles(&to.profiles))],
            Part::Mode => vec![value("Mode", self.mode.title(), to.mode.title())],
            Part::Portal => vec![
                switch("Delete protection", self.delete_protection, to.delete_protection),
                mention("Notes", &text(&self.notes), &text(&to.notes)),
            ],
        };
        what.into_iter().flatten().map(|what| self.change(part, what)).collect()
    }

    fn change(&self, part: Part, what: String) -> Change {
        // A mutable machine has its system on its only disk, where no other image can take its place.
        let is_mutable = !self.mode.has_data_disk();
        let when = if part == Part::Profiles && is_mutable { When::Recreate } else { part.when() };
        Change { part, when, what }
    }

    fn identity_changes(&self, to: &Spec) -> Vec<Change> {
        let (from, to) = (&self.identity, &to.identity);
        let fixed = |identity: &Identity| {
            identity.static_address.as_ref().map_or("from DHCP".to_owned(), ToString::to_string)
        };
        let key = |keys: &[SshKey]| keys.iter().map(SshKey::label).collect();
        let what = [
            set("SSH keys for admin", &key(&from.admin_keys), &key(&to.admin_keys)),
            set("SSH keys for user", &key(&from.user_keys), &key(&to.user_keys)),
            mention("Console password for root", &from.root_password, &to.root_password),
            set("Open TCP ports", &texts(&from.tcp_ports), &texts(&to.tcp_ports)),
            set("Open UDP ports", &texts(&from.udp_ports), &texts(&to.udp_ports)),
            value("Static address", fixed(from), fixed(to)),
            set("Name servers", &texts(&from.dns), &texts(&to.dns)),
            set("Extra /etc/hosts entries", &texts(&from.hosts), &texts(&to.hosts)),
            mention("Additional certificate authorities", &from.certificates, &to.certificates),
            set("Samba shares", &texts(&from.samba_shares), &texts(&to.samba_shares)),
            mention("Samba credentials", &from.samba_credentials, &to.samba_credentials),
        ];
        let mut what: Vec<String> = what.into_iter().flatten().collect();
        // Two texts of one label, as two keys with the same comment have, or another order.
        if what.is_empty() && from != to {
            what.push("Access and network settings".to_owned());
        }
        what.into_iter().map(|what| self.change(Part::Identity, what)).collect()
    }
}

fn value<T: PartialEq + ToString>(name: &str, from: T, to: T) -> Option<String> {
    (from != to).then(|| format!("{name}: {} → {}", from.to_string(), to.to_string()))
}

/// What was added and what was removed.
fn set(name: &str, from: &BTreeSet<String>, to: &BTreeSet<String>) -> Option<String> {
    let added = to.difference(from).map(|item| format!("+ {item}"));
    let removed = from.difference(to).map(|item| format!("− {item}"));
    let all: Vec<String> = added.chain(removed).collect();
    (!all.is_empty()).then(|| format!("{name}: {}", all.join(", ")))
}

fn switch(name: &str, from: bool, to: bool) -> Option<String> {
    let word = |on: bool| if on { "on" } else { "off" };
    value(name, word(from), word(to))
}

/// What is not shown, as a secret or a long text: only that it is set, changed or removed.
fn mention<T: PartialEq>(name: &str, from: &Option<T>, to: &Option<T>) -> Option<String> {
    let how = match (from, to) {
        (from, to) if from == to => return None,
        (None, _) => "set",
        (_, None) => "removed",
        _ => "changed",
    };
    Some(format!("{name}: {how}"))
}

fn text(notes: &Notes) -> Option<&str> {
    Some(notes.as_str()).filter(|text| !text.is_empty())
}

fn texts<T: ToString>(items: &[T]) -> BTreeSet<String> {
    items.iter().map(ToString::to_string).collect()
}

fn profiles(set: &ProfileSet) -> BTreeSet<String> {
    set.iter().map(ToString::to_string).collect()
}
