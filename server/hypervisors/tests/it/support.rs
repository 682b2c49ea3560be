//! What the tests share: a host over its own directory, and waiting for events.

use hypervisors::libvirt::{Libvirt, LibvirtSettings};
use model::machine::{HardwareIds, MachineId};
use ports::hypervisor::{HostEvent, HostRef, Hypervisor, MachineRef};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::broadcast::Receiver;
use tokio::time::timeout;
use uuid::Uuid;

/// How long something that must come may take on a slow computer.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A state directory that QEMU's user can traverse.
pub fn state() -> TempDir {
    tempfile::Builder::new()
        .prefix("snowglobe-")
        .permissions(Permissions::from_mode(0o711))
        .tempdir()
        .unwrap()
}

/// A host on this URI.
pub fn host(uri: &str, state: &TempDir) -> Arc<Libvirt> {
    Libvirt::connect(uri, LibvirtSettings::new(state.path()))
}

/// A host that is connected.
pub async fn connected(uri: &str, state: &TempDir) -> Arc<Libvirt> {
    let host = host(uri, state);
    host.inventory().await.unwrap();
    host
}

/// A machine of the tests: for the portal and for libvirt it has one number.
pub fn machine(name: &str, uuid: Uuid) -> MachineRef {
    MachineRef { id: MachineId(uuid), name: name.parse().unwrap(), host_ref: place(uuid) }
}

/// Its identifiers.
pub fn hardware(uuid: Uuid) -> HardwareIds {
    let [.., a, b, c] = *uuid.as_bytes();
    HardwareIds {
        uuid,
        mac: format!("52:54:00:{a:02x}:{b:02x}:{c:02x}").parse().unwrap(),
        machine_id: uuid.simple().to_string().parse().unwrap(),
    }
}

/// The name of a domain's place.
pub fn place(uuid: Uuid) -> HostRef {
    HostRef(uuid.to_string())
}

/// The first wanted event.
pub async fn event(events: &mut Receiver<HostEvent>, wanted: impl Fn(&HostEvent) -> bool) -> HostEvent {
    let mut seen = Vec::new();
    let found = timeout(PATIENCE, async {
        loop {
            match events.recv().await.unwrap() {
                event if wanted(&event) => return event,
                event => seen.push(event),
            }
        }
    })
    .await;
    found.unwrap_or_else(|_| panic!("an event did not come; instead: {seen:?}"))
}
