//! Every operation × every step × both kinds of host: run twice; fail there and end as it began, or where going on reaches the
//! end; crash there and be finished by the next start. A new operation is tested here as soon as [`prepare`] knows it.

use crate::harness::{World, admin, begin, build, create, ended, on, patiently, run, spec, succeed};
use engine::Engine;
use engine::probe::{Moment, Probe, Verdict, When};
use engine::testing::hypervisor::{THICK, THIN};
use model::account::Actor;
use model::audit::ChainState;
use model::job::{JobId, JobState, StepState};
use model::operation::{Operation, OperationKind};
use model::portal::Portal as _;
use model::view::job::JobFilter;
use ports::hypervisor::Capabilities;
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// What the probe does when a job of the wanted kind comes to the wanted moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mischief {
    /// Everything is done twice.
    Twice,
    /// The step fails.
    Fail(usize, When),
    /// The runner stops for ever.
    Halt(usize, When),
    /// The last step fails, and undoing stops for ever there.
    HaltUndo(usize, When),
}

struct Mischievous {
    /// Only armed once the world is prepared.
    armed: watch::Sender<Option<Mischief>>,
    halted: watch::Sender<bool>,
    repeated: Mutex<HashSet<(JobId, usize, When)>>,
    last: usize,
}

impl Mischievous {
    fn new(last: usize) -> Arc<Self> {
        Arc::new(Self {
            armed: watch::Sender::new(None),
            halted: watch::Sender::new(false),
            repeated: Mutex::default(),
            last,
        })
    }

    async fn halt(&self) -> Verdict {
        self.halted.send_replace(true);
        std::future::pending().await
    }
}

#[async_trait::async_trait]
impl Probe for Mischievous {
    async fn at(&self, moment: Moment) -> Verdict {
        let here = (moment.index, moment.when);
        let armed = *self.armed.borrow();
        match armed {
            Some(Mischief::Twice) => {
                let after = matches!(moment.when, When::AfterRun | When::AfterUndo);
                let first = self.repeated.lock().unwrap().insert((moment.job, moment.index, moment.when));
                if after && first { Verdict::Again } else { Verdict::Go }
            }
            Some(Mischief::Fail(index, when)) if here == (index, when) => Verdict::Fail,
            Some(Mischief::Halt(index, when)) if here == (index, when) => self.halt().await,
            Some(Mischief::HaltUndo(index, when)) if here == (index, when) => self.halt().await,
            Some(Mischief::HaltUndo(..)) if here == (self.last, When::AfterRun) => Verdict::Fail,
            _ => Verdict::Go,
        }
    }
}

/// Brings the world to where the operation makes sense, and gives the operation.
async fn prepare(engine: &Arc<Engine>, ada: &Actor, kind: OperationKind) -> Operation {
    use OperationKind as Op;
    match kind {
        Op::Build => return build("docker"),
        Op::Create => return create("web"),
        Op::Configure => return Operation::Configure { spec: Box::new(spec("web")) },
        Op::RemoveImage => {
            succeed(engine, ada, build("docker")).await;
            let image = engine.images(ada).await.unwrap().remove(0);
            return Operation::RemoveImage { image: image.id };
        }
        Op::Provision => {
            succeed(engine, ada, Operation::Configure { spec: Box::new(spec("web")) }).await;
        }
        Op::Start => {
            succeed(engine, ada, create("web")).await;
            succeed(engine, ada, on(Op::ForceOff, "web")).await;
        }
        Op::Resume => {
            succeed(engine, ada, create("web")).await;
            succeed(engine, ada, on(Op::Suspend, "web")).await;
        }
        Op::ShutDown | Op::Reboot | Op::ForceOff | Op::Suspend | Op::Destroy | Op::Purge => {
            succeed(engine, ada, create("web")).await;
        }
    }
    on(kind, "web")
}

/// The number of steps of an operation, by its plan.
fn steps_of(capabilities: Capabilities, kind: OperationKind) -> (usize, Vec<String>) {
    block_on(async {
        let world = World::with(capabilities);
        let engine = world.open().await;
        let ada = admin(&engine).await;
        let operation = prepare(&engine, &ada, kind).await;
        let steps = engine.plan(&ada, &operation).await.unwrap().steps.len();
        succeed(&engine, &ada, operation).await;
        let target = world.snapshot().await;
        engine.shut_down().await;
        (steps, target)
    })
}

fn block_on<T>(what: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(what)
}

/// Everything that must hold when no job runs: none is left open, and the audit chain is whole with every entry completed.
async fn assert_settled(engine: &Engine, ada: &Actor, context: &str) {
    let open = engine.jobs(ada, &JobFilter { open: true, ..JobFilter::default() }).await.unwrap();
    assert_eq!(open, [], "{context}");
    assert!(matches!(engine.verify_audit(ada).await.unwrap(), ChainState::Intact { .. }), "{context}");
    let audit = engine.audit(ada, &Default::default()).await.unwrap();
    assert!(audit.rows.iter().all(|row| row.ended.is_some()), "{context}: {:#?}", audit.rows);
}

/// Runs one case in which the engine lives through the mischief.
fn live_through(
    capabilities: Capabilities,
    kind: OperationKind,
    last: usize,
    mischief: Mischief,
    target: &[String],
) {
    let context = format!("{kind} {mischief:?}");
    block_on(async {
        let world = World::with(capabilities);
        let probe = Mischievous::new(last);
        let engine = world.open_probed(probe.clone()).await;
        let ada = admin(&engine).await;
        let operation = prepare(&engine, &ada, kind).await;
        let before = world.snapshot().await;
        probe.armed.send_replace(Some(mischief));
        let job = run(&engine, &ada, operation.clone()).await;
        probe.armed.send_replace(None);
        let after = world.snapshot().await;
        if mischief == Mischief::Twice {
            assert_eq!(job.summary.badge.state, JobState::Succeeded, "{context}: {job:#?}");
            assert_eq!(after, target, "{context}");
        } else {
            assert_eq!(job.summary.badge.state, JobState::Failed, "{context}: {job:#?}");
            go_on_after_failure(
                &engine,
                &ada,
                &world,
                job.summary.badge.id,
                (&before, &after, target),
                &context,
            )
            .await;
        }
        assert_settled(&engine, &ada, &context).await;
        engine.shut_down().await;
    });
}

/// A failed job that makes something has left everything as it was; one that only goes forward may have stopped anywhere, and
/// trying again brings it to the end.
async fn go_on_after_failure(
    engine: &Arc<Engine>,
    ada: &Actor,
    world: &World,
    job: JobId,
    (before, after, target): (&[String], &[String], &[String]),
    context: &str,
) {
    use OperationKind as Op;
    match engine.job(ada, job).await.unwrap().summary.kind {
        Op::Build | Op::Create | Op::Configure | Op::Provision => assert_eq!(after, before, "{context}"),
        Op::Destroy | Op::Purge => {}
        _ => assert!(after == before || after == target, "{context}: {after:#?}"),
    }
    match engine.retry(ada, job).await {
        Ok(again) => {
            let view = ended(engine, ada, again.job).await;
            assert_eq!(view.summary.badge.state, JobState::Succeeded, "{context}: {view:#?}");
        }
        // The step had done all there was to do before it was made to fail.
        Err(refused) => assert_eq!(after, target, "{context}: {refused}"),
    }
    assert_eq!(world.snapshot().await, target, "{context}");
}

/// Runs one case in which the process dies: the runtime is dropped with everything in it.
fn crash(
    capabilities: Capabilities,
    kind: OperationKind,
    last: usize,
    mischief: Mischief,
    target: &[String],
) {
    let context = format!("{kind} {mischief:?}");
    let world = World::with(capabilities);
    let first = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (job, before, reached) = first.block_on(async {
        let probe = Mischievous::new(last);
        let engine = world.open_probed(probe.clone()).await;
        let ada = admin(&engine).await;
        let operation = prepare(&engine, &ada, kind).await;
        let before = world.snapshot().await;
        probe.armed.send_replace(Some(mischief));
        let job = begin(&engine, &ada, operation).await;
        // A step that the job does not come to (one done at acceptance, one not undone) cannot be crashed at.
        let mut halted = probe.halted.subscribe();
        let reached = tokio::select! {
            _ = halted.wait_for(|halted| *halted) => true,
            _ = ended(&engine, &ada, job) => false,
        };
        (job, before, reached)
    });
    first.shutdown_timeout(Duration::from_secs(10));
    block_on(async {
        let engine = world.open().await;
        let ada = admin(&engine).await;
        let view = patiently(ended(&engine, &ada, job)).await;
        let after = world.snapshot().await;
        match (mischief, view.summary.badge.state) {
            (Mischief::Halt(..), JobState::Succeeded) => {
                assert!(reached, "{context}: the job never came there");
                assert_eq!(after, target, "{context}: {view:#?}");
            }
            (Mischief::HaltUndo(index, _), JobState::Failed) => {
                let undone = view.steps.get(index).map(|s| s.state);
                assert_eq!(reached, undone == Some(StepState::Undone), "{context}: {view:#?}");
                assert_eq!(after, before, "{context}: {view:#?}");
                let again = engine.retry(&ada, job).await.unwrap().job;
                let view = ended(&engine, &ada, again).await;
                assert_eq!(view.summary.badge.state, JobState::Succeeded, "{context}: {view:#?}");
                assert_eq!(world.snapshot().await, target, "{context}");
            }
            (_, state) => panic!("{context}: {state:?} {view:#?}"),
        }
        assert_settled(&engine, &ada, &context).await;
        engine.shut_down().await;
    });
}

/// All cases of some operations on both kinds of host.
fn every_step_of(kinds: &[OperationKind]) {
    for capabilities in [THIN, THICK] {
        for kind in kinds {
            let (count, target) = steps_of(capabilities, *kind);
            let last = count - 1;
            live_through(capabilities, *kind, last, Mischief::Twice, &target);
            // The row of a new machine is written in the transaction that accepts the job: that step is never run by itself.
            let first = usize::from(matches!(kind, OperationKind::Create | OperationKind::Configure));
            for index in first..count {
                for when in [When::BeforeRun, When::AfterRun] {
                    live_through(capabilities, *kind, last, Mischief::Fail(index, when), &target);
                    crash(capabilities, *kind, last, Mischief::Halt(index, when), &target);
                }
            }
            let undoes = matches!(kind, OperationKind::Create | OperationKind::Provision);
            for index in (0..count).filter(|_| undoes) {
                for when in [When::BeforeUndo, When::AfterUndo] {
                    crash(capabilities, *kind, last, Mischief::HaltUndo(index, when), &target);
                }
            }
        }
    }
}

#[test]
fn creating() {
    every_step_of(&[OperationKind::Create]);
}

#[test]
fn provisioning() {
    every_step_of(&[OperationKind::Provision]);
}

#[test]
fn destroying_and_purging() {
    every_step_of(&[OperationKind::Destroy, OperationKind::Purge]);
}

#[test]
fn power() {
    use OperationKind as Op;
    every_step_of(&[Op::Start, Op::ShutDown, Op::Reboot, Op::ForceOff, Op::Suspend, Op::Resume]);
}

#[test]
fn images_and_configuration() {
    every_step_of(&[OperationKind::Build, OperationKind::RemoveImage, OperationKind::Configure]);
}

#[test]
fn a_cancel_that_comes_too_late_does_not_stop_what_only_goes_forward() {
    let world = World::new();
    let first = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let job = first.block_on(async {
        let probe = Mischievous::new(0);
        let engine = world.open_probed(probe.clone()).await;
        let ada = admin(&engine).await;
        let operation = prepare(&engine, &ada, OperationKind::Destroy).await;
        probe.armed.send_replace(Some(Mischief::Halt(0, When::AfterRun)));
        let job = begin(&engine, &ada, operation).await;
        let _ = probe.halted.subscribe().wait_for(|halted| *halted).await;
        // Written by a request that looked just before the first step began.
        sqlx::query("update jobs set cancel = 1 where state = 'running'")
            .execute(&mut world.sql().await)
            .await
            .unwrap();
        job
    });
    first.shutdown_timeout(Duration::from_secs(10));
    block_on(async {
        let engine = world.open().await;
        let ada = admin(&engine).await;
        let view = patiently(ended(&engine, &ada, job)).await;
        assert_eq!(view.summary.badge.state, JobState::Succeeded, "{view:#?}");
        assert_eq!(world.hypervisor.disk_names(), Vec::<String>::new());
        engine.shut_down().await;
    });
}

#[test]
fn no_operation_is_left_out() {
    use OperationKind as Op;
    let tested = [
        Op::Create,
        Op::Provision,
        Op::Destroy,
        Op::Purge,
        Op::Start,
        Op::ShutDown,
        Op::Reboot,
        Op::ForceOff,
        Op::Suspend,
        Op::Resume,
        Op::Build,
        Op::RemoveImage,
        Op::Configure,
    ];
    assert!(Op::ALL.iter().all(|kind| tested.contains(kind)));
}
