//! Unreachable hosts are waited for; what cannot be undone needs a person, who tries again or gives up.

use crate::crash::{Mischief, Mischievous};
use crate::harness::{
    World, admin, begin, build, building, create, ended, fail_and_go_away, member, name, on, patiently,
    refused, run, spec, succeed, until_said,
};
use engine::Engine;
use engine::probe::When;
use model::Fault;
use model::account::Actor;
use model::audit::{AuditFilter, Outcome};
use model::job::{JobId, JobState};
use model::machine::MachineState;
use model::operation::{Operation, OperationKind};
use model::plan::Consent;
use model::portal::Portal as _;
use ports::hypervisor::HypervisorError;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A create that was cancelled when its machine ran, and whose machine cannot be switched off.
async fn stuck(world: &World, engine: &Arc<Engine>, ada: &Actor) -> JobId {
    world.hypervisor.set_address(None);
    let job = begin(engine, ada, create("web")).await;
    until_said(engine, ada, job, "The machine is started.").await;
    for _ in 0..3 {
        world.hypervisor.fail_next("power", refused());
    }
    engine.cancel(ada, job).await.unwrap();
    let view = ended(engine, ada, job).await;
    assert_eq!(view.summary.badge.state, JobState::NeedsAttention, "{view:#?}");
    job
}

#[tokio::test]
async fn undoing_stops_where_it_fails_and_is_tried_again_by_a_person() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    let job = stuck(&world, &engine, &ada).await;
    // What the running machine uses is all there, and so is its row, which says what is wrong.
    assert_eq!(world.hypervisor.state_of("web"), Some(MachineState::Running));
    assert_eq!(world.hypervisor.disk_names().len(), 2);
    engine.shut_down().await;

    let engine = world.open().await;
    let web = engine.machine(&ada, &name("web")).await.unwrap();
    let badge = web.row.job.clone().unwrap();
    assert_eq!((badge.id, badge.state), (job, JobState::NeedsAttention));
    let busy = engine.submit(&ada, on(OperationKind::ForceOff, "web"), Consent::default()).await.unwrap_err();
    assert_eq!(busy, Fault::Busy { job });
    let view = engine.job(&ada, job).await.unwrap();
    assert!(view.can_retry && !view.can_cancel && !view.form_again, "{view:#?}");
    let why = view.stuck.unwrap();
    assert!(why.step == "power.start" && why.message.contains("device is busy"), "{why:?}");

    assert_eq!(engine.retry(&ada, job).await.unwrap().job, job);
    let view = ended(&engine, &ada, job).await;
    assert_eq!((view.summary.badge.state, view.stuck), (JobState::Cancelled, None));
    assert_eq!(world.snapshot().await, Vec::<String>::new());
    assert!(matches!(engine.give_up(&ada, job).await, Err(Fault::Refused { .. })), "it is over");
    engine.shut_down().await;
}

#[tokio::test]
async fn an_administrator_gives_a_job_up_and_is_told_what_is_left() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    let bob = member(&engine, "bob").await;
    let job = stuck(&world, &engine, &bob).await;
    assert_eq!(engine.job(&bob, job).await.unwrap().give_up, None);
    assert!(matches!(engine.give_up(&bob, job).await, Err(Fault::Denied { .. })));
    let left = engine.job(&ada, job).await.unwrap().give_up.unwrap();
    for what in ["configuration", "place", "disks", "root", "definition", "running"] {
        assert!(left.contains(what), "{left}");
    }
    engine.give_up(&ada, job).await.unwrap();
    let view = engine.job(&ada, job).await.unwrap();
    assert_eq!((view.summary.badge.state, view.stuck, view.give_up), (JobState::Failed, None, None));
    let message = view.failure.unwrap().message;
    assert!(message.contains("device is busy") && message.ends_with(&left), "{message}");
    let given_up = AuditFilter { action: Some("give_up".to_owned()), ..AuditFilter::default() };
    let rows = engine.audit(&ada, &given_up).await.unwrap().rows;
    let done = rows.iter().find(|row| row.outcome == Outcome::Succeeded).unwrap();
    assert!(done.detail.as_ref().unwrap().ends_with(&left), "{done:?}");
    // The machine is free: its owner can do something about it.
    assert_eq!(engine.machine(&bob, &name("web")).await.unwrap().row.job, None);
    succeed(&engine, &bob, on(OperationKind::Purge, "web")).await;
    assert_eq!(world.snapshot().await, Vec::<String>::new());
    engine.shut_down().await;
}

#[tokio::test]
async fn giving_up_does_not_wait_for_the_step_under_way() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    let job = building(&world, &engine, &ada).await;
    engine.give_up(&ada, job).await.unwrap();
    let view = ended(&engine, &ada, job).await;
    assert_eq!(view.summary.badge.state, JobState::Failed);
    // Its runner is gone, so nothing of the build comes after the end.
    world.builder.hold(false);
    assert_eq!(
        engine.machine(&ada, &name("web")).await.unwrap().row.observed.state,
        MachineState::Configured
    );
    succeed(&engine, &ada, on(OperationKind::Provision, "web")).await;
    engine.shut_down().await;
}

#[tokio::test]
async fn the_log_of_a_job_that_needs_attention_is_kept() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    let job = stuck(&world, &engine, &ada).await;
    engine.shut_down().await;
    let log = |job| world.settings.state.join(format!("jobs/{job}.log"));
    let changed = |job, seconds| {
        let file = std::fs::File::options().create(true).append(true).open(log(job)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
    };
    // Both are past their time; the other one, of a job that is over, would be the second to go.
    let over = JobId(uuid::Uuid::now_v7());
    changed(job, 0);
    changed(over, 1);
    let engine = world.open().await;
    let tidied = async {
        while log(over).exists() {
            tokio::task::yield_now().await;
        }
    };
    patiently(tidied).await;
    assert!(log(job).exists());
    engine.give_up(&ada, job).await.unwrap();
    engine.shut_down().await;
}

/// Gives a create up inside one of its steps, where the world has changed so many times; false if it does not change so often.
async fn give_up_inside(
    engine: &Arc<Engine>,
    ada: &Actor,
    probe: &Mischievous,
    step: usize,
    changes: usize,
) -> bool {
    probe.arm(Some(Mischief::HaltInside(step, When::BeforeRun, changes)), None);
    let job = begin(engine, ada, create("web")).await;
    let reached = tokio::select! {
        () = probe.halted() => true,
        _ = ended(engine, ada, job) => false,
    };
    probe.arm(None, None);
    if reached {
        engine.give_up(ada, job).await.unwrap();
    }
    reached
}

#[tokio::test]
async fn what_a_create_leaves_that_was_given_up_is_created_again_or_purged_wherever_it_stood() {
    let world = World::new();
    let probe = Mischievous::new(&world);
    let engine = world.open_probed(probe.clone()).await;
    let ada = admin(&engine).await;
    succeed(&engine, &ada, build("docker")).await;
    let provision = on(OperationKind::Provision, "web");
    let mut given_up = 0;
    for step in 1..=6 {
        let mut changes = 0;
        while give_up_inside(&engine, &ada, &probe, step, changes).await {
            assert!(changes < 100, "step {step} has no end");
            given_up += 1;
            if changes % 2 == 1 && engine.plan(&ada, &provision).await.is_ok() {
                succeed(&engine, &ada, provision.clone()).await;
            }
            succeed(&engine, &ada, on(OperationKind::Purge, "web")).await;
            assert_eq!(world.snapshot().await, Vec::<String>::new(), "step {step}, {changes} changes");
            changes += 1;
        }
        succeed(&engine, &ada, on(OperationKind::Purge, "web")).await;
    }
    // How often a step rests is chance; that none of several ever does is not.
    assert!(given_up >= 3, "it was given up {given_up} times only");
    engine.shut_down().await;
}

#[tokio::test]
async fn a_host_that_is_no_longer_configured_does_not_keep_its_jobs_for_ever() {
    let mut world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    fail_and_go_away(&world, 1000);
    let job = begin(&engine, &ada, create("web")).await;
    until_said(&engine, &ada, job, "Trying again to undo it.").await;
    engine.shut_down().await;

    world.has_host = false;
    let engine = world.open().await;
    let view = ended(&engine, &ada, job).await;
    assert_eq!(view.summary.badge.state, JobState::NeedsAttention, "{view:#?}");
    assert!(view.stuck.unwrap().message.contains("no longer in the portal's settings"));
    engine.give_up(&ada, job).await.unwrap();
    assert_eq!(engine.machine(&ada, &name("web")).await.unwrap().row.job, None);
    succeed(&engine, &ada, on(OperationKind::Forget, "web")).await;
    assert_eq!(engine.machine(&ada, &name("web")).await.unwrap_err(), Fault::not_found("machine"));
    let forget = AuditFilter { action: Some("forget".to_owned()), ..AuditFilter::default() };
    let rows = engine.audit(&ada, &forget).await.unwrap().rows;
    assert!(rows[0].detail.as_ref().unwrap().contains("may still have"), "{rows:?}");
    engine.shut_down().await;
}

#[tokio::test]
async fn a_bare_configuration_is_purged_without_its_host() {
    let mut world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    for name in ["near", "far"] {
        succeed(&engine, &ada, Operation::Configure { spec: Box::new(spec(name)) }).await;
    }
    succeed(&engine, &ada, create("former")).await;
    succeed(&engine, &ada, on(OperationKind::Destroy, "former")).await;
    world.hypervisor.set_reachable(false);
    let away = async {
        while engine.hosts(&ada).await.unwrap()[0].reachable {
            tokio::task::yield_now().await;
        }
    };
    patiently(away).await;
    succeed(&engine, &ada, on(OperationKind::Purge, "near")).await;
    engine.shut_down().await;
    world.has_host = false;
    let engine = world.open().await;
    for name in ["far", "former"] {
        succeed(&engine, &ada, on(OperationKind::Purge, name)).await;
    }
    assert_eq!(world.snapshot().await, Vec::<String>::new());
    engine.shut_down().await;
}

#[tokio::test]
async fn a_host_that_goes_away_for_a_moment_undoes_nothing() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    let job = building(&world, &engine, &ada).await;
    world.hypervisor.set_reachable(false);
    world.builder.hold(false);
    until_said(&engine, &ada, job, "Trying again.").await;
    world.hypervisor.set_reachable(true);
    let view = ended(&engine, &ada, job).await;
    assert_eq!(view.summary.badge.state, JobState::Succeeded, "{view:#?}");
    assert_eq!(world.builder.builds(), 1);
    engine.shut_down().await;
}

#[tokio::test]
async fn waiting_for_a_host_can_be_cancelled() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    let job = building(&world, &engine, &ada).await;
    world.hypervisor.set_reachable(false);
    world.builder.hold(false);
    until_said(&engine, &ada, job, "Trying again.").await;
    engine.cancel(&ada, job).await.unwrap();
    world.hypervisor.set_reachable(true);
    let view = ended(&engine, &ada, job).await;
    assert_eq!((view.summary.badge.state, view.failure), (JobState::Cancelled, None));
    assert_eq!(world.snapshot().await, Vec::<String>::new());
    engine.shut_down().await;
}

#[tokio::test]
async fn patience_with_a_host_has_an_end() {
    let mut world = World::new();
    world.settings.host_patience = Duration::ZERO;
    let engine = world.open().await;
    let ada = admin(&engine).await;
    succeed(&engine, &ada, create("web")).await;
    world.hypervisor.fail_next("power", HypervisorError::Unreachable { why: "gone".to_owned() });
    let view = run(&engine, &ada, on(OperationKind::Destroy, "web")).await;
    assert_eq!(view.summary.badge.state, JobState::Failed, "{view:#?}");
    succeed(&engine, &ada, on(OperationKind::Destroy, "web")).await;
    engine.shut_down().await;
}
