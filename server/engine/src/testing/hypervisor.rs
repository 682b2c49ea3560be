//! A hypervisor in memory: a world of domains and disks that outlives the engine, so that a test can crash the one and look at
//! the other. Held to the same contract as the real ones (`contract.rs`).
//!
//! Guests boot and shut down at once, get an address, and echo what is typed. Faults are ordered by the call's name.

use crate::ports::hypervisor::{
    BootDisk, Capabilities, ConsoleStream, Counters, Definition, DiskRole, DiskUse, GuestExit, HostEvent,
    Hypervisor, HypervisorError, MachineRef, Power, Result, Seen, Volume,
};
use crate::sync::lock;
use async_trait::async_trait;
use bytes::Bytes;
use model::address::{Address, AddressSource};
use model::host::{Finding, Level};
use model::identity::IdentityFile;
use model::machine::{MachineName, MachineState};
use model::size::DiskGib;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Mutex;
use tokio::sync::{broadcast, mpsc};
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
    without_addresses: bool,
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
        Self { capabilities, world: Mutex::default(), events: broadcast::Sender::new(1024) }
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

    /// Guests ignore the power button, or heed it.
    pub fn set_deaf(&self, deaf: bool) {
        lock(&self.world).deaf = deaf;
    }

    /// Guests get no address, or get one.
    pub fn set_without_addresses(&self, without: bool) {
        lock(&self.world).without_addresses = without;
    }

    /// Somebody else on the host, or the guest itself, brings a machine into this state.
    pub fn happen(&self, name: &str, state: MachineState) {
        let mut world = lock(&self.world);
        let found = world.domains.values_mut().find(|d| d.name.as_str() == name);
        let changed = found.map(|domain| (domain.definition.birthmarks.uuid, domain.go(state)));
        drop(world);
        if let Some((uuid, true)) = changed {
            self.tell(HostEvent::State { uuid, state });
        }
    }

    /// Somebody else on the host removes a domain.
    pub fn undefine(&self, name: &str) {
        let mut world = lock(&self.world);
        let uuid =
            world.domains.values().find(|d| d.name.as_str() == name).map(|d| d.definition.birthmarks.uuid);
        let gone = uuid.and_then(|uuid| world.domains.remove(&uuid));
        drop(world);
        if let Some(domain) = gone {
            domain.boot.cancel();
            self.tell(HostEvent::Undefined { uuid: domain.definition.birthmarks.uuid });
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

fn volume(machine: &MachineRef, role: &str) -> Volume {
    Volume(format!("{}/{role}", machine.name))
}

fn failed(what: &str, why: &str) -> HypervisorError {
    HypervisorError::Failed { what: what.to_owned(), why: why.to_owned() }
}

fn put_files(files: &mut BTreeMap<String, Vec<u8>>, identity: &[IdentityFile]) {
    for file in identity {
        match &file.content {
            Some(content) => files.insert(file.name.to_owned(), content.clone().into_bytes()),
            None => files.remove(file.name),
        };
    }
}

#[async_trait]
impl Hypervisor for MemoryHypervisor {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    async fn check(&self) -> Vec<Finding> {
        let unreachable = lock(&self.world).unreachable;
        let (level, what) = if unreachable {
            (Level::Error, "The host does not answer: connection refused.")
        } else {
            (Level::Ok, "The host answers.")
        };
        let fix = unreachable.then(|| "Start it.".to_owned());
        vec![Finding { name: "connection".to_owned(), level, what: what.to_owned(), fix }]
    }

    async fn bridges(&self) -> Result<Vec<String>> {
        drop(self.world("bridges")?);
        Ok(vec!["br0".to_owned()])
    }

    async fn inventory(&self) -> Result<Vec<Seen>> {
        let world = self.world("inventory")?;
        let seen =
            |(uuid, d): (&Uuid, &Domain)| Seen { uuid: *uuid, name: d.name.to_string(), state: d.state };
        Ok(world.domains.iter().map(seen).collect())
    }

    fn events(&self) -> broadcast::Receiver<HostEvent> {
        self.events.subscribe()
    }

    async fn counters(&self) -> Result<Vec<(Uuid, Counters)>> {
        let mut world = self.world("counters")?;
        world.samples += 1;
        let counters = Counters {
            cpu_nanos: Some(world.samples * 1_000_000),
            memory_used: Some(64 << 20),
            disk_used: Some(100 << 20),
            disk_size: Some(IMAGE_SIZE),
            ..Counters::default()
        };
        let active = world.domains.iter().filter(|(_, d)| d.state.is_active());
        Ok(active.map(|(uuid, _)| (*uuid, counters)).collect())
    }

    async fn put_definition(&self, definition: &Definition) -> Result<()> {
        let mut world = self.world("put_definition")?;
        let uuid = definition.birthmarks.uuid;
        if world.domains.iter().any(|(other, d)| *other != uuid && d.name == definition.name) {
            return Err(HypervisorError::Foreign { name: definition.name.clone() });
        }
        for volume in std::iter::once(&definition.boot).chain(&definition.data) {
            if !world.disks.contains_key(&volume.0) {
                return Err(failed("defining the machine", &format!("there is no disk {}", volume.0)));
            }
        }
        let domain = world.domains.entry(uuid).or_insert_with(|| Domain {
            name: definition.name.clone(),
            definition: definition.clone(),
            state: MachineState::Off,
            boot: CancellationToken::new(),
        });
        domain.definition = definition.clone();
        drop(world);
        self.tell(HostEvent::Defined { uuid });
        Ok(())
    }

    async fn remove_definition(&self, machine: &MachineRef) -> Result<()> {
        let gone = self.world("remove_definition")?.domains.remove(&machine.uuid);
        if let Some(domain) = gone {
            domain.boot.cancel();
            if domain.state.is_active() {
                self.tell(HostEvent::State { uuid: machine.uuid, state: MachineState::Off });
            }
            self.tell(HostEvent::Undefined { uuid: machine.uuid });
        }
        Ok(())
    }

    async fn state(&self, machine: &MachineRef) -> Result<MachineState> {
        let world = self.world("state")?;
        Ok(world.domains.get(&machine.uuid).map_or(MachineState::Configured, |d| d.state))
    }

    async fn power(&self, machine: &MachineRef, power: Power) -> Result<()> {
        let mut world = self.world("power")?;
        let deaf = world.deaf;
        let domain = world.domain(machine)?;
        let (active, paused) = (domain.state.is_active(), domain.state == MachineState::Paused);
        let next = match power {
            Power::Start if !active => Some(MachineState::Running),
            Power::ShutDown if active && !deaf => Some(MachineState::Off),
            Power::ForceOff if active => Some(MachineState::Off),
            Power::Suspend if active => Some(MachineState::Paused),
            Power::Resume if paused => Some(MachineState::Running),
            Power::Suspend | Power::Resume if !active => {
                return Err(failed("changing the power", "the machine is off"));
            }
            _ => None,
        };
        let changed = next.filter(|state| domain.go(*state));
        drop(world);
        match changed {
            Some(state) => self.tell(HostEvent::State { uuid: machine.uuid, state }),
            None if power == Power::Reboot && active => self.tell(HostEvent::Rebooted { uuid: machine.uuid }),
            None => {}
        }
        Ok(())
    }

    async fn create_boot_disk(&self, machine: &MachineRef, from: &BootDisk) -> Result<Volume> {
        let mut world = self.world("create_boot_disk")?;
        let name = volume(machine, "boot");
        let same = world.disks.get(&name.0).is_some_and(|d| d.image.as_ref() == Some(&from.image));
        if !same {
            let disk = Disk {
                machine: machine.name.clone(),
                size: from.grow_to.map_or(IMAGE_SIZE, DiskGib::bytes),
                image: Some(from.image.clone()),
                files: BTreeMap::new(),
            };
            world.disks.insert(name.0.clone(), disk);
        }
        Ok(name)
    }

    async fn create_data_disk(
        &self,
        machine: &MachineRef,
        size: DiskGib,
        identity: &[IdentityFile],
    ) -> Result<Volume> {
        let mut world = self.world("create_data_disk")?;
        let name = volume(machine, "data");
        world.disks.entry(name.0.clone()).or_insert_with(|| {
            let mut files = BTreeMap::new();
            put_files(&mut files, identity);
            Disk { machine: machine.name.clone(), size: size.bytes(), image: None, files }
        });
        Ok(name)
    }

    async fn write_identity(&self, volume: &Volume, _: DiskRole, identity: &[IdentityFile]) -> Result<()> {
        let mut world = self.world("write_identity")?;
        let missing = || failed("writing the identity", "there is no such disk");
        put_files(&mut world.disks.get_mut(&volume.0).ok_or_else(missing)?.files, identity);
        Ok(())
    }

    async fn read_identity(&self, volume: &Volume, _: DiskRole, name: &str) -> Result<Option<Vec<u8>>> {
        let world = self.world("read_identity")?;
        Ok(world.disks.get(&volume.0).and_then(|disk| disk.files.get(name)).cloned())
    }

    async fn disk_use(&self, volume: &Volume) -> Result<Option<DiskUse>> {
        let world = self.world("disk_use")?;
        Ok(world.disks.get(&volume.0).map(|disk| DiskUse { size: disk.size, used: 1 << 20 }))
    }

    async fn disks(&self, machine: &MachineRef) -> Result<Vec<Volume>> {
        let world = self.world("disks")?;
        let of_machine = world.disks.iter().filter(|(_, disk)| disk.machine == machine.name);
        Ok(of_machine.map(|(name, _)| Volume(name.clone())).collect())
    }

    async fn remove_disks(&self, machine: &MachineRef) -> Result<()> {
        self.world("remove_disks")?.disks.retain(|_, disk| disk.machine != machine.name);
        Ok(())
    }

    async fn console(&self, machine: &MachineRef) -> Result<ConsoleStream> {
        let mut world = self.world("console")?;
        let domain = world.domain(machine)?;
        if !domain.state.is_active() {
            return Err(failed("opening the console", "the machine is off"));
        }
        let boot = domain.boot.clone();
        let banner = Bytes::from(format!("\r\n{} login: ", domain.name));
        drop(world);
        let (to_viewer, output) = mpsc::channel(64);
        let (input, mut typed) = mpsc::channel::<Bytes>(64);
        tokio::spawn(async move {
            let echo = async {
                let mut next = Some(banner);
                while let Some(bytes) = next {
                    if to_viewer.send(bytes).await.is_err() {
                        return;
                    }
                    next = typed.recv().await;
                }
            };
            tokio::select! {
                () = boot.cancelled() => {}
                () = echo => {}
            }
        });
        Ok(ConsoleStream { output, input })
    }

    async fn addresses(&self, machine: &MachineRef) -> Result<Vec<Address>> {
        let mut world = self.world("addresses")?;
        let without = world.without_addresses;
        let domain = world.domain(machine)?;
        if without || domain.state != MachineState::Running {
            return Ok(Vec::new());
        }
        let [.., last] = *machine.uuid.as_bytes();
        // TEST-NET-1 (RFC 5737): nobody's address.
        Ok(vec![Address { source: AddressSource::Lease, ip: [192, 0, 2, last].into() }])
    }

    async fn agent_ping(&self, machine: &MachineRef) -> Result<()> {
        let mut world = self.world("agent_ping")?;
        match world.domain(machine)?.state {
            MachineState::Running => Ok(()),
            _ => Err(HypervisorError::NoAgent),
        }
    }

    async fn agent_read(&self, machine: &MachineRef, path: &str) -> Result<Vec<u8>> {
        self.agent_ping(machine).await?;
        let world = self.world("agent_read")?;
        let name = path.strip_prefix("/var/identity/").unwrap_or(path);
        let data = world.disks.get(&volume(machine, "data").0);
        let missing = || failed("reading a file in the guest", "there is no such file");
        data.and_then(|disk| disk.files.get(name)).cloned().ok_or_else(missing)
    }

    async fn agent_run(&self, machine: &MachineRef, argv: &[&str]) -> Result<GuestExit> {
        self.agent_ping(machine).await?;
        drop(self.world("agent_run")?);
        Ok(GuestExit { code: Some(0), stdout: argv.join(" ").into_bytes(), stderr: Vec::new() })
    }
}
