//! Several at once: one job per machine, one build per image, limits, cancelling.

use crate::harness::{World, admin, build, create, ended, member, name, on, patiently, succeed, until_said};
use model::Fault;
use model::job::{JobState, StepState};
use model::operation::OperationKind;
use model::plan::Consent;
use model::portal::Portal as _;
use model::view::job::JobFilter;

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
    let job = succeed(&engine, &ada, create("web")).await;
    let over = engine.cancel(&ada, job.summary.badge.id).await.unwrap_err();
    assert!(matches!(over, Fault::Refused { .. }), "{over:?}");
    let retry = engine.retry(&ada, job.summary.badge.id).await.unwrap_err();
    assert!(matches!(retry, Fault::Refused { .. }), "{retry:?}");
    engine.shut_down().await;
}
