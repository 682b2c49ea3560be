//! Upgrades and going back: what the machine boots, what is kept, and what happens when the new system does not come up.

use crate::harness::{
    World, admin, begin, create, ended, name, next, on, refused, run, succeed, until_said, until_state,
};
use engine::Engine;
use model::account::Actor;
use model::audit::ChainState;
use model::guest::BOOTED_FILE;
use model::job::{JobId, JobState};
use model::machine::{GenerationNumber, MachineState};
use model::operation::{MachineAction, Operation, OperationKind};
use model::portal::Portal as _;
use model::view::job::{JobFilter, JobFrame};
use std::sync::Arc;
use std::time::Duration;

/// A world whose guests report that their boot is complete.
fn world() -> World {
    let world = World::new();
    world.hypervisor.set_guest_file(BOOTED_FILE, Some(""));
    world
}

/// A portal with the machine `web`, which runs.
async fn created(world: &World) -> (Arc<Engine>, Actor) {
    let engine = world.open().await;
    let ada = admin(&engine).await;
    succeed(&engine, &ada, create("web")).await;
    (engine, ada)
}

/// Begins an upgrade whose build goes on until it is let go.
async fn upgrade_held(world: &World, engine: &Arc<Engine>, ada: &Actor) -> JobId {
    world.builder.set_source("source-2");
    world.builder.hold(true);
    let before = world.builder.builds();
    let job = begin(engine, ada, on(OperationKind::Upgrade, "web")).await;
    world.builder.begun(before + 1).await;
    job
}

/// Upgrades to the image of this source.
async fn upgrade(world: &World, engine: &Arc<Engine>, ada: &Actor, source: &str) {
    world.builder.set_source(source);
    engine.check_host(ada, &"local".parse().unwrap()).await.unwrap();
    succeed(engine, ada, on(OperationKind::Upgrade, "web")).await;
}

fn roll_back(generation: u32) -> Operation {
    MachineAction::RollBack { generation: GenerationNumber(generation) }.on(name("web"))
}

/// The numbers of what is kept, newest first, and which is booted.
async fn generations(engine: &Engine, ada: &Actor) -> (Vec<u32>, Option<u32>) {
    let machine = engine.machine(ada, &name("web")).await.unwrap();
    let current = machine.generations.iter().find(|generation| generation.is_current);
    (machine.generations.iter().map(|g| g.number.0).collect(), current.map(|g| g.number.0))
}

/// What the domain boots.
fn boots(world: &World) -> String {
    let domain = world.hypervisor.picture().into_iter().find(|line| line.starts_with("domain web")).unwrap();
    domain.split("boot: Volume(\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

fn machine_roots(world: &World) -> usize {
    world.builder.root_names().iter().filter(|root| root.starts_with("machine-")).count()
}

#[tokio::test]
async fn an_upgrade_boots_the_new_image_and_keeps_what_it_booted_before() {
    let world = world();
    let (engine, ada) = created(&world).await;
    assert_eq!(generations(&engine, &ada).await, (vec![1], Some(1)));
    let before = engine.machine(&ada, &name("web")).await.unwrap().image.unwrap().id;

    upgrade(&world, &engine, &ada, "source-2").await;
    assert_eq!(generations(&engine, &ada).await, (vec![2, 1], Some(2)));
    assert_eq!(boots(&world), "web/boot-2");
    assert_eq!(world.hypervisor.state_of("web"), Some(MachineState::Running));
    let after = engine.machine(&ada, &name("web")).await.unwrap();
    assert_ne!(after.image.unwrap().id, before);
    assert!(!after.row.update_available && after.pending.is_empty());
    // What it could go back to is kept from Nix, and from people.
    assert_eq!(machine_roots(&world), 2);
    let removal = engine.plan(&ada, &Operation::RemoveImage { image: before }).await;
    assert!(removal.unwrap_err().to_string().contains("used by web"));

    // Nothing to do, said before anything is done.
    let again = engine.plan(&ada, &on(OperationKind::Upgrade, "web")).await;
    assert!(again.unwrap_err().to_string().contains("Nothing would change"));

    // Three are kept, with the present one.
    for source in ["source-3", "source-4"] {
        upgrade(&world, &engine, &ada, source).await;
    }
    assert_eq!(generations(&engine, &ada).await, (vec![4, 3, 2], Some(4)));
    assert_eq!(world.hypervisor.disk_names(), ["web/boot-2", "web/boot-3", "web/boot-4", "web/data"]);
    assert_eq!(machine_roots(&world), 3);
    succeed(&engine, &ada, Operation::RemoveImage { image: before }).await;

    succeed(&engine, &ada, on(OperationKind::Destroy, "web")).await;
    assert_eq!(world.hypervisor.disk_names(), Vec::<String>::new());
    assert_eq!(machine_roots(&world), 0);
    assert_eq!(generations(&engine, &ada).await, (vec![], None));
    succeed(&engine, &ada, on(OperationKind::Purge, "web")).await;
    assert!(matches!(engine.verify_audit(&ada).await.unwrap(), ChainState::Intact { .. }));
    engine.shut_down().await;
}

#[tokio::test]
async fn a_system_that_does_not_come_up_is_left_again() {
    let mut world = world();
    world.settings.health_limit = Duration::from_millis(200);
    let (engine, ada) = created(&world).await;
    let before = world.snapshot().await;
    world.builder.set_source("source-2");
    world.hypervisor.set_guest_file(BOOTED_FILE, None);
    let job = run(&engine, &ada, on(OperationKind::Upgrade, "web")).await;
    assert_eq!(job.summary.badge.state, JobState::Failed);
    let failure = job.failure.unwrap();
    assert_eq!(failure.step, "health.await");
    assert!(failure.message.contains("in the job's log"), "{}", failure.message);
    // The memory guest's console says only this.
    until_said(&engine, &ada, job.summary.badge.id, "web login:").await;
    assert_eq!(world.snapshot().await, before, "as it was, and running");
    assert_eq!(world.hypervisor.state_of("web"), Some(MachineState::Running));
    // Tried again once it can come up.
    world.hypervisor.set_guest_file(BOOTED_FILE, Some(""));
    let again = engine.retry(&ada, job.summary.badge.id).await.unwrap();
    let again = ended(&engine, &ada, again.job).await;
    assert_eq!(again.summary.badge.state, JobState::Succeeded, "{again:#?}");
    assert_eq!(boots(&world), "web/boot-2");
    engine.shut_down().await;
}

#[tokio::test]
async fn a_machine_that_dies_while_it_boots_is_not_waited_for() {
    let world = World::new();
    let (engine, ada) = created(&world).await;
    world.builder.set_source("source-2");
    let job = begin(&engine, &ada, on(OperationKind::Upgrade, "web")).await;
    until_awaited(&engine, &ada, job).await;
    world.hypervisor.happen("web", MachineState::Crashed);
    let ended = ended(&engine, &ada, job).await;
    assert!(ended.failure.unwrap().message.contains("stopped before its boot was complete"));
    assert_eq!(boots(&world), "web/boot");
    assert_eq!(world.hypervisor.state_of("web"), Some(MachineState::Running));
    engine.shut_down().await;
}

#[tokio::test]
async fn a_machine_rolls_back_and_forth_and_its_profiles_are_told_apart() {
    let world = world();
    let (engine, ada) = created(&world).await;
    upgrade(&world, &engine, &ada, "source-2").await;
    succeed(&engine, &ada, roll_back(1)).await;
    assert_eq!(generations(&engine, &ada).await, (vec![2, 1], Some(1)));
    assert_eq!(boots(&world), "web/boot");
    assert!(engine.machine(&ada, &name("web")).await.unwrap().row.update_available);
    succeed(&engine, &ada, roll_back(2)).await;
    assert_eq!(boots(&world), "web/boot-2");
    // Off, it is switched and stays off.
    succeed(&engine, &ada, on(OperationKind::ForceOff, "web")).await;
    succeed(&engine, &ada, roll_back(1)).await;
    assert_eq!(world.hypervisor.state_of("web"), Some(MachineState::Off));
    assert_eq!(boots(&world), "web/boot");
    let refused = engine.plan(&ada, &roll_back(7)).await.unwrap_err();
    assert!(refused.of_field("generation").is_some(), "{refused}");
    engine.shut_down().await;
}

#[tokio::test]
async fn all_generations_follow_a_new_name_and_their_roots_are_made_again() {
    let world = world();
    let (engine, ada) = created(&world).await;
    upgrade(&world, &engine, &ada, "source-2").await;
    succeed(&engine, &ada, on(OperationKind::ForceOff, "web")).await;
    succeed(&engine, &ada, MachineAction::Rename { name: name("db") }.on(name("web"))).await;
    assert_eq!(world.hypervisor.disk_names(), ["db/boot", "db/boot-2", "db/data"]);
    let back = MachineAction::RollBack { generation: GenerationNumber(1) }.on(name("db"));
    succeed(&engine, &ada, back).await;
    succeed(&engine, &ada, on(OperationKind::Start, "db")).await;
    engine.shut_down().await;

    world.builder.forget_roots();
    let engine = world.open().await;
    until_state(&engine, &ada, "db", MachineState::Running).await;
    let mut events = engine.follow_events(&ada, None).await.unwrap();
    while machine_roots(&world) < 2 {
        tokio::select! {
            _ = next(&mut events) => {}
            () = tokio::task::yield_now() => {}
        }
    }
    world.builder.collect_garbage();
    assert_eq!(engine.machine(&ada, &name("db")).await.unwrap().row.observed.warning, None);
    engine.shut_down().await;
}

#[tokio::test]
async fn what_goes_wrong_before_the_guest_is_asked_leaves_it_running() {
    let world = world();
    let (engine, ada) = created(&world).await;
    let before = world.snapshot().await;
    world.builder.set_source("source-2");
    world.hypervisor.fail_next("create_boot_disk", refused());
    let job = run(&engine, &ada, on(OperationKind::Upgrade, "web")).await;
    assert_eq!(job.failure.unwrap().step, "generation.make");
    assert_eq!(world.snapshot().await, before);
    let jobs = engine.jobs(&ada, &JobFilter { open: true, ..JobFilter::default() }).await.unwrap();
    assert_eq!(jobs, []);
    engine.shut_down().await;
}

#[tokio::test]
async fn the_system_that_was_known_to_work_is_kept_however_old_it_is() {
    let world = world();
    let (engine, ada) = created(&world).await;
    for source in ["source-2", "source-3"] {
        upgrade(&world, &engine, &ada, source).await;
    }
    succeed(&engine, &ada, roll_back(1)).await;
    upgrade(&world, &engine, &ada, "source-4").await;
    assert_eq!(generations(&engine, &ada).await, (vec![4, 3, 1], Some(4)));
    engine.shut_down().await;
}

#[tokio::test]
async fn what_cannot_be_cleared_away_undoes_no_upgrade() {
    let world = world();
    let (engine, ada) = created(&world).await;
    for source in ["source-2", "source-3"] {
        upgrade(&world, &engine, &ada, source).await;
    }
    world.hypervisor.fail_next("remove_disk", refused());
    upgrade(&world, &engine, &ada, "source-4").await;
    assert_eq!(generations(&engine, &ada).await, (vec![4, 3, 2, 1], Some(4)));
    upgrade(&world, &engine, &ada, "source-5").await;
    assert_eq!(generations(&engine, &ada).await, (vec![5, 4, 3], Some(5)));
    engine.shut_down().await;
}

#[tokio::test]
async fn a_failed_system_that_is_suspended_is_left_too() {
    let world = World::new();
    let (engine, ada) = created(&world).await;
    world.builder.set_source("source-2");
    let job = begin(&engine, &ada, on(OperationKind::Upgrade, "web")).await;
    until_awaited(&engine, &ada, job).await;
    // As QEMU does when its disk is full.
    world.hypervisor.happen("web", MachineState::Paused);
    engine.cancel(&ada, job).await.unwrap();
    let ended = ended(&engine, &ada, job).await;
    assert_eq!(ended.summary.badge.state, JobState::Cancelled, "{ended:#?}");
    assert_eq!(boots(&world), "web/boot");
    assert_eq!(world.hypervisor.state_of("web"), Some(MachineState::Running));
    engine.shut_down().await;
}

#[tokio::test]
async fn an_upgrade_is_still_wanted_after_a_long_build() {
    let world = world();
    let (engine, ada) = created(&world).await;
    let job = upgrade_held(&world, &engine, &ada).await;
    world.clock.advance_millis(60 * 60 * 1000);
    world.builder.hold(false);
    let ended = ended(&engine, &ada, job).await;
    assert_eq!(ended.summary.badge.state, JobState::Succeeded, "{ended:#?}");
    engine.shut_down().await;
}

#[tokio::test]
async fn going_back_to_what_is_gone_stops_nothing() {
    let world = world();
    let (engine, ada) = created(&world).await;
    upgrade(&world, &engine, &ada, "source-2").await;
    let machine = engine.machine(&ada, &name("web")).await.unwrap().row.id;
    world.builder.lose(&format!("machine-{machine}"));
    let job = run(&engine, &ada, roll_back(1)).await;
    assert_eq!(job.failure.unwrap().step, "generation.check");
    assert_eq!(boots(&world), "web/boot-2");
    assert_eq!(world.hypervisor.state_of("web"), Some(MachineState::Running));
    engine.shut_down().await;
}

/// Waits until the job waits for the guest.
async fn until_awaited(engine: &Arc<Engine>, ada: &Actor, job: JobId) {
    let mut frames = engine.follow_job(ada, job, None).await.unwrap();
    loop {
        if let JobFrame::Job { view } = next(&mut frames).await
            && view.steps.iter().any(|step| step.name == "health.await" && step.began.is_some())
        {
            return;
        }
    }
}

#[tokio::test]
async fn a_host_that_is_away_does_not_make_its_guest_unwell() {
    let mut world = World::new();
    world.settings.health_limit = Duration::from_secs(3);
    let (engine, ada) = created(&world).await;
    world.builder.set_source("source-2");
    let job = begin(&engine, &ada, on(OperationKind::Upgrade, "web")).await;
    until_awaited(&engine, &ada, job).await;
    world.hypervisor.set_reachable(false);
    until_state(&engine, &ada, "web", MachineState::Unknown).await;
    // Longer than a guest may take.
    tokio::time::sleep(Duration::from_secs(4)).await;
    world.hypervisor.set_guest_file(BOOTED_FILE, Some(""));
    world.hypervisor.set_reachable(true);
    let ended = ended(&engine, &ada, job).await;
    assert_eq!(ended.summary.badge.state, JobState::Succeeded, "{ended:#?}");
    engine.shut_down().await;
}

#[tokio::test]
async fn a_machine_that_is_shut_down_during_the_build_stays_off() {
    let world = world();
    let (engine, ada) = created(&world).await;
    let job = upgrade_held(&world, &engine, &ada).await;
    world.hypervisor.happen("web", MachineState::Off);
    world.builder.hold(false);
    let ended = ended(&engine, &ada, job).await;
    assert_eq!(ended.summary.badge.state, JobState::Succeeded, "{ended:#?}");
    assert_eq!(world.hypervisor.state_of("web"), Some(MachineState::Off));
    assert_eq!(boots(&world), "web/boot-2");
    engine.shut_down().await;
}

#[tokio::test]
async fn what_is_forgotten_is_named_with_every_disk() {
    let world = world();
    let (engine, ada) = created(&world).await;
    upgrade(&world, &engine, &ada, "source-2").await;
    world.hypervisor.set_reachable(false);
    until_state(&engine, &ada, "web", MachineState::Unknown).await;
    succeed(&engine, &ada, on(OperationKind::Forget, "web")).await;
    let audit = engine.audit(&ada, &Default::default()).await.unwrap();
    let told = format!("{audit:?}");
    assert!(told.contains("web/boot, web/boot-2, web/data"), "{told}");
    assert_eq!(machine_roots(&world), 0);
    engine.shut_down().await;
}
