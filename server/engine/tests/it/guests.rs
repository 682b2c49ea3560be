//! What guests report about themselves: asked once per boot, bounded, and never more than shown.

use crate::harness::{World, admin, create, name, next, on, succeed, until_row};
use model::address::AddressSource;
use model::guest::{BOOTED_FILE, IMAGE_FILE};
use model::machine::Mode;
use model::operation::OperationKind;
use model::portal::Portal as _;
use model::view::machine::MachineRow;

const IMAGE: &str = "profiles=core,docker\nmode=immutable\nrevision=abc123\ndate=20260522\n";

#[tokio::test]
async fn a_guest_says_once_per_boot_what_it_runs_and_that_it_is_up() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    world.hypervisor.set_guest_file(IMAGE_FILE, Some(IMAGE));
    succeed(&engine, &ada, create("web")).await;
    let row = until_row(&engine, &ada, "web", |row| row.observed.guest.is_some()).await;
    let guest = row.observed.guest.unwrap();
    let image = guest.image.unwrap();
    assert!(!guest.booted, "the image is known before the boot is done");
    assert_eq!((image.profiles.to_string().as_str(), image.mode), ("core,docker", Mode::Immutable));
    assert_eq!((image.revision.as_deref(), image.date.as_deref()), (Some("abc123"), Some("2026-05-22")));

    world.hypervisor.set_guest_file(BOOTED_FILE, Some(""));
    until_row(&engine, &ada, "web", |row| row.observed.guest.as_ref().is_some_and(|g| g.booted)).await;

    // The next round of questions, by what changes in it: the addresses. The guest itself is not asked again.
    let reads = world.hypervisor.guest_reads();
    world.hypervisor.set_address(None);
    succeed(&engine, &ada, on(OperationKind::Suspend, "web")).await;
    succeed(&engine, &ada, on(OperationKind::Resume, "web")).await;
    let only_last =
        |row: &MachineRow| row.observed.addresses.iter().all(|a| a.source == AddressSource::LastKnown);
    let row = until_row(&engine, &ada, "web", only_last).await;
    assert!(row.observed.guest.is_some(), "a pause is no new boot");
    assert_eq!(world.hypervisor.guest_reads(), reads);

    // The next boot is another image's.
    world.hypervisor.set_guest_file(BOOTED_FILE, None);
    world.hypervisor.set_guest_file(IMAGE_FILE, Some("profiles=core\nmode=mutable\n"));
    succeed(&engine, &ada, on(OperationKind::Reboot, "web")).await;
    let is_mutable = |mode: Option<Mode>| mode == Some(Mode::Mutable);
    let row = until_row(&engine, &ada, "web", |row| {
        is_mutable(row.observed.guest.as_ref().and_then(|g| g.image.as_ref()).map(|i| i.mode))
    });
    assert!(!row.await.observed.guest.unwrap().booted);

    succeed(&engine, &ada, on(OperationKind::ForceOff, "web")).await;
    let detail = engine.machine(&ada, &name("web")).await.unwrap();
    assert_eq!(detail.row.observed.guest, None, "what is off says nothing");
    engine.shut_down().await;
}

#[tokio::test]
async fn nonsense_from_a_guest_is_no_image() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    world.hypervisor.set_guest_file(IMAGE_FILE, Some("profiles=<script>\nmode=immutable\n"));
    world.hypervisor.set_guest_file(BOOTED_FILE, Some(&"x".repeat(100_000)));
    succeed(&engine, &ada, create("web")).await;
    let row = until_row(&engine, &ada, "web", |row| row.observed.guest.is_some()).await;
    let guest = row.observed.guest.unwrap();
    assert!(guest.booted && guest.image.is_none());
    let mut events = engine.follow_events(&ada, Some(row.id)).await.unwrap();
    assert!(!serde_json::to_string(&next(&mut events).await).unwrap().contains("script"));
    engine.shut_down().await;
}
