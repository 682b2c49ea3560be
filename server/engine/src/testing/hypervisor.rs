//! A hypervisor in memory: a world of domains and disks that outlives the engine, so that a test can crash one and
//! inspect the other. Held to the same contract as the real ones (`contract.rs`).
//!
//! Guests boot and shut down at once, get an address, and echo input. Faults are ordered by the call's name.

mod copies;
mod port;

use crate::machine::guest;
use crate::sync::lock;
use model::address::AddressSource;
use model::machine::{MachineId, MachineName, MachineState};
use ports::hypervisor::{
    Capabilities, Definition, DiskRole, HostEvent, HostRef, HypervisorError, MachineRef, Result,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Mutex;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

/// A host like libvirt: a boot disk builds on its image, a machine is known by its UUID, a disk by a path with its
/// name.
pub const THIN: Capabilities = Capabilities { linked_clones: true };

/// A host like Proxmox: a boot disk is a copy, a machine is known by the lowest number that is free, a disk by its machine's
/// number and its own. Numbers are given out again, so that confusing them with identity is caught.
pub const THICK: Capabilities = Capabilities { linked_clones: false };

/// The size of every image, in bytes.
const IMAGE_SIZE: u64 = 2 << 30;

/// The memory of a host, in bytes.
const MEMORY: u64 = 64 << 30;

/// The hypervisor.
#[derive(Debug)]
pub struct MemoryHypervisor {
    capabilities: Capabilities,
    world: Mutex<World>,
    events: broadcast::Sender<HostEvent>,
}

#[derive(Debug, Default)]
struct World {
    places: BTreeMap<MachineName, Place>,
    domains: BTreeMap<HostRef, Domain>,
    disks: BTreeMap<String, Disk>,
    unreachable: bool,
    /// The host's, in bytes.
    memory: u64,
    /// Checks of the host wait forever.
    hangs: bool,
    faults: BTreeMap<&'static str, VecDeque<HypervisorError>>,
    deaf: bool,
    /// How a running machine's address is known, or that it has none.
    address: Option<AddressSource>,
    /// What guests have beside their identity, by path.
    guest_files: BTreeMap<String, Vec<u8>>,
    /// How often a guest's files were read through its agent.
    guest_reads: usize,
    samples: u64,
    /// What was run in guests through their agents.
    ran: Vec<Vec<String>>,
    /// What such programs end with.
    exit: i32,
    /// Machines whose guests' file systems stand still.
    frozen: BTreeSet<HostRef>,
    /// Disks that are being copied, and whose the unfinished copies are.
    copying: BTreeSet<(HostRef, MachineName)>,
}

/// Where a machine may be made, with its mark.
#[derive(Clone, Debug)]
struct Place {
    owner: Option<MachineId>,
    host_ref: HostRef,
}

#[derive(Debug)]
struct Domain {
    owner: Option<MachineId>,
    name: MachineName,
    definition: Definition,
    /// Whether the host starts it when it boots.
    autostart: bool,
    state: MachineState,
    /// Cancelled when the guest stops; consoles end with it.
    boot: CancellationToken,
}

#[derive(Clone, Debug)]
struct Disk {
    place: MachineName,
    role: DiskRole,
    /// Which of several of its role.
    generation: u32,
    size: u64,
    used: u64,
    image: Option<PathBuf>,
    /// A copy that is not complete.
    unfinished: bool,
    files: BTreeMap<String, Vec<u8>>,
}

impl MemoryHypervisor {
    /// An empty host that can do this.
    pub fn new(capabilities: Capabilities) -> Self {
        let world = World { address: Some(AddressSource::Agent), memory: MEMORY, ..World::default() };
        Self { capabilities, world: Mutex::new(world), events: broadcast::Sender::new(1024) }
    }

    /// Another host that is just like this one now, and goes its own way from here.
    pub fn fork(&self) -> Self {
        let world = lock(&self.world).fork();
        Self {
            capabilities: self.capabilities,
            world: Mutex::new(world),
            events: broadcast::Sender::new(1024),
        }
    }

    /// Cuts the connection, or restores it.
    pub fn set_reachable(&self, reachable: bool) {
        lock(&self.world).unreachable = !reachable;
        let why = || "connection refused".to_owned();
        self.tell(if reachable { HostEvent::Connected } else { HostEvent::Disconnected { why: why() } });
    }

    /// The host has so much memory, in bytes.
    pub fn set_memory(&self, bytes: u64) {
        lock(&self.world).memory = bytes;
    }

    /// Makes checks of the host wait forever, or lets them continue.
    pub fn set_hanging(&self, hangs: bool) {
        lock(&self.world).hangs = hangs;
    }

    /// The next call of this name fails like this; ordered twice, the next two.
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

    /// The guest of this name writes a file in its identity folder.
    pub fn put_file(&self, name: &str, file: &str, content: &str) {
        let mut world = lock(&self.world);
        let found = world.domains.values().find(|d| d.name.as_str() == name);
        let volume = found.map(|d| d.definition.data.clone().unwrap_or_else(|| d.definition.boot.clone()));
        let disk = volume.and_then(|volume| world.disks.get_mut(&volume.0));
        if let Some(disk) = disk {
            disk.files.insert(file.to_owned(), content.as_bytes().to_vec());
        }
    }

    /// Programs that are run in guests end with this status.
    pub fn set_exit(&self, code: i32) {
        lock(&self.world).exit = code;
    }

    /// What was run in guests, each as its arguments.
    pub fn ran(&self) -> Vec<Vec<String>> {
        lock(&self.world).ran.clone()
    }

    /// How often files of guests have been read.
    pub fn guest_reads(&self) -> usize {
        lock(&self.world).guest_reads
    }

    /// Someone else on the host, or the guest itself, brings a machine into this state.
    pub fn happen(&self, name: &str, state: MachineState) {
        let mut world = lock(&self.world);
        let found = world.domains.iter_mut().find(|(_, d)| d.name.as_str() == name);
        let changed = found.map(|(machine, domain)| (machine.clone(), domain.go(state)));
        drop(world);
        if let Some((machine, true)) = changed {
            self.tell(HostEvent::State { machine, state });
        }
    }

    /// Someone else on the host removes a domain.
    pub fn undefine(&self, name: &str) {
        let mut world = lock(&self.world);
        let found = world.domains.iter().find(|(_, d)| d.name.as_str() == name).map(|(at, _)| at.clone());
        let gone = found.and_then(|machine| world.domains.remove_entry(&machine));
        drop(world);
        if let Some((machine, domain)) = gone {
            domain.boot.cancel();
            self.tell(HostEvent::Undefined { machine });
        }
    }

    /// What exists under this name is as a portal from before the marks would have made it, or as someone else put it
    /// there.
    pub fn take_marks_off(&self, name: &str) {
        let mut world = lock(&self.world);
        world
            .places
            .iter_mut()
            .filter(|(at, _)| at.as_str() == name)
            .for_each(|(_, place)| place.owner = None);
        world.domains.values_mut().filter(|d| d.name.as_str() == name).for_each(|domain| domain.owner = None);
    }

    /// The names of all places that are taken.
    pub fn place_names(&self) -> Vec<String> {
        lock(&self.world).places.keys().map(ToString::to_string).collect()
    }

    /// The names of all domains.
    pub fn domain_names(&self) -> Vec<String> {
        lock(&self.world).domains.values().map(|d| d.name.to_string()).collect()
    }

    /// The names of all disks.
    pub fn disk_names(&self) -> Vec<String> {
        lock(&self.world).disks.keys().cloned().collect()
    }

    /// All there is on the host: places, definitions and states, disks with sizes and files.
    pub fn picture(&self) -> Vec<String> {
        let world = lock(&self.world);
        let domain = |d: &Domain| {
            let autostart = if d.autostart { " autostart" } else { "" };
            format!("domain {} {:?}{autostart} {:?}", d.name, d.state, d.definition)
        };
        let still = world.frozen.iter().map(|at| format!("frozen {at}"));
        let copying = world.copying.iter().map(|(at, to)| format!("copying {at} to {to}"));
        let mut all: Vec<String> = still.chain(copying).collect();
        all.extend(world.domains.values().map(domain));
        all.extend(world.places.iter().map(|(name, place)| format!("place {name} {}", place.host_ref)));
        for (name, disk) in &world.disks {
            let unfinished = if disk.unfinished { " unfinished" } else { "" };
            all.push(format!("disk {name} of {} bytes from {:?}{unfinished}", disk.size, disk.image));
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
    /// The same without the faults that are still ordered.
    fn fork(&self) -> Self {
        let domains = self.domains.iter().map(|(at, domain)| (at.clone(), domain.fork()));
        Self {
            places: self.places.clone(),
            domains: domains.collect(),
            disks: self.disks.clone(),
            unreachable: self.unreachable,
            memory: self.memory,
            hangs: self.hangs,
            faults: BTreeMap::new(),
            deaf: self.deaf,
            address: self.address,
            guest_files: self.guest_files.clone(),
            guest_reads: self.guest_reads,
            samples: self.samples,
            ran: self.ran.clone(),
            exit: self.exit,
            frozen: self.frozen.clone(),
            copying: self.copying.clone(),
        }
    }

    /// The place of a machine, which must carry its mark; none if there is no place of its name.
    fn place(&self, machine: &MachineRef) -> Result<Option<&Place>> {
        let found = self.places.get(&machine.name);
        if found.is_some_and(|place| place.owner != Some(machine.id)) {
            return Err(foreign("place", &machine.name));
        }
        Ok(found)
    }

    fn domain(&mut self, machine: &MachineRef) -> Result<&mut Domain> {
        let missing = || HypervisorError::NoSuchMachine { name: machine.name.clone() };
        self.domains.get_mut(&machine.host_ref).ok_or_else(missing)
    }

    fn disk(&self, machine: &MachineName, role: DiskRole, generation: u32) -> Option<(&String, &Disk)> {
        let is_it =
            |disk: &Disk| disk.place == *machine && disk.role == role && disk.generation == generation;
        self.disks.iter().find(|(_, disk)| is_it(disk))
    }

    /// The disk that the guest of a machine has its identity on: the data disk where there is one.
    fn system_disk(&mut self, machine: &MachineRef) -> Option<&mut Disk> {
        let definition = &self.domains.get(&machine.host_ref)?.definition;
        let volume = definition.data.as_ref().unwrap_or(&definition.boot);
        self.disks.get_mut(&volume.0)
    }

    /// Refuses while the machine runs from this disk.
    fn must_not_run_from(&self, machine: &MachineRef, disk: &str) -> Result<()> {
        let uses = |d: &Definition| std::iter::once(&d.boot).chain(&d.data).any(|volume| volume.0 == disk);
        match self.domains.get(&machine.host_ref) {
            Some(domain) if domain.state.is_active() && uses(&domain.definition) => {
                Err(HypervisorError::Failed {
                    what: "removing a disk".to_owned(),
                    why: format!("the machine runs from {disk}"),
                })
            }
            _ => Ok(()),
        }
    }

    /// A guest takes its identity, as `snowglobe-identity receive` does; false when it refuses.
    fn receive(&mut self, machine: &MachineRef, message: &[u8]) -> bool {
        let Some((files, disk)) = guest::read(message).zip(self.system_disk(machine)) else { return false };
        for (name, content) in files {
            match content {
                Some(content) => disk.files.insert(name, content),
                None => disk.files.remove(&name),
            };
        }
        true
    }

    /// The domain that stands in the way of this machine: of its name or in its place, with another's mark or none.
    fn in_the_way(&self, id: MachineId, name: &MachineName, at: &HostRef) -> Option<HypervisorError> {
        let mut domains = self.domains.iter().filter(|(other, d)| d.name == *name || *other == at);
        domains
            .find(|(_, domain)| domain.owner != Some(id))
            .map(|(_, domain)| foreign("domain", &domain.name))
    }
}

fn foreign(what: &str, name: &MachineName) -> HypervisorError {
    HypervisorError::Foreign { what: format!("the {what} “{name}”") }
}

impl Domain {
    /// The same, whose consoles end with its own guest.
    fn fork(&self) -> Self {
        Self {
            owner: self.owner,
            name: self.name.clone(),
            definition: self.definition.clone(),
            autostart: self.autostart,
            state: self.state,
            boot: CancellationToken::new(),
        }
    }

    /// Goes to a state; returns whether it changed.
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
