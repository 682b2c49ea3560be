//! Real libvirtd, real QEMU, a real image. Needs `SNOWGLOBE_TEST_LIBVIRT` (a URI) and `SNOWGLOBE_TEST_IMAGE` (a qcow2 file
//! that honours the images' contract), as `cargo xtask test` sets them in a namespace of its own.

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

/// A guest's boot under emulation, on a computer that does other things as well.
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

/// The real host, or a loud word that there is none.
async fn real() -> Option<Real> {
    let (Ok(uri), Some(image)) =
        (std::env::var("SNOWGLOBE_TEST_LIBVIRT"), std::env::var_os("SNOWGLOBE_TEST_IMAGE"))
    else {
        // A test that passes without having tested anything would hide that nobody has.
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
        let boot = self.host.create_boot_disk(&machine, &from).await.unwrap();
        let identity = identity(name, &uuid);
        let data = self.host.create_data_disk(&machine, 2.try_into().unwrap(), &identity).await.unwrap();
        let definition = definition(&machine, boot, data);
        self.host.put_definition(&machine, &definition).await.unwrap();
        (machine, definition)
    }

    async fn remove(&self, machine: &MachineRef) {
        self.host.remove_definition(machine).await.unwrap();
        self.host.remove_disks(machine).await.unwrap();
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

#[tokio::test]
async fn real_contract() {
    let Some(real) = real().await else { return };
    contract::holds(&Subject {
        hypervisor: real.host.clone(),
        image: real.image.clone(),
        patience: PATIENCE,
    })
    .await;
}

#[tokio::test]
async fn real_check_finds_what_is_there() {
    let Some(real) = real().await else { return };
    let findings = real.host.check().await;
    for finding in &findings {
        eprintln!(
            "{:12} {:7?} {} {}",
            finding.name,
            finding.level,
            finding.what,
            finding.fix.as_deref().unwrap_or("")
        );
    }
    for name in ["connection", "acceleration", "firmware", "network", "tools", "disk"] {
        let finding = findings.iter().find(|f| f.name == name).unwrap_or_else(|| panic!("no finding {name}"));
        assert_ne!(finding.level, Level::Error, "{finding:?}");
        assert!(finding.level == Level::Ok || finding.fix.is_some(), "{finding:?}");
    }
}

#[tokio::test]
async fn real_disks_stay_closed_and_the_image_keeps_its_owner() {
    use std::os::unix::fs::MetadataExt;
    let Some(real) = real().await else { return };
    let before = std::fs::metadata(&real.image).unwrap();
    let (machine, definition) = real.create("owner").await;
    let begun = Instant::now();
    real.host.power(&machine, Power::Start).await.unwrap();
    eprintln!("started in {:?}", begun.elapsed());
    let while_running = std::fs::metadata(&real.image).unwrap();
    assert_eq!(
        (before.uid(), before.gid(), before.mode()),
        (while_running.uid(), while_running.gid(), while_running.mode())
    );
    for volume in real.host.disks(&machine).await.unwrap() {
        assert_eq!(std::fs::metadata(&volume.0).unwrap().mode() & 0o777, 0o600, "{volume:?}");
    }
    let data = definition.data.clone().unwrap();
    let refused = real.host.write_identity(&data, DiskRole::Data, &identity("other", &machine.id.0)).await;
    assert!(refused.is_err(), "the disk of a running machine is not edited");
    real.host.power(&machine, Power::ForceOff).await.unwrap();
    real.host.write_identity(&data, DiskRole::Data, &identity("other", &machine.id.0)).await.unwrap();
    assert!(real.state.path().join("machines/owner/nvram.qcow2").exists());
    real.remove(&machine).await;
    assert!(!real.state.path().join("machines/owner").exists());
}

#[tokio::test]
async fn real_event_from_outside_comes_within_milliseconds() {
    let Some(real) = real().await else { return };
    let (machine, _) = real.create("outside").await;
    real.host.power(&machine, Power::Start).await.unwrap();
    let mut events = real.host.events();
    let (uri, uuid) = (real.uri.clone(), machine.id.0);
    let suspended = tokio::task::spawn_blocking(move || {
        let outside = Connect::open(Some(&uri)).unwrap();
        let domain = outside.lookup_domain_by_uuid(uuid).unwrap();
        domain.suspend().unwrap();
        Instant::now()
    });
    let wanted = HostEvent::State { machine: machine.host_ref.clone(), state: MachineState::Paused };
    event(&mut events, |e| *e == wanted).await;
    let heard = Instant::now();
    let done = suspended.await.unwrap();
    eprintln!(
        "heard {:?} after libvirt's own answer to the one who did it",
        heard.saturating_duration_since(done)
    );
    assert!(heard.saturating_duration_since(done) < Duration::from_millis(200));
    real.remove(&machine).await;
}

#[tokio::test]
async fn real_guest_boots_answers_and_shuts_down() {
    let Some(real) = real().await else { return };
    let (machine, _) = real.create("guest").await;
    let mut events = real.host.events();
    real.host.power(&machine, Power::Start).await.unwrap();
    let mut console = real.host.console(&machine).await.unwrap();
    let early = real.host.agent_ping(&machine).await;
    assert!(matches!(early, Err(HypervisorError::NoAgent)), "{early:?}");
    let shown = read_until(&mut console, "login:").await;
    assert!(shown.contains("guest login:"), "the prompt has the machine's own name: {shown}");

    let ready = HostEvent::Agent { machine: machine.host_ref.clone(), connected: true };
    timeout(BOOT, event(&mut events, |e| *e == ready)).await.unwrap();
    real.host.agent_ping(&machine).await.unwrap();
    assert_eq!(real.host.agent_read(&machine, "/var/identity/hostname").await.unwrap(), b"guest");
    let exit =
        real.host.agent_run(&machine, &["/bin/sh", "-c", "echo out; echo err >&2; exit 3"]).await.unwrap();
    assert_eq!(
        (exit.code, exit.stdout.as_slice(), exit.stderr.as_slice()),
        (Some(3), &b"out\n"[..], &b"err\n"[..])
    );
    let missing = real.host.agent_read(&machine, "/nowhere").await;
    assert!(matches!(missing, Err(HypervisorError::Failed { .. })), "{missing:?}");
    let image = real.host.agent_read(&machine, IMAGE_FILE).await.unwrap();
    let image = GuestImage::read(&image).unwrap();
    eprintln!("the guest runs: {image:?}");
    assert!(image.profiles.contains("core") && image.mode == Mode::Immutable, "{image:?}");
    let booted = format!("until test -e {BOOTED_FILE}; do sleep 0.2; done");
    assert_eq!(real.host.agent_run(&machine, &["/bin/sh", "-c", &booted]).await.unwrap().code, Some(0));
    real.host.agent_read(&machine, BOOTED_FILE).await.unwrap();

    // The guest itself waits until DHCP has answered.
    let wait = "until ip -4 -o addr | grep -v ' lo ' | grep -q inet; do sleep 1; done";
    assert_eq!(real.host.agent_run(&machine, &["/bin/sh", "-c", wait]).await.unwrap().code, Some(0));
    let addresses = real.host.addresses(&machine).await.unwrap();
    eprintln!("addresses: {addresses:?}");
    assert!(addresses.iter().any(|a| a.source == AddressSource::Agent), "{addresses:?}");
    assert!(addresses.iter().all(|a| !a.ip.is_loopback()), "{addresses:?}");
    let counters = real.host.counters().await.unwrap();
    let (_, counted) = counters.iter().find(|(place, _)| *place == machine.host_ref).unwrap();
    eprintln!("counters: {counted:?}");
    assert!(counted.cpu_nanos > Some(0) && counted.disk_read > Some(0) && counted.memory_used > Some(0));
    assert!(counted.disk_size >= Some(2 << 30), "{counted:?}");

    real.host.power(&machine, Power::ShutDown).await.unwrap();
    let off = HostEvent::State { machine: machine.host_ref.clone(), state: MachineState::Off };
    timeout(BOOT, event(&mut events, |e| *e == off)).await.unwrap();
    timeout(PATIENCE, async { while console.output.recv().await.is_some() {} }).await.unwrap();
    real.remove(&machine).await;
}

#[tokio::test]
async fn real_guest_whose_agent_hangs_holds_nobody_up() {
    let Some(real) = real().await else { return };
    let (machine, _) = real.create("hangs").await;
    let mut events = real.host.events();
    real.host.power(&machine, Power::Start).await.unwrap();
    let ready = HostEvent::Agent { machine: machine.host_ref.clone(), connected: true };
    timeout(BOOT, event(&mut events, |e| *e == ready)).await.unwrap();
    real.host.agent_ping(&machine).await.unwrap();
    // It stops itself, so that not even this is answered.
    let stopped = real.host.agent_run(&machine, &["/bin/sh", "-c", "kill -STOP $(pidof qemu-ga)"]).await;
    assert!(matches!(stopped, Err(HypervisorError::NoAgent)), "{stopped:?}");
    let begun = Instant::now();
    let addresses = timeout(PATIENCE, real.host.addresses(&machine)).await.unwrap().unwrap();
    eprintln!("addresses of a guest whose agent hangs: {addresses:?} after {:?}", begun.elapsed());
    assert!(addresses.iter().all(|a| a.source != AddressSource::Agent), "{addresses:?}");
    let silent = timeout(PATIENCE, real.host.agent_read(&machine, IMAGE_FILE)).await.unwrap();
    assert!(matches!(silent, Err(HypervisorError::NoAgent)), "{silent:?}");
    real.host.power(&machine, Power::ForceOff).await.unwrap();
    real.remove(&machine).await;
}

#[tokio::test]
async fn real_console_of_a_machine_that_is_rebooted_goes_on() {
    let Some(real) = real().await else { return };
    let (machine, _) = real.create("rebooted").await;
    let mut events = real.host.events();
    real.host.power(&machine, Power::Start).await.unwrap();
    let mut console = real.host.console(&machine).await.unwrap();
    read_until(&mut console, "login:").await;
    // Nobody else gets in meanwhile, and the one who is in keeps the line.
    assert!(real.host.console(&machine).await.is_err());
    real.host.power(&machine, Power::Reboot).await.unwrap();
    event(&mut events, |e| *e == HostEvent::Rebooted { machine: machine.host_ref.clone() }).await;
    read_until(&mut console, "login:").await;
    // A dropped console frees the line.
    drop(console);
    reopened(&real, &machine).await;
    real.remove(&machine).await;
}

/// libvirtd stops reading a connection on which a guest leaves five pieces unread; it must not be the one that all machines of
/// the host share.
#[tokio::test]
async fn real_guest_that_does_not_read_stalls_nobody_else() {
    let Some(real) = real().await else { return };
    let ((deaf, _), (other, _)) = (real.create("deaf").await, real.create("other").await);
    real.host.power(&deaf, Power::Start).await.unwrap();
    let outside = Connect::open(Some(&real.uri)).unwrap();
    outside.lookup_domain_by_uuid(deaf.id.0).unwrap().suspend().unwrap();
    let mut events = real.host.events();
    let console = real.host.console(&deaf).await.unwrap();
    console.input.set_driven(true);
    let (piece, mut sent, mut stalled) = ([b'x'; 4096], 0, 0);
    // Until a thousand answers came while not a byte more was taken.
    while stalled < 1000 {
        stalled += 1;
        while console.input.push(&piece).is_ok() {
            (sent, stalled) = (sent + piece.len(), 0);
        }
        assert_eq!(real.host.state(&other).await.unwrap(), MachineState::Off);
    }
    eprintln!("{sent} bytes were accepted, {} of them wait", console.input.waiting());
    assert!(sent > console.input.waiting(), "nothing was sent");
    while let Ok(event) = events.try_recv() {
        assert!(!matches!(event, HostEvent::Disconnected { .. }), "{event:?}");
    }
    // A line that is given up is free again, however much of it is unread.
    drop(console);
    reopened(&real, &deaf).await;
    real.remove(&deaf).await;
    real.remove(&other).await;
}

#[tokio::test]
async fn real_console_is_typed_into_while_it_is_driven() {
    let Some(real) = real().await else { return };
    let (machine, _) = real.create("driven").await;
    real.host.power(&machine, Power::Start).await.unwrap();
    let mut console = real.host.console(&machine).await.unwrap();
    read_until(&mut console, "login:").await;
    for word in ["ann", "bob"] {
        // Queued while nobody drives, sent when somebody does.
        console.input.push(word.as_bytes()).unwrap();
        console.input.set_driven(true);
        read_until(&mut console, word).await;
        console.input.push(&[0x7f; 3]).unwrap();
        read_until(&mut console, "\x08 \x08\x08 \x08\x08 \x08").await;
        // Nobody drives: it ends and is opened anew.
        console.input.set_driven(false);
        timeout(PATIENCE, async { while console.output.recv().await.is_some() {} }).await.unwrap();
        console = real.host.console(&machine).await.unwrap();
    }
    real.host.power(&machine, Power::ForceOff).await.unwrap();
    real.remove(&machine).await;
}

/// libvirtd sends a packet for every few bytes that a guest says. Prints what the reader costs; what is asserted is that it does
/// not wake for each.
#[tokio::test]
async fn real_console_that_pours_is_read_in_few_pieces() {
    const MUCH: usize = 500_000;
    let Some(real) = real().await else { return };
    let (machine, _) = real.create("pours").await;
    let mut events = real.host.events();
    real.host.power(&machine, Power::Start).await.unwrap();
    let mut console = real.host.console(&machine).await.unwrap();
    let ready = HostEvent::Agent { machine: machine.host_ref.clone(), connected: true };
    timeout(BOOT, event(&mut events, |e| *e == ready)).await.unwrap();
    let yes = "yes >/dev/ttyS0 2>/dev/null </dev/null &";
    assert_eq!(real.host.agent_run(&machine, &["/bin/sh", "-c", yes]).await.unwrap().code, Some(0));
    read_until(&mut console, "y\r\ny\r\ny\r\n").await;
    let (begun, before) = (Instant::now(), cpu());
    let (mut pieces, mut bytes) = (0, 0);
    let pour = async {
        while bytes < MUCH {
            bytes += console.output.recv().await.unwrap().len();
            pieces += 1;
        }
    };
    timeout(BOOT, pour).await.unwrap();
    let per_megabyte = (cpu() - before).as_secs_f64() * 1e6 / bytes as f64;
    eprintln!("{bytes} bytes in {pieces} pieces in {:?}, {per_megabyte:.2} s of CPU per MB", begun.elapsed());
    // A packet has some twenty bytes. How many are joined depends on how busy the computer is; that they are does not.
    let most = MUCH / 40;
    assert!(pieces <= most, "{pieces} pieces, at most {most} were to be expected");
    real.host.power(&machine, Power::ForceOff).await.unwrap();
    real.remove(&machine).await;
}

/// What this process has used of the processors (`proc_pid_stat(5)`, in hundredths of a second).
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks = fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap());
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

/// A console of which an earlier one is given up.
async fn reopened(real: &Real, machine: &MachineRef) -> ConsoleStream {
    let opened = timeout(PATIENCE, async {
        loop {
            if let Ok(console) = real.host.console(machine).await {
                return console;
            }
            tokio::task::yield_now().await;
        }
    });
    opened.await.unwrap()
}

#[tokio::test]
async fn real_network_that_is_missing_is_made_when_a_machine_needs_it() {
    let Some(real) = real().await else { return };
    let outside = Connect::open(Some(&real.uri)).unwrap();
    if let Ok(network) = outside.lookup_network_by_name("default") {
        let _ = network.destroy();
        network.undefine().unwrap();
    }
    let (machine, _) = real.create("networked").await;
    real.host.power(&machine, Power::Start).await.unwrap();
    let network = outside.lookup_network_by_name("default").unwrap();
    assert!(network.is_active().unwrap() && network.autostart().unwrap());
    real.host.power(&machine, Power::ForceOff).await.unwrap();
    network.destroy().unwrap();
    real.host.power(&machine, Power::Start).await.unwrap();
    assert!(network.is_active().unwrap());
    real.remove(&machine).await;
}

/// Prints, does not judge: `cargo xtask bench` sets the figures beside those of bare tools.
#[tokio::test]
async fn real_time_from_image_to_running() {
    let Some(real) = real().await else { return };
    // The first one finds out about the host, as the portal does at its start.
    for name in ["first", "second", "third"] {
        let machine = machine(name, Uuid::new_v4());
        let uuid = real.made(&machine);
        let begun = Instant::now();
        real.reserve(&machine).await;
        let from = BootDisk { image: real.image.clone(), grow_to: None };
        let boot = real.host.create_boot_disk(&machine, &from).await.unwrap();
        let identity = identity(name, &uuid);
        let data = real.host.create_data_disk(&machine, 20.try_into().unwrap(), &identity).await.unwrap();
        let disks = begun.elapsed();
        real.host.put_definition(&machine, &definition(&machine, boot, data)).await.unwrap();
        let defined = begun.elapsed();
        real.host.power(&machine, Power::Start).await.unwrap();
        eprintln!("{name}: disks {disks:?}, defined {defined:?}, running {:?}", begun.elapsed());
        assert_eq!(real.host.state(&machine).await.unwrap(), MachineState::Running);
        real.remove(&machine).await;
    }
}

#[tokio::test]
async fn real_lost_connection_is_told_and_comes_back() {
    let Some(real) = real().await else { return };
    let socket = Connect::open(Some(&real.uri)).map(|_| "/run/libvirt/libvirt-sock").unwrap();
    let proxy = real.state.path().join("proxy.sock");
    let listener = UnixListener::bind(&proxy).unwrap();
    let relay = |listener: UnixListener| {
        tokio::spawn(async move {
            let mut relays = tokio::task::JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                relays.spawn(async move {
                    let mut far = UnixStream::connect(socket).await?;
                    tokio::io::copy_bidirectional(&mut near, &mut far).await
                });
            }
        })
    };
    let first = relay(listener);
    let host = connected(&format!("qemu+unix:///system?socket={}", proxy.display()), &real.state).await;
    let mut events = host.events();
    first.abort();
    event(&mut events, |e| matches!(e, HostEvent::Disconnected { .. })).await;
    assert!(host.inventory().await.is_err());
    std::fs::remove_file(&proxy).unwrap();
    let second = relay(UnixListener::bind(&proxy).unwrap());
    event(&mut events, |e| *e == HostEvent::Connected).await;
    host.inventory().await.unwrap();
    second.abort();
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

#[tokio::test]
async fn real_machine_from_before_there_were_marks_is_adopted_where_everything_agrees() {
    let Some(real) = real().await else { return };
    let (machine, definition) = real.create("old").await;
    real.host.power(&machine, Power::Start).await.unwrap();
    let outside = Connect::open(Some(&real.uri)).unwrap();
    let domain = outside.lookup_domain_by_uuid(machine.id.0).unwrap();
    let old = || {
        std::fs::remove_file(real.state.path().join("machines/old/.snowglobe-machine")).unwrap();
        let both = virt_sys::VIR_DOMAIN_AFFECT_CONFIG | virt_sys::VIR_DOMAIN_AFFECT_LIVE;
        let (element, namespace) = (Some("<machine name='old'/>"), Some("urn:snowglobe:machine:1"));
        domain.set_metadata(2, element, Some("snowglobe"), namespace, both).unwrap();
    };
    old();
    let refused = real.host.remove_disks(&machine).await;
    assert!(matches!(refused, Err(HypervisorError::Foreign { .. })), "{refused:?}");
    let (boot, data) = (definition.boot.clone(), definition.data.clone().unwrap());
    let adopt = async |uuid, disks: &[Volume]| {
        real.host.adopt(machine.id, &machine.name, &hardware(uuid), disks).await.unwrap()
    };
    assert_eq!(adopt(Uuid::new_v4(), &[boot.clone(), data.clone()]).await, None, "another domain");
    assert_eq!(adopt(machine.id.0, std::slice::from_ref(&boot)).await, None, "other disks");
    for _ in 0..2 {
        assert_eq!(adopt(machine.id.0, &[boot.clone(), data.clone()]).await, Some(machine.host_ref.clone()));
    }
    let all = real.host.belongings().await.unwrap();
    assert_eq!(all.iter().filter(|b| b.owner == Some(machine.id)).count(), 2, "{all:?}");
    real.host.put_definition(&machine, &definition).await.unwrap();
    real.remove(&machine).await;
}
