//! Earlier output: replayed to latecomers, kept across a restart of the portal, removed with its machine.

use super::*;

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
    assert_eq!(read_to(&mut stale, "login: ").await.0, bytes, "an offset from another run");
    assert_eq!(world.hub.viewers(), 4);
    drop((late, again, stale));
    assert_eq!(world.hub.viewers(), 1);
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
