//! A hypervisor in memory: a world of domains and disks that outlives the engine, so that a test can crash the one and look at
//! the other. Held to the same contract as the real ones (`contract.rs`).
//!
//! Guests boot and shut down at once, get an address, and echo what is typed. Faults are ordered by the call's name.

mod port;

use crate::sync::lock;
use model::address::AddressSource;
use model::machine::{MachineName, MachineState};
use ports::hypervisor::{Capabilities, Definition, HostEvent, HypervisorError, MachineRef, Result};
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Mutex;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// What a host like libvirt can do.
pub const THIN: Capabilities = Capabilities {
    thin_provisioning: true,
    offline_grow: true,
    own_firewall: false,
    snapshots_with_memory: true,
};

/// What a host like Proxmox can do.
pub const THICK: Capabilities = Capabilities {
    thin_provisioning: false,
    offline_grow: false,
    own_firewall: true,
    snapshots_with_memory: true,
};

/// The size of every image, in bytes.
const IMAGE_SIZE: u64 = 2 << 30;

/// The hypervisor.
#[derive(Debug)]
pub struct MemoryHypervisor {
    capabilities: Capabilities,
    world: Mutex<World>,
    events: broadcast::Sender<HostEvent>,
}

#[derive(Debug, Default)]
struct World {
    domains: BTreeMap<Uuid, Domain>,
    disks: BTreeMap<String, Disk>,
    unreachable: bool,
    faults: BTreeMap<&'static str, VecDeque<HypervisorError>>,
    deaf: bool,
    /// How a running machine's address is known, or that it has none.
    address: Option<AddressSource>,
    /// What guests have beside their identity, by path.
    guest_files: BTreeMap<String, Vec<u8>>,
    /// How often a guest's files were read through its agent.
    guest_reads: usize,
    samples: u64,
}

#[derive(Debug)]
struct Domain {
    name: MachineName,
    definition: Definition,
    state: MachineState,
    /// Cancelled when the guest stops; consoles end with it.
    boot: CancellationToken,
}

#[derive(Debug)]
struct Disk {
    machine: MachineName,
    size: u64,
    image: Option<PathBuf>,
    files: BTreeMap<String, Vec<u8>>,
}

impl MemoryHypervisor {
    /// An empty host that can do this.
    pub fn new(capabilities: Capabilities) -> Self {
        let world = World { address: Some(AddressSource::Agent), ..World::default() };
        Self { capabilities, world: Mutex::new(world), events: broadcast::Sender::new(1024) }
    }

    /// Cuts the connection, or restores it.
    pub fn set_reachable(&self, reachable: bool) {
        lock(&self.world).unreachable = !reachable;
        let why = || "connection refused".to_owned();
        self.tell(if reachable { HostEvent::Connected } else { HostEvent::Disconnected { why: why() } });
    }

    /// The next call of this name fails so; ordered twice, the next two.
    pub fn fail_next(&self, call: &'static str, error: HypervisorError) {
        lock(&self.world).faults.entry(call).or_default().push_back(error);
    }

    /// No call is ordered to fail any more.
    pub fn forget_faults(&self) {
        lock(&self.world).faults.clear();
    }

    /// Guests ignore the power button, or heed it.
    pub fn set_deaf(&self, deaf: bool) {
        lock(&self.world).deaf = deaf;
    }

    /// Guests have an address that is known from there, or none.
    pub fn set_address(&self, source: Option<AddressSource>) {
        lock(&self.world).address = source;
    }

    /// Every guest has this file, or has it no more.
    pub fn set_guest_file(&self, path: &str, content: Option<&str>) {
        let files = &mut lock(&self.world).guest_files;
        match content {
            Some(content) => files.insert(path.to_owned(), content.as_bytes().to_vec()),
            None => files.remove(path),
        };
    }

    /// How often files of guests have been read.
    pub fn guest_reads(&self) -> usize {
        lock(&self.world).guest_reads
    }

    /// Somebody else on the host, or the guest itself, brings a machine into this state.
    pub fn happen(&self, name: &str, state: MachineState) {
        let mut world = lock(&self.world);
        let found = world.domains.values_mut().find(|d| d.name.as_str() == name);
        let changed = found.map(|domain| (domain.definition.hardware.uuid, domain.go(state)));
        drop(world);
        if let Some((uuid, true)) = changed {
            self.tell(HostEvent::State { uuid, state });
        }
    }

    /// Somebody else on the host removes a domain.
    pub fn undefine(&self, name: &str) {
        let mut world = lock(&self.world);
        let uuid =
            world.domains.values().find(|d| d.name.as_str() == name).map(|d| d.definition.hardware.uuid);
        let gone = uuid.and_then(|uuid| world.domains.remove(&uuid));
        drop(world);
        if let Some(domain) = gone {
            domain.boot.cancel();
            self.tell(HostEvent::Undefined { uuid: domain.definition.hardware.uuid });
        }
    }

    /// The names of all domains.
    pub fn domain_names(&self) -> Vec<String> {
        lock(&self.world).domains.values().map(|d| d.name.to_string()).collect()
    }

    /// The names of all disks.
    pub fn disk_names(&self) -> Vec<String> {
        lock(&self.world).disks.keys().cloned().collect()
    }

    /// All there is on the host: definitions and states, disks with sizes and files.
    pub fn picture(&self) -> Vec<String> {
        let world = lock(&self.world);
        let domains =
            world.domains.values().map(|d| format!("domain {} {:?} {:?}", d.name, d.state, d.definition));
        let mut all: Vec<String> = domains.collect();
        for (name, disk) in &world.disks {
            all.push(format!("disk {name} of {} bytes from {:?}", disk.size, disk.image));
            let text = |content: &[u8]| String::from_utf8_lossy(content).into_owned();
            all.extend(
                disk.files.iter().map(|(file, content)| format!("file {name}/{file}: {:?}", text(content))),
            );
        }
        all
    }

    /// The state of the machine of this name.
    pub fn state_of(&self, name: &str) -> Option<MachineState> {
        lock(&self.world).domains.values().find(|d| d.name.as_str() == name).map(|d| d.state)
    }

    fn tell(&self, event: HostEvent) {
        // Nobody listening is fine.
        let _ = self.events.send(event);
    }

    /// The world, if the host answers and no fault is ordered for this call.
    fn world(&self, call: &'static str) -> Result<std::sync::MutexGuard<'_, World>> {
        let mut world = lock(&self.world);
        if world.unreachable {
            return Err(HypervisorError::Unreachable { why: "connection refused".to_owned() });
        }
        match world.faults.get_mut(call).and_then(VecDeque::pop_front) {
            Some(fault) => Err(fault),
            None => Ok(world),
        }
    }
}

impl World {
    fn domain(&mut self, machine: &MachineRef) -> Result<&mut Domain> {
        let missing = || HypervisorError::NoSuchMachine { name: machine.name.clone() };
        self.domains.get_mut(&machine.uuid).ok_or_else(missing)
    }
}

impl Domain {
    /// Goes to a state; says whether that is another one.
    fn go(&mut self, state: MachineState) -> bool {
        if self.state == state {
            return false;
        }
        if !state.is_active() {
            self.boot.cancel();
        } else if !self.state.is_active() {
            self.boot = CancellationToken::new();
        }
        self.state = state;
        true
    }
}
