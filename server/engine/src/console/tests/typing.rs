//! Typed input: bounded, refused when it leads nowhere, and dropped along with its sender.

use super::*;
use ports::console::INPUT_MAX;

fn dropped(notice: &ConsoleNotice, cause: &str) -> bool {
    matches!(notice, ConsoleNotice::InputDropped { why } if why.contains(cause))
}

/// What the viewer is told until the guest next says `mark`.
async fn told_until(guest: &Guest, viewer: &mut Attachment, mark: &str) -> Vec<ConsoleNotice> {
    guest.say(mark).await;
    read_to(viewer, mark).await.1
}

#[tokio::test]
async fn input_that_a_guest_does_not_read_is_refused_in_bytes_and_its_driver_is_told_once() {
    let world = World::new();
    let guest = world.plug();
    let mut ann = world.attach("ann", ConsoleRole::Driver, None).await;
    let mut bob = world.attach("bob", ConsoleRole::Watcher, None).await;
    notice(&mut ann, |n| *n == ConsoleNotice::On).await;
    let half = vec![b'x'; INPUT_MAX / 2];
    assert!(ann.type_in(&half) && ann.type_in(&half), "a guest may be slow");
    assert!(!ann.type_in(b"y"), "but not forever");
    notice(&mut ann, |n| dropped(n, "not reading")).await;
    assert!(!ann.type_in(b"y"));
    let told = told_until(&guest, &mut ann, "1").await;
    assert!(!told.iter().any(|n| dropped(n, "")), "not for every key: {told:?}");

    assert_eq!(within(guest.hears.take(INPUT_MAX)).await.unwrap().len(), INPUT_MAX);
    assert!(ann.type_in(b"z"), "it reads again");
    assert_eq!(within(guest.hears.take(1024)).await.unwrap(), "z", "and what was refused never arrives");
    assert!(ann.type_in(&half) && ann.type_in(&half) && !ann.type_in(b"y"));
    notice(&mut ann, |n| dropped(n, "not reading")).await;
    let told = told_until(&guest, &mut bob, "2").await;
    assert!(!told.iter().any(|n| dropped(n, "")), "who does not type is not told: {told:?}");
}

#[tokio::test]
async fn a_paused_machine_takes_no_input_and_its_driver_is_told() {
    let world = World::new();
    let guest = world.plug();
    let mut ann = world.attach("ann", ConsoleRole::Driver, None).await;
    notice(&mut ann, |n| *n == ConsoleNotice::On).await;
    world.hub.set_state(world.id, MachineState::Paused);
    assert!(!ann.type_in(b"reboot\n"));
    notice(&mut ann, |n| dropped(n, "paused")).await;
    world.hub.set_state(world.id, MachineState::Running);
    assert!(ann.type_in(b"ls\n"));
    assert_eq!(within(guest.hears.take(1024)).await.unwrap(), "ls\n");
}

#[tokio::test]
async fn a_console_is_driven_while_somebody_has_the_keyboard_and_what_was_not_read_goes_with_him() {
    let world = World::new();
    let guest = world.plug();
    let mut ann = world.attach("ann", ConsoleRole::Driver, None).await;
    within(guest.hears.driven(true)).await;
    assert!(ann.type_in(b"half a comm"));
    ann.request(ConsoleRequest::Release);
    within(guest.hears.driven(false)).await;
    let mut bob = world.attach("bob", ConsoleRole::Driver, None).await;
    within(guest.hears.driven(true)).await;
    assert!(bob.type_in(b"ls\n"));
    assert_eq!(within(guest.hears.take(1024)).await.unwrap(), "ls\n");
    drop((ann, bob));
    within(guest.hears.driven(false)).await;
}

#[tokio::test]
async fn input_that_goes_down_with_the_console_is_told_to_its_driver() {
    let world = World::new();
    let guest = world.plug();
    let mut ann = world.attach("ann", ConsoleRole::Driver, None).await;
    notice(&mut ann, |n| *n == ConsoleNotice::On).await;
    assert!(ann.type_in(b"reboot\n"));
    drop(guest);
    notice(&mut ann, |n| dropped(n, "not reading")).await;
}
