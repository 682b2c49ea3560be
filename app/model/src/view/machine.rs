//! Machines as lists, pages and live events show them.

use super::image::ImageSummary;
use super::job::{FailedJob, JobSummary};
use crate::address::Address;
use crate::change::Change;
use crate::guest::Guest;
use crate::host::HostName;
use crate::image::{ImageId, ProfileSet};
use crate::job::JobBadge;
use crate::machine::{GenerationNumber, HardwareIds, MachineId, MachineName, MachineState, Mode};
use crate::operation::OperationKind;
use crate::size::{MemoryMib, Vcpus};
use crate::sort::{Column, Sort, missing_last};
use crate::spec::Spec;
use crate::time::Time;
use serde::{Deserialize, Serialize};

/// Figures of a running machine over the last sampling interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Processor time used, in percent of all its vCPUs together (0–100).
    pub cpu_percent: Option<f32>,
    /// Memory in use in the guest, in bytes; the hypervisor's figure where the guest does not report one.
    pub memory_used: Option<u64>,
    /// What the disks occupy on the host, in bytes.
    pub disk_used: Option<u64>,
    /// What the disks could grow to, in bytes.
    pub disk_size: Option<u64>,
    /// Disk bytes read per second.
    pub disk_read_rate: Option<u64>,
    /// Disk bytes written per second.
    pub disk_write_rate: Option<u64>,
    /// Network bytes received per second.
    pub net_rx_rate: Option<u64>,
    /// Network bytes sent per second.
    pub net_tx_rate: Option<u64>,
}

/// What the host currently reports about a machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// State.
    pub state: MachineState,
    /// Every address known, best source first.
    pub addresses: Vec<Address>,
    /// Figures of the last sample.
    pub figures: Figures,
    /// What the guest has reported since it started; none while it is off or has reported nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest: Option<Box<Guest>>,
    /// What is not as it should be, and what to do: the domain is gone from the host, the host does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

impl Observed {
    /// A machine with nothing known but its state.
    pub fn only(state: MachineState) -> Self {
        Self { state, addresses: Vec::new(), figures: Figures::default(), guest: None, warning: None }
    }
}

/// One machine as lists and live events show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MachineRow {
    /// Id.
    pub id: MachineId,
    /// Name.
    pub name: MachineName,
    /// Who owns it.
    pub owner: String,
    /// Its host.
    pub host: HostName,
    /// Profiles of its image; this and the following as they are on its host, and not as a pending change will make them.
    pub profiles: ProfileSet,
    /// Mode.
    pub mode: Mode,
    /// Memory.
    pub memory: MemoryMib,
    /// Processors.
    pub vcpus: Vcpus,
    /// Live state, addresses and figures.
    pub observed: Observed,
    /// True when a newer image of the same profiles and mode has been built.
    pub update_available: bool,
    /// True when something of its configuration is not yet true on its host.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pending: bool,
    /// The unfinished job that holds the machine; while there is one, other operations wait.
    pub job: Option<JobBadge>,
}

/// One machine as its own page shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MachineDetail {
    /// What lists also show.
    pub row: MachineRow,
    /// What of its configuration is true on its host; all of it until it is created. Without secrets.
    pub applied: Spec,
    /// Its whole configuration; the root password's hash is never part of an answer, only whether there is one.
    pub spec: Spec,
    /// Whether a root password is set.
    pub has_root_password: bool,
    /// Whether a Samba user and password are set.
    pub has_samba_credentials: bool,
    /// Its UUID, network address and machine id.
    pub hardware: HardwareIds,
    /// The image it boots, if it has been created.
    pub image: Option<ImageSummary>,
    /// What it boots and what it can go back to, newest first.
    pub generations: Vec<GenerationView>,
    /// What an upgrade would boot, if it has been built.
    pub next_image: Option<ImageId>,
    /// When its configuration was first saved.
    pub created: Time,
    /// The latest jobs that concerned it, newest first.
    pub jobs: Vec<JobSummary>,
    /// Its last job that came to an end, if that failed. One that was cancelled came to none.
    pub failed: Option<FailedJob>,
    /// What of the configuration is not yet true on the host.
    pub pending: Vec<Change>,
    /// What may be done now, and why the rest may not.
    pub actions: Vec<Available>,
}

/// One generation of a machine: a system that it boots or can go back to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationView {
    /// Counted from 1 since the machine was created.
    pub number: GenerationNumber,
    /// Its image.
    pub image: ImageId,
    /// What that is composed of.
    pub profiles: ProfileSet,
    /// When its boot disk was made.
    pub made: Time,
    /// By whom.
    pub made_by: String,
    /// Whether it is what the machine boots.
    pub is_current: bool,
}

/// One operation on a machine and whether it can be asked for now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Available {
    /// The operation.
    pub kind: OperationKind,
    /// None: it can. Otherwise the reason, shown beside the disabled button.
    pub refused: Option<String>,
}

/// What is left to be done about a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Due {
    /// There is a newer image for it.
    Update,
    /// Something of its configuration is not yet true.
    Changes,
}

impl Due {
    /// In the order in which the filter offers them.
    pub const ALL: [Due; 2] = [Due::Update, Due::Changes];

    /// The value in URLs.
    pub fn as_str(self) -> &'static str {
        match self {
            Due::Update => "update",
            Due::Changes => "changes",
        }
    }

    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Due::Update => "Update available",
            Due::Changes => "Changes pending",
        }
    }
}

/// What the machine list shows: the search box and filters, as in the URL.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineFilter {
    /// Part of a name, an address, a profile, or an owner.
    pub search: String,
    /// Only machines in this state.
    pub state: Option<MachineState>,
    /// Only machines about which this is left to be done.
    pub due: Option<Due>,
    /// In which order; by name without one.
    pub sort: Option<Sort>,
    /// The page, from 0.
    pub page: u32,
}

impl MachineFilter {
    /// Whether the list shows a machine; the one rule for the server and for islands. Names are lower-case ASCII, and the
    /// tables of all other letters would cost a first visit 8 kB.
    pub fn fits(&self, row: &MachineRow) -> bool {
        let search = self.search.trim().to_ascii_lowercase();
        self.state.is_none_or(|state| state == row.observed.state)
            && self.due.is_none_or(|due| row.has_due(due))
            && (search.is_empty()
                || row.name.as_str().contains(&search)
                || row.owner.contains(&search)
                || row.profiles.iter().any(|profile| profile.as_str().contains(&search))
                || row.observed.addresses.iter().any(|address| address.ip.to_string().contains(&search)))
    }
}

impl MachineRow {
    /// Whether this is left to be done about it.
    pub fn has_due(&self, due: Due) -> bool {
        match due {
            Due::Update => self.update_available,
            Due::Changes => self.pending,
        }
    }

    /// Whether a job is creating it; such machines come first.
    pub fn is_being_created(&self) -> bool {
        self.job.is_some() && self.observed.state == MachineState::Configured
    }
}

/// The columns of the machine list.
pub const MACHINE_COLUMNS: [Column<MachineRow>; 9] = [
    Column::plain("Select"),
    Column::sorted("Name", "name", |a, b| a.name.cmp(&b.name)),
    Column::sorted("State", "state", |a, b| a.observed.state.title().cmp(b.observed.state.title())),
    Column::sorted("Address", "address", |a, b| {
        let best = |row: &MachineRow| row.observed.addresses.first().map(|address| address.ip);
        missing_last(best(a), best(b), Ord::cmp)
    }),
    Column::sorted("Processor", "cpu", |a, b| {
        missing_last(a.observed.figures.cpu_percent, b.observed.figures.cpu_percent, f32::total_cmp)
    }),
    Column::sorted("Memory", "memory", |a, b| {
        missing_last(a.observed.figures.memory_used, b.observed.figures.memory_used, Ord::cmp)
    }),
    Column::sorted("Host", "host", |a, b| a.host.cmp(&b.host)),
    Column::sorted("Owner", "owner", |a, b| a.owner.cmp(&b.owner)),
    Column::plain("Action"),
];

/// How many machines one page of the list shows.
pub const MACHINES_PER_PAGE: u32 = 100;

/// One page of the machine list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MachinePage {
    /// Machines in creation first, then in the order that was asked for.
    pub rows: Vec<MachineRow>,
    /// How many match the filter in all.
    pub matching: u64,
    /// How many there are that the actor may see.
    pub total: u64,
    /// Further ones whose record cannot be read, regardless of the filter.
    pub unreadable: Vec<UnreadableMachine>,
}

/// A machine whose record in the database cannot be read: someone edited it, or a later version wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreadableMachine {
    /// Its name.
    pub name: MachineName,
    /// Who owns it.
    pub owner: String,
    /// The host that it is on.
    pub host: HostName,
}
