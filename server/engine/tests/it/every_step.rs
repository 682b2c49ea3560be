//! Every operation of the table × every step × both kinds of host: run twice; fail there and end as it began, or where going on
//! reaches the end; crash there, between two steps and inside one, and be finished by the next start. A new operation is tested
//! here as soon as it has a line in [`operations`](engine::testing::operations) and [`prepare`] knows it.
//!
//! What is compared is the whole world: definitions, disks with their sizes and contents, roots, rows.

use crate::clone;
use crate::crash::{Crashed, Mischief, Mischievous, crash, on_portal, runtime};
use crate::harness::{World, admin, build, change, create, ended, name, on, run, spec, succeed, until_state};
use engine::Engine;
use engine::probe::When;
use engine::testing::hypervisor::{THICK, THIN};
use engine::testing::operations;
use model::account::Actor;
use model::audit::ChainState;
use model::guest::BOOTED_FILE;
use model::job::{JobId, JobState, StepState};
use model::machine::{GenerationNumber, MachineState};
use model::operation::{MachineAction, Operation, OperationKind};
use model::portal::Portal as _;
use model::view::job::{JobFilter, JobView, StepView};
use ports::hypervisor::Capabilities;
use std::sync::Arc;
use std::time::Duration;

/// More than any step changes: one that has not ended by then never will.
const MOST_CHANGES: usize = 100;

/// Brings the world to where the operation makes sense, and returns the operation.
async fn prepare(world: &World, engine: &Arc<Engine>, ada: &Actor, kind: OperationKind) -> Operation {
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
        Op::Reconfigure => {
            succeed(engine, ada, create("web")).await;
            succeed(engine, ada, on(Op::ForceOff, "web")).await;
            return change("web");
        }
        Op::Apply | Op::Revert => {
            succeed(engine, ada, create("web")).await;
            // Memory waits for a restart, and without the agent the rest does, too.
            world.hypervisor.set_exit(3);
            succeed(engine, ada, change("web")).await;
            world.hypervisor.set_exit(0);
        }
        Op::Start => {
            succeed(engine, ada, create("web")).await;
            succeed(engine, ada, change("web")).await;
            succeed(engine, ada, on(Op::ForceOff, "web")).await;
        }
        Op::Rename => {
            succeed(engine, ada, create("web")).await;
            succeed(engine, ada, on(Op::ForceOff, "web")).await;
            return MachineAction::Rename { name: name("db") }.on(name("web"));
        }
        Op::Clone => {
            succeed(engine, ada, create("web")).await;
            clone::write_in_guest(world).await;
            return clone::clone_to("db", |copy| {
                (copy.disk, copy.start) = (3.try_into().unwrap(), true);
                copy.profiles = "python".parse().unwrap();
            });
        }
        Op::Upgrade => {
            succeed(engine, ada, create("web")).await;
            // So many that one is too old afterwards.
            for source in ["source-2", "source-3"] {
                world.builder.set_source(source);
                succeed(engine, ada, on(Op::Upgrade, "web")).await;
            }
            world.builder.set_source("source-4");
        }
        Op::RollBack => {
            succeed(engine, ada, create("web")).await;
            world.builder.set_source("source-2");
            succeed(engine, ada, on(Op::Upgrade, "web")).await;
            return MachineAction::RollBack { generation: GenerationNumber(1) }.on(name("web"));
        }
        Op::Recreate => {
            succeed(engine, ada, create("web")).await;
            world.builder.set_source("source-2");
            succeed(engine, ada, on(Op::Upgrade, "web")).await;
            // What the guest has made itself.
            world.hypervisor.put_file("web", "ssh_host_ed25519_key", "the guest's own");
            succeed(engine, ada, change("web")).await;
        }
        Op::Resume => {
            succeed(engine, ada, create("web")).await;
            succeed(engine, ada, on(Op::Suspend, "web")).await;
        }
        Op::Forget => {
            succeed(engine, ada, create("web")).await;
            world.hypervisor.set_reachable(false);
            until_state(engine, ada, "web", MachineState::Unknown).await;
        }
        Op::ShutDown | Op::Reboot | Op::ForceOff | Op::Suspend | Op::Destroy | Op::Purge => {
            succeed(engine, ada, create("web")).await;
        }
    }
    on(kind, "web")
}

/// A world for one case. A guest that was asked to shut down before a crash is waited for, and may have missed it.
fn world(capabilities: Capabilities) -> World {
    let mut world = World::with(capabilities);
    world.settings.shut_down_limit = Duration::from_secs(1);
    world.hypervisor.set_guest_file(BOOTED_FILE, Some(""));
    world
}

/// An operation as the table has it, on a kind of host, and what the world is like when it is done.
struct Case {
    capabilities: Capabilities,
    kind: OperationKind,
    /// The world where the operation makes sense, and the operation: each death is in a fork of it.
    prepared: World,
    operation: Operation,
    /// What that world is like.
    before: Vec<String>,
    /// Names and marks of the steps that there was something to do for.
    steps: Vec<(&'static str, &'static str)>,
    /// How many of them were done when the job was accepted.
    accepted: usize,
    target: Target,
}

/// The whole world; images stay when what needed them is undone, so they stand apart.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    world: Vec<String>,
    images: Vec<String>,
}

impl Target {
    async fn of(world: &World) -> Self {
        Self { world: world.snapshot().await, images: world.images().await }
    }
}

impl Case {
    fn new(capabilities: Capabilities, kind: OperationKind) -> Self {
        let (_, mut steps) = operations().into_iter().find(|(of, _)| *of == kind).unwrap();
        let prepared = world(capabilities);
        let (operation, before) = on_portal(&prepared, async |engine, ada| {
            let operation = prepare(&prepared, &engine, &ada, kind).await;
            // Now, so that the identifiers are known of what the operation removes.
            (operation, prepared.snapshot().await)
        });
        let world = prepared.fork();
        let (target, taken) = on_portal(&world, async |engine, ada| {
            let job = succeed(&engine, &ada, operation.clone()).await;
            (Target::of(&world).await, job.steps)
        });
        steps.retain(|(name, _)| taken.iter().any(|step| step.name == *name));
        // The row of a machine is written in the transaction that accepts the job.
        let accepted =
            steps.iter().take_while(|(name, _)| matches!(*name, "record.new" | "record.save")).count();
        Self { capabilities, kind, prepared, operation, before, steps, accepted, target }
    }

    /// What fails if there is an undoing to be checked: the last step before those that only go forward.
    fn last(&self) -> (usize, When) {
        let tail = self.steps.iter().rev().take_while(|(_, mark)| *mark == "forward").count();
        (self.steps.len().saturating_sub(tail + 1), When::AfterRun)
    }

    /// Whether everything that could be undone has been done when this step begins.
    fn is_past_undoing(&self, index: usize) -> bool {
        self.has("undo") && self.steps.get(index).is_some_and(|(_, mark)| *mark == "forward")
    }

    fn has(&self, mark: &str) -> bool {
        self.steps.iter().any(|(_, of)| *of == mark)
    }

    /// The steps that are run.
    fn run(&self) -> impl Iterator<Item = usize> + use<> {
        self.accepted..self.steps.len()
    }

    fn all(&self) {
        self.lives_through(Mischief::Twice);
        let last = self.last();
        let mut deaths = 0;
        for index in self.run() {
            for when in [When::BeforeRun, When::AfterRun] {
                self.lives_through(Mischief::Fail(index, when));
                assert!(self.dies_of(Mischief::Halt(index, when), None), "{} never came there", self.kind);
            }
            deaths += self.dies_inside(index, When::BeforeRun, None);
        }
        // How often a step rests is chance; that none of several ever does is not.
        let must = self.capabilities != THIN && self.steps.len() >= 4;
        assert!(deaths > 0 || !must, "{} never died inside a step", self.kind);
        for index in (0..self.steps.len()).filter(|_| self.has("undo") && last.0 > 0) {
            let is_undone = self.steps.get(index).is_some_and(|(_, mark)| *mark == "undo");
            for when in [When::BeforeUndo, When::AfterUndo] {
                let reached = self.dies_of(Mischief::Halt(index, when), Some(last));
                assert_eq!(reached, is_undone, "{} step {index} {when:?}", self.kind);
            }
            self.dies_inside(index, When::BeforeUndo, Some(last));
        }
    }

    /// Kills the process when a step waits for something, once for each other thing that it can leave, half of them on
    /// each kind of host. What is left before the first change is what is left before the step. Returns 0 if it never died.
    fn dies_inside(&self, index: usize, when: When, fails: Option<(usize, When)>) -> usize {
        let died = |changes: &usize| self.dies_of(Mischief::HaltInside(index, when, *changes), fails);
        let first = if self.capabilities == THIN { 2 } else { 1 };
        let ended = (first..MOST_CHANGES).step_by(2).find(|changes| !died(changes));
        ended.map(|ended| ended - first).unwrap_or_else(|| panic!("{} step {index} has no end", self.kind))
    }

    /// The engine lives through the mischief.
    fn lives_through(&self, mischief: Mischief) {
        let context = format!("{} {mischief:?}", self.kind);
        let world = self.prepared.fork();
        runtime().block_on(async {
            let probe = Mischievous::new(&world);
            let engine = world.open_probed(probe.clone()).await;
            let ada = admin(&engine).await;
            probe.arm(Some(mischief), None);
            let job = run(&engine, &ada, self.operation.clone()).await;
            probe.arm(None, None);
            if mischief == Mischief::Twice {
                assert_eq!(job.summary.badge.state, JobState::Succeeded, "{context}: {job:#?}");
                assert_eq!(Target::of(&world).await, self.target, "{context}");
            } else if let Mischief::Fail(index, _) = mischief
                && self.is_past_undoing(index)
            {
                // The machine is as asked for; what was to go forward stays where it is.
                assert_eq!(job.summary.badge.state, JobState::Failed, "{context}: {job:#?}");
                let after = Target::of(&world).await;
                assert_eq!(domains(&after.world), domains(&self.target.world), "{context}");
            } else {
                self.has_failed(&engine, &ada, &world, &job, &context).await;
            }
            assert_settled(&engine, &ada, &context).await;
            engine.shut_down().await;
        });
    }

    /// A failed job that makes something has left everything as it was; one that only goes forward may have stopped anywhere; a
    /// wish has come true or has not. Trying again brings each to the end.
    async fn has_failed(
        &self,
        engine: &Arc<Engine>,
        ada: &Actor,
        world: &World,
        job: &JobView,
        context: &str,
    ) {
        assert_eq!(job.summary.badge.state, JobState::Failed, "{context}: {job:#?}");
        let after = Target::of(world).await;
        if self.has("undo") {
            self.is_as_before(&after, context);
        } else if !self.has("forward") {
            assert!(after.world == self.before || after == self.target, "{context}: {after:#?}");
        }
        self.tried_again(engine, ada, world, job.summary.badge.id, context).await;
    }

    /// What was undone has left nothing.
    fn is_as_before(&self, after: &Target, context: &str) {
        if self.steps.iter().any(|(name, _)| *name == "identity.apply") {
            // What was applied stays; the machine runs as it did, with the definition that it had.
            assert_eq!(domains(&after.world), domains(&self.before), "{context}");
        } else {
            assert_eq!(after.world, self.before, "{context}");
        }
    }

    async fn tried_again(&self, engine: &Arc<Engine>, ada: &Actor, world: &World, job: JobId, context: &str) {
        // Refused where the step had done all there was to do before it was made to fail.
        if let Ok(again) = engine.retry(ada, job).await {
            let view = ended(engine, ada, again.job).await;
            assert_eq!(view.summary.badge.state, JobState::Succeeded, "{context}: {view:#?}");
        }
        assert_eq!(Target::of(world).await, self.target, "{context}");
    }

    /// The process dies of the mischief; the next one finishes or undoes the job. Returns whether the job got there.
    fn dies_of(&self, mischief: Mischief, fails: Option<(usize, When)>) -> bool {
        let context = format!("{} {mischief:?}", self.kind);
        let world = self.prepared.fork();
        let Crashed { job, reached } = crash(&world, mischief, fails, async |_, _| self.operation.clone());
        on_portal(&world, async |engine, ada| {
            let view = ended(&engine, &ada, job).await;
            match view.summary.badge.state {
                JobState::Succeeded if fails.is_none() => {
                    assert_eq!(Target::of(&world).await, self.target, "{context}: {view:#?}");
                }
                JobState::Failed if fails.is_some() => {
                    let mut steps = view.steps.iter().zip(&self.steps);
                    let is_undone = |(step, (_, mark)): (&StepView, &(_, &str))| {
                        *mark != "undo" || step.state == StepState::Undone
                    };
                    assert!(steps.all(is_undone), "{context}: {view:#?}");
                    // From where it began, which is where a plain failure leads, too, and that is tried again.
                    self.is_as_before(&Target::of(&world).await, &context);
                }
                // A wish whose fulfilment the crash interrupted is not made twice.
                JobState::Failed if self.is_wish() && matches!(mischief, Mischief::HaltInside(..)) => {
                    self.has_failed(&engine, &ada, &world, &view, &context).await;
                }
                state => panic!("{context}: {state:?} {view:#?}"),
            }
            assert_settled(&engine, &ada, &context).await;
        });
        reached
    }

    fn is_wish(&self) -> bool {
        matches!(self.steps.as_slice(), [.., (name, "nothing")] if name.starts_with("power."))
    }
}

/// Definitions and states.
fn domains(world: &[String]) -> Vec<&String> {
    world.iter().filter(|line| line.starts_with("domain")).collect()
}

/// Everything that must hold when no job runs: none is left open, and the audit chain is whole with every entry completed.
async fn assert_settled(engine: &Engine, ada: &Actor, context: &str) {
    let open = engine.jobs(ada, &JobFilter { open: true, ..JobFilter::default() }).await.unwrap();
    assert_eq!(open, [], "{context}");
    assert!(matches!(engine.verify_audit(ada).await.unwrap(), ChainState::Intact { .. }), "{context}");
    let audit = engine.audit(ada, &Default::default()).await.unwrap();
    assert!(audit.rows.iter().all(|row| row.ended.is_some()), "{context}: {:#?}", audit.rows);
}

/// A test per operation, and the list of those that have one.
macro_rules! operations {
    ($($test:ident: $kind:ident;)*) => {
        $(
            #[test]
            fn $test() {
                for capabilities in [THIN, THICK] {
                    Case::new(capabilities, OperationKind::$kind).all();
                }
            }
        )*

        #[test]
        fn no_operation_is_left_out() {
            let tested = [$(OperationKind::$kind),*];
            let missing: Vec<_> = operations().into_iter().filter(|(kind, _)| !tested.contains(kind)).collect();
            assert_eq!(missing, []);
        }
    };
}

operations! {
    build_image: Build;
    create_machine: Create;
    configure: Configure;
    provision: Provision;
    reconfigure: Reconfigure;
    apply: Apply;
    revert: Revert;
    start: Start;
    shut_down: ShutDown;
    reboot: Reboot;
    force_off: ForceOff;
    suspend: Suspend;
    resume: Resume;
    rename: Rename;
    clone_machine: Clone;
    recreate: Recreate;
    upgrade: Upgrade;
    roll_back: RollBack;
    destroy: Destroy;
    purge: Purge;
    forget: Forget;
    remove_image: RemoveImage;
}

#[test]
fn a_cancel_that_comes_too_late_does_not_stop_what_only_goes_forward() {
    let world = World::new();
    let halt = Mischief::Halt(0, When::AfterRun);
    let job = crash(&world, halt, None, async |engine, ada| {
        prepare(&world, engine, ada, OperationKind::Destroy).await
    })
    .job;
    runtime().block_on(async {
        // Written by a request that checked just before the first step began.
        let cancel = sqlx::query("update jobs set cancel = 1 where state = 'running'");
        let done = cancel.execute(&mut world.sql().await).await.unwrap();
        assert_eq!(done.rows_affected(), 1);
    });
    on_portal(&world, async |engine, ada| {
        let view = ended(&engine, &ada, job).await;
        assert_eq!(view.summary.badge.state, JobState::Succeeded, "{view:#?}");
    });
    assert_eq!(world.hypervisor.disk_names(), Vec::<String>::new());
}
