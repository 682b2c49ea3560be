//! A running guest is copied: it stands still for a moment, goes on, and the copy is a machine of its own.

use super::*;
use ports::hypervisor::CopyEvent;

const HOST_KEY: &str = "/var/identity/ssh_host_ed25519_key";

impl Real {
    async fn sh(&self, machine: &MachineRef, command: &str) -> String {
        let exit = self.host.agent_run(machine, &["/bin/sh", "-c", command], b"").await.unwrap();
        assert_eq!(exit.code, Some(0), "{command}: {}", String::from_utf8_lossy(&exit.stderr));
        String::from_utf8(exit.stdout).unwrap()
    }

    async fn boot(&self, machine: &MachineRef) {
        let mut events = self.host.events();
        self.host.power(machine, Power::Start).await.unwrap();
        let ready = HostEvent::Agent { machine: machine.host_ref.clone(), connected: true };
        timeout(BOOT, event(&mut events, |e| *e == ready)).await.unwrap();
        self.sh(machine, &format!("until test -e {BOOTED_FILE}; do sleep 0.2; done")).await;
    }

    /// The place of another machine.
    async fn place(&self, name: &str) -> MachineRef {
        let machine = machine(name, Uuid::new_v4());
        self.made(&machine);
        self.reserve(&machine).await;
        machine
    }

    async fn copied(
        &self,
        from: &MachineRef,
        disk: &Volume,
        to: &MachineRef,
    ) -> (Result<Volume, HypervisorError>, Vec<CopyEvent>) {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let told = heard.clone();
        let listener = Arc::new(move |event| told.lock().unwrap().push(event));
        let copy = self.host.copy_disk(from, disk, to, DiskRole::Data, listener).await;
        let heard = heard.lock().unwrap().clone();
        (copy, heard)
    }
}

#[tokio::test]
async fn real_guest_is_copied_while_it_runs_and_its_copy_is_another_machine() {
    let Some(real) = real().await else { return };
    let (web, definition_of_web) = real.create("web").await;
    let disk = definition_of_web.data.clone().unwrap();
    real.boot(&web).await;
    // Not synced: it is in the copy because everything is written before the guest stands still.
    real.sh(
        &web,
        "echo Dear Ada >/var/letter; mkdir -p /var/lib/systemd; echo x >/var/lib/systemd/random-seed",
    )
    .await;
    let first = real.place("copy-1").await;
    let (data, heard) = real.copied(&web, &disk, &first).await;
    let data = data.unwrap();
    eprintln!("heard: {heard:?}");
    assert!(heard.iter().any(|e| matches!(e, CopyEvent::StoodStill { millis: 0..10_000 })), "{heard:?}");
    // It moves, and writes.
    real.sh(&web, "echo later >/var/letter; sync").await;
    assert_eq!(real.host.state(&web).await.unwrap(), MachineState::Running);

    real.host.forget_guest(&data, DiskRole::Data).await.unwrap();
    let files = identity("copy-1", &first.id.0);
    real.host.write_identity(&data, DiskRole::Data, &files).await.unwrap();
    real.host.grow_disk(&first, &data, DiskRole::Data, 3.try_into().unwrap()).await.unwrap();
    let from = BootDisk { image: real.image.clone(), grow_to: None };
    let boot = real.host.create_boot_disk(&first, 1, &from).await.unwrap();
    real.host.put_definition(&first, &definition(&first, boot, data)).await.unwrap();
    real.boot(&first).await;
    assert_eq!(real.sh(&first, "cat /var/letter; hostname").await, "Dear Ada\ncopy-1\n");
    let own = async |path: &str| {
        let (one, other) = (real.host.agent_read(&web, path).await, real.host.agent_read(&first, path).await);
        let (one, other) = (one.unwrap(), other.unwrap());
        assert!(one != other && !other.is_empty(), "{path} is shared");
    };
    own(HOST_KEY).await;
    own("/etc/machine-id").await;
    own("/sys/class/net/eth0/address").await;
    real.sh(&first, "test ! -e /var/lib/systemd/random-seed").await;
    for machine in [&first, &web] {
        real.remove(machine).await;
    }
}

#[tokio::test]
async fn real_copy_that_is_given_up_or_cut_short_leaves_the_guest_as_it_was() {
    let Some(real) = real().await else { return };
    let (web, definition) = real.create("web").await;
    let disk = definition.data.clone().unwrap();
    real.boot(&web).await;
    real.sh(&web, "dd if=/dev/urandom of=/var/much bs=1M count=300; sync").await;
    let copy = real.place("copy").await;
    let volumes = async || real.host.disks(&copy).await.unwrap();
    // Dropped in the middle of it.
    let (began, mut begun) = tokio::sync::mpsc::channel(64);
    let listener = Arc::new(move |event| {
        let _ = began.try_send(event);
    });
    {
        let copying = real.host.copy_disk(&web, &disk, &copy, DiskRole::Data, listener);
        tokio::select! {
            _ = copying => {}
            _ = begun.recv() => {}
        }
    }
    // The next one waits for its end.
    let (made, heard) = real.copied(&web, &disk, &copy).await;
    eprintln!("heard after the one that was dropped: {heard:?}");
    made.unwrap();
    assert_eq!(volumes().await.len(), 1);
    real.host.remove_disks(&copy, &[]).await.unwrap();

    let began = Arc::new(tokio::sync::Notify::new());
    let told = began.clone();
    let listener = Arc::new(move |event| {
        if matches!(event, CopyEvent::StoodStill { .. } | CopyEvent::NotStill { .. }) {
            told.notify_one();
        }
    });
    let kill = async {
        began.notified().await;
        real.host.power(&web, Power::ForceOff).await.unwrap();
    };
    let (cut, ()) = tokio::join!(real.host.copy_disk(&web, &disk, &copy, DiskRole::Data, listener), kill);
    eprintln!("cut short: {cut:?}");
    // It may have been complete by then; half a disk never has a name.
    assert_eq!(volumes().await.len(), usize::from(cut.is_ok()));
    real.host.remove_disks(&copy, &[]).await.unwrap();
    real.host.end_copy(&web, &copy).await.unwrap();
    let (made, _) = real.copied(&web, &disk, &copy).await;
    made.unwrap();
    real.boot(&web).await;
    for machine in [&copy, &web] {
        real.remove(machine).await;
    }
}

/// The portal dies while the guest stands still. Whoever takes the copy up, or undoes it, gets the guest moving; and if nobody
/// does, it gets moving by itself.
#[tokio::test]
async fn real_guest_that_stands_still_moves_again_with_and_without_a_portal() {
    let Some(real) = real().await else { return };
    let (web, definition) = real.create("web").await;
    let disk = definition.data.clone().unwrap();
    real.boot(&web).await;
    let copy = real.place("copy").await;
    let folder = std::path::Path::new(&disk.0).parent().unwrap().with_file_name("copy");
    std::fs::create_dir(folder.join(".tmp-data.qcow2")).unwrap();
    agent(&real, &web, "guest-fsfreeze-freeze").await;
    real.host.end_copy(&web, &copy).await.unwrap();
    real.sh(&web, "echo moves >/var/letter; sync").await;

    real.sh(&web, "(while :; do date; sleep 0.2; sync; done) </dev/null >/var/ticks 2>&1 &").await;
    let written = async || {
        let counters = real.host.counters().await.unwrap();
        counters.into_iter().find(|(at, _)| *at == web.host_ref).unwrap().1.disk_written.unwrap()
    };
    let (host, on) = (real.host.clone(), web.clone());
    // The agent does not tell about it while the guest stands still.
    let switch =
        tokio::spawn(async move { host.agent_run(&on, hypervisors::libvirt::FREEZE_SWITCH, b"").await });
    let armed = "until grep -q '[f]sfreeze' /proc/[0-9]*/cmdline; do sleep 0.1; done";
    real.sh(&web, armed).await;
    agent(&real, &web, "guest-fsfreeze-freeze").await;
    let still = written().await;
    let moves = async {
        while written().await == still {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    timeout(BOOT, moves).await.unwrap();
    assert_eq!(agent(&real, &web, "guest-fsfreeze-thaw").await, r#"{"return":0}"#, "it moved already");
    drop(switch.await);
    for machine in [&copy, &web] {
        real.remove(machine).await;
    }
}

/// What the guest's agent answers to somebody else on the host.
async fn agent(real: &Real, machine: &MachineRef, command: &str) -> String {
    let (uri, uuid) = (real.uri.clone(), machine.id.0);
    let command = format!(r#"{{"execute":"{command}"}}"#);
    let answer = tokio::task::spawn_blocking(move || {
        let outside = Connect::open(Some(&uri)).unwrap();
        let domain = outside.lookup_domain_by_uuid(uuid).unwrap();
        domain.qemu_agent_command(&command, 10, 0).unwrap()
    });
    answer.await.unwrap()
}
