//! A machine that stops, starts, reboots, is created anew and goes; a stream that breaks.

use super::*;

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
    // The reader handles the reboot before it reads on: it checks there first.
    guest.say("boot three").await;
    read_to(&mut viewer, "boot three").await;
    let expected = ["boot one, seen by nobody halted", "boot two", "boot three"];
    assert_eq!(world.transcripts(expected.concat().len()).await, expected);
}

/// A libvirtd restart breaks the stream, not the machine: the same boot continues, and nobody is notified that it is
/// off.
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
    guest.say("a new boot").await;
    drop(world);
    within(guest.says.closed()).await;
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
async fn a_machine_that_is_created_anew_is_read_in_its_new_place() {
    let mut world = World::new();
    let guest = world.plug();
    let mut viewer = world.attach("ann", ConsoleRole::Watcher, None).await;
    world.hub.set_state(world.id, MachineState::Running);
    guest.say("one").await;
    read_to(&mut viewer, "one").await;
    drop(guest);
    world.hub.set_state(world.id, MachineState::Configured);
    notice(&mut viewer, |n| *n == ConsoleNotice::Off).await;

    world.replace("2");
    let guest = world.plug();
    world.hub.follow(world.machine.clone(), world.id, world.host.clone()).await;
    world.hub.set_state(world.id, MachineState::Running);
    notice(&mut viewer, |n| *n == ConsoleNotice::On).await;
    guest.say("two").await;
    read_to(&mut viewer, "two").await;
}
