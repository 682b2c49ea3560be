//! A machine gets another name: everything follows, links keep working, and nobody else's machine is touched.

use crate::harness::{
    World, actor, admin, begin, create, ended, member, name, on, patiently, run, spec, succeed, until_said,
};
use engine::Engine;
use engine::testing::hypervisor::{THICK, THIN};
use model::Fault;
use model::account::Actor;
use model::console::ConsoleRole;
use model::job::JobState;
use model::machine::MachineState;
use model::operation::{MachineAction, Operation, OperationKind};
use model::plan::Consent;
use model::portal::Portal as _;
use ports::hypervisor::{DiskRole, Hypervisor as _, HypervisorError, Volume};
use std::sync::Arc;

fn rename(from: &str, to: &str) -> Operation {
    MachineAction::Rename { name: name(to) }.on(name(from))
}

async fn create_off(engine: &Arc<Engine>, actor: &Actor, machine: &str) {
    succeed(engine, actor, create(machine)).await;
    succeed(engine, actor, on(OperationKind::ForceOff, machine)).await;
}

fn why<T: std::fmt::Debug>(answer: Result<T, Fault>) -> String {
    answer.unwrap_err().to_string()
}

#[tokio::test]
async fn everything_that_is_known_by_its_name_follows() {
    for capabilities in [THIN, THICK] {
        let world = World::with(capabilities);
        let engine = world.open().await;
        let ada = admin(&engine).await;
        create_off(&engine, &ada, "web").await;
        let before = engine.machine(&ada, &name("web")).await.unwrap();
        let job = succeed(&engine, &ada, rename("web", "db")).await;
        assert_eq!(job.summary.badge.title, "Rename web to db");
        assert_eq!((job.summary.machine, job.summary.machine_now), (Some(name("web")), Some(name("db"))));

        let now = engine.machine(&ada, &name("db")).await.unwrap();
        assert_eq!((now.row.id, &now.hardware), (before.row.id, &before.hardware));
        assert_eq!((now.spec.name, now.row.observed.state), (name("db"), MachineState::Off));
        assert_eq!(now.jobs.len(), 3, "those under its old name as well");
        assert_eq!(
            (world.hypervisor.domain_names(), world.hypervisor.place_names()),
            (vec!["db".to_owned()], vec!["db".to_owned()])
        );
        let disks = world.hypervisor.disk_names();
        assert_eq!(disks.iter().any(|disk| disk.starts_with("db/")), capabilities.linked_clones, "{disks:?}");
        let data = Volume(disks.last().unwrap().clone());
        let hostname = world.hypervisor.read_identity(&data, DiskRole::Data, "hostname").await.unwrap();
        assert_eq!(hostname.as_deref(), Some(b"db".as_slice()));
        let audit = engine.audit(&ada, &Default::default()).await.unwrap();
        let row = audit.rows.iter().find(|row| row.action == "rename").unwrap();
        assert_eq!(
            (row.subject.as_deref(), row.detail.as_deref()),
            (Some("web"), Some("web is now called db."))
        );
        succeed(&engine, &ada, on(OperationKind::Start, "db")).await;
        succeed(&engine, &ada, on(OperationKind::Purge, "db")).await;
        assert_eq!(world.snapshot().await, Vec::<String>::new());
        engine.shut_down().await;
    }
}

#[tokio::test]
async fn the_old_name_leads_on_for_who_may_see_the_machine_until_another_one_has_it() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    let (mia, eve) = (member(&engine, "mia").await, member(&engine, "eve").await);
    create_off(&engine, &mia, "web").await;
    succeed(&engine, &mia, rename("web", "db")).await;
    for person in [&ada, &mia] {
        assert_eq!(engine.machine(person, &name("web")).await.unwrap().row.name, name("db"));
        // Changing something takes its current name.
        let refused = engine.submit(person, on(OperationKind::Start, "web"), Consent::default()).await;
        assert!(why(refused).contains("now called db"));
    }
    drop(engine.attach_console(&mia, &name("web"), ConsoleRole::Driver, None).await.unwrap());
    assert!(matches!(engine.machine(&eve, &name("web")).await, Err(Fault::NotFound { .. })));
    let refused = engine.submit(&eve, on(OperationKind::Start, "web"), Consent::default()).await;
    assert!(matches!(refused, Err(Fault::NotFound { .. })), "{refused:?}");
    // After a restart too.
    engine.shut_down().await;
    let engine = world.open().await;
    let (mia, eve) = (actor(&engine, "mia").await, actor(&engine, "eve").await);
    assert_eq!(engine.machine(&mia, &name("web")).await.unwrap().row.name, name("db"));

    succeed(&engine, &eve, create("web")).await;
    assert_eq!(engine.machine(&eve, &name("web")).await.unwrap().row.owner, "eve");
    assert!(matches!(engine.machine(&mia, &name("web")).await, Err(Fault::NotFound { .. })));
    assert_eq!(engine.machine(&mia, &name("db")).await.unwrap().row.name, name("db"));
    // The jobs of one are not those of the other.
    assert_eq!(engine.machine(&eve, &name("web")).await.unwrap().jobs.len(), 1);
    succeed(&engine, &mia, on(OperationKind::Purge, "db")).await;
    engine.shut_down().await;
}

#[tokio::test]
async fn what_does_not_fit_is_refused_with_what_to_do() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    create_off(&engine, &ada, "web").await;
    succeed(&engine, &ada, create("db")).await;
    let plan = async |from: &str, to: &str| why(engine.plan(&ada, &rename(from, to)).await);
    assert!(plan("web", "db").await.contains("There already is a machine named db"));
    assert!(plan("web", "web").await.contains("It is already called web"));
    assert!(plan("db", "mail").await.contains("Shut it down first"));
    let actions = engine.machine(&ada, &name("db")).await.unwrap().actions;
    let refused = actions.into_iter().find(|offered| offered.kind == OperationKind::Rename).unwrap().refused;
    assert!(refused.is_some_and(|why| why.contains("Shut it down first")), "before a name is typed");
    let plan = engine.plan(&ada, &rename("web", "mail")).await.unwrap();
    assert!(plan.downtime.is_none() && plan.loses.is_empty() && plan.keeps.len() == 3, "{plan:#?}");
    engine.shut_down().await;
}

#[tokio::test]
async fn a_configuration_alone_gets_another_name_as_well() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    succeed(&engine, &ada, Operation::Configure { spec: Box::new(spec("web")) }).await;
    succeed(&engine, &ada, rename("web", "db")).await;
    assert_eq!(world.hypervisor.place_names(), Vec::<String>::new());
    succeed(&engine, &ada, on(OperationKind::Provision, "db")).await;
    assert_eq!(world.hypervisor.domain_names(), ["db"]);
    engine.shut_down().await;
}

/// While a rename can still fail, its machine may get the old name back.
#[tokio::test]
async fn nobody_gets_the_old_name_before_the_rename_is_done() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    create_off(&engine, &ada, "web").await;
    create_off(&engine, &ada, "mail").await;
    let unreachable = || HypervisorError::Unreachable { why: "connection refused".to_owned() };
    for _ in 0..5_000 {
        world.hypervisor.fail_next("rename", unreachable());
    }
    let job = begin(&engine, &ada, rename("web", "db")).await;
    until_said(&engine, &ada, job, "connection refused").await;
    let taken = engine.submit(&ada, create("web"), Consent::default()).await;
    assert_eq!(taken.unwrap_err(), Fault::Busy { job });
    assert!(
        why(engine.plan(&ada, &rename("mail", "web")).await).contains("There already is a machine named web")
    );
    let busy = engine.submit(&ada, on(OperationKind::Start, "db"), Consent::default()).await;
    assert_eq!(busy.unwrap_err(), Fault::Busy { job });
    engine.cancel(&ada, job).await.unwrap();
    world.hypervisor.forget_faults();
    let view = ended(&engine, &ada, job).await;
    assert_eq!(view.summary.badge.state, JobState::Cancelled, "{view:#?}");
    assert_eq!(engine.machine(&ada, &name("web")).await.unwrap().row.name, name("web"));
    assert!(matches!(engine.machine(&ada, &name("db")).await, Err(Fault::NotFound { .. })));
    assert_eq!(world.hypervisor.domain_names().len(), 2);
    engine.shut_down().await;
}

#[tokio::test]
async fn a_job_from_before_is_tried_again_on_the_same_machine() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    create_off(&engine, &ada, "web").await;
    let refused = HypervisorError::Failed { what: "starting".to_owned(), why: "out of memory".to_owned() };
    world.hypervisor.fail_next("power", refused);
    let failed = run(&engine, &ada, on(OperationKind::Start, "web")).await;
    assert_eq!(failed.summary.badge.state, JobState::Failed);
    succeed(&engine, &ada, rename("web", "db")).await;
    create_off(&engine, &ada, "web").await;
    let again = engine.retry(&ada, failed.summary.badge.id).await.unwrap().job;
    let again = patiently(ended(&engine, &ada, again)).await;
    assert_eq!(again.summary.machine, Some(name("db")));
    assert_eq!(world.hypervisor.state_of("db"), Some(MachineState::Running));
    assert_eq!(world.hypervisor.state_of("web"), Some(MachineState::Off));
    succeed(&engine, &ada, on(OperationKind::Purge, "db")).await;
    let gone = engine.retry(&ada, failed.summary.badge.id).await;
    assert!(
        matches!(&gone, Err(Fault::Refused { why }) if why.contains("another one is named web")),
        "{gone:?}"
    );
    engine.shut_down().await;
}
