//! Real libvirtd, real QEMU, a real image. Needs `SNOWGLOBE_TEST_LIBVIRT` (a URI) and `SNOWGLOBE_TEST_IMAGE` (a qcow2 file
//! that honours the images' contract), as `cargo xtask test` sets them in its own namespace.

mod console;
mod copies;
mod guest;
mod host;

use crate::support::{PATIENCE, connected, event, hardware, machine, state};
use engine::testing::contract::{self, Subject};
use hypervisors::libvirt::Libvirt;
use model::address::AddressSource;
use model::guest::{BOOTED_FILE, GuestImage, IMAGE_FILE};
use model::host::Level;
use model::identity::IdentityFile;
use model::machine::{MachineState, Mode, Network};
use ports::hypervisor::{
    BootDisk, ConsoleStream, Definition, DiskRole, HostEvent, Hypervisor, HypervisorError, MachineRef, Power,
    Volume,
};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;
use uuid::Uuid;
use virt::connect::Connect;

/// A guest's boot under emulation, on a computer that also does other things.
const BOOT: Duration = Duration::from_secs(180);

struct Real {
    uri: String,
    image: PathBuf,
    state: TempDir,
    host: Arc<Libvirt>,
    made: Mutex<Vec<Uuid>>,
}

impl Drop for Real {
    /// A test that broke leaves nothing running.
    fn drop(&mut self) {
        let Ok(outside) = Connect::open(Some(&self.uri)) else { return };
        for uuid in self.made.lock().unwrap().drain(..) {
            if let Ok(domain) = outside.lookup_domain_by_uuid(uuid) {
                let _ = domain.destroy();
                let _ = domain.undefine_flags(virt_sys::VIR_DOMAIN_UNDEFINE_NVRAM);
            }
        }
    }
}

/// The real host, or a loud message that there is none.
async fn real() -> Option<Real> {
    let (Ok(uri), Some(image)) =
        (std::env::var("SNOWGLOBE_TEST_LIBVIRT"), std::env::var_os("SNOWGLOBE_TEST_IMAGE"))
    else {
        // A test that passes without testing anything would hide that.
        assert!(
            std::env::var_os("SNOWGLOBE_TEST_SKIP_REAL").is_some(),
            "not configured: run `cargo xtask test`, set SNOWGLOBE_TEST_LIBVIRT and SNOWGLOBE_TEST_IMAGE, or leave the real \
             tests out with SNOWGLOBE_TEST_SKIP_REAL=1"
        );
        return None;
    };
    let state = state();
    let host = connected(&uri, &state).await;
    Some(Real { uri, image: image.into(), state, host, made: Mutex::default() })
}

impl Real {
    /// A defined machine and its definition.
    async fn create(&self, name: &str) -> (MachineRef, Definition) {
        let machine = machine(name, Uuid::new_v4());
        let uuid = self.made(&machine);
        self.reserve(&machine).await;
        let from = BootDisk { image: self.image.clone(), grow_to: None };
        let boot = self.host.create_boot_disk(&machine, 1, &from).await.unwrap();
        let identity = identity(name, &uuid);
        let data = self.host.create_data_disk(&machine, 1, 2.try_into().unwrap(), &identity).await.unwrap();
        let definition = definition(&machine, boot, data);
        self.host.put_definition(&machine, &definition).await.unwrap();
        (machine, definition)
    }

    async fn remove(&self, machine: &MachineRef) {
        self.host.remove_definition(machine).await.unwrap();
        self.host.remove_disks(machine, &[]).await.unwrap();
        self.host.release(machine.id, &machine.name).await.unwrap();
    }

    async fn reserve(&self, machine: &MachineRef) {
        let place = self.host.reserve(machine.id, &machine.name, &hardware(machine.id.0)).await.unwrap();
        assert_eq!(place, machine.host_ref);
    }

    /// Remembers that there will be a domain.
    fn made(&self, machine: &MachineRef) -> Uuid {
        self.made.lock().unwrap().push(machine.id.0);
        machine.id.0
    }
}

fn identity(name: &str, uuid: &Uuid) -> Vec<IdentityFile> {
    vec![
        IdentityFile { name: "hostname", mode: 0o644, content: Some(name.to_owned()) },
        IdentityFile { name: "machine-id", mode: 0o644, content: Some(uuid.simple().to_string()) },
    ]
}

fn definition(machine: &MachineRef, boot: Volume, data: Volume) -> Definition {
    Definition {
        hardware: hardware(machine.id.0),
        memory: 256.try_into().unwrap(),
        vcpus: 1.try_into().unwrap(),
        network: Network::Nat,
        boot,
        data: Some(data),
    }
}

/// What the console shows up to this text.
async fn read_until(console: &mut ConsoleStream, wanted: &str) -> String {
    let mut shown = String::new();
    let found = timeout(BOOT, async {
        while let Some(bytes) = console.output.recv().await {
            shown.push_str(&String::from_utf8_lossy(&bytes));
            if shown.contains(wanted) {
                return true;
            }
        }
        false
    })
    .await;
    assert_eq!(found, Ok(true), "“{wanted}” did not come; instead: {shown}");
    shown
}
