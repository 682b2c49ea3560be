//! Against a host whose console is two channels in the test's hands.

mod boots;
mod past;
mod typing;
mod viewers;

use super::*;
use async_trait::async_trait;
use bytes::Bytes;
use model::address::Address;
use model::console::{ConsoleNotice, ConsoleRequest, ConsoleRole};
use model::host::Finding;
use model::identity::IdentityFile;
use model::machine::{HardwareIds, MachineId, MachineName, MachineState};
use model::size::DiskGib;
use model::time::Time;
use ports::clock::Clock;
use ports::console::{TypedInput, input};
use ports::hypervisor::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, broadcast, mpsc};
use uuid::Uuid;

/// A second later every time it is asked, so that no two boots begin at the same time.
struct Ticks(AtomicI64);

impl Clock for Ticks {
    fn now(&self) -> Time {
        Time(self.0.fetch_add(1000, Ordering::Relaxed))
    }
}

/// The guest's end of an open console.
struct Guest {
    says: mpsc::Sender<Bytes>,
    hears: TypedInput,
}

impl Guest {
    async fn say(&self, text: &str) {
        self.says.send(Bytes::copy_from_slice(text.as_bytes())).await.unwrap();
    }
}

/// A host that gives out the consoles that the test has plugged in, and refuses when there is none. It knows the machine in one
/// place only.
struct Plugs {
    plugged: Mutex<mpsc::Receiver<ConsoleStream>>,
    place: std::sync::Mutex<HostRef>,
}

fn unsupported<T>() -> Result<T> {
    Err(HypervisorError::Unsupported { what: "everything but consoles".to_owned() })
}

#[async_trait]
impl Hypervisor for Plugs {
    fn capabilities(&self) -> Capabilities {
        Capabilities { linked_clones: false }
    }
    async fn check(&self) -> Vec<Finding> {
        Vec::new()
    }
    async fn belongings(&self) -> Result<Vec<Belonging>> {
        unsupported()
    }
    async fn bridges(&self) -> Result<Vec<String>> {
        unsupported()
    }
    async fn memory(&self) -> Result<u64> {
        unsupported()
    }
    async fn inventory(&self) -> Result<Vec<Seen>> {
        unsupported()
    }
    fn events(&self) -> broadcast::Receiver<HostEvent> {
        broadcast::channel(1).1
    }
    async fn counters(&self) -> Result<Vec<(HostRef, Counters)>> {
        unsupported()
    }
    async fn reserve(&self, _: MachineId, _: &MachineName, _: &HardwareIds) -> Result<HostRef> {
        unsupported()
    }
    async fn release(&self, _: MachineId, _: &MachineName) -> Result<()> {
        unsupported()
    }
    async fn adopt(
        &self,
        _: MachineId,
        _: &MachineName,
        _: &HardwareIds,
        _: &[Volume],
    ) -> Result<Option<HostRef>> {
        unsupported()
    }
    async fn rename(&self, _: &MachineRef, _: &MachineName, _: &[Volume]) -> Result<Vec<Volume>> {
        unsupported()
    }
    async fn put_definition(&self, _: &MachineRef, _: &Definition) -> Result<()> {
        unsupported()
    }
    async fn remove_definition(&self, _: &MachineRef) -> Result<()> {
        unsupported()
    }
    async fn set_autostart(&self, _: &MachineRef, _: bool) -> Result<()> {
        unsupported()
    }
    async fn state(&self, _: &MachineRef) -> Result<MachineState> {
        unsupported()
    }
    async fn power(&self, _: &MachineRef, _: Power) -> Result<()> {
        unsupported()
    }
    async fn create_boot_disk(&self, _: &MachineRef, _: u32, _: &BootDisk) -> Result<Volume> {
        unsupported()
    }
    async fn copy_disk(
        &self,
        _: &MachineRef,
        _: &Volume,
        _: &MachineRef,
        _: DiskRole,
        _: CopyListener,
    ) -> Result<Volume> {
        unsupported()
    }
    async fn end_copy(&self, _: &MachineRef, _: &MachineRef) -> Result<()> {
        unsupported()
    }
    async fn forget_guest(&self, _: &Volume, _: DiskRole) -> Result<()> {
        unsupported()
    }
    async fn create_data_disk(
        &self,
        _: &MachineRef,
        _: u32,
        _: DiskGib,
        _: &[IdentityFile],
    ) -> Result<Volume> {
        unsupported()
    }
    async fn write_identity(&self, _: &Volume, _: DiskRole, _: &[IdentityFile]) -> Result<()> {
        unsupported()
    }
    async fn read_identity(&self, _: &Volume, _: DiskRole, _: &str) -> Result<Option<Vec<u8>>> {
        unsupported()
    }
    async fn disk_use(&self, _: &Volume) -> Result<Option<DiskUse>> {
        unsupported()
    }
    async fn grow_disk(&self, _: &MachineRef, _: &Volume, _: DiskRole, _: DiskGib) -> Result<()> {
        unsupported()
    }
    async fn disks(&self, _: &MachineRef) -> Result<Vec<Volume>> {
        unsupported()
    }
    async fn remove_disk(&self, _: &MachineRef, _: DiskRole, _: u32) -> Result<()> {
        unsupported()
    }
    async fn remove_disks(&self, _: &MachineRef, _: &[Volume]) -> Result<()> {
        unsupported()
    }
    async fn console(&self, machine: &MachineRef) -> Result<ConsoleStream> {
        let nothing = || HypervisorError::NoSuchMachine { name: machine.name.clone() };
        if *self.place.lock().unwrap() != machine.host_ref {
            return Err(nothing());
        }
        self.plugged.lock().await.try_recv().map_err(|_| nothing())
    }
    async fn addresses(&self, _: &MachineRef) -> Result<Vec<Address>> {
        unsupported()
    }
    async fn agent_ping(&self, _: &MachineRef) -> Result<()> {
        unsupported()
    }
    async fn agent_read(&self, _: &MachineRef, _: &str) -> Result<Vec<u8>> {
        unsupported()
    }
    async fn agent_run(&self, _: &MachineRef, _: &[&str], _: &[u8]) -> Result<GuestExit> {
        unsupported()
    }
}

struct World {
    hub: Hub,
    host: Arc<Plugs>,
    plug: mpsc::Sender<ConsoleStream>,
    machine: MachineRef,
    id: MachineId,
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let (plug, plugs) = mpsc::channel(8);
        let dir = tempfile::tempdir().unwrap();
        let host_ref = HostRef("1".to_owned());
        let host = Plugs { plugged: Mutex::new(plugs), place: std::sync::Mutex::new(host_ref.clone()) };
        Self {
            hub: Hub::new(dir.path().to_owned(), Arc::new(Ticks(AtomicI64::new(1_763_854_215_123)))),
            host: Arc::new(host),
            plug,
            machine: MachineRef {
                id: MachineId(Uuid::from_u128(2)),
                name: "web-1".parse().unwrap(),
                host_ref,
            },
            id: MachineId(Uuid::from_u128(2)),
            dir,
        }
    }

    /// Makes a console ready to be opened.
    fn plug(&self) -> Guest {
        let (says, output) = mpsc::channel(16);
        let (input, hears) = input();
        self.plug.try_send(ConsoleStream { output, input }).unwrap();
        Guest { says, hears }
    }

    /// The machine is created anew, and the host has another place for it.
    fn replace(&mut self, place: &str) {
        self.machine.host_ref = HostRef(place.to_owned());
        *self.host.place.lock().unwrap() = self.machine.host_ref.clone();
    }

    async fn attach(&self, who: &str, role: ConsoleRole, from: Option<u64>) -> Attachment {
        self.hub.attach(self.machine.clone(), self.id, self.host.clone(), who.to_owned(), role, from).await
    }

    async fn transcripts(&self, bytes: usize) -> Vec<String> {
        let began = Instant::now();
        loop {
            assert!(began.elapsed() < Duration::from_secs(60), "the transcripts were not written");
            let dir = self.dir.path().join(self.id.to_string());
            let mut files: Vec<_> =
                std::fs::read_dir(&dir).into_iter().flatten().map(|e| e.unwrap().path()).collect();
            files.sort();
            let texts: Vec<_> = files.iter().map(|f| std::fs::read_to_string(f).unwrap()).collect();
            if texts.concat().len() >= bytes {
                return texts;
            }
            // A little at a time, where time is paused: output may wait for more before it is written.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), what).await.expect("took too long")
}

/// Reads notices and bytes until the bytes end with `text`.
async fn read_to(viewer: &mut Attachment, text: &str) -> (Vec<u8>, Vec<ConsoleNotice>) {
    let (mut bytes, mut notices) = (Vec::new(), Vec::new());
    while !bytes.ends_with(text.as_bytes()) {
        match within(viewer.next()).await.unwrap() {
            ConsoleItem::Bytes(more) => bytes.extend_from_slice(&more),
            ConsoleItem::Notice(notice) => notices.push(notice),
        }
    }
    (bytes, notices)
}

/// Reads to the first notice that the predicate accepts.
async fn notice(viewer: &mut Attachment, is_it: impl Fn(&ConsoleNotice) -> bool) -> ConsoleNotice {
    loop {
        match within(viewer.next()).await.unwrap() {
            ConsoleItem::Notice(notice) if is_it(&notice) => return notice,
            _ => (),
        }
    }
}

fn hello(notices: &[ConsoleNotice]) -> u64 {
    match notices.first() {
        Some(ConsoleNotice::Hello { offset, .. }) => *offset,
        other => panic!("not a hello: {other:?}"),
    }
}

fn you_are(notice: &ConsoleNotice, role: ConsoleRole) -> bool {
    matches!(notice, ConsoleNotice::Viewers { you, .. } if *you == role)
}
