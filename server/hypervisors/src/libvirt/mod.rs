//! libvirt behind the port: local or remote, QEMU with KVM or without.
//!
//! | file | what |
//! |---|---|
//! | `connect.rs` | the connection: opened, watched, opened again; blocking calls off the async threads |
//! | `events.rs` | libvirt's event loop and its events as the port's |
//! | `ownership.rs`, `places.rs`, `domain_mark.rs` | whose what is: a machine's place, its folder, its domain |
//! | `rename.rs` | a machine's place under another name |
//! | `definition.rs`, `domain_xml.rs` | domains: defined, removed, written as XML |
//! | `facts.rs`, `acceleration.rs`, `kvm.rs`, `firmware.rs`, `network.rs` | what a definition needs from the host |
//! | `power.rs` | states, starting and stopping |
//! | `disks.rs` | a machine's files |
//! | `copies.rs`, `turns.rs`, `freeze.rs` | a disk as a copy of another one, also of a machine that runs |
//! | `console.rs`, `agent.rs`, `addresses.rs`, `stats.rs` | a running machine |
//! | `check.rs`, `limits.rs`, `finding.rs` | the host's findings |
//! | `sys.rs` | all unsafe code |
//!
//! The server's composition root makes a [`Libvirt`] per configured host.

mod acceleration;
mod addresses;
mod agent;
mod check;
mod connect;
mod console;
mod copies;
mod definition;
mod disks;
mod domain_mark;
mod domain_xml;
mod error;
mod events;
mod facts;
mod finding;
mod firmware;
mod freeze;
mod kvm;
mod limits;
mod network;
mod ownership;
mod places;
mod power;
mod rename;
mod stats;
mod sys;
mod turns;

pub use acceleration::AccelerationSetting;
pub use freeze::SWITCH as FREEZE_SWITCH;

use async_trait::async_trait;
use connect::{Link, is_local};
use console::Consoles;
use disks::Store;
use facts::HostFacts;
use model::address::Address;
use model::host::Finding;
use model::identity::IdentityFile;
use model::machine::{HardwareIds, MachineId, MachineName, MachineState};
use model::size::DiskGib;
use ports::hypervisor::{
    Belonging, BootDisk, Capabilities, ConsoleStream, CopyListener, Counters, Definition, DiskRole, DiskUse,
    GuestExit, HostEvent, HostRef, Hypervisor, MachineRef, Power, Result, Seen, Volume,
};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{Mutex, broadcast};
use turns::Copies;

/// A host's configuration.
#[derive(Clone, Debug)]
pub struct LibvirtSettings {
    /// The portal's state directory; machines' files go into `machines/` below it. It exists, and QEMU's user can pass it.
    pub state: PathBuf,
    /// KVM, emulation, or what works.
    pub acceleration: AccelerationSetting,
}

impl LibvirtSettings {
    /// The usual settings over this state directory.
    pub fn new(state: impl Into<PathBuf>) -> Self {
        Self { state: state.into(), acceleration: AccelerationSetting::default() }
    }
}

/// A libvirt host.
pub struct Libvirt {
    link: Arc<Link>,
    store: Store,
    acceleration: AccelerationSetting,
    facts: Mutex<Option<HostFacts>>,
    consoles: Consoles,
    copies: Copies,
}

impl Libvirt {
    /// The host at `uri` (libvirt.org/uri.html), connected to in the background: a host that does not answer is retried
    /// and returns errors meanwhile. Must be called within a tokio runtime.
    pub fn connect(uri: &str, settings: LibvirtSettings) -> Arc<Self> {
        Arc::new(Self {
            store: Store::new(&settings.state),
            acceleration: settings.acceleration,
            facts: Mutex::new(None),
            consoles: Consoles::default(),
            copies: Copies::default(),
            link: Arc::new(Link::open(uri)),
        })
    }
}

#[async_trait]
impl Hypervisor for Libvirt {
    fn capabilities(&self) -> Capabilities {
        Capabilities { linked_clones: true }
    }

    async fn check(&self) -> Vec<Finding> {
        self.findings().await
    }

    async fn belongings(&self) -> Result<Vec<Belonging>> {
        self.all_belongings().await
    }

    async fn bridges(&self) -> Result<Vec<String>> {
        if is_local(self.link.uri()) {
            return Ok(network::local_bridges());
        }
        self.link.call(|live| Ok(network::remote_bridges(&live.connect))).await
    }

    async fn memory(&self) -> Result<u64> {
        self.link.call(|live| facts::memory(&live.connect)).await
    }

    async fn inventory(&self) -> Result<Vec<Seen>> {
        self.link.sample(|live| stats::inventory(&live.sampling)).await
    }

    fn events(&self) -> broadcast::Receiver<HostEvent> {
        self.link.subscribe()
    }

    async fn counters(&self) -> Result<Vec<(HostRef, Counters)>> {
        self.link.sample(|live| stats::counters(&live.sampling)).await
    }

    async fn reserve(&self, id: MachineId, name: &MachineName, hardware: &HardwareIds) -> Result<HostRef> {
        self.take_place(id, name, hardware).await
    }

    async fn release(&self, id: MachineId, name: &MachineName) -> Result<()> {
        self.store.release(id, name).await
    }

    async fn adopt(
        &self,
        id: MachineId,
        name: &MachineName,
        hardware: &HardwareIds,
        disks: &[Volume],
    ) -> Result<Option<HostRef>> {
        self.adopt_machine(id, name, hardware, disks).await
    }

    async fn rename(&self, machine: &MachineRef, to: &MachineName, disks: &[Volume]) -> Result<Vec<Volume>> {
        self.rename_place(machine, to, disks).await
    }

    async fn put_definition(&self, machine: &MachineRef, definition: &Definition) -> Result<()> {
        self.define(machine, definition).await
    }

    async fn remove_definition(&self, machine: &MachineRef) -> Result<()> {
        self.undefine(machine).await
    }

    async fn set_autostart(&self, machine: &MachineRef, on: bool) -> Result<()> {
        self.start_with_host(machine, on).await
    }

    async fn state(&self, machine: &MachineRef) -> Result<MachineState> {
        let machine = machine.clone();
        self.link.call(move |live| power::state(&live.connect, &machine)).await
    }

    async fn power(&self, machine: &MachineRef, power: Power) -> Result<()> {
        let machine = machine.clone();
        self.link.call(move |live| power::change(&live.connect, &machine, power)).await
    }

    async fn create_boot_disk(
        &self,
        machine: &MachineRef,
        generation: u32,
        from: &BootDisk,
    ) -> Result<Volume> {
        self.store.create_boot_disk(machine, generation, from).await
    }

    async fn create_data_disk(
        &self,
        machine: &MachineRef,
        generation: u32,
        size: DiskGib,
        identity: &[IdentityFile],
    ) -> Result<Volume> {
        self.store.create_data_disk(machine, generation, size, identity).await
    }

    async fn write_identity(&self, volume: &Volume, role: DiskRole, identity: &[IdentityFile]) -> Result<()> {
        self.store.write_identity(volume, role, identity).await
    }

    async fn read_identity(&self, volume: &Volume, role: DiskRole, name: &str) -> Result<Option<Vec<u8>>> {
        self.store.read_identity(volume, role, name).await
    }

    async fn disk_use(&self, volume: &Volume) -> Result<Option<DiskUse>> {
        self.store.disk_use(volume).await
    }

    async fn grow_disk(
        &self,
        machine: &MachineRef,
        volume: &Volume,
        role: DiskRole,
        size: DiskGib,
    ) -> Result<()> {
        self.store.only_larger(volume, size).await?;
        let (running, disk) = (machine.clone(), volume.clone());
        let grown =
            self.link.call(move |live| power::grow_disk(&live.connect, &running, &disk, size)).await?;
        if grown { Ok(()) } else { self.store.grow(volume, role, size).await }
    }

    async fn copy_disk(
        &self,
        machine: &MachineRef,
        volume: &Volume,
        to: &MachineRef,
        role: DiskRole,
        listener: CopyListener,
    ) -> Result<Volume> {
        self.copy(machine, volume, to, role, listener).await
    }

    async fn end_copy(&self, machine: &MachineRef, to: &MachineRef) -> Result<()> {
        self.end_copy_of(machine, to).await
    }

    async fn forget_guest(&self, volume: &Volume, role: DiskRole) -> Result<()> {
        self.store.forget_guest(volume, role).await
    }

    async fn disks(&self, machine: &MachineRef) -> Result<Vec<Volume>> {
        self.store.disks(machine).await
    }

    async fn remove_disk(&self, machine: &MachineRef, role: DiskRole, generation: u32) -> Result<()> {
        let (ours, path) = (machine.clone(), self.store.disk(machine, role, generation));
        self.link.call(move |live| power::refuse_if_running_from(&live.connect, &ours, &[path])).await?;
        self.store.remove_disk(machine, role, generation).await
    }

    async fn remove_disks(&self, machine: &MachineRef, keep: &[Volume]) -> Result<()> {
        let mut disks = self.store.disks(machine).await?;
        disks.retain(|volume| !keep.contains(volume));
        let (ours, paths) =
            (machine.clone(), disks.into_iter().map(|volume| volume.0.into()).collect::<Vec<_>>());
        self.link.call(move |live| power::refuse_if_running_from(&live.connect, &ours, &paths)).await?;
        self.store.remove_disks(machine, keep).await
    }

    async fn console(&self, machine: &MachineRef) -> Result<ConsoleStream> {
        console::open(&self.link, &self.consoles, machine).await
    }

    async fn addresses(&self, machine: &MachineRef) -> Result<Vec<Address>> {
        addresses::of(&self.link, machine).await
    }

    async fn agent_ping(&self, machine: &MachineRef) -> Result<()> {
        agent::ping(&self.link, machine).await
    }

    async fn agent_read(&self, machine: &MachineRef, path: &str) -> Result<Vec<u8>> {
        agent::read(&self.link, machine, path).await
    }

    async fn agent_run(&self, machine: &MachineRef, argv: &[&str], input: &[u8]) -> Result<GuestExit> {
        agent::run(&self.link, machine, argv, input).await
    }
}
