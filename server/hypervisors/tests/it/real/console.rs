//! The serial console: read, typed into, flooded, and closed.

use super::*;

#[tokio::test]
async fn real_console_of_a_machine_that_is_rebooted_goes_on() {
    let Some(real) = real().await else { return };
    let (machine, _) = real.create("rebooted").await;
    let mut events = real.host.events();
    real.host.power(&machine, Power::Start).await.unwrap();
    let mut console = real.host.console(&machine).await.unwrap();
    read_until(&mut console, "login:").await;
    // Nobody else gets in meanwhile, and the current one keeps the line.
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
    // A closed line is free again, however much of it is unread.
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
        // Queued while nobody drives, sent when someone does.
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

/// libvirtd sends a packet for every few bytes of guest output. Prints what the reader costs; what is asserted is that
/// it does not wake for each.
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
    assert_eq!(real.host.agent_run(&machine, &["/bin/sh", "-c", yes], b"").await.unwrap().code, Some(0));
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

/// The processor time that this process has used (`proc_pid_stat(5)`, in hundredths of a second).
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks = fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap());
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

/// A console whose previous one is closed.
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
