//! The vocabulary of machines: names, modes, networks, hardware ids, states.

use crate::newtype::{Refused, label};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

crate::id!(
    /// Identifies a machine permanently, through renames and recreation.
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
    /// A bridge on the host. The kernel allows 15 bytes (`IFNAMSIZ`, net/if.h); we allow names that real bridges have.
    BridgeName,
    |text| {
        let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if text.is_empty() || text.len() > 15 || !text.bytes().all(fine) || !text.as_bytes().first().is_some_and(u8::is_ascii_alphabetic) {
            return Err(Refused::new("A bridge's name has 1 to 15 letters, digits, “-”, “_” or “.”, and begins with a letter."));
        }
        Ok(())
    }
);

/// Which of its systems a machine boots: counted from 1 since it was created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GenerationNumber(pub u32);

impl FromStr for GenerationNumber {
    type Err = Refused;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.parse().ok().filter(|number| *number > 0);
        number.map(Self).ok_or_else(|| Refused::new("Choose one of the generations that are kept."))
    }
}

impl fmt::Display for GenerationNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How much of the guest may change.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    strum::EnumString,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case", parse_err_ty = Refused, parse_err_fn = no_such_mode)]
pub enum Mode {
    /// Read-only root from the image, everything persistent on `/var`.
    #[default]
    Immutable,
    /// Read-only root with a writable `/nix` overlay on `/var`.
    SemiMutable,
    /// One read-write disk; the guest rebuilds itself.
    Mutable,
}

impl Mode {
    /// All modes, in the order that forms offer them.
    pub const ALL: [Mode; 3] = [Mode::Immutable, Mode::SemiMutable, Mode::Mutable];

    /// The name used in Nix, in the database and in forms.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// The label for people.
    pub fn title(self) -> &'static str {
        match self {
            Mode::Immutable => "Immutable",
            Mode::SemiMutable => "Semi-mutable",
            Mode::Mutable => "Mutable",
        }
    }

    /// What choosing it means, in a sentence.
    pub fn summary(self) -> &'static str {
        match self {
            Mode::Immutable => "The system is read-only and upgraded as a whole; data lives on its own disk.",
            Mode::SemiMutable => {
                "Read-only system, but “nix profile install” works; an upgrade removes what was added."
            }
            Mode::Mutable => "An ordinary NixOS on one disk that you rebuild from inside.",
        }
    }

    /// True when the machine has a data disk of its own beside the boot disk.
    pub fn has_data_disk(self) -> bool {
        self != Mode::Mutable
    }
}

fn no_such_mode(_: &str) -> Refused {
    Refused::new("Choose immutable, semi-mutable or mutable.")
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

impl Network {
    /// In words.
    pub fn title(&self) -> String {
        match self {
            Network::Nat => "NAT".to_owned(),
            Network::Bridge(name) => format!("Bridge {name}"),
        }
    }
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

crate::validated_string!(
    /// A MAC address, lower case, `52:54:00:…` as in QEMU's own range.
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
            Err(Refused::new("A machine id has 32 hexadecimal digits."))
        }
    }
);

/// The identifiers of a machine's hardware: drawn when it is created and kept through upgrades, recreation and
/// restores; a clone gets its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HardwareIds {
    /// The hypervisor's identifier of the domain.
    pub uuid: uuid::Uuid,
    /// The network card's address.
    pub mac: MacAddress,
    /// `/etc/machine-id` in the guest.
    pub machine_id: GuestMachineId,
}

/// What a machine is doing, according to its host.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "kebab-case")]
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
    /// Its host is unreachable.
    Unknown,
}

impl MachineState {
    /// The label for people, shown beside the coloured dot.
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

    /// The same as a name for CSS classes and URLs.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// True while a guest is in memory.
    pub fn is_active(self) -> bool {
        matches!(self, MachineState::Running | MachineState::ShuttingDown | MachineState::Paused)
    }
}
