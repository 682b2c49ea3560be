//! Rows that cannot be read, because someone edited them or a later version wrote them: they are reported, and hide no
//! others.

use crate::harness::{World, admin, begin, create, ended, member, name, on, succeed};
use engine::Engine;
use engine::testing::builder::MemoryBuilder;
use model::Fault;
use model::account::Actor;
use model::job::JobState;
use model::operation::{Operation, OperationKind};
use model::plan::Consent;
use model::portal::Portal as _;
use model::view::job::JobFilter;
use model::view::machine::{MachineFilter, UnreadableMachine};
use std::sync::Arc;

/// Two machines of bob's, `good` and `bad`, and the damage done while the portal is away.
async fn damaged(world: &World, damage: &str) -> (Arc<Engine>, Actor, Actor) {
    let engine = world.open().await;
    let (ada, bob) = (admin(&engine).await, member(&engine, "bob").await);
    for name in ["good", "bad"] {
        succeed(&engine, &bob, create(name)).await;
    }
    engine.shut_down().await;
    sqlx::query(damage).execute(&mut world.sql().await).await.unwrap();
    (world.open().await, ada, bob)
}

const MACHINE: &str = "update machines set spec = '{}' where name = 'bad'";

async fn machines(engine: &Engine, actor: &Actor) -> (Vec<String>, Vec<UnreadableMachine>) {
    let page = engine.machines(actor, &MachineFilter::default()).await.unwrap();
    (page.rows.iter().map(|row| row.name.to_string()).collect(), page.unreadable)
}

#[tokio::test]
async fn a_job_that_cannot_be_read_hides_no_other() {
    let world = World::new();
    let damage = "update jobs set kind = 'of a later version' where machine = 'bad'";
    let (engine, ada, _) = damaged(&world, damage).await;
    let jobs = engine.jobs(&ada, &JobFilter::default()).await.unwrap();
    assert_eq!(jobs.iter().map(|job| job.badge.title.as_str()).collect::<Vec<_>>(), ["Create good"]);
    engine.shut_down().await;
}

#[tokio::test]
async fn a_machine_whose_record_cannot_be_read_is_shown_and_nothing_is_done_to_it() {
    let world = World::new();
    let (engine, ada, bob) = damaged(&world, MACHINE).await;
    let bad =
        UnreadableMachine { name: name("bad"), owner: "bob".to_owned(), host: "local".parse().unwrap() };
    for actor in [&ada, &bob] {
        assert_eq!(machines(&engine, actor).await, (vec!["good".to_owned()], vec![bad.clone()]));
        let why = engine.machine(actor, &name("bad")).await.unwrap_err();
        assert!(matches!(&why, Fault::Refused { why } if why.contains("cannot be read")), "{why:?}");
        for kind in OperationKind::ALL.iter().filter(|kind| **kind != OperationKind::Forget) {
            let Some(operation) = model::form::on_machine(*kind, &name("bad")) else { continue };
            let refused = engine.submit(actor, operation, Consent::default()).await.unwrap_err();
            assert!(matches!(refused, Fault::Refused { .. }), "{kind}: {refused:?}");
        }
    }
    let eve = member(&engine, "eve").await;
    assert_eq!(machines(&engine, &eve).await, (vec![], vec![]));
    assert_eq!(engine.machine(&eve, &name("bad")).await.unwrap_err(), Fault::not_found("machine"));
    let forget = on(OperationKind::Forget, "bad");
    assert_eq!(engine.plan(&eve, &forget).await.unwrap_err(), Fault::not_found("machine"));
    assert!(matches!(engine.plan(&bob, &forget).await, Err(Fault::Denied { .. })));
    let taken = engine.plan(&eve, &create("bad")).await.unwrap_err();
    assert!(taken.of_field("name").is_some(), "the name is still taken: {taken:?}");
    // The other one is as it was, and what is on the host of the damaged one is left alone.
    succeed(&engine, &bob, on(OperationKind::ForceOff, "good")).await;
    assert_eq!(world.hypervisor.disk_names().len(), 4);
    assert!(machine_roots(&world.builder) == 2, "its image is kept: its disks build on it");
    engine.shut_down().await;
}

fn machine_roots(builder: &MemoryBuilder) -> usize {
    builder.root_names().iter().filter(|root| root.starts_with("machine-")).count()
}

#[tokio::test]
async fn roots_are_made_again_although_a_record_cannot_be_read() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    for name in ["bad", "good"] {
        succeed(&engine, &ada, create(name)).await;
    }
    engine.shut_down().await;
    sqlx::query(MACHINE).execute(&mut world.sql().await).await.unwrap();
    world.builder.forget_roots();
    let engine = world.open().await;
    let made = async {
        while machine_roots(&world.builder) < 2 {
            tokio::task::yield_now().await;
        }
    };
    crate::harness::patiently(made).await;
    engine.shut_down().await;
}

#[tokio::test]
async fn an_administrator_forgets_a_machine_whose_record_cannot_be_read_and_is_told_what_is_left() {
    let world = World::new();
    let (engine, ada, _) = damaged(&world, MACHINE).await;
    let forget: Operation = on(OperationKind::Forget, "bad");
    let plan = engine.plan(&ada, &forget).await.unwrap();
    assert!(
        plan.confirm == Some(name("bad")) && plan.warnings[0].contains("Remove them by hand"),
        "{plan:?}"
    );
    let job = begin(&engine, &ada, forget).await;
    let view = ended(&engine, &ada, job).await;
    assert_eq!(view.summary.badge.state, JobState::Succeeded, "{view:#?}");
    assert_eq!(machines(&engine, &ada).await, (vec!["good".to_owned()], vec![]));
    assert_eq!(engine.machine(&ada, &name("bad")).await.unwrap_err(), Fault::not_found("machine"));
    let rows = engine.audit(&ada, &Default::default()).await.unwrap().rows;
    let forgotten = rows.iter().find(|row| row.action == "forget").unwrap();
    assert!(forgotten.detail.as_ref().unwrap().contains("may still have"), "{forgotten:?}");
    assert_eq!(machine_roots(&world.builder), 1);
    engine.shut_down().await;
}

#[tokio::test]
async fn an_image_that_only_a_machine_with_an_unreadable_record_uses_is_in_use() {
    let world = World::new();
    let (engine, ada, bob) = damaged(&world, MACHINE).await;
    succeed(&engine, &bob, on(OperationKind::Purge, "good")).await;
    let image = engine.images(&ada).await.unwrap().remove(0);
    assert_eq!((image.users, image.machines), (1, vec![name("bad")]));
    let remove = Operation::RemoveImage { image: image.id };
    let refused = engine.submit(&ada, remove, Consent::default()).await.unwrap_err();
    assert!(matches!(&refused, Fault::Refused { why } if why.contains("bad")), "{refused:?}");
    engine.shut_down().await;
}
