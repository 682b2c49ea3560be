//! Several at once: one job per machine, one build per image, limits, cancelling.

use crate::harness::{
    World, admin, begin, build, create, ended, member, name, on, patiently, succeed, until_said,
};
use engine::Engine;
use futures::future::poll_fn;
use model::Fault;
use model::account::Actor;
use model::audit::{AuditFilter, Outcome};
use model::job::{JobState, StepState};
use model::operation::OperationKind;
use model::plan::Consent;
use model::portal::Portal as _;
use model::view::job::JobFilter;
use ports::hypervisor::HypervisorError;
use sqlx::Row as _;
use std::pin::pin;
use std::task::Poll;

#[tokio::test(flavor = "multi_thread")]
async fn of_two_jobs_for_one_machine_one_is_told_of_the_other() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    succeed(&engine, &ada, create("web")).await;
    for _ in 0..10 {
        world.hypervisor.set_deaf(true);
        let answers =
            futures::future::join_all(
                (0..4).map(|_| {
                    let (engine, ada) = (engine.clone(), ada.clone());
                    async move {
                        engine.submit(&ada, on(OperationKind::ShutDown, "web"), Consent::default()).await
                    }
                }),
            )
            .await;
        let won: Vec<_> = answers.iter().filter_map(|a| a.as_ref().ok()).collect();
        assert_eq!(won.len(), 1, "{answers:?}");
        let busy = Fault::Busy { job: won[0].job };
        assert!(answers.iter().filter_map(|a| a.as_ref().err()).all(|f| *f == busy), "{answers:?}");
        engine.cancel(&ada, won[0].job).await.unwrap();
        let view = ended(&engine, &ada, won[0].job).await;
        assert_eq!(view.summary.badge.state, JobState::Cancelled, "{view:#?}");
    }
    engine.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_machines_of_one_name_one_is_made() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    let answers = futures::future::join_all((0..4).map(|_| {
        let (engine, ada) = (engine.clone(), ada.clone());
        async move { engine.submit(&ada, create("web"), Consent::default()).await }
    }))
    .await;
    let won: Vec<_> = answers.iter().filter_map(|a| a.as_ref().ok()).collect();
    assert_eq!(won.len(), 1, "{answers:?}");
    assert!(
        answers.iter().filter_map(|a| a.as_ref().err()).all(|f| f.of_field("name").is_some()),
        "{answers:?}"
    );
    ended(&engine, &ada, won[0].job).await;
    engine.shut_down().await;
}

#[tokio::test]
async fn two_who_want_one_image_share_one_build() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    let bob = member(&engine, "bob").await;
    world.builder.hold(true);
    let first = engine.submit(&ada, build("docker"), Consent::default()).await.unwrap().job;
    let second = engine.submit(&bob, build("docker"), Consent::default()).await.unwrap().job;
    assert_eq!(first, second);
    let machine = engine.submit(&bob, create("web"), Consent::default()).await.unwrap().job;
    for (who, job) in [(&ada, first), (&bob, machine)] {
        until_said(&engine, who, job, "line 0").await;
    }
    // Bob sees the build that he joined, but may not stop Ada's.
    let seen = engine.job(&bob, first).await.unwrap();
    assert!(!seen.can_cancel && !seen.can_retry);
    assert_eq!(engine.cancel(&bob, first).await, Err(Fault::not_found("job")));
    let mine: Vec<_> = engine.jobs(&bob, &JobFilter::default()).await.unwrap();
    assert_eq!(mine.len(), 2);

    world.builder.hold(false);
    for job in [first, machine] {
        let view = ended(&engine, &ada, job).await;
        assert_eq!(view.summary.badge.state, JobState::Succeeded, "{view:#?}");
    }
    assert_eq!(world.builder.builds(), 1);
    let log = |job| std::fs::read_to_string(world.settings.state.join(format!("jobs/{job}.log"))).unwrap();
    assert!(log(first).contains("line 2") && log(machine).contains("line 2"), "both logs tell the build");
    assert_eq!(engine.images(&bob).await.unwrap().len(), 1);
    engine.shut_down().await;
}

/// Who built something and how that ended, according to the audit log.
async fn audited_builds(engine: &Engine, ada: &Actor) -> Vec<(String, Outcome, bool)> {
    let filter = AuditFilter { action: Some("build".to_owned()), ..AuditFilter::default() };
    let rows = engine.audit(ada, &filter).await.unwrap().rows.into_iter();
    let mut builds: Vec<_> = rows
        .map(|row| (row.actor.unwrap(), row.outcome, row.detail.is_some_and(|d| d.contains("joined"))))
        .collect();
    builds.sort_by(|a, b| a.0.cmp(&b.0));
    builds
}

#[tokio::test]
async fn who_joins_a_build_has_an_audit_entry_that_ends_as_the_build_does() {
    for end in [Outcome::Succeeded, Outcome::Cancelled, Outcome::Failed] {
        let world = World::new();
        let engine = world.open().await;
        let ada = admin(&engine).await;
        let bob = member(&engine, "bob").await;
        world.builder.hold(true);
        let job = begin(&engine, &ada, build("docker")).await;
        world.builder.begun(1).await;
        assert_eq!(begin(&engine, &bob, build("docker")).await, job);
        let both = |outcome| vec![("ada".to_owned(), outcome, false), ("bob".to_owned(), outcome, true)];
        let open = audited_builds(&engine, &ada).await;
        assert!(open.iter().all(|(_, outcome, _)| *outcome == Outcome::Pending), "{open:?}");
        match end {
            Outcome::Cancelled => engine.cancel(&ada, job).await.unwrap(),
            Outcome::Failed => engine.give_up(&ada, job).await.unwrap(),
            _ => {}
        }
        world.builder.hold(false);
        ended(&engine, &ada, job).await;
        assert_eq!(audited_builds(&engine, &ada).await, both(end));
        engine.shut_down().await;
    }
}

#[tokio::test]
async fn cancelling_one_of_two_leaves_the_build_to_the_other() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    world.builder.hold(true);
    let one = engine.submit(&ada, create("one"), Consent::default()).await.unwrap().job;
    let two = engine.submit(&ada, create("two"), Consent::default()).await.unwrap().job;
    for job in [one, two] {
        until_said(&engine, &ada, job, "line 0").await;
    }
    engine.cancel(&ada, one).await.unwrap();
    let view = ended(&engine, &ada, one).await;
    assert_eq!(view.summary.badge.state, JobState::Cancelled);
    assert_eq!(view.failure, None);
    assert_eq!(view.steps[0].state, StepState::Undone);
    assert_eq!(engine.machine(&ada, &name("one")).await.unwrap_err(), Fault::not_found("machine"));
    world.builder.hold(false);
    assert_eq!(ended(&engine, &ada, two).await.summary.badge.state, JobState::Succeeded);
    assert_eq!(world.builder.builds(), 1);

    // The last one out ends the build, and the next begins another.
    world.builder.set_source("source-2");
    world.builder.hold(true);
    let three = engine.submit(&ada, build("docker"), Consent::default()).await.unwrap().job;
    world.builder.begun(2).await;
    engine.cancel(&ada, three).await.unwrap();
    assert_eq!(ended(&engine, &ada, three).await.summary.badge.state, JobState::Cancelled);
    world.builder.hold(false);
    let again = engine.retry(&ada, three).await.unwrap().job;
    assert_eq!(ended(&engine, &ada, again).await.summary.badge.state, JobState::Succeeded);
    assert_eq!(world.builder.builds(), 3);
    engine.shut_down().await;
}

#[tokio::test]
async fn builds_that_wait_hold_nobody_else_up() {
    let mut world = World::new();
    world.settings.job_slots = 1;
    let engine = world.open().await;
    let ada = admin(&engine).await;
    succeed(&engine, &ada, create("web")).await;
    world.builder.hold(true);
    world.builder.set_source("source-2");
    let building = engine.submit(&ada, build("docker"), Consent::default()).await.unwrap().job;
    let waiting = engine.submit(&ada, build("python"), Consent::default()).await.unwrap().job;
    world.builder.begun(2).await;
    patiently(succeed(&engine, &ada, on(OperationKind::Reboot, "web"))).await;
    let metrics = engine.metrics();
    assert_eq!((metrics.builds, metrics.jobs_running), (2, 2), "{metrics:?}");
    assert_eq!(world.builder.builds(), 2, "one slot: the second build waits for the first");
    world.builder.hold(false);
    for job in [building, waiting] {
        assert_eq!(ended(&engine, &ada, job).await.summary.badge.state, JobState::Succeeded);
    }
    engine.shut_down().await;
}

#[tokio::test]
async fn what_only_goes_forward_cannot_be_cancelled_half_way() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    let created = succeed(&engine, &ada, create("web")).await.summary.badge.id;
    let gone = || HypervisorError::Unreachable { why: "gone".to_owned() };
    // The host becomes unreachable when the machine is switched off and its definition is about to be removed.
    (0..1000).for_each(|_| world.hypervisor.fail_next("remove_definition", gone()));
    let job = begin(&engine, &ada, on(OperationKind::Destroy, "web")).await;
    until_said(&engine, &ada, job, "Trying again.").await;
    let view = engine.job(&ada, job).await.unwrap();
    assert!(view.summary.badge.state == JobState::Running && !view.can_cancel, "{view:#?}");
    let refused = engine.cancel(&ada, job).await.unwrap_err();
    assert!(
        matches!(&refused, Fault::Refused { why } if why.contains("can no longer be stopped")),
        "{refused:?}"
    );
    world.hypervisor.forget_faults();
    assert_eq!(ended(&engine, &ada, job).await.summary.badge.state, JobState::Succeeded);
    assert_eq!(world.hypervisor.disk_names(), Vec::<String>::new());

    for over in [engine.cancel(&ada, created).await, engine.retry(&ada, created).await.map(drop)] {
        assert!(matches!(over, Err(Fault::Refused { .. })), "{over:?}");
    }
    engine.shut_down().await;
}

/// Drops a request at its nth wait, like a browser that disconnects; returns whether it was answered.
async fn hang_up<T>(request: impl Future<Output = T>, after: usize) -> bool {
    let (mut request, mut rests) = (pin!(request), 0);
    poll_fn(|cx| {
        if request.as_mut().poll(cx).is_ready() {
            return Poll::Ready(true);
        }
        rests += 1;
        if rests > after { Poll::Ready(false) } else { Poll::Pending }
    })
    .await
}

#[tokio::test]
async fn a_cancel_that_is_written_down_reaches_the_job_whoever_hangs_up_when() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    world.builder.hold(true);
    for after in 0.. {
        let job = begin(&engine, &ada, build("docker")).await;
        world.builder.begun(after + 1).await;
        let answered = hang_up(engine.cancel(&ada, job), after).await;
        // What the request did not get to is done now; what it wrote must be on its way already.
        let written = "select cancel from jobs where state = 'running'";
        let written = sqlx::query(written).fetch_optional(&mut world.sql().await).await.unwrap();
        if written.is_some_and(|row| !row.get::<bool, _>(0)) {
            let _ = engine.cancel(&ada, job).await;
        }
        assert_eq!(ended(&engine, &ada, job).await.summary.badge.state, JobState::Cancelled);
        if answered {
            break;
        }
    }
    engine.shut_down().await;
}

#[tokio::test]
async fn nobody_joins_a_build_that_is_cancelled() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    let bob = member(&engine, "bob").await;
    world.builder.hold(true);
    let first = begin(&engine, &ada, build("docker")).await;
    world.builder.begun(1).await;
    // Cancelled a moment ago, and its runner has not been notified yet.
    let cancel = "update jobs set cancel = 1 where state = 'running'";
    sqlx::query(cancel).execute(&mut world.sql().await).await.unwrap();
    let second = begin(&engine, &bob, build("docker")).await;
    assert_ne!(first, second);
    world.builder.hold(false);
    for job in [first, second] {
        ended(&engine, &ada, job).await;
    }
    assert_eq!(engine.job(&bob, second).await.unwrap().summary.badge.state, JobState::Succeeded);
    engine.shut_down().await;
}
