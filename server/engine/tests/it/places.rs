//! Whose is what on a host: disks are never taken over by name, what belongs to nobody is reported, and a machine's
//! bridge is an allowed one.

use crate::harness::{World, admin, create, member, name, on, patiently, run, spec, succeed, until_row};
use engine::testing::hypervisor::{THICK, THIN};
use model::host::{Finding, Level};
use model::job::JobState;
use model::machine::MachineState;
use model::operation::{Operation, OperationKind};
use model::portal::Portal as _;
use model::spec::Spec;
use ports::hypervisor::{Hypervisor as _, HypervisorError, Volume};
use std::time::Duration;

/// The disks of the host with their contents.
async fn disks(world: &World) -> Vec<(String, Option<Vec<u8>>)> {
    let mut all = Vec::new();
    for disk in world.hypervisor.disk_names() {
        let volume = Volume(disk.clone());
        let role = ports::hypervisor::DiskRole::Data;
        all.push((disk, world.hypervisor.read_identity(&volume, role, "machine-id").await.unwrap()));
    }
    all
}

async fn findings(engine: &engine::Engine, ada: &model::account::Actor, name: &str) -> Vec<Finding> {
    let host = engine.check_host(ada, &"local".parse().unwrap()).await.unwrap();
    host.findings.into_iter().filter(|finding| finding.name == name).collect()
}

#[tokio::test]
async fn after_a_restored_database_a_machine_of_the_same_name_does_not_get_the_others_disks() {
    for capabilities in [THIN, THICK] {
        let world = World::with(capabilities);
        let engine = world.open().await;
        let ada = admin(&engine).await;
        succeed(&engine, &ada, create("web")).await;
        let before = disks(&world).await;
        assert!(before.iter().any(|(_, id)| id.is_some()), "{before:?}");
        engine.shut_down().await;
        // The backup was made before the machine.
        sqlx::query("delete from machines").execute(&mut world.sql().await).await.unwrap();

        let engine = world.open().await;
        let strays = findings(&engine, &ada, "strays").await;
        assert!(
            strays.len() == 2 && strays.iter().all(|f| f.what.contains("“web”") && f.fix.is_some()),
            "{strays:?}"
        );
        let job = run(&engine, &ada, create("web")).await;
        assert_eq!(job.summary.badge.state, JobState::Failed);
        let failure = job.failure.unwrap();
        assert_eq!(failure.step, "host.reserve");
        assert!(failure.message.contains("does not belong to this machine"), "{}", failure.message);
        assert_eq!(disks(&world).await, before);
        assert_eq!(world.hypervisor.state_of("web"), Some(MachineState::Running));
        assert_eq!(world.builder.builds(), 1, "nothing is built for a machine that has no place");
        engine.shut_down().await;
    }
}

#[tokio::test]
async fn what_an_undoing_that_failed_left_is_not_taken_over_by_the_next_machine_of_the_name() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    let refused =
        || HypervisorError::Failed { what: "removing".to_owned(), why: "the disk is busy".to_owned() };
    world.hypervisor.fail_next("put_definition", refused());
    for _ in 0..10 {
        world.hypervisor.fail_next("remove_disks", refused());
    }
    let job = run(&engine, &ada, create("web")).await;
    assert_eq!(job.summary.badge.state, JobState::NeedsAttention);
    engine.give_up(&ada, job.summary.badge.id).await.unwrap();
    let before = disks(&world).await;
    assert_eq!(before.len(), 2);
    // Someone makes the portal forget it.
    sqlx::query("delete from machines").execute(&mut world.sql().await).await.unwrap();
    engine.shut_down().await;

    let engine = world.open().await;
    let job = run(&engine, &ada, create("web")).await;
    assert_eq!(job.failure.unwrap().step, "host.reserve");
    assert_eq!(disks(&world).await, before);
    assert_eq!(findings(&engine, &ada, "strays").await.len(), 1);
    engine.shut_down().await;
}

/// Brings the world to what a portal from before the marks would have left.
async fn without_marks(world: &World) {
    world.hypervisor.take_marks_off("web");
    sqlx::query("update machines set host_ref = null").execute(&mut world.sql().await).await.unwrap();
}

#[tokio::test]
async fn a_machine_from_before_there_were_marks_gets_its_own_where_everything_agrees() {
    for capabilities in [THIN, THICK] {
        let world = World::with(capabilities);
        let engine = world.open().await;
        let ada = admin(&engine).await;
        succeed(&engine, &ada, create("web")).await;
        engine.shut_down().await;
        without_marks(&world).await;

        let engine = world.open().await;
        until_row(&engine, &ada, "web", |row| row.observed.state == MachineState::Running).await;
        assert_eq!(findings(&engine, &ada, "strays").await, []);
        succeed(&engine, &ada, on(OperationKind::ForceOff, "web")).await;
        succeed(&engine, &ada, on(OperationKind::Purge, "web")).await;
        assert_eq!(world.snapshot().await, Vec::<String>::new());
        engine.shut_down().await;
    }
}

#[tokio::test]
async fn what_does_not_agree_is_not_adopted_and_nothing_is_done_with_it() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    succeed(&engine, &ada, create("web")).await;
    engine.shut_down().await;
    without_marks(&world).await;
    // The row belongs to another machine that had the name before.
    sqlx::query("update machines set uuid = '00000000-0000-4000-8000-000000000000'")
        .execute(&mut world.sql().await)
        .await
        .unwrap();
    let before = disks(&world).await;

    let engine = world.open().await;
    let web = until_row(&engine, &ada, "web", |row| {
        row.observed
            .warning
            .as_ref()
            .is_some_and(|warning| warning.contains("does not carry this machine's mark"))
    })
    .await;
    assert_eq!(web.observed.state, MachineState::Unknown);
    assert_eq!(findings(&engine, &ada, "strays").await.len(), 2);
    for kind in [OperationKind::Destroy, OperationKind::Purge, OperationKind::ForceOff] {
        assert!(engine.plan(&ada, &on(kind, "web")).await.is_err(), "{kind}");
    }
    assert_eq!(disks(&world).await, before);
    assert_eq!(world.hypervisor.state_of("web"), Some(MachineState::Running));
    engine.shut_down().await;
}

#[tokio::test]
async fn a_host_that_is_configured_under_another_address_is_warned_of() {
    let mut world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    assert_eq!(findings(&engine, &ada, "address").await, []);
    engine.shut_down().await;
    world.target = "memory://elsewhere/";
    let engine = world.open().await;
    let found = findings(&engine, &ada, "address").await;
    assert_eq!(found.iter().map(|f| f.level).collect::<Vec<_>>(), [Level::Warning]);
    assert!(
        found[0].what.contains("memory:///") && found[0].what.contains("memory://elsewhere/"),
        "{found:?}"
    );
    engine.shut_down().await;
}

#[tokio::test]
async fn whoever_tests_a_host_that_hangs_is_told_that_it_does() {
    let mut world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    assert!(findings(&engine, &ada, "connection").await.iter().all(|found| found.level == Level::Ok));
    engine.shut_down().await;
    world.settings.check_limit = Duration::from_millis(1);
    world.hypervisor.set_hanging(true);
    let engine = world.open().await;
    let found = patiently(findings(&engine, &ada, "connection")).await;
    assert!(found.len() == 1 && found[0].what.contains("did not answer within 1ms"), "{found:?}");
    engine.shut_down().await;
}

fn on_bridge(bridge: &str) -> Operation {
    let network = format!("bridge:{bridge}").parse().unwrap();
    Operation::Create { spec: Box::new(Spec { network, ..spec("web") }) }
}

#[tokio::test]
async fn a_member_can_name_only_bridges_that_are_offered_or_allowed() {
    let mut world = World::new();
    let engine = world.open().await;
    let bob = member(&engine, "bob").await;
    let refused = engine.plan(&bob, &on_bridge("docker0")).await.unwrap_err();
    assert!(refused.of_field("network").is_some(), "{refused:?}");
    let asked = async {
        while engine.plan(&bob, &on_bridge("br0")).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    patiently(asked).await;
    engine.shut_down().await;

    world.bridges = vec!["br-lan".parse().unwrap()];
    let engine = world.open().await;
    engine.plan(&bob, &on_bridge("br-lan")).await.unwrap();
    let refused = engine.plan(&bob, &on_bridge("br0")).await.unwrap_err();
    assert!(refused.of_field("network").unwrap().contains("br-lan"), "{refused:?}");
    let ada = admin(&engine).await;
    assert_eq!(engine.hosts(&ada).await.unwrap()[0].bridges, ["br-lan"]);
    engine.shut_down().await;
}

#[tokio::test]
async fn a_place_is_given_up_with_the_machine_and_taken_again() {
    let world = World::with(THICK);
    let engine = world.open().await;
    let ada = admin(&engine).await;
    succeed(&engine, &ada, create("web")).await;
    assert_eq!(world.hypervisor.place_names(), ["web"]);
    succeed(&engine, &ada, on(OperationKind::Destroy, "web")).await;
    assert_eq!(world.hypervisor.place_names(), Vec::<String>::new());
    // Gets the number that web had, and is not mistaken for it.
    succeed(&engine, &ada, create("db")).await;
    assert_eq!(
        engine.machine(&ada, &name("web")).await.unwrap().row.observed.state,
        MachineState::Configured
    );
    assert_eq!(engine.machine(&ada, &name("db")).await.unwrap().row.observed.state, MachineState::Running);
    succeed(&engine, &ada, on(OperationKind::Provision, "web")).await;
    assert_eq!(world.hypervisor.place_names(), ["db", "web"]);
    engine.shut_down().await;
}
