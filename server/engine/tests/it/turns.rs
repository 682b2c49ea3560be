//! Many jobs of many users: limits, turns, and stopping them all.

use crate::harness::{World, admin, begin, build, create, ended, member, on, succeed, until_said};
use model::Fault;
use model::job::JobState;
use model::operation::OperationKind;
use model::plan::Consent;
use model::portal::Portal as _;
use ports::hypervisor::HypervisorError;

#[tokio::test]
async fn one_user_has_a_limit_of_jobs_and_of_builds_and_others_do_not_feel_it() {
    let mut world = World::new();
    world.settings.jobs_per_user = 3;
    world.settings.builds_per_user = 2;
    let engine = world.open().await;
    let ada = admin(&engine).await;
    let bob = member(&engine, "bob").await;
    world.builder.hold(true);
    let mut jobs = Vec::new();
    for profiles in ["docker", "python"] {
        jobs.push(begin(&engine, &bob, build(profiles)).await);
    }
    let builds = engine.submit(&bob, build("core"), Consent::default()).await.unwrap_err();
    assert!(matches!(&builds, Fault::Refused { why } if why.contains("2 unfinished builds")), "{builds:?}");
    jobs.push(begin(&engine, &bob, create("web")).await);
    let all = engine.submit(&bob, create("db"), Consent::default()).await.unwrap_err();
    assert!(matches!(&all, Fault::Refused { why } if why.contains("3 unfinished jobs")), "{all:?}");
    // Joining someone's build creates no job.
    let theirs = begin(&engine, &ada, build("core")).await;
    assert_eq!(begin(&engine, &bob, build("core")).await, theirs);
    world.builder.hold(false);
    jobs.push(theirs);
    for job in jobs {
        assert_eq!(ended(&engine, &ada, job).await.summary.badge.state, JobState::Succeeded);
    }
    succeed(&engine, &bob, create("db")).await;
    engine.shut_down().await;
}

#[tokio::test]
async fn builds_take_turns_between_users() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    let bob = member(&engine, "bob").await;
    world.builder.hold(true);
    let mut jobs = vec![begin(&engine, &ada, build("core")).await];
    world.builder.begun(1).await;
    for (who, profiles) in [(&ada, "docker"), (&ada, "python"), (&bob, "rust,python")] {
        let job = begin(&engine, who, build(profiles)).await;
        until_said(&engine, who, job, "Waiting for another build to finish.").await;
        let progress = engine.job(who, job).await.unwrap().progress.unwrap();
        assert_eq!(progress.running, [("Waiting for another build to finish".to_owned(), None)]);
        jobs.push(job);
    }
    world.builder.hold(false);
    for job in jobs {
        assert_eq!(ended(&engine, &ada, job).await.summary.badge.state, JobState::Succeeded);
    }
    // Bob waits for the one that was under way, not for all of ada's.
    assert_eq!(world.builder.order(), ["core", "core,python,rust", "core,docker", "core,python"]);
    engine.shut_down().await;
}

#[tokio::test]
async fn all_jobs_of_a_user_are_cancelled_by_the_user_or_by_an_administrator() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    let (bob, eve) = (member(&engine, "bob").await, member(&engine, "eve").await);
    let (bobs, eves) = (bob.user.as_ref().unwrap().id, eve.user.as_ref().unwrap().id);
    world.builder.hold(true);
    let mut jobs = Vec::new();
    for profiles in ["docker", "python"] {
        jobs.push(begin(&engine, &bob, build(profiles)).await);
    }
    jobs.push(begin(&engine, &bob, create("web")).await);
    let other = begin(&engine, &eve, create("db")).await;
    assert_eq!(engine.cancel_all(&eve, bobs).await, Err(Fault::not_found("job")));
    assert_eq!(engine.cancel_all(&bob, bobs).await, Ok(3));
    for job in jobs {
        assert_eq!(ended(&engine, &ada, job).await.summary.badge.state, JobState::Cancelled);
    }
    assert_eq!(engine.cancel_all(&ada, bobs).await, Ok(0));
    assert_eq!(engine.cancel_all(&ada, eves).await, Ok(1));
    assert_eq!(ended(&engine, &ada, other).await.summary.badge.state, JobState::Cancelled);
    engine.shut_down().await;
}

#[tokio::test]
async fn a_job_that_waits_for_its_host_keeps_nobody_from_working() {
    let mut world = World::new();
    world.settings.job_slots = 1;
    let engine = world.open().await;
    let ada = admin(&engine).await;
    let bob = member(&engine, "bob").await;
    succeed(&engine, &bob, create("db")).await;
    for _ in 0..10_000 {
        world.hypervisor.fail_next("put_definition", HypervisorError::Unreachable { why: "gone".to_owned() });
    }
    let waiting = begin(&engine, &ada, create("web")).await;
    until_said(&engine, &ada, waiting, "Trying again.").await;
    succeed(&engine, &bob, on(OperationKind::ForceOff, "db")).await;
    assert_eq!(engine.job(&ada, waiting).await.unwrap().summary.badge.state, JobState::Running);
    engine.cancel(&ada, waiting).await.unwrap();
    assert_eq!(ended(&engine, &ada, waiting).await.summary.badge.state, JobState::Cancelled);
    engine.shut_down().await;
}
