//! What pages tell of a machine and an image besides their state: the failure of what was last asked for, and what is true
//! while something is pending.

use crate::harness::{
    World, admin, begin, build, change, create, ended, member, name, on, patiently, refused, run, succeed,
    until_row,
};
use engine::probe::{Moment, Probe, Verdict, When};
use model::host::Level;
use model::job::JobState;
use model::operation::{Operation, OperationKind};
use model::portal::Portal as _;
use model::view::machine::Figures;
use std::sync::Arc;

#[tokio::test]
async fn a_failed_operation_is_told_on_its_machine_until_one_succeeds() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    succeed(&engine, &ada, create("web")).await;
    let failed = async || engine.machine(&ada, &name("web")).await.unwrap().failed;
    assert_eq!(failed().await, None);
    succeed(&engine, &ada, on(OperationKind::ForceOff, "web")).await;
    world.hypervisor.fail_next("power", refused());
    let job = run(&engine, &ada, on(OperationKind::Start, "web")).await;
    assert_eq!(job.summary.badge.state, JobState::Failed);
    let told = failed().await.unwrap();
    assert_eq!((told.id, told.title.as_str()), (job.summary.badge.id, "Start web"));
    assert_eq!((Some(told.ended), told.why), (job.summary.ended, job.failure.unwrap().message));
    succeed(&engine, &ada, on(OperationKind::Start, "web")).await;
    assert_eq!(failed().await, None);
    engine.shut_down().await;
}

/// Fails when an image is to be forgotten.
struct Keeps;

#[async_trait::async_trait]
impl Probe for Keeps {
    async fn at(&self, moment: Moment) -> Verdict {
        match (moment.step, moment.when) {
            ("image.forget", When::BeforeRun) => Verdict::Fail,
            _ => Verdict::Go,
        }
    }
}

#[tokio::test]
async fn a_failed_removal_is_told_on_its_image_to_whoever_asked_for_it() {
    let world = World::new();
    let engine = world.open_probed(Arc::new(Keeps)).await;
    let (ada, bob) = (admin(&engine).await, member(&engine, "bob").await);
    succeed(&engine, &ada, build("docker")).await;
    let image = engine.images(&ada).await.unwrap().remove(0);
    assert_eq!(image.failed_removal, None);
    let job = begin(&engine, &ada, Operation::RemoveImage { image: image.id }).await;
    let job = ended(&engine, &ada, job).await;
    assert_eq!(job.summary.badge.state, JobState::Failed);
    let told = engine.images(&ada).await.unwrap().remove(0).failed_removal.unwrap();
    assert_eq!((told.id, told.why), (job.summary.badge.id, job.failure.unwrap().message));
    assert_eq!(engine.images(&bob).await.unwrap().remove(0).failed_removal, None);
    engine.shut_down().await;
}

#[tokio::test]
async fn what_is_true_is_shown_until_a_pending_change_is_applied() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    succeed(&engine, &ada, create("web")).await;
    let sizes = async || {
        let web = engine.machine(&ada, &name("web")).await.unwrap();
        (web.row.memory.get(), web.applied.memory.get(), web.spec.memory.get())
    };
    succeed(&engine, &ada, change("web")).await;
    assert_eq!(sizes().await, (512, 512, 768));
    succeed(&engine, &ada, on(OperationKind::Apply, "web")).await;
    assert_eq!(sizes().await, (768, 768, 768));
    engine.shut_down().await;
}

#[tokio::test]
async fn a_job_that_failed_after_its_build_does_not_offer_to_repeat_that() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    world.hypervisor.fail_next("put_definition", refused());
    let job = run(&engine, &ada, create("web")).await;
    assert_eq!((job.summary.badge.state, job.reproduce), (JobState::Failed, None));
    assert!(succeed(&engine, &ada, create("web")).await.reproduce.is_some());
    engine.shut_down().await;
}

#[tokio::test]
async fn what_nix_answers_late_is_what_the_hosts_page_shows() {
    let world = World::new();
    world.builder.hold_evaluation(true);
    let engine = world.open().await;
    let ada = admin(&engine).await;
    let nix = async || {
        let mut findings = engine.hosts(&ada).await.unwrap().remove(0).findings;
        findings.retain(|finding| finding.name == "nix");
        findings.remove(0).level
    };
    assert_eq!(nix().await, Level::Warning);
    patiently(world.builder.asked(1)).await;
    world.builder.hold_evaluation(false);
    let answered = async {
        while nix().await != Level::Ok {
            tokio::task::yield_now().await;
        }
    };
    patiently(answered).await;
    engine.shut_down().await;
}

#[tokio::test]
async fn a_destroyed_machine_has_no_disk_figures() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    succeed(&engine, &ada, create("web")).await;
    until_row(&engine, &ada, "web", |row| row.observed.figures.disk_size.is_some()).await;
    succeed(&engine, &ada, on(OperationKind::Destroy, "web")).await;
    let figures = engine.machine(&ada, &name("web")).await.unwrap().row.observed.figures;
    assert_eq!(figures, Figures::default());
    engine.shut_down().await;
}
