//! The guest: it boots, answers, hangs, and shuts down.

use super::*;

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
    let exit = real
        .host
        .agent_run(&machine, &["/bin/sh", "-c", "echo out; echo err >&2; exit 3"], b"")
        .await
        .unwrap();
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
    assert_eq!(real.host.agent_run(&machine, &["/bin/sh", "-c", &booted], b"").await.unwrap().code, Some(0));
    real.host.agent_read(&machine, BOOTED_FILE).await.unwrap();

    // The guest itself waits until DHCP has answered.
    let wait = "until ip -4 -o addr | grep -v ' lo ' | grep -q inet; do sleep 1; done";
    assert_eq!(real.host.agent_run(&machine, &["/bin/sh", "-c", wait], b"").await.unwrap().code, Some(0));
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
    let stopped = real.host.agent_run(&machine, &["/bin/sh", "-c", "kill -STOP $(pidof qemu-ga)"], b"").await;
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
