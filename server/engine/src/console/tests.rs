//! Against a host whose console is two channels in the test's hands.

mod typing;

use super::history::{HEAD, TAIL};
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

/// A host that gives out the consoles that the test has plugged in, and refuses when there is none.
struct Plugs(Mutex<mpsc::Receiver<ConsoleStream>>);

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
    async fn state(&self, _: &MachineRef) -> Result<MachineState> {
        unsupported()
    }
    async fn power(&self, _: &MachineRef, _: Power) -> Result<()> {
        unsupported()
    }
    async fn create_boot_disk(&self, _: &MachineRef, _: &BootDisk) -> Result<Volume> {
        unsupported()
    }
    async fn create_data_disk(&self, _: &MachineRef, _: DiskGib, _: &[IdentityFile]) -> Result<Volume> {
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
    async fn disks(&self, _: &MachineRef) -> Result<Vec<Volume>> {
        unsupported()
    }
    async fn remove_disks(&self, _: &MachineRef) -> Result<()> {
        unsupported()
    }
    async fn console(&self, machine: &MachineRef) -> Result<ConsoleStream> {
        let plugged = self.0.lock().await.try_recv();
        plugged.map_err(|_| HypervisorError::NoSuchMachine { name: machine.name.clone() })
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
    async fn agent_run(&self, _: &MachineRef, _: &[&str]) -> Result<GuestExit> {
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
        Self {
            hub: Hub::new(dir.path().to_owned(), Arc::new(Ticks(AtomicI64::new(1_763_854_215_123)))),
            host: Arc::new(Plugs(Mutex::new(plugs))),
            plug,
            machine: MachineRef {
                id: MachineId(Uuid::from_u128(2)),
                name: "web-1".parse().unwrap(),
                host_ref: HostRef("1".to_owned()),
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
            // A little at a time, where time is paused: what was said may wait for more before it is written.
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

#[tokio::test]
async fn what_was_said_before_is_replayed_and_a_reconnect_goes_on_where_it_was() {
    let world = World::new();
    let guest = world.plug();
    let mut first = world.attach("ann", ConsoleRole::Driver, None).await;
    guest.say("booting\r\n").await;
    guest.say("login: ").await;
    let (bytes, notices) = read_to(&mut first, "login: ").await;
    assert_eq!(bytes, b"booting\r\nlogin: ");
    let start = hello(&notices);
    assert!(matches!(notices[1], ConsoleNotice::Viewers { you: ConsoleRole::Driver, .. }));
    assert!(notices.contains(&ConsoleNotice::On));

    let mut late = world.attach("bob", ConsoleRole::Watcher, None).await;
    assert_eq!(read_to(&mut late, "login: ").await.0, bytes);
    let mut again = world.attach("bob", ConsoleRole::Watcher, Some(start + 9)).await;
    assert_eq!(read_to(&mut again, "login: ").await.0, b"login: ");
    let mut stale = world.attach("eve", ConsoleRole::Watcher, Some(3)).await;
    assert_eq!(read_to(&mut stale, "login: ").await.0, bytes, "an offset of another life");
    assert_eq!(world.hub.viewers(), 4);
    drop((late, again, stale));
    assert_eq!(world.hub.viewers(), 1);
}

#[tokio::test]
async fn a_console_that_opens_while_the_portal_ends_keeps_nobody_waiting() {
    let world = World::new();
    let _guest = world.plug();
    world.hub.close_all("end");
    world.hub.follow(world.machine.clone(), world.id, world.host.clone()).await;
    let mut late = world.attach("ann", ConsoleRole::Watcher, None).await;
    notice(&mut late, |n| matches!(n, ConsoleNotice::Closing { why } if why == "end")).await;
    within(world.hub.ended()).await;
}

#[tokio::test]
async fn after_a_restart_of_the_portal_the_end_of_what_was_said_is_there_and_offsets_go_on() {
    let mut world = World::new();
    let guest = world.plug();
    let mut viewer = world.attach("ann", ConsoleRole::Watcher, None).await;
    guest.say("booting\r\nlogin: ").await;
    let (bytes, notices) = read_to(&mut viewer, "login: ").await;
    let seen = hello(&notices) + bytes.len() as u64;
    world.hub.close_all("restart");
    within(world.hub.ended()).await;

    let later = Arc::new(Ticks(AtomicI64::new(1_763_854_299_000)));
    world.hub = Hub::new(world.dir.path().to_owned(), later);
    let guest = world.plug();
    let mut fresh = world.attach("eve", ConsoleRole::Watcher, None).await;
    let (past, notices) = read_to(&mut fresh, "login: ").await;
    assert_eq!(past, bytes);
    assert!(hello(&notices) > seen, "an offset of the run before means nothing now");
    let mut again = world.attach("ann", ConsoleRole::Watcher, Some(seen)).await;
    guest.say("ann").await;
    assert_eq!(read_to(&mut again, "ann").await.0, b"ann", "who has seen the past is not told it again");
    assert_eq!(read_to(&mut fresh, "ann").await.0, b"ann");

    world.id = MachineId(Uuid::from_u128(3));
    let _guest = world.plug();
    let mut other = world.attach("eve", ConsoleRole::Watcher, None).await;
    notice(&mut other, |n| *n == ConsoleNotice::On).await;
    world.hub.close_all("end");
    while let Some(item) = within(other.next()).await {
        assert!(
            !matches!(item, ConsoleItem::Bytes(_)),
            "another machine of the same name has another past: {item:?}"
        );
    }
}

#[tokio::test]
async fn a_console_that_nobody_looks_at_is_forgotten_with_its_machine_off_and_read_again_from_disk() {
    let world = World::new();
    let guest = world.plug();
    let mut viewer = world.attach("ann", ConsoleRole::Watcher, None).await;
    world.hub.set_state(world.id, MachineState::Running);
    guest.say("last words\r\n").await;
    read_to(&mut viewer, "last words\r\n").await;
    world.hub.forget_idle();
    world.hub.set_state(world.id, MachineState::Off);
    drop(guest);
    notice(&mut viewer, |n| *n == ConsoleNotice::Off).await;
    world.hub.forget_idle();
    assert_eq!(world.hub.viewers(), 1, "somebody looks");
    drop(viewer);
    world.hub.forget_idle();
    assert_eq!(world.hub.consoles(), 0);
    world.transcripts(12).await;
    let mut viewer = world.attach("ann", ConsoleRole::Watcher, None).await;
    read_to(&mut viewer, "last words\r\n").await;
}

#[tokio::test]
async fn only_the_driver_types_and_taking_over_is_explicit() {
    let world = World::new();
    let guest = world.plug();
    let mut ann = world.attach("ann", ConsoleRole::Driver, None).await;
    let mut bob = world.attach("bob", ConsoleRole::Driver, None).await;
    guest.say("$ ").await;
    let (_, notices) = read_to(&mut bob, "$ ").await;
    assert!(notices.iter().any(|n| you_are(n, ConsoleRole::Watcher)), "somebody drives already: {notices:?}");
    read_to(&mut ann, "$ ").await;

    bob.type_in(b"rm -rf /\n");
    notice(&mut bob, |n| you_are(n, ConsoleRole::Watcher)).await;
    ann.type_in(b"ls\n");
    assert_eq!(within(guest.hears.take(1024)).await.unwrap(), "ls\n", "the watcher's input never arrived");

    bob.request(ConsoleRequest::TakeOver);
    notice(&mut bob, |n| you_are(n, ConsoleRole::Driver)).await;
    let told = notice(&mut ann, |n| you_are(n, ConsoleRole::Watcher)).await;
    let ConsoleNotice::Viewers { driver, watchers, .. } = told else { panic!("{told:?}") };
    assert_eq!((driver.as_deref(), watchers), (Some("bob"), vec!["ann".to_owned()]));
    ann.type_in(b"no\n");
    bob.type_in(b"yes\n");
    assert_eq!(within(guest.hears.take(1024)).await.unwrap(), "yes\n");

    drop(bob);
    let told = notice(&mut ann, |n| matches!(n, ConsoleNotice::Viewers { driver: None, .. })).await;
    assert!(you_are(&told, ConsoleRole::Watcher), "nobody inherits the keyboard");
}

#[tokio::test]
async fn what_a_machine_said_goes_with_it_even_what_is_still_to_be_written() {
    let world = World::new();
    let guest = world.plug();
    let folder = world.dir.path().join(world.id.to_string());
    let mut viewer = world.attach("ann", ConsoleRole::Watcher, None).await;
    guest.say("secrets").await;
    read_to(&mut viewer, "secrets").await;
    world.transcripts(7).await;
    guest.say(" and more").await;
    read_to(&mut viewer, " and more").await;
    within(world.hub.forget(world.id, "The machine has been removed.")).await.unwrap();
    assert!(!folder.exists());
    within(world.hub.ended()).await;
    assert!(!folder.exists(), "nothing is written behind its back");
    notice(&mut viewer, |n| matches!(n, ConsoleNotice::Closing { .. })).await;
    within(world.hub.forget(world.id, "again")).await.unwrap();
}

#[test]
fn what_an_earlier_version_kept_under_the_machines_name_is_found_by_its_id() {
    let dir = tempfile::tempdir().unwrap();
    let id = MachineId(Uuid::from_u128(2));
    let at = |folder: &str| dir.path().join(folder);
    for folder in [format!("web-1.{id}"), "notes".to_owned(), "web.notes".to_owned()] {
        std::fs::create_dir(at(&folder)).unwrap();
        std::fs::write(at(&folder).join("20251122T233015.123Z.log"), "hello").unwrap();
    }
    for _ in 0..2 {
        Hub::new(dir.path().to_owned(), Arc::new(Ticks(AtomicI64::new(0))));
        let kept = std::fs::read_to_string(at(&id.to_string()).join("20251122T233015.123Z.log"));
        assert_eq!(kept.unwrap(), "hello");
        assert!(!at(&format!("web-1.{id}")).exists() && at("notes").exists() && at("web.notes").exists());
    }
}

/// A serial line hands over some twenty bytes at a time, five thousand times a second.
#[tokio::test(start_paused = true)]
async fn what_pours_in_drops_reaches_a_viewer_in_few_frames_and_an_echo_at_once() {
    let world = World::new();
    let guest = world.plug();
    let mut viewer = world.attach("ann", ConsoleRole::Watcher, None).await;
    notice(&mut viewer, |n| *n == ConsoleNotice::On).await;
    let began = tokio::time::Instant::now();
    for _ in 0..20 {
        guest.say("x").await;
        read_to(&mut viewer, "x").await;
        assert_eq!(began.elapsed(), Duration::ZERO, "the echo of a key does not wait");
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    let pouring = tokio::spawn(async move {
        for _ in 0..1000 {
            for _ in 0..5 {
                guest.say("yyyyyyyyyyyyyyyyyy\r\n").await;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        guest.say("the end").await;
        guest
    });
    let (mut frames, mut bytes) = (0, Vec::new());
    while !bytes.ends_with(b"the end") {
        if let ConsoleItem::Bytes(more) = within(viewer.next()).await.unwrap() {
            frames += 1;
            bytes.extend_from_slice(&more);
        }
    }
    assert_eq!(bytes.len(), 100_007);
    assert!(frames < 500, "{frames} frames for what came in 5000 pieces");
    pouring.await.unwrap();
}

#[tokio::test]
async fn a_slow_viewer_skips_ahead_and_never_stalls_the_guest() {
    let world = World::new();
    let guest = world.plug();
    let mut quick = world.attach("ann", ConsoleRole::Watcher, None).await;
    let mut slow = world.attach("bob", ConsoleRole::Watcher, None).await;
    guest.say("start").await;
    let start = hello(&read_to(&mut slow, "start").await.1);
    let (mut total, mut read) = (5, 0);
    for _ in 0..400 {
        within(guest.says.send(Bytes::from(vec![b'x'; 16 * 1024]))).await.unwrap();
        total += 16 * 1024;
        // Quick is who stays within what is kept; nobody waits for the slow one.
        while read + TAIL / 2 < total {
            match within(quick.next()).await.unwrap() {
                ConsoleItem::Bytes(bytes) => read += bytes.len() as u64,
                ConsoleItem::Notice(notice) => {
                    assert!(!matches!(notice, ConsoleNotice::Skipped { .. }), "{notice:?}");
                }
            }
        }
    }
    guest.say("the end").await;
    total += 7;
    read += read_to(&mut quick, "the end").await.0.len() as u64;
    assert_eq!(read, total, "the quick one lost nothing");

    let (bytes, notices) = read_to(&mut slow, "the end").await;
    let skips: Vec<_> = notices.iter().filter(|n| matches!(n, ConsoleNotice::Skipped { .. })).collect();
    let [ConsoleNotice::Skipped { from, to }] = skips[..] else { panic!("{notices:?}") };
    assert_eq!(*from, start + HEAD);
    assert_eq!(bytes.len() as u64, (HEAD - 5) + (start + total - to));
    assert!(start + total - to <= TAIL);
}

#[tokio::test]
async fn a_stop_keeps_viewers_and_a_start_begins_a_new_transcript() {
    let world = World::new();
    let guest = world.plug();
    world.hub.follow(world.machine.clone(), world.id, world.host.clone()).await;
    world.hub.set_state(world.id, MachineState::Running);
    guest.say("boot one, seen by nobody").await;
    let mut viewer = world.attach("ann", ConsoleRole::Driver, None).await;
    read_to(&mut viewer, "by nobody").await;

    guest.say(" halted").await;
    drop(guest);
    world.hub.set_state(world.id, MachineState::Off);
    assert_eq!(read_to(&mut viewer, "halted").await.0, b" halted");
    notice(&mut viewer, |n| *n == ConsoleNotice::Off).await;
    viewer.type_in(b"into the void");

    let guest = world.plug();
    world.hub.set_state(world.id, MachineState::Running);
    notice(&mut viewer, |n| *n == ConsoleNotice::On).await;
    guest.say("boot two").await;
    read_to(&mut viewer, "boot two").await;
    viewer.type_in(b"root\n");
    assert_eq!(within(guest.hears.take(1024)).await.unwrap(), "root\n");

    world.hub.rebooted(world.id);
    // The reader heeds the reboot before it reads on: it looks there first.
    guest.say("boot three").await;
    read_to(&mut viewer, "boot three").await;
    let expected = ["boot one, seen by nobody halted", "boot two", "boot three"];
    assert_eq!(world.transcripts(expected.concat().len()).await, expected);
}

/// A libvirtd restart breaks the stream, not the machine: the same boot goes on, and nobody is told that it is off.
#[tokio::test(start_paused = true)]
async fn a_broken_stream_is_opened_again_with_back_off() {
    let world = World::new();
    let guest = world.plug();
    let mut viewer = world.attach("ann", ConsoleRole::Driver, None).await;
    world.hub.set_state(world.id, MachineState::Running);
    guest.say("one").await;
    read_to(&mut viewer, "one").await;
    let next = world.plug();
    drop(guest);
    next.say(" two").await;
    let (_, notices) = read_to(&mut viewer, " two").await;
    assert!(!notices.contains(&ConsoleNotice::Off), "{notices:?}");

    drop(next);
    notice(&mut viewer, |n| *n == ConsoleNotice::Off).await;
    let began = tokio::time::Instant::now();
    let later = world.plug();
    later.say(" three").await;
    read_to(&mut viewer, " three").await;
    assert!(began.elapsed() < Duration::from_secs(11), "{:?}", began.elapsed());
    assert_eq!(world.transcripts(13).await, ["one two three"]);
}

#[tokio::test]
async fn closing_says_why_and_ends() {
    let world = World::new();
    let guest = world.plug();
    let mut viewer = world.attach("ann", ConsoleRole::Driver, None).await;
    guest.say("hi").await;
    read_to(&mut viewer, "hi").await;
    world.hub.close(world.id, "The machine was removed.");
    let told = notice(&mut viewer, |n| matches!(n, ConsoleNotice::Closing { .. })).await;
    assert_eq!(told, ConsoleNotice::Closing { why: "The machine was removed.".to_owned() });
    assert_eq!(within(viewer.next()).await, None);
    within(guest.says.closed()).await;

    let guest = world.plug();
    let _viewer = world.attach("ann", ConsoleRole::Driver, None).await;
    guest.say("a new life").await;
    drop(world);
    within(guest.says.closed()).await;
}

/// Prints what one core's worth of sharing gives; the figure is for reading, the completeness for asserting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_watchers_share_what_one_guest_says() {
    let world = World::new();
    let guest = world.plug();
    let mut readers = Vec::new();
    for n in 0..50 {
        let mut viewer = world.attach(&format!("u{n}"), ConsoleRole::Watcher, None).await;
        readers.push(tokio::spawn(async move {
            let (mut bytes, mut skipped) = (0_u64, 0_u64);
            let mut last = Bytes::new();
            while !last.ends_with(b"the end") {
                match viewer.next().await.unwrap() {
                    ConsoleItem::Bytes(more) => {
                        bytes += more.len() as u64;
                        last = more;
                    }
                    ConsoleItem::Notice(ConsoleNotice::Skipped { from, to }) => skipped += to - from,
                    ConsoleItem::Notice(_) => (),
                }
            }
            (bytes, skipped)
        }));
    }
    let began = Instant::now();
    let chunk = Bytes::from(vec![b'x'; 32 * 1024]);
    let chunks = 2048_u64;
    for _ in 0..chunks {
        guest.says.send(chunk.clone()).await.unwrap();
    }
    guest.say("the end").await;
    let total = chunks * chunk.len() as u64 + 7;
    let mut read = 0;
    for reader in readers {
        let (bytes, skipped) = within(reader).await.unwrap();
        assert_eq!(bytes + skipped, total);
        read += bytes;
    }
    let seconds = began.elapsed().as_secs_f64();
    let rate = |bytes: u64| bytes as f64 / 1e6 / seconds;
    println!(
        "console: {:.0} MB/s from the guest, {:.0} MB/s to 50 watchers together",
        rate(total),
        rate(read)
    );
}
