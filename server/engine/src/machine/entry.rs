//! What is known of one machine: its row as pages show it, and what the row is made from.

use crate::db::machines::MachineRecord;
use model::account::UserId;
use model::address::{Address, AddressSource};
use model::image::ImageId;
use model::machine::MachineState;
use model::view::machine::{Figures, MachineRow, Observed};
use ports::hypervisor::{HostRef, MachineRef};
use std::net::IpAddr;
use std::path::PathBuf;

/// The message for a machine whose disks are not known to be its own.
const UNMARKED: &str = "What is on its host under this name does not carry this machine's mark, so it is left alone. The hosts \
                        page shows what it is.";

/// What the host last reported about a machine's domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Domain {
    /// The host does not answer, for this reason.
    Unknown(String),
    /// The host has no such domain.
    Absent,
    /// The host has it, in this state.
    Present(MachineState),
    /// What the host has under the machine's name does not carry its mark.
    Unmarked,
}

/// One machine.
#[derive(Clone, Debug)]
pub(crate) struct MachineEntry {
    /// As lists show it.
    pub row: MachineRow,
    /// Who owns it.
    pub owner: UserId,
    /// Where it is on its host, while it has a place there.
    pub host_ref: Option<HostRef>,
    /// The image that its disks were made from, while it has disks.
    pub image: Option<ImageId>,
    /// Where that image was in the Nix store, if it is gone from there.
    pub image_gone: Option<PathBuf>,
    /// What the host last reported.
    pub domain: Domain,
    /// When the host last reported it, in the fleet's own count of events: an inventory that began earlier is older.
    pub stamp: u64,
    /// Counts observed boots, so that an answer of the guest is known to be of this one.
    pub boot: u64,
    /// What its owner fixed in the configuration.
    static_ip: Option<IpAddr>,
    /// The addresses that the host reports.
    learnt: Vec<Address>,
    /// Its last known addresses, kept across a restart of the portal; shown until the host reports new ones.
    last: Vec<IpAddr>,
}

impl MachineEntry {
    /// A machine with only its record known.
    pub fn new(record: &MachineRecord, domain: Domain) -> Self {
        let spec = &record.spec;
        let made = record.applied.as_ref().unwrap_or(spec);
        let mut known = Self {
            row: MachineRow {
                id: record.id,
                name: spec.name.clone(),
                owner: record.owner_name.clone(),
                host: spec.host.clone(),
                profiles: made.profiles.clone(),
                mode: made.mode,
                memory: made.memory,
                vcpus: made.vcpus,
                observed: Observed::only(MachineState::Configured),
                update_available: false,
                pending: record.applied.as_ref().is_some_and(|applied| !applied.changes(spec).is_empty()),
                job: None,
            },
            owner: record.owner,
            host_ref: record.host_ref.clone(),
            image: record.disks.as_ref().map(|d| d.image),
            image_gone: None,
            domain,
            stamp: 0,
            boot: 0,
            static_ip: spec.identity.static_address.as_ref().map(|s| s.address.addr()),
            learnt: Vec::new(),
            last: Vec::new(),
        };
        known.settle();
        known
    }

    /// Which machine it is on its host, where it has a place there.
    pub fn on_host(&self) -> Option<MachineRef> {
        let host_ref = self.host_ref.clone()?;
        Some(MachineRef { id: self.row.id, name: self.row.name.clone(), host_ref })
    }

    /// Whether it has disks, and so is more than a configuration.
    pub fn is_created(&self) -> bool {
        self.image.is_some()
    }

    /// Takes over from an older entry of the same machine what its record does not contain.
    pub fn inherit(&mut self, before: &MachineEntry) {
        if self.image == before.image {
            self.image_gone.clone_from(&before.image_gone);
        }
        self.stamp = before.stamp;
        self.learnt.clone_from(&before.learnt);
        self.last.clone_from(&before.last);
        self.row.job.clone_from(&before.row.job);
        self.row.observed.figures = before.row.observed.figures;
        self.boot = before.boot;
        self.row.observed.guest.clone_from(&before.row.observed.guest);
    }

    /// The guest's answers are from a boot that is over.
    pub fn forget_boot(&mut self) {
        self.boot += 1;
        self.row.observed.guest = None;
    }

    /// Takes over the addresses that the host reports.
    pub fn set_addresses(&mut self, learnt: Vec<Address>) {
        if !learnt.is_empty() {
            self.last = learnt.iter().map(|address| address.ip).collect();
        }
        self.learnt = learnt;
    }

    /// The addresses that it last had, to be kept over a restart.
    pub fn last_addresses(&self) -> &[IpAddr] {
        &self.last
    }

    /// Takes over addresses from before the restart.
    pub fn remember_addresses(&mut self, last: Vec<IpAddr>) {
        self.last = last;
    }

    /// Takes over figures, rounded so that noise is no news.
    pub fn set_figures(&mut self, figures: Figures) {
        const PAGE: u64 = 1 << 20;
        let coarse = |n: Option<u64>, unit: u64| n.map(|n| n / unit * unit);
        self.row.observed.figures = Figures {
            cpu_percent: figures.cpu_percent.map(f32::round),
            memory_used: coarse(figures.memory_used, PAGE),
            disk_used: coarse(figures.disk_used, PAGE),
            disk_size: figures.disk_size,
            disk_read_rate: coarse(figures.disk_read_rate, 1024),
            disk_write_rate: coarse(figures.disk_write_rate, 1024),
            net_rx_rate: coarse(figures.net_rx_rate, 1024),
            net_tx_rate: coarse(figures.net_tx_rate, 1024),
        };
    }

    /// Brings the row in line with the rest. Called after every change.
    pub fn settle(&mut self) {
        let created = self.is_created();
        let (state, warning) = match &self.domain {
            Domain::Unknown(why) if created => {
                (MachineState::Unknown, Some(format!("Its host “{}” does not answer: {why}.", self.row.host)))
            }
            Domain::Unknown(_) => (MachineState::Configured, None),
            Domain::Unmarked => (MachineState::Unknown, Some(UNMARKED.to_owned())),
            // While a job makes or removes the machine, a missing domain is no news.
            Domain::Absent if created && self.row.job.is_none() => (
                MachineState::Configured,
                Some(
                    "Its domain is gone from the host; its disks are still there. “Create from configuration” \
                     defines it again with these disks."
                        .to_owned(),
                ),
            ),
            Domain::Absent => (MachineState::Configured, None),
            Domain::Present(state) => (*state, None),
        };
        let image_gone = self.image_gone.as_ref().map(|path| {
            format!(
                "The image that its disks build on is gone from the Nix store ({}). Build {} ({}) again before the next \
                 start; if that gives a different path, restore this one from a backup.",
                path.display(),
                self.row.profiles,
                self.row.mode.as_str()
            )
        });
        let observed = &mut self.row.observed;
        observed.state = state;
        observed.warning = warning.or(image_gone);
        // A machine that is off has no address, but one that nobody can query may well still have it.
        if !state.is_active() {
            self.learnt.clear();
        }
        if state.is_active() || state == MachineState::Unknown {
            observed.addresses = addresses(self.static_ip, &self.learnt, &self.last);
        } else {
            self.last.clear();
            observed.addresses.clear();
        }
        if !state.is_active() {
            // What a disk occupies stays true while the machine is off, as long as there is one; rates do not.
            let Figures { disk_used, disk_size, .. } =
                if created { observed.figures } else { Figures::default() };
            observed.figures = Figures { disk_used, disk_size, ..Figures::default() };
            self.forget_boot();
        }
    }
}

/// Each address once, from its best source; the last known ones only while the host reports none.
fn addresses(fixed: Option<IpAddr>, learnt: &[Address], last: &[IpAddr]) -> Vec<Address> {
    let fixed = fixed.map(|ip| Address { source: AddressSource::Static, ip });
    let last = last.iter().filter(|_| learnt.is_empty());
    let last = last.map(|ip| Address { source: AddressSource::LastKnown, ip: *ip });
    let mut all: Vec<Address> = fixed.into_iter().chain(learnt.iter().cloned()).chain(last).collect();
    all.sort();
    let mut unique: Vec<Address> = Vec::with_capacity(all.len());
    for address in all {
        if unique.iter().all(|known| known.ip != address.ip) {
            unique.push(address);
        }
    }
    unique
}
