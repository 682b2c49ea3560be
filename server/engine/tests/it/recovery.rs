//! The host becomes unreachable, someone meddles behind the portal's back, a job fails halfway: nothing is lost or left
//! behind.

use crate::harness::{
    World, actor, admin, building, create, ended, fail_and_go_away, name, next, on, patiently, refused, run,
    succeed, until_row, until_state,
};
use futures::StreamExt as _;
use model::Fault;
use model::address::{Address, AddressSource};
use model::event::{Change, EventFrame};
use model::host::Level;
use model::job::{BuildFailure, JobState, StepState};
use model::machine::MachineState;
use model::operation::OperationKind;
use model::plan::Consent;
use model::portal::Portal as _;
use model::view::job::JobFilter;
use model::view::machine::MachineFilter;
use std::time::Instant;

#[tokio::test]
async fn a_create_that_fails_leaves_nothing_and_its_form_opens_again() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    world.hypervisor.fail_next("put_definition", refused());
    let job = run(&engine, &ada, create("web")).await;
    assert_eq!(job.summary.badge.state, JobState::Failed);
    let failure = job.failure.clone().unwrap();
    assert_eq!(failure.step, "definition.put");
    assert!(
        failure.message.contains("device is busy") && failure.message.contains("try again"),
        "{failure:?}"
    );
    let states: Vec<StepState> = job.steps.iter().map(|s| s.state).collect();
    use StepState::{Done, Pending, Undone};
    assert_eq!(states, [Undone, Undone, Done, Undone, Done, Undone, Pending, Pending]);
    assert!(job.can_retry && job.form_again && !job.can_cancel);
    assert!(job.summary.machine_now.is_none(), "there is no page to link to");
    assert_eq!(world.snapshot().await, Vec::<String>::new());
    assert_eq!(engine.form_of_job(&ada, job.summary.badge.id).await.unwrap().get("name"), "web");

    let again = engine.retry(&ada, job.summary.badge.id).await.unwrap().job;
    let again = ended(&engine, &ada, again).await;
    assert!(again.summary.badge.state == JobState::Succeeded && again.summary.machine_now.is_some());
    engine.shut_down().await;
}

#[tokio::test]
async fn a_build_that_somebody_cancels_has_not_failed() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    let job = building(&world, &engine, &ada).await;
    engine.cancel(&ada, job).await.unwrap();
    let job = ended(&engine, &ada, job).await;
    assert_eq!((job.summary.badge.state, job.failure), (JobState::Cancelled, None));
    let states: Vec<StepState> = job.steps.iter().map(|s| s.state).collect();
    assert_eq!(states[..3], [StepState::Undone, StepState::Undone, StepState::Cancelled]);
    assert_eq!(world.snapshot().await, Vec::<String>::new());
    engine.shut_down().await;
}

#[tokio::test]
async fn a_job_that_was_asked_to_stop_says_so_until_it_has() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    let job = building(&world, &engine, &ada).await;
    assert!(!engine.job(&ada, job).await.unwrap().summary.badge.cancelling);
    // As after a crash in the middle of cancelling: a step that does not listen would also look like this.
    sqlx::query("update jobs set cancel = 1").execute(&mut world.sql().await).await.unwrap();
    let asked = engine.job(&ada, job).await.unwrap();
    assert!(asked.summary.badge.cancelling && !asked.can_cancel);
    assert!(engine.jobs(&ada, &JobFilter::default()).await.unwrap()[0].badge.cancelling);
    world.builder.hold(false);
    assert!(!ended(&engine, &ada, job).await.summary.badge.cancelling);
    engine.shut_down().await;
}

#[tokio::test]
async fn a_machine_keeps_its_addresses_over_a_restart_until_its_host_tells_them() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    succeed(&engine, &ada, create("web")).await;
    let web = name("web");
    let told = engine.machine(&ada, &web).await.unwrap().row.observed.addresses;
    assert_eq!(told.iter().map(|address| address.source).collect::<Vec<_>>(), [AddressSource::Agent]);
    engine.shut_down().await;

    world.hypervisor.set_address(None);
    let engine = world.open().await;
    let ada = actor(&engine, "ada").await;
    let shown = engine.machine(&ada, &web).await.unwrap().row.observed.addresses;
    assert_eq!(shown, [Address { source: AddressSource::LastKnown, ip: told[0].ip }]);
    succeed(&engine, &ada, on(OperationKind::ForceOff, "web")).await;
    assert_eq!(engine.machine(&ada, &web).await.unwrap().row.observed.addresses, []);
    world.hypervisor.set_address(Some(AddressSource::Agent));
    succeed(&engine, &ada, on(OperationKind::Start, "web")).await;
    until_row(&engine, &ada, "web", |row| row.observed.addresses == told).await;
    engine.shut_down().await;
}

#[tokio::test]
async fn a_failed_build_shows_the_derivation_and_touches_no_machine() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    let failure = BuildFailure { derivation: "hello-1.0".to_owned(), last_lines: vec!["boom".to_owned()] };
    world.builder.set_failure(Some(failure.clone()));
    let job = run(&engine, &ada, create("web")).await;
    assert_eq!(job.failure.unwrap().build, Some(failure));
    assert_eq!(job.reproduce.as_deref(), Some("nix build core,docker"));
    assert_eq!(world.snapshot().await, Vec::<String>::new());
    engine.shut_down().await;
}

#[tokio::test]
async fn a_host_that_is_away_makes_machines_unknown_and_its_return_brings_them_back() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    succeed(&engine, &ada, create("web")).await;

    world.hypervisor.set_reachable(false);
    until_state(&engine, &ada, "web", MachineState::Unknown).await;
    let web = engine.machine(&ada, &name("web")).await.unwrap();
    assert!(web.row.observed.warning.as_ref().unwrap().contains("connection refused"), "{web:?}");
    let possible = web.actions.iter().filter(|a| a.refused.is_none()).map(|a| a.kind);
    assert_eq!(possible.collect::<Vec<_>>(), [OperationKind::Forget]);
    let fault = engine.submit(&ada, on(OperationKind::Reboot, "web"), Consent::default()).await.unwrap_err();
    assert_eq!(fault, Fault::Unavailable { host: "local".to_owned() });
    let hosts = engine.hosts(&ada).await.unwrap();
    assert_eq!((hosts[0].reachable, hosts[0].machines), (false, 1));
    let finding = async |level| {
        while !engine.hosts(&ada).await.unwrap()[0]
            .findings
            .iter()
            .any(|f| f.name == "connection" && f.level == level)
        {
            tokio::task::yield_now().await;
        }
    };
    patiently(finding(Level::Error)).await;

    world.hypervisor.set_reachable(true);
    until_state(&engine, &ada, "web", MachineState::Running).await;
    patiently(finding(Level::Ok)).await;
    engine.shut_down().await;

    // A portal that starts while the host is unreachable still knows its machines.
    world.hypervisor.set_reachable(false);
    let engine = world.open().await;
    let page = engine.machines(&ada, &MachineFilter::default()).await.unwrap();
    assert_eq!((page.total, page.rows[0].observed.state), (1, MachineState::Unknown));
    world.hypervisor.set_reachable(true);
    until_state(&engine, &ada, "web", MachineState::Running).await;
    engine.shut_down().await;
}

#[tokio::test]
async fn a_job_whose_host_goes_away_while_it_is_undone_waits_for_it() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    fail_and_go_away(&world, 1);
    let job = run(&engine, &ada, create("web")).await;
    assert_eq!(job.summary.badge.state, JobState::Failed);
    assert_eq!(world.snapshot().await, Vec::<String>::new());
    engine.shut_down().await;
}

#[tokio::test]
async fn what_happens_behind_the_portals_back_shows_at_once() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    succeed(&engine, &ada, create("web")).await;
    let mut events = engine.follow_events(&ada, None).await.unwrap();
    assert!(matches!(next(&mut events).await, EventFrame::Full { .. }));

    let began = Instant::now();
    world.hypervisor.happen("web", MachineState::Off);
    loop {
        let EventFrame::Delta { change, .. } = next(&mut events).await else {
            panic!("a delta was expected")
        };
        if let Change::Machine { row } = change
            && row.observed.state == MachineState::Off
        {
            assert_eq!(row.observed.addresses, []);
            break;
        }
    }
    println!("state event to subscriber: {:?}", began.elapsed());

    world.hypervisor.undefine("web");
    until_state(&engine, &ada, "web", MachineState::Configured).await;
    let web = engine.machine(&ada, &name("web")).await.unwrap();
    assert!(web.row.observed.warning.as_ref().unwrap().contains("gone from the host"), "{web:?}");

    // Creating it again uses the disks that are still there, and failing at that does not remove them.
    let disks = world.hypervisor.disk_names();
    world.hypervisor.fail_next("power", refused());
    let failed = run(&engine, &ada, on(OperationKind::Provision, "web")).await;
    assert_eq!(failed.summary.badge.state, JobState::Failed);
    assert_eq!(world.hypervisor.disk_names(), disks);
    succeed(&engine, &ada, on(OperationKind::Provision, "web")).await;
    assert_eq!(world.hypervisor.disk_names(), disks);
    assert_eq!(engine.machine(&ada, &name("web")).await.unwrap().row.observed.warning, None);
    engine.shut_down().await;
}

#[tokio::test]
async fn a_shutdown_leaves_an_open_job_for_the_next_start() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    let job = building(&world, &engine, &ada).await;
    let mut frames = engine.follow_job(&ada, job, None).await.unwrap();
    let mut events = engine.follow_events(&ada, None).await.unwrap();
    engine.shut_down().await;
    let mut last = None;
    while let Some(frame) = frames.next().await {
        last = Some(frame);
    }
    assert!(matches!(last, Some(model::view::job::JobFrame::Closing { .. })), "{last:?}");
    let mut last = None;
    while let Some(frame) = events.next().await {
        last = Some(frame);
    }
    assert!(matches!(last, Some(EventFrame::Closing { .. })), "{last:?}");
    drop((frames, events, engine));

    world.builder.hold(false);
    let engine = world.open().await;
    let view = ended(&engine, &ada, job).await;
    assert_eq!(view.summary.badge.state, JobState::Succeeded, "{view:#?}");
    engine.shut_down().await;
}

#[tokio::test]
async fn a_second_portal_on_one_state_directory_is_refused() {
    let world = World::new();
    let engine = world.open().await;
    let second =
        engine::Engine::open(world.settings.clone(), vec![], world.builder.clone(), world.clock.clone());
    assert!(matches!(second.await, Err(engine::OpenError::InUse { .. })));
    engine.shut_down().await;
}

#[tokio::test]
async fn a_log_that_cannot_be_opened_keeps_neither_the_portal_nor_the_job() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    let job = building(&world, &engine, &ada).await;
    engine.shut_down().await;
    let log = world.settings.state.join(format!("jobs/{job}.log"));
    std::fs::remove_file(&log).unwrap();
    // Nobody can write to a folder, not even root.
    std::fs::create_dir(&log).unwrap();
    world.builder.hold(false);
    let engine = world.open().await;
    let over = async {
        while !engine.job(&ada, job).await.unwrap().summary.badge.state.is_over() {
            tokio::task::yield_now().await;
        }
    };
    patiently(over).await;
    assert_eq!(engine.job(&ada, job).await.unwrap().summary.badge.state, JobState::Succeeded);
    engine.shut_down().await;
}
