//! New disks for a machine: what stays, what goes, and what happens when the new ones do not boot.

use crate::harness::{World, admin, change, create, name, on, run, spec, succeed};
use engine::Engine;
use model::account::Actor;
use model::fault::Fault;
use model::guest::BOOTED_FILE;
use model::job::JobState;
use model::machine::{MachineState, Mode};
use model::operation::{MachineAction, Operation, OperationKind, Reconfigure};
use model::plan::Consent;
use model::portal::Portal as _;
use model::spec::Spec;
use ports::hypervisor::HypervisorError;
use std::sync::Arc;
use std::time::Duration;

const KEY: &str = "ssh_host_ed25519_key";

/// A portal with the machine `web`, which runs and has made its host key.
async fn created(world: &World) -> (Arc<Engine>, Actor) {
    world.hypervisor.set_guest_file(BOOTED_FILE, Some(""));
    let engine = world.open().await;
    let ada = admin(&engine).await;
    succeed(&engine, &ada, create("web")).await;
    world.hypervisor.put_file("web", KEY, "the guest's own");
    world.hypervisor.put_file("web", "letters", "somebody's data");
    (engine, ada)
}

fn recreate() -> Operation {
    on(OperationKind::Recreate, "web")
}

/// The lines of the world with this in them.
fn lines(world: &World, part: &str) -> Vec<String> {
    world.hypervisor.picture().into_iter().filter(|line| line.contains(part)).collect()
}

/// The configuration of `web` with something else in it.
async fn reconfigure(engine: &Engine, ada: &Actor, change: impl FnOnce(&mut Spec)) -> Operation {
    let base = engine.machine(ada, &name("web")).await.unwrap().spec;
    let mut spec = base.clone();
    change(&mut spec);
    let reconfigure = Reconfigure { base, spec, kept: Default::default() };
    MachineAction::Reconfigure(Box::new(reconfigure)).on(name("web"))
}

#[tokio::test]
async fn new_disks_have_the_identity_and_nothing_else_of_the_former_ones() {
    let world = World::new();
    let (engine, ada) = created(&world).await;
    world.builder.set_source("source-2");
    succeed(&engine, &ada, on(OperationKind::Upgrade, "web")).await;
    world.builder.set_source("source-3");
    succeed(&engine, &ada, change("web")).await;
    let before = engine.machine(&ada, &name("web")).await.unwrap();
    assert!(!before.pending.is_empty());
    let plan = engine.plan(&ada, &recreate()).await.unwrap();
    assert_eq!(plan.confirm, Some(name("web")));
    let refused = engine.submit(&ada, recreate(), Consent::default()).await;
    assert!(matches!(refused, Err(Fault::NeedsConfirmation { .. })), "{refused:?}");

    succeed(&engine, &ada, recreate()).await;
    assert_eq!(world.hypervisor.disk_names(), ["web/boot-3", "web/data-3"]);
    let key = lines(&world, KEY);
    assert!(key.len() == 1 && key[0].contains("the guest's own"), "{key:?}");
    assert_eq!(lines(&world, "letters"), Vec::<String>::new());
    let after = engine.machine(&ada, &name("web")).await.unwrap();
    assert_eq!((after.hardware, after.pending.len()), (before.hardware, 0));
    assert_eq!(after.generations.iter().map(|g| g.number.0).collect::<Vec<_>>(), [3]);
    assert_eq!(after.row.observed.state, MachineState::Running);
    // Once more, from numbers that are not the first; then nothing is left.
    succeed(&engine, &ada, recreate()).await;
    assert_eq!(world.hypervisor.disk_names(), ["web/boot-4", "web/data-4"]);
    succeed(&engine, &ada, on(OperationKind::Purge, "web")).await;
    assert_eq!(world.snapshot().await, Vec::<String>::new());
    engine.shut_down().await;
}

#[tokio::test]
async fn another_mode_is_pending_until_the_machine_is_recreated() {
    let world = World::new();
    let (engine, ada) = created(&world).await;
    for (mode, disks) in
        [(Mode::Mutable, vec!["web/boot-2"]), (Mode::Immutable, vec!["web/boot-3", "web/data-3"])]
    {
        let saved = reconfigure(&engine, &ada, |spec| spec.mode = mode).await;
        succeed(&engine, &ada, saved).await;
        let machine = engine.machine(&ada, &name("web")).await.unwrap();
        assert_eq!(machine.pending.len(), 1, "{:?}", machine.pending);
        assert_ne!(machine.applied.mode, mode);
        let apply = engine.plan(&ada, &on(OperationKind::Apply, "web")).await;
        assert!(matches!(apply, Err(Fault::Refused { .. })), "no restart makes it true: {apply:?}");
        succeed(&engine, &ada, recreate()).await;
        assert_eq!(world.hypervisor.disk_names(), disks);
        assert!(lines(&world, KEY)[0].contains("the guest's own"));
        let machine = engine.machine(&ada, &name("web")).await.unwrap();
        assert_eq!((machine.applied.mode, machine.pending.len()), (mode, 0));
    }
    engine.shut_down().await;
}

#[tokio::test]
async fn a_machine_whose_new_disks_do_not_boot_goes_back_to_the_former_ones() {
    let mut world = World::new();
    world.settings.health_limit = Duration::from_millis(200);
    let (engine, ada) = created(&world).await;
    let before = world.snapshot().await;
    world.builder.set_source("source-2");
    world.hypervisor.set_guest_file(BOOTED_FILE, None);
    let job = run(&engine, &ada, recreate()).await;
    assert_eq!(job.summary.badge.state, JobState::Failed, "{job:#?}");
    assert_eq!(world.snapshot().await, before);
    assert_eq!(world.hypervisor.state_of("web"), Some(MachineState::Running));
    assert_eq!(lines(&world, "letters").len(), 1);
    engine.shut_down().await;
}

#[tokio::test]
async fn one_that_is_off_is_started_to_see_that_it_boots() {
    let mut world = World::new();
    world.settings.health_limit = Duration::from_millis(200);
    let (engine, ada) = created(&world).await;
    succeed(&engine, &ada, on(OperationKind::ForceOff, "web")).await;
    let before = world.snapshot().await;
    world.hypervisor.set_guest_file(BOOTED_FILE, None);
    let job = run(&engine, &ada, recreate()).await;
    assert_eq!(job.summary.badge.state, JobState::Failed, "{job:#?}");
    assert_eq!(world.snapshot().await, before, "off, with the disks that it had");
    world.hypervisor.set_guest_file(BOOTED_FILE, Some(""));
    succeed(&engine, &ada, recreate()).await;
    assert_eq!(world.hypervisor.state_of("web"), Some(MachineState::Running));
    engine.shut_down().await;
}

#[tokio::test]
async fn a_guest_that_ignores_the_power_button_is_switched_off() {
    let mut world = World::new();
    world.settings.shut_down_limit = Duration::from_millis(200);
    let (engine, ada) = created(&world).await;
    world.hypervisor.set_deaf(true);
    succeed(&engine, &ada, recreate()).await;
    assert_eq!(world.hypervisor.disk_names(), ["web/boot-2", "web/data-2"]);
    engine.shut_down().await;
}

#[tokio::test]
async fn what_is_wrong_with_the_former_disks_prevents_nothing() {
    let world = World::new();
    let (engine, ada) = created(&world).await;
    let broken = || HypervisorError::Failed { what: "Reading".to_owned(), why: "bad superblock".to_owned() };
    world.hypervisor.fail_next("read_identity", broken());
    world.hypervisor.fail_next("remove_disks", broken());
    succeed(&engine, &ada, recreate()).await;
    assert_eq!(lines(&world, KEY).len(), 1, "the former one is left, with its disk");
    // Its system is not offered over the new data.
    let machine = engine.machine(&ada, &name("web")).await.unwrap();
    assert_eq!(machine.generations.iter().map(|g| g.number.0).collect::<Vec<_>>(), [2]);
    // What was left goes the next time.
    succeed(&engine, &ada, recreate()).await;
    assert_eq!(world.hypervisor.disk_names(), ["web/boot-3", "web/data-3"]);
    engine.shut_down().await;
}

#[tokio::test]
async fn a_host_that_goes_away_at_the_end_is_waited_for() {
    let world = World::new();
    let (engine, ada) = created(&world).await;
    let lost = HypervisorError::Unreachable { why: "gone".to_owned() };
    world.hypervisor.fail_next("remove_disks", lost);
    succeed(&engine, &ada, recreate()).await;
    assert_eq!(world.hypervisor.disk_names(), ["web/boot-2", "web/data-2"]);
    engine.shut_down().await;
}

#[tokio::test]
async fn what_is_protected_or_cannot_be_made_is_refused_before_anything_is_made() {
    let world = World::new();
    let (engine, ada) = created(&world).await;
    let before = world.snapshot().await;
    let protected = reconfigure(&engine, &ada, |spec| spec.delete_protection = true).await;
    succeed(&engine, &ada, protected).await;
    let refused = engine.plan(&ada, &recreate()).await;
    assert!(matches!(&refused, Err(Fault::Refused { why }) if why.contains("protection")), "{refused:?}");
    let unprotected = reconfigure(&engine, &ada, |spec| spec.delete_protection = false).await;
    succeed(&engine, &ada, unprotected).await;
    world.hypervisor.set_memory(1 << 20);
    world.hypervisor.fail_next(
        "create_data_disk",
        HypervisorError::Failed {
            what: "Making the data disk".to_owned(),
            why: "No space left on device".to_owned(),
        },
    );
    let job = run(&engine, &ada, recreate()).await;
    assert_eq!(job.summary.badge.state, JobState::Failed, "{job:#?}");
    assert_eq!(world.snapshot().await, before, "it ran all the time");
    let configured = Operation::Configure { spec: Box::new(spec("db")) };
    succeed(&engine, &ada, configured).await;
    assert!(engine.plan(&ada, &on(OperationKind::Recreate, "db")).await.is_err());
    engine.shut_down().await;
}
