//! The port itself: what the rules ask of a host, answered from the world.

use super::{Disk, Domain, IMAGE_SIZE, MemoryHypervisor};
use crate::sync::lock;
use async_trait::async_trait;
use bytes::Bytes;
use model::address::Address;
use model::host::{Finding, Level};
use model::identity::IdentityFile;
use model::machine::MachineState;
use model::size::DiskGib;
use ports::hypervisor::{
    BootDisk, Capabilities, ConsoleStream, Counters, Definition, DiskRole, DiskUse, GuestExit, HostEvent,
    Hypervisor, HypervisorError, MachineRef, Power, Result, Seen, Volume,
};
use std::collections::BTreeMap;
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

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
        let uuid = definition.hardware.uuid;
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
        let source = world.address;
        let domain = world.domain(machine)?;
        let source = source.filter(|_| domain.state == MachineState::Running);
        let [.., last] = *machine.uuid.as_bytes();
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
        let data = world.disks.get(&volume(machine, "data").0);
        let missing = || failed("reading a file in the guest", "there is no such file");
        let identity = data.and_then(|disk| disk.files.get(name));
        identity.or_else(|| world.guest_files.get(path)).cloned().ok_or_else(missing)
    }

    async fn agent_run(&self, machine: &MachineRef, argv: &[&str]) -> Result<GuestExit> {
        self.agent_ping(machine).await?;
        drop(self.world("agent_run")?);
        Ok(GuestExit { code: Some(0), stdout: argv.join(" ").into_bytes(), stderr: Vec::new() })
    }
}
