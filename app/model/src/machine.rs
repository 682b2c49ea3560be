//! A machine: what its owner asked for ([`Spec`]) and what its host says of it ([`Observed`]).

use crate::address::Address;
use crate::guest::Guest;
use crate::host::HostName;
use crate::identity::Identity;
use crate::image::ProfileSet;
use crate::job::JobBadge;
use crate::newtype::{Refused, label};
use crate::size::{DiskGib, MemoryMib, Vcpus};
use crate::time::Time;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

crate::id!(
    /// Names a machine for ever, through renames and recreation.
    MachineId
);

crate::validated_string!(
    /// A machine's name: one host label, unique in the portal. It is also its host name, its domain's name and its folder's.
    MachineName,
    |text| {
        // Its page would be hidden behind the form for a new machine.
        if text == "new" { Err(Refused::new("A machine cannot be called “new”; choose another name.")) } else { label("The name", text) }
    }
);

crate::validated_string!(
    /// A bridge on the host. The kernel allows 15 bytes (`IFNAMSIZ`, net/if.h); we allow what bridges are really called.
    BridgeName,
    |text| {
        let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if text.is_empty() || text.len() > 15 || !text.bytes().all(fine) || !text.as_bytes().first().is_some_and(u8::is_ascii_alphabetic) {
            return Err(Refused::new("A bridge's name has 1 to 15 letters, digits, “-”, “_” or “.”, and begins with a letter."));
        }
        Ok(())
    }
);

/// How much of the guest may change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Read-only root from the image, everything that lasts on `/var`.
    #[default]
    Immutable,
    /// Read-only root with a writable `/nix` overlay that lies on `/var`.
    SemiMutable,
    /// One read-write disk; the guest rebuilds itself.
    Mutable,
}

impl Mode {
    /// All modes, in the order in which forms offer them.
    pub const ALL: [Mode; 3] = [Mode::Immutable, Mode::SemiMutable, Mode::Mutable];

    /// The word used in Nix, in the database and in forms.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Immutable => "immutable",
            Mode::SemiMutable => "semi-mutable",
            Mode::Mutable => "mutable",
        }
    }

    /// The word for people.
    pub fn title(self) -> &'static str {
        match self {
            Mode::Immutable => "Immutable",
            Mode::SemiMutable => "Semi-mutable",
            Mode::Mutable => "Mutable",
        }
    }

    /// One sentence that tells what choosing it means.
    pub fn summary(self) -> &'static str {
        match self {
            Mode::Immutable => "The system is read-only and upgraded as a whole; data lives on its own disk.",
            Mode::SemiMutable => {
                "Read-only system, but “nix profile install” works; an upgrade clears what was added."
            }
            Mode::Mutable => "An ordinary NixOS on one disk that you rebuild from inside.",
        }
    }

    /// True when the machine has a data disk of its own beside the boot disk.
    pub fn has_data_disk(self) -> bool {
        self != Mode::Mutable
    }
}

impl FromStr for Mode {
    type Err = Refused;
    fn from_str(text: &str) -> Result<Self, Refused> {
        Mode::ALL
            .into_iter()
            .find(|m| m.as_str() == text)
            .ok_or_else(|| Refused::new("Choose immutable, semi-mutable or mutable."))
    }
}

/// How the machine reaches the network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Network {
    /// Behind the host's address translation; reachable from the host.
    #[default]
    Nat,
    /// A port of this bridge; a machine like any other on that network.
    Bridge(BridgeName),
}

impl FromStr for Network {
    type Err = Refused;
    fn from_str(text: &str) -> Result<Self, Refused> {
        match text.split_once(':') {
            None if text == "nat" => Ok(Network::Nat),
            Some(("bridge", name)) => name.parse().map(Network::Bridge),
            _ => Err(Refused::new("Choose NAT, or a bridge by its name.")),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Network::Nat => f.write_str("nat"),
            Network::Bridge(name) => write!(f, "bridge:{name}"),
        }
    }
}

impl TryFrom<String> for Network {
    type Error = Refused;
    fn try_from(text: String) -> Result<Self, Refused> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> String {
        network.to_string()
    }
}

/// Everything that a person decides about a machine. The database row holds exactly this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Its name.
    pub name: MachineName,
    /// The host it lives on.
    pub host: HostName,
    /// What its image is composed of.
    pub profiles: ProfileSet,
    /// How much of it may change.
    pub mode: Mode,
    /// Memory.
    pub memory: MemoryMib,
    /// Virtual processors.
    pub vcpus: Vcpus,
    /// The data disk; in mutable mode the only disk.
    pub disk: DiskGib,
    /// How it reaches the network.
    pub network: Network,
    /// What the guest reads about itself at boot.
    pub identity: Identity,
}

crate::validated_string!(
    /// A MAC address, lower case, `52:54:00:…` as QEMU's own range has it.
    MacAddress,
    |text| {
        let parts: Vec<&str> = text.split(':').collect();
        let hex = |p: &&str| p.len() == 2 && p.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if parts.len() == 6 && parts.iter().all(hex) { Ok(()) } else { Err(Refused::new("That is not a MAC address.")) }
    }
);

crate::validated_string!(
    /// 32 lower-case hexadecimal digits (machine-id(5)).
    GuestMachineId,
    |text| {
        if text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            Ok(())
        } else {
            Err(Refused::new("That is not a machine id of 32 hexadecimal digits."))
        }
    }
);

/// The identifiers of a machine's hardware: drawn when it is made and kept through upgrades, recreation and restores; a clone
/// gets its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HardwareIds {
    /// The hypervisor's identifier of the domain.
    pub uuid: uuid::Uuid,
    /// The network card's address.
    pub mac: MacAddress,
    /// `/etc/machine-id` in the guest.
    pub machine_id: GuestMachineId,
}

/// What a machine is doing, as its host says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MachineState {
    /// Only a configuration: there is neither disk nor domain.
    Configured,
    /// Off.
    Off,
    /// Running.
    Running,
    /// Running, asked to shut down.
    ShuttingDown,
    /// Suspended in memory.
    Paused,
    /// Ended by a fault of the guest or of the hypervisor.
    Crashed,
    /// Its host does not answer, so nobody knows.
    Unknown,
}

impl MachineState {
    /// The word for people, shown beside the coloured dot.
    pub fn title(self) -> &'static str {
        match self {
            MachineState::Configured => "Not created",
            MachineState::Off => "Off",
            MachineState::Running => "Running",
            MachineState::ShuttingDown => "Shutting down",
            MachineState::Paused => "Paused",
            MachineState::Crashed => "Crashed",
            MachineState::Unknown => "Unknown",
        }
    }

    /// The same as a word for CSS classes and URLs.
    pub fn as_str(self) -> &'static str {
        match self {
            MachineState::Configured => "configured",
            MachineState::Off => "off",
            MachineState::Running => "running",
            MachineState::ShuttingDown => "shutting-down",
            MachineState::Paused => "paused",
            MachineState::Crashed => "crashed",
            MachineState::Unknown => "unknown",
        }
    }

    /// True while a guest is in memory.
    pub fn is_active(self) -> bool {
        matches!(self, MachineState::Running | MachineState::ShuttingDown | MachineState::Paused)
    }
}

/// Figures of a running machine over the last sampling interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Processor time used, in percent of all its vCPUs together (0–100).
    pub cpu_percent: Option<f32>,
    /// Memory in use in the guest, in bytes; the hypervisor's share where the guest does not tell.
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

/// What the host says of a machine right now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// State.
    pub state: MachineState,
    /// Every address known, best source first.
    pub addresses: Vec<Address>,
    /// Figures of the last sample.
    pub figures: Figures,
    /// What the guest has said of itself since it was started; none while it is off or has said nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest: Option<Box<Guest>>,
    /// What is not as it should be, and what to do: the domain is gone from the host, the host does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

impl Observed {
    /// A machine of which nothing but its state is known.
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
    /// Where it lives.
    pub host: HostName,
    /// Profiles of its image.
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
    /// The unfinished job that holds the machine; while there is one, other operations wait.
    pub job: Option<JobBadge>,
}

/// One machine as its own page shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MachineDetail {
    /// What lists show as well.
    pub row: MachineRow,
    /// Its whole configuration; the root password's hash is never part of an answer, only whether there is one.
    pub spec: Spec,
    /// Whether a root password is set.
    pub has_root_password: bool,
    /// Its UUID, network address and machine id.
    pub hardware: HardwareIds,
    /// The image it boots, if it has been created.
    pub image: Option<crate::image::ImageSummary>,
    /// When its configuration was first saved.
    pub created: Time,
    /// The latest jobs that concerned it, newest first.
    pub jobs: Vec<crate::job::JobSummary>,
    /// What may be done now; what may not says why.
    pub actions: Vec<Available>,
}

/// One operation on a machine and whether it can be asked for now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Available {
    /// The operation.
    pub kind: crate::operation::OperationKind,
    /// None: it can. Otherwise the reason in words, shown beside the disabled button.
    pub refused: Option<String>,
}

/// What the machine list shows: the search box and filters, as they stand in the URL.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineFilter {
    /// Part of a name, an address, a profile, or an owner.
    pub search: String,
    /// Only machines in this state.
    pub state: Option<MachineState>,
    /// The page, from 0.
    pub page: u32,
}

/// How many machines one page of the list shows.
pub const MACHINES_PER_PAGE: u32 = 100;

/// One page of the machine list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MachinePage {
    /// Machines in creation first, then by name.
    pub rows: Vec<MachineRow>,
    /// How many match the filter in all.
    pub matching: u64,
    /// How many there are that the actor may see.
    pub total: u64,
}
