//! The hypervisor port: machines on one host, whatever manages it.
//!
//! One trait about machines, not about commands. Each kind of host implements it in package `hypervisors`, the memory
//! hypervisor of feature `testing` implements it for tests, and one contract suite runs against all of them. A domain
//! is a machine as its host knows it, whatever the host calls it. Differences are data ([`Capabilities`]) that the
//! planner reads; no caller asks which kind it talks to.
//!
//! Rules for every implementation:
//! - Every changing call is idempotent: when nothing needs changing, it quickly returns `Ok`.
//! - A missing thing is an answer ([`HypervisorError::NoSuchMachine`] or an empty list), never a panic.
//! - Nothing from a guest is acted upon; answers from guests are parsed into fixed structures and size-capped.
//! - Whatever is on a host for a machine carries the machine's id: a marker file, an element of the definition, a tag.
//!   What carries no mark, or another machine's, is never used, changed or removed ([`HypervisorError::Foreign`]).

use crate::console::ConsoleInput;
use async_trait::async_trait;
use bytes::Bytes;
use model::address::Address;
use model::host::Finding;
use model::identity::IdentityFile;
use model::machine::{HardwareIds, MachineId, MachineName, MachineState, Network};
use model::size::{DiskGib, MemoryMib, Vcpus};
use model::view::machine::Figures;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{broadcast, mpsc};

/// Where a machine is on its host, in the host's own terms: libvirt's UUID of the domain, Proxmox's node and VMID.
/// Given by [`Hypervisor::reserve`], kept with the machine until [`Hypervisor::release`], opaque to everyone but that
/// host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HostRef(pub String);

impl fmt::Display for HostRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which machine is meant, for every call about one that has a place on its host.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MachineRef {
    /// The portal's id of the machine, which everything that belongs to it on the host is marked with.
    pub id: MachineId,
    /// Its name, for messages and for what people see on the host.
    pub name: MachineName,
    /// Where it is on the host.
    pub host_ref: HostRef,
}

/// Why a host failed to do what it was asked. `Display` says what happened and what to do; sources are logged
/// separately.
#[derive(Debug, thiserror::Error)]
pub enum HypervisorError {
    /// The host does not answer; nothing is known about the outcome.
    #[error("the host does not answer: {why}")]
    Unreachable {
        /// The connection's own message.
        why: String,
    },
    /// The host knows no such machine.
    #[error("the host has no machine “{name}”")]
    NoSuchMachine {
        /// The name asked for.
        name: MachineName,
    },
    /// Something is there under the machine's name or identifier that does not carry the machine's mark.
    #[error("{what} is there and does not belong to this machine")]
    Foreign {
        /// What is there: “the folder /…/web”.
        what: String,
    },
    /// The host refused or failed, with its own message.
    #[error("{what} failed: {why}")]
    Failed {
        /// What was tried.
        what: String,
        /// The host's message.
        why: String,
    },
    /// The guest agent does not answer: it is not running, or not yet.
    #[error("the guest agent does not answer")]
    NoAgent,
    /// This kind of host cannot do it.
    #[error("{what} is not possible on this kind of host")]
    Unsupported {
        /// What was asked.
        what: String,
    },
}

impl HypervisorError {
    /// True when the same call may succeed later without anyone changing anything.
    pub fn is_retriable(&self) -> bool {
        matches!(self, HypervisorError::Unreachable { .. } | HypervisorError::NoAgent)
    }
}

/// What this port returns.
pub type Result<T> = std::result::Result<T, HypervisorError>;

/// What a kind of host can do. Only what something reads is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// A boot disk shares the image's blocks instead of being a copy of it: it is made at once, and needs the image for as long
    /// as it exists.
    pub linked_clones: bool,
}

/// The desired domain. `put_definition` makes it so, whatever was there before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// What the guest sees as its UUID, and its network address.
    pub hardware: HardwareIds,
    /// Memory.
    pub memory: MemoryMib,
    /// Processors.
    pub vcpus: Vcpus,
    /// Network.
    pub network: Network,
    /// The boot disk; read-only when there is a data disk.
    pub boot: Volume,
    /// The data disk, if the mode has one.
    pub data: Option<Volume>,
}

/// A disk as its host knows it: a file's path, or the identifier in some storage. Opaque to everyone but the host.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Volume(pub String);

/// What happens while a disk is copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyEvent {
    /// The disk is being copied for another machine; that comes first.
    Waiting,
    /// The host's file system shares the blocks of both disks: nothing is copied.
    Shared,
    /// The guest's file systems stood still while the copy of a running machine began.
    StoodStill {
        /// For how long.
        millis: u64,
    },
    /// They did not: the copy is as after a power cut.
    NotStill {
        /// Why not.
        why: String,
    },
    /// How far it is.
    Progress {
        /// Bytes copied.
        done: u64,
        /// Bytes in all, as far as is known.
        of: u64,
    },
}

/// Is told what happens while a disk is copied.
pub type CopyListener = Arc<dyn Fn(CopyEvent) + Send + Sync>;

/// Which of a machine's disks is meant when one is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskRole {
    /// The system.
    Boot,
    /// `/var`.
    Data,
}

/// What a new boot disk is made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootDisk {
    /// The image file in the Nix store on the portal's computer.
    pub image: PathBuf,
    /// Grown to this size when the machine has one disk only (mutable mode); otherwise as large as the image.
    pub grow_to: Option<DiskGib>,
}

/// A disk as the host sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskUse {
    /// What the guest sees, in bytes.
    pub size: u64,
    /// What it occupies, in bytes.
    pub used: u64,
}

/// One domain in the inventory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which.
    pub machine: HostRef,
    /// Its name on the host; domains of others may have any.
    pub name: String,
    /// Its state.
    pub state: MachineState,
}

/// Counters of a domain since its start; rates are differences between two samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Processor time used, in nanoseconds.
    pub cpu_nanos: Option<u64>,
    /// Memory in use in the guest if reported, else resident on the host, in bytes.
    pub memory_used: Option<u64>,
    /// Disk bytes read and written.
    pub disk_read: Option<u64>,
    /// Disk bytes written.
    pub disk_written: Option<u64>,
    /// Network bytes received.
    pub net_rx: Option<u64>,
    /// Network bytes sent.
    pub net_tx: Option<u64>,
    /// What the disks occupy, in bytes.
    pub disk_used: Option<u64>,
    /// What the disks could grow to, in bytes.
    pub disk_size: Option<u64>,
}

impl Counters {
    /// The figures over the `nanos` nanoseconds since `before`, for a machine with so many processors. A counter that
    /// runs backwards (the machine was restarted) gives no rate.
    pub fn since(&self, before: &Counters, nanos: u64, vcpus: u16) -> Figures {
        let rate = |now: Option<u64>, then: Option<u64>| {
            let grown = now?.checked_sub(then?)?;
            let per_second = u128::from(grown) * 1_000_000_000 / u128::from(nanos.max(1));
            u64::try_from(per_second).ok()
        };
        let cpu_percent = rate(self.cpu_nanos, before.cpu_nanos).map(|nanos_per_second| {
            let share = nanos_per_second as f64 / 1e9 / f64::from(vcpus.max(1)) * 100.0;
            share.clamp(0.0, 100.0) as f32
        });
        Figures {
            cpu_percent,
            memory_used: self.memory_used,
            disk_used: self.disk_used,
            disk_size: self.disk_size,
            disk_read_rate: rate(self.disk_read, before.disk_read),
            disk_write_rate: rate(self.disk_written, before.disk_written),
            net_rx_rate: rate(self.net_rx, before.net_rx),
            net_tx_rate: rate(self.net_tx, before.net_tx),
        }
    }
}

/// What to do with a machine's power.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Power {
    /// Switch on.
    Start,
    /// Ask the guest to shut down. Returns when it was asked, not when it has.
    ShutDown,
    /// Ask the guest to reboot.
    Reboot,
    /// Pull the plug.
    ForceOff,
    /// Stop the processors.
    Suspend,
    /// Let them run again.
    Resume,
}

/// Something happened on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostEvent {
    /// A domain has a new state.
    State {
        /// Which.
        machine: HostRef,
        /// The state now.
        state: MachineState,
    },
    /// A guest rebooted without leaving the running state.
    Rebooted {
        /// Which.
        machine: HostRef,
    },
    /// A domain was defined, or its definition changed.
    Defined {
        /// Which.
        machine: HostRef,
    },
    /// A domain is no longer known to the host.
    Undefined {
        /// Which.
        machine: HostRef,
    },
    /// The guest agent came up or went down; addresses may have changed.
    Agent {
        /// Which.
        machine: HostRef,
        /// Whether it answers now.
        connected: bool,
    },
    /// The connection to the host was lost: nothing is known until [`HostEvent::Connected`].
    Disconnected {
        /// Why, from the connection.
        why: String,
    },
    /// The connection is up (again); anything that keeps state takes a new inventory.
    Connected,
}

/// Something on a host where this portal keeps what belongs to its machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Belonging {
    /// The machine whose mark it carries; none if it carries none.
    pub owner: Option<MachineId>,
    /// What it is, as the subject of a sentence: “The folder /…/web”.
    pub what: String,
    /// How to remove it once nobody needs it, as a sentence.
    pub fix: String,
}

/// An open console. It ends when the machine stops (the receiver closes), when it is no longer driven and has to be
/// opened anew for that, or when the receiver is dropped.
#[derive(Debug)]
pub struct ConsoleStream {
    /// Bytes from the guest.
    pub output: mpsc::Receiver<Bytes>,
    /// Bytes to the guest. They are sent only while the console is driven.
    pub input: ConsoleInput,
}

/// The result of a program in the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestExit {
    /// Its exit status, unless a signal ended it.
    pub code: Option<i32>,
    /// Its standard output, at most 64 KiB.
    pub stdout: Vec<u8>,
    /// Its standard error, at most 64 KiB.
    pub stderr: Vec<u8>,
}

/// One host.
#[async_trait]
pub trait Hypervisor: Send + Sync + 'static {
    /// What this host can do.
    fn capabilities(&self) -> Capabilities;

    /// Checks everything that could go wrong before it does. Never fails: an unreachable host is a finding.
    async fn check(&self) -> Vec<Finding>;
    /// Everything that carries a machine's mark, and everything that is where only machines' things should be. The
    /// caller knows which machines there are, and so what belongs to none.
    async fn belongings(&self) -> Result<Vec<Belonging>>;
    /// Names of the bridges that this host offers to everyone: neither those of container runtimes nor the host's own.
    async fn bridges(&self) -> Result<Vec<String>>;
    /// The host's memory, in bytes.
    async fn memory(&self) -> Result<u64>;
    /// All domains in one call.
    async fn inventory(&self) -> Result<Vec<Seen>>;
    /// Events from now on. A receiver that lags takes a new inventory.
    fn events(&self) -> broadcast::Receiver<HostEvent>;
    /// Counters of all active domains in one call.
    async fn counters(&self) -> Result<Vec<(HostRef, Counters)>>;

    /// Takes a place for a machine, before anything is made for it, and marks it with the machine's id. The same place again
    /// if it has one.
    ///
    /// # Errors
    /// [`HypervisorError::Foreign`] if something of that name or identifier already exists; nothing is changed then.
    async fn reserve(&self, id: MachineId, name: &MachineName, hardware: &HardwareIds) -> Result<HostRef>;
    /// Gives up the place that carries this machine's mark, including one whose [`Hypervisor::reserve`] was
    /// interrupted. No place is fine, and so is another's of that name, which stays.
    ///
    /// # Errors
    /// While there are still disks.
    async fn release(&self, id: MachineId, name: &MachineName) -> Result<()>;
    /// Marks what was made for this machine before there were marks, and gives its place. `None`, and nothing is changed,
    /// unless everything agrees: the unmarked disks are just these, and the unmarked domain of this identifier boots from them.
    async fn adopt(
        &self,
        id: MachineId,
        name: &MachineName,
        hardware: &HardwareIds,
        disks: &[Volume],
    ) -> Result<Option<HostRef>>;

    /// Gives the place of a machine that is off another name, and with it everything known by the machine's name: its
    /// domain, and its disks where a disk's name says whose it is. `machine` has the old name. The disks may be given
    /// by their old or new names, and their current names are returned in the same order. What an interrupted call has
    /// already done is fine; the same call the other way round takes it back.
    ///
    /// # Errors
    /// [`HypervisorError::Foreign`] if something of the new name already exists; nothing is changed then. While the
    /// machine runs; nothing is changed then either.
    async fn rename(&self, machine: &MachineRef, to: &MachineName, disks: &[Volume]) -> Result<Vec<Volume>>;

    /// Makes the domain as given, new or changed.
    async fn put_definition(&self, machine: &MachineRef, definition: &Definition) -> Result<()>;
    /// Removes the domain with its firmware variables and snapshot records, not its disks. Already gone is fine.
    async fn remove_definition(&self, machine: &MachineRef) -> Result<()>;

    /// Has the host start the domain whenever it boots, or not; at once, also while the machine runs. It stays so through
    /// [`Hypervisor::put_definition`] and [`Hypervisor::rename`], and goes with the definition.
    async fn set_autostart(&self, machine: &MachineRef, on: bool) -> Result<()>;

    /// The state of one domain; [`MachineState::Configured`] if the host has none.
    async fn state(&self, machine: &MachineRef) -> Result<MachineState>;
    /// Does something with its power.
    async fn power(&self, machine: &MachineRef, power: Power) -> Result<()>;

    /// Makes the boot disk of a generation from an image, beside those of others. An unfinished one from an earlier try is
    /// made anew; a finished one of the same image stays.
    async fn create_boot_disk(
        &self,
        machine: &MachineRef,
        generation: u32,
        from: &BootDisk,
    ) -> Result<Volume>;
    /// Makes the data disk of a generation, beside those of others: an ext4 file system labelled `var` on the whole disk,
    /// with `identity/` filled. A finished one of this size stays, and gets the identity.
    async fn create_data_disk(
        &self,
        machine: &MachineRef,
        generation: u32,
        size: DiskGib,
        identity: &[IdentityFile],
    ) -> Result<Volume>;
    /// Makes the files in the identity folder of a disk exactly these, removals included; others stay. The machine is off.
    async fn write_identity(&self, volume: &Volume, role: DiskRole, identity: &[IdentityFile]) -> Result<()>;
    /// Reads one file of the identity folder of a disk; `None` if it does not exist. At most 1 MiB. The machine is off.
    async fn read_identity(&self, volume: &Volume, role: DiskRole, name: &str) -> Result<Option<Vec<u8>>>;
    /// Size and use of a disk; `None` if there is none.
    async fn disk_use(&self, volume: &Volume) -> Result<Option<DiskUse>>;
    /// Grows a disk; as large already is fine. The guest of a running machine sees the new size at once, and growing its
    /// file system is its own work. While the machine is off, the file system of a data disk grows with it, and that of a
    /// single disk at the next boot.
    ///
    /// # Errors
    /// When it would shrink; nothing is changed then.
    async fn grow_disk(
        &self,
        machine: &MachineRef,
        volume: &Volume,
        role: DiskRole,
        size: DiskGib,
    ) -> Result<()>;
    /// Copies the disk of a machine to a new disk of another machine, which has a place on the same host: the boot disk of its
    /// first generation, or its data disk. An unfinished one from an earlier try is made anew; a finished one stays. The machine may
    /// run: its guest's file systems stand still while the copy begins, if its agent answers, and they move again however that
    /// goes. A machine that runs is copied one time after the other. What a dropped future leaves is for [`Hypervisor::end_copy`].
    ///
    /// # Errors
    /// When the machine is switched on or off meanwhile, or there is too little space; the unfinished copy is removed then.
    async fn copy_disk(
        &self,
        machine: &MachineRef,
        volume: &Volume,
        to: &MachineRef,
        role: DiskRole,
        listener: CopyListener,
    ) -> Result<Volume>;
    /// Ends what an interrupted [`Hypervisor::copy_disk`] from one machine to another has left at the first: its guest's file
    /// systems move, and nothing reads its disk for the copy. Nothing left is fine.
    async fn end_copy(&self, machine: &MachineRef, to: &MachineRef) -> Result<()>;
    /// Removes from a disk what its guest has made for itself and no two machines may share: SSH host keys and the seed of its
    /// random numbers. None there is fine. The machine is off.
    async fn forget_guest(&self, volume: &Volume, role: DiskRole) -> Result<()>;
    /// Every disk that belongs to a machine, whether or not the domain uses it: what `remove_disks` would remove.
    async fn disks(&self, machine: &MachineRef) -> Result<Vec<Volume>>;
    /// Removes the disk of this role that was made with a generation, finished or not. Already gone is fine.
    ///
    /// # Errors
    /// While the machine runs from it.
    async fn remove_disk(&self, machine: &MachineRef, role: DiskRole, generation: u32) -> Result<()>;
    /// Removes all disks of a machine but these; its place stays. Already gone is fine.
    ///
    /// # Errors
    /// While the machine runs from one that would be removed; some of the others may be gone then.
    async fn remove_disks(&self, machine: &MachineRef, keep: &[Volume]) -> Result<()>;

    /// Opens the serial console. One at a time: the hub is the only caller.
    async fn console(&self, machine: &MachineRef) -> Result<ConsoleStream>;
    /// Every address of a running machine with its source, best first; neither loopback nor container bridges.
    async fn addresses(&self, machine: &MachineRef) -> Result<Vec<Address>>;
    /// Whether the guest agent answers.
    async fn agent_ping(&self, machine: &MachineRef) -> Result<()>;
    /// Reads a file in the running guest through the agent, at most 64 KiB. [`HypervisorError::Failed`] means that an agent
    /// answered and could not read it; one that is not there is [`HypervisorError::NoAgent`] or, where there can be none,
    /// [`HypervisorError::Unsupported`].
    async fn agent_read(&self, machine: &MachineRef, path: &str) -> Result<Vec<u8>>;
    /// Runs a program in the running guest through the agent, with this as its standard input, and waits for it, at most
    /// 60 s.
    async fn agent_run(&self, machine: &MachineRef, argv: &[&str], input: &[u8]) -> Result<GuestExit>;
}
