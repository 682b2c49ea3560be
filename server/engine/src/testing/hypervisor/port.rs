//! The port itself: what the rules ask of a host, answered from the world.

use super::{Disk, Domain, IMAGE_SIZE, MemoryHypervisor, Place, World, foreign};
use crate::machine::guest;
use crate::sync::lock;
use async_trait::async_trait;
use bytes::Bytes;
use model::address::Address;
use model::host::{Finding, Level};
use model::identity::IdentityFile;
use model::machine::{HardwareIds, MachineId, MachineName, MachineState};
use model::size::DiskGib;
use ports::hypervisor::{
    Belonging, BootDisk, Capabilities, ConsoleStream, CopyListener, Counters, Definition, DiskRole, DiskUse,
    GuestExit, HostEvent, HostRef, Hypervisor, HypervisorError, MachineRef, Power, Result, Seen, Volume,
};
use std::collections::BTreeMap;
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

/// How much input the guest reads at once, in bytes, as a pseudo-terminal hands it out (`N_TTY_BUF_SIZE`).
const TYPED: usize = 4096;
/// A small occupied size, in bytes.
const LITTLE: u64 = 1 << 20;

impl MemoryHypervisor {
    /// The place that a new machine gets.
    fn free_place(&self, world: &World, hardware: &HardwareIds) -> HostRef {
        if self.capabilities.linked_clones {
            return HostRef(hardware.uuid.to_string());
        }
        let is_free = |at: &HostRef| world.places.values().all(|place| place.host_ref != *at);
        (100_u64..)
            .map(|number| HostRef(format!("pve/{number}")))
            .find(is_free)
            .unwrap_or(HostRef(String::new()))
    }

    /// The name of a new disk.
    pub(super) fn free_volume(
        &self,
        world: &World,
        machine: &MachineRef,
        role: DiskRole,
        generation: u32,
    ) -> String {
        if self.capabilities.linked_clones {
            let file = if role == DiskRole::Boot { "boot" } else { "data" };
            let number = if generation == 1 { String::new() } else { format!("-{generation}") };
            return format!("{}/{file}{number}", machine.name);
        }
        let names = (0..).map(|number| format!("{}-disk-{number}", machine.host_ref));
        names.into_iter().find(|name| !world.disks.contains_key(name)).unwrap_or_default()
    }

    /// What a disk is called when its machine's name is another one.
    fn renamed(&self, disk: &str, from: &MachineName, to: &MachineName) -> String {
        let rest = disk.strip_prefix(from.as_str()).and_then(|rest| rest.strip_prefix('/'));
        let rest = rest.filter(|_| self.capabilities.linked_clones);
        rest.map_or_else(|| disk.to_owned(), |rest| format!("{to}/{rest}"))
    }

    fn move_place(&self, world: &mut World, from: &MachineName, to: &MachineName) {
        let place = world.places.remove(from);
        world.places.extend(place.map(|place| (to.clone(), place)));
        let disks = std::mem::take(&mut world.disks).into_iter().map(|(name, mut disk)| {
            if disk.place != *from {
                return (name, disk);
            }
            disk.place = to.clone();
            (self.renamed(&name, from, to), disk)
        });
        world.disks = disks.collect();
    }
}

/// Disks are made only in a place that was reserved.
pub(super) fn must_have_place(world: &World, machine: &MachineRef) -> Result<()> {
    match world.place(machine)? {
        Some(place) if place.host_ref == machine.host_ref => Ok(()),
        _ => Err(failed("making a disk", "no place was reserved for the machine")),
    }
}

pub(super) fn failed(what: &str, why: &str) -> HypervisorError {
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
        if lock(&self.world).hangs {
            std::future::pending::<()>().await;
        }
        let unreachable = lock(&self.world).unreachable;
        let (level, what) = if unreachable {
            (Level::Error, "The host does not answer: connection refused.")
        } else {
            (Level::Ok, "The host answers.")
        };
        let fix = unreachable.then(|| "Start it.".to_owned());
        vec![Finding { name: "connection".to_owned(), level, what: what.to_owned(), fix }]
    }

    async fn belongings(&self) -> Result<Vec<Belonging>> {
        let world = self.world("belongings")?;
        let belonging = |owner: Option<MachineId>, what: &str, name: &MachineName| Belonging {
            owner,
            what: format!("The {what} “{name}”"),
            fix: "Remove it on the host.".to_owned(),
        };
        let places = world.places.iter().map(|(name, place)| belonging(place.owner, "place", name));
        let domains = world.domains.values().map(|domain| belonging(domain.owner, "domain", &domain.name));
        Ok(places.chain(domains).collect())
    }

    async fn bridges(&self) -> Result<Vec<String>> {
        drop(self.world("bridges")?);
        Ok(vec!["br0".to_owned()])
    }

    async fn memory(&self) -> Result<u64> {
        Ok(self.world("memory")?.memory)
    }

    async fn inventory(&self) -> Result<Vec<Seen>> {
        let world = self.world("inventory")?;
        let seen = |(machine, d): (&HostRef, &Domain)| Seen {
            machine: machine.clone(),
            name: d.name.to_string(),
            state: d.state,
        };
        Ok(world.domains.iter().map(seen).collect())
    }

    fn events(&self) -> broadcast::Receiver<HostEvent> {
        self.events.subscribe()
    }

    async fn counters(&self) -> Result<Vec<(HostRef, Counters)>> {
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
        Ok(active.map(|(machine, _)| (machine.clone(), counters)).collect())
    }

    async fn reserve(&self, id: MachineId, name: &MachineName, hardware: &HardwareIds) -> Result<HostRef> {
        let mut world = self.world("reserve")?;
        match world.places.get(name) {
            Some(place) if place.owner == Some(id) => return Ok(place.host_ref.clone()),
            Some(_) => return Err(foreign("place", name)),
            None => {}
        }
        let host_ref = self.free_place(&world, hardware);
        if let Some(error) = world.in_the_way(id, name, &host_ref) {
            return Err(error);
        }
        world.places.insert(name.clone(), Place { owner: Some(id), host_ref: host_ref.clone() });
        Ok(host_ref)
    }

    async fn release(&self, id: MachineId, name: &MachineName) -> Result<()> {
        let mut world = self.world("release")?;
        if world.places.get(name).is_none_or(|place| place.owner != Some(id)) {
            return Ok(());
        }
        if world.disks.values().any(|disk| disk.place == *name) {
            return Err(failed("giving up the place", "there still are disks"));
        }
        world.places.remove(name);
        Ok(())
    }

    async fn adopt(
        &self,
        id: MachineId,
        name: &MachineName,
        hardware: &HardwareIds,
        disks: &[Volume],
    ) -> Result<Option<HostRef>> {
        let mut guard = self.world("adopt")?;
        let world = &mut *guard;
        let Some(place) = world.places.get_mut(name).filter(|place| place.owner.is_none()) else {
            return Ok(None);
        };
        let lying: Vec<&String> =
            world.disks.iter().filter(|(_, d)| d.place == *name).map(|(name, _)| name).collect();
        let named: Vec<&String> = disks.iter().map(|volume| &volume.0).collect();
        let domain = world.domains.get_mut(&place.host_ref).filter(|d| d.owner.is_none() && d.name == *name);
        let fits = |d: &&mut Domain| {
            let booted = std::iter::once(&d.definition.boot).chain(&d.definition.data).map(|v| &v.0);
            d.definition.hardware == *hardware && booted.eq(named.iter().copied())
        };
        let Some(domain) = domain.filter(fits).filter(|_| lying == named) else { return Ok(None) };
        domain.owner = Some(id);
        place.owner = Some(id);
        Ok(Some(place.host_ref.clone()))
    }

    async fn rename(&self, machine: &MachineRef, to: &MachineName, disks: &[Volume]) -> Result<Vec<Volume>> {
        let mut guard = self.world("rename")?;
        let world = &mut *guard;
        let from = &machine.name;
        let owner = |name: &MachineName| world.places.get(name).map(|place| place.owner);
        let ours = Some(Some(machine.id));
        let is_done = owner(to) == ours && owner(from) != ours;
        match (owner(from), owner(to)) {
            _ if is_done => {}
            (_, Some(_)) => return Err(foreign("place", to)),
            (None, None) => return Err(failed("renaming the machine", "it has no place")),
            (theirs, None) if theirs != ours => return Err(foreign("place", from)),
            _ => {}
        }
        if let Some(error) = world.in_the_way(machine.id, to, &machine.host_ref) {
            return Err(error);
        }
        if world.domains.get(&machine.host_ref).is_some_and(|domain| domain.state.is_active()) {
            return Err(failed("renaming the machine", "it is running"));
        }
        if !is_done {
            self.move_place(world, from, to);
        }
        let now = |volume: &Volume| Volume(self.renamed(&volume.0, from, to));
        if let Some(domain) = world.domains.get_mut(&machine.host_ref) {
            domain.name = to.clone();
            domain.definition.boot = now(&domain.definition.boot);
            domain.definition.data = domain.definition.data.as_ref().map(now);
        }
        drop(guard);
        self.tell(HostEvent::Undefined { machine: machine.host_ref.clone() });
        self.tell(HostEvent::Defined { machine: machine.host_ref.clone() });
        Ok(disks.iter().map(now).collect())
    }

    async fn put_definition(&self, machine: &MachineRef, definition: &Definition) -> Result<()> {
        let mut world = self.world("put_definition")?;
        must_have_place(&world, machine)?;
        if let Some(error) = world.in_the_way(machine.id, &machine.name, &machine.host_ref) {
            return Err(error);
        }
        for volume in std::iter::once(&definition.boot).chain(&definition.data) {
            if world.disks.get(&volume.0).is_none_or(|disk| disk.place != machine.name) {
                return Err(failed("defining the machine", &format!("there is no disk {}", volume.0)));
            }
        }
        let domain = world.domains.entry(machine.host_ref.clone()).or_insert_with(|| Domain {
            owner: Some(machine.id),
            name: machine.name.clone(),
            definition: definition.clone(),
            autostart: false,
            state: MachineState::Off,
            boot: CancellationToken::new(),
        });
        domain.definition = definition.clone();
        drop(world);
        self.tell(HostEvent::Defined { machine: machine.host_ref.clone() });
        Ok(())
    }

    async fn remove_definition(&self, machine: &MachineRef) -> Result<()> {
        let mut world = self.world("remove_definition")?;
        if world.domains.get(&machine.host_ref).is_some_and(|domain| domain.owner != Some(machine.id)) {
            return Err(foreign("domain", &machine.name));
        }
        let gone = world.domains.remove(&machine.host_ref);
        drop(world);
        if let Some(domain) = gone {
            domain.boot.cancel();
            let machine = machine.host_ref.clone();
            if domain.state.is_active() {
                self.tell(HostEvent::State { machine: machine.clone(), state: MachineState::Off });
            }
            self.tell(HostEvent::Undefined { machine });
        }
        Ok(())
    }

    async fn set_autostart(&self, machine: &MachineRef, on: bool) -> Result<()> {
        let mut world = self.world("set_autostart")?;
        let domain = world.domain(machine)?;
        if domain.owner != Some(machine.id) {
            return Err(foreign("domain", &machine.name));
        }
        domain.autostart = on;
        Ok(())
    }

    async fn state(&self, machine: &MachineRef) -> Result<MachineState> {
        let world = self.world("state")?;
        Ok(world.domains.get(&machine.host_ref).map_or(MachineState::Configured, |d| d.state))
    }

    async fn power(&self, machine: &MachineRef, power: Power) -> Result<()> {
        let mut world = self.world("power")?;
        let deaf = world.deaf;
        let domain = world.domain(machine)?;
        let (active, paused) = (domain.state.is_active(), domain.state == MachineState::Paused);
        let next = match power {
            Power::Start if !active => Some(MachineState::Running),
            // As libvirt: the processors must run for a guest to shut down.
            Power::ShutDown if paused => {
                return Err(failed("changing the power", "the machine is suspended"));
            }
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
            Some(state) => self.tell(HostEvent::State { machine: machine.host_ref.clone(), state }),
            None if power == Power::Reboot && active => {
                self.tell(HostEvent::Rebooted { machine: machine.host_ref.clone() });
            }
            None => {}
        }
        Ok(())
    }

    async fn create_boot_disk(
        &self,
        machine: &MachineRef,
        generation: u32,
        from: &BootDisk,
    ) -> Result<Volume> {
        let mut world = self.world("create_boot_disk")?;
        must_have_place(&world, machine)?;
        let size = from.grow_to.map_or(IMAGE_SIZE, DiskGib::bytes);
        let name = match world.disk(&machine.name, DiskRole::Boot, generation) {
            Some((name, disk)) if disk.image.as_ref() == Some(&from.image) => {
                return Ok(Volume(name.clone()));
            }
            Some((name, _)) => name.clone(),
            None => self.free_volume(&world, machine, DiskRole::Boot, generation),
        };
        let disk = Disk {
            place: machine.name.clone(),
            role: DiskRole::Boot,
            generation,
            size,
            used: if self.capabilities.linked_clones { LITTLE } else { IMAGE_SIZE },
            image: Some(from.image.clone()),
            unfinished: false,
            files: BTreeMap::new(),
        };
        world.disks.insert(name.clone(), disk);
        Ok(Volume(name))
    }

    async fn create_data_disk(
        &self,
        machine: &MachineRef,
        generation: u32,
        size: DiskGib,
        identity: &[IdentityFile],
    ) -> Result<Volume> {
        let mut world = self.world("create_data_disk")?;
        must_have_place(&world, machine)?;
        if let Some((name, _)) = world.disk(&machine.name, DiskRole::Data, generation) {
            return Ok(Volume(name.clone()));
        }
        let name = self.free_volume(&world, machine, DiskRole::Data, generation);
        let mut files = BTreeMap::new();
        put_files(&mut files, identity);
        let disk = Disk {
            place: machine.name.clone(),
            role: DiskRole::Data,
            generation,
            size: size.bytes(),
            used: LITTLE,
            image: None,
            unfinished: false,
            files,
        };
        world.disks.insert(name.clone(), disk);
        Ok(Volume(name))
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
        Ok(world.disks.get(&volume.0).map(|disk| DiskUse { size: disk.size, used: disk.used }))
    }

    async fn grow_disk(
        &self,
        machine: &MachineRef,
        volume: &Volume,
        _: DiskRole,
        size: DiskGib,
    ) -> Result<()> {
        let mut world = self.world("grow_disk")?;
        world.place(machine)?;
        let disk = world.disks.get_mut(&volume.0).filter(|disk| disk.place == machine.name);
        let disk = disk.ok_or_else(|| failed("growing a disk", "there is no such disk"))?;
        if disk.size > size.bytes() {
            return Err(failed("growing a disk", "it cannot shrink"));
        }
        disk.size = size.bytes();
        Ok(())
    }

    async fn copy_disk(
        &self,
        machine: &MachineRef,
        volume: &Volume,
        to: &MachineRef,
        role: DiskRole,
        listener: CopyListener,
    ) -> Result<Volume> {
        self.copy(machine, volume, to, role, &listener).await
    }

    async fn end_copy(&self, machine: &MachineRef, to: &MachineRef) -> Result<()> {
        self.end(machine, to)
    }

    async fn forget_guest(&self, volume: &Volume, _: DiskRole) -> Result<()> {
        let mut world = self.world("forget_guest")?;
        let missing = || failed("removing host keys", "there is no such disk");
        let disk = world.disks.get_mut(&volume.0).ok_or_else(missing)?;
        disk.files.retain(|name, _| !name.starts_with("ssh_host_"));
        Ok(())
    }

    async fn disks(&self, machine: &MachineRef) -> Result<Vec<Volume>> {
        let world = self.world("disks")?;
        world.place(machine)?;
        let of_machine = world.disks.iter().filter(|(_, disk)| disk.place == machine.name);
        Ok(of_machine.map(|(name, _)| Volume(name.clone())).collect())
    }

    async fn remove_disk(&self, machine: &MachineRef, role: DiskRole, generation: u32) -> Result<()> {
        let mut world = self.world("remove_disk")?;
        world.place(machine)?;
        let Some((name, _)) = world.disk(&machine.name, role, generation) else { return Ok(()) };
        let name = name.clone();
        world.must_not_run_from(machine, &name)?;
        world.disks.remove(&name);
        Ok(())
    }

    async fn remove_disks(&self, machine: &MachineRef, keep: &[Volume]) -> Result<()> {
        let mut world = self.world("remove_disks")?;
        world.place(machine)?;
        let goes = |name: &str, disk: &Disk| {
            disk.place == machine.name && !keep.iter().any(|volume| volume.0 == name)
        };
        for (name, _) in world.disks.iter().filter(|(name, disk)| goes(name, disk)) {
            world.must_not_run_from(machine, name)?;
        }
        world.disks.retain(|name, disk| !goes(name, disk));
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
        let (input, typed) = ports::console::input();
        tokio::spawn(async move {
            let echo = async {
                let mut next = Some(banner);
                while let Some(bytes) = next {
                    if to_viewer.send(bytes).await.is_err() {
                        return;
                    }
                    next = typed.take(TYPED).await;
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
        let source = world.address;
        let domain = world.domain(machine)?;
        let source = source.filter(|_| domain.state == MachineState::Running);
        let [.., last] = *domain.definition.hardware.uuid.as_bytes();
        // TEST-NET-1 (RFC 5737): nobody's address.
        Ok(source.map(|source| Address { source, ip: [192, 0, 2, last].into() }).into_iter().collect())
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
        let mut world = self.world("agent_read")?;
        world.guest_reads += 1;
        let name = path.strip_prefix("/var/identity/").unwrap_or(path);
        let missing = || failed("reading a file in the guest", "there is no such file");
        let identity = world.system_disk(machine).and_then(|disk| disk.files.get(name)).cloned();
        identity.or_else(|| world.guest_files.get(path).cloned()).ok_or_else(missing)
    }

    async fn agent_run(&self, machine: &MachineRef, argv: &[&str], input: &[u8]) -> Result<GuestExit> {
        self.agent_ping(machine).await?;
        let mut world = self.world("agent_run")?;
        world.ran.push(argv.iter().map(ToString::to_string).collect());
        let is_taken = argv != guest::RECEIVE || world.exit != 0 || world.receive(machine, input);
        let code = Some(if is_taken { world.exit } else { 3 });
        Ok(GuestExit { code, stdout: argv.join(" ").into_bytes(), stderr: Vec::new() })
    }
}
