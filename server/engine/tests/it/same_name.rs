//! A machine's name passes to another machine: what was agreed to or tried for the first is not done to the second.

use crate::harness::{World, admin, create, on, run, succeed};
use engine::Engine;
use model::Fault;
use model::account::Actor;
use model::job::JobState;
use model::machine::MachineState;
use model::operation::OperationKind;
use model::plan::Consent;
use model::portal::Portal as _;
use ports::hypervisor::HypervisorError;
use std::sync::Arc;

/// Another machine takes the place and the name of web.
async fn replace_web(engine: &Arc<Engine>, ada: &Actor) {
    succeed(engine, ada, on(OperationKind::Purge, "web")).await;
    succeed(engine, ada, create("web")).await;
}

#[tokio::test]
async fn consent_to_losing_one_machine_is_not_consent_to_losing_the_next_of_its_name() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    succeed(&engine, &ada, create("web")).await;
    let destroy = on(OperationKind::Destroy, "web");
    let shown = engine.plan(&ada, &destroy).await.unwrap();
    replace_web(&engine, &ada).await;
    let fault = engine.submit(&ada, destroy, Consent::to(&shown)).await.unwrap_err();
    assert!(matches!(fault, Fault::PlanChanged { .. }), "{fault:?}");
    assert_eq!(world.hypervisor.state_of("web"), Some(MachineState::Running));
    engine.shut_down().await;
}

#[tokio::test]
async fn a_job_is_not_tried_again_on_another_machine_of_the_name() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    succeed(&engine, &ada, create("web")).await;
    let busy =
        HypervisorError::Failed { what: "switching off".to_owned(), why: "the device is busy".to_owned() };
    world.hypervisor.fail_next("power", busy);
    let failed = run(&engine, &ada, on(OperationKind::ForceOff, "web")).await;
    assert_eq!(failed.summary.badge.state, JobState::Failed);
    replace_web(&engine, &ada).await;
    let fault = engine.retry(&ada, failed.summary.badge.id).await.unwrap_err();
    assert!(
        matches!(&fault, Fault::Refused { why } if why.contains("another one is named web")),
        "{fault:?}"
    );
    assert_eq!(world.hypervisor.state_of("web"), Some(MachineState::Running));
    engine.shut_down().await;
}
