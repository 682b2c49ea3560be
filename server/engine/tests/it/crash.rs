//! Where a runner is stopped on its way, and how a process dies: the runtime is dropped with everything in it.

use crate::harness::{World, admin, begin, ended};
use engine::Engine;
use engine::probe::{Moment, Probe, Verdict, When};
use model::account::Actor;
use model::job::JobId;
use model::operation::Operation;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Read as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// What a probe does at the step of this index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mischief {
    /// Everything is done twice.
    Twice,
    /// The step fails.
    Fail(usize, When),
    /// The runner stops forever.
    Halt(usize, When),
    /// The runner stops forever inside the step, or inside its undoing, at the pause where the world outside the process has
    /// changed for the nth time; at the first pause for 0. At any other pause the next process would find the same.
    HaltInside(usize, When, usize),
}

/// A probe that makes mischief once the world is prepared.
pub struct Mischievous {
    armed: watch::Sender<Option<Mischief>>,
    /// Fails too, so that there is an undoing to make mischief in.
    fails: Mutex<Option<(usize, When)>>,
    halted: watch::Sender<bool>,
    repeated: Mutex<HashSet<(JobId, usize, When)>>,
    /// What a process that dies now leaves, as a number.
    remains: Box<dyn Fn() -> u64 + Send + Sync>,
    /// The last of them inside the step, and how often they have changed there.
    changes: Mutex<Option<(u64, usize)>>,
}

impl Mischievous {
    pub fn new(world: &World) -> Arc<Self> {
        let (hypervisor, builder) = (world.hypervisor.clone(), world.builder.clone());
        let database = world.database().with_extension("db-shm");
        let remains = move || {
            // The head of the index of SQLite's log changes with each commit (sqlite.org/walformat.html).
            let mut head = [0; 48];
            let _ = std::fs::File::open(&database).and_then(|mut file| file.read(&mut head));
            let mut hasher = DefaultHasher::new();
            (head, format!("{hypervisor:?} {builder:?}")).hash(&mut hasher);
            hasher.finish()
        };
        Arc::new(Self {
            armed: watch::Sender::new(None),
            fails: Mutex::default(),
            halted: watch::Sender::new(false),
            repeated: Mutex::default(),
            remains: Box::new(remains),
            changes: Mutex::default(),
        })
    }

    /// How often the remains have changed since the first pause.
    fn changes(&self) -> usize {
        let now = (self.remains)();
        let mut changes = self.changes.lock().unwrap();
        let (_, count) = match *changes {
            Some((before, count)) => *changes.insert((now, count + usize::from(before != now))),
            None => *changes.insert((now, 0)),
        };
        count
    }

    pub fn arm(&self, mischief: Option<Mischief>, fails: Option<(usize, When)>) {
        *self.fails.lock().unwrap() = fails;
        *self.changes.lock().unwrap() = None;
        self.halted.send_replace(false);
        self.armed.send_replace(mischief);
    }

    /// Waits until a runner has stopped forever.
    pub async fn halted(&self) {
        let _ = self.halted.subscribe().wait_for(|halted| *halted).await;
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
            Some(Mischief::Halt(index, when)) if here == (index, when) => self.halt().await,
            Some(Mischief::Fail(index, when)) if here == (index, when) => Verdict::Fail,
            Some(_) if *self.fails.lock().unwrap() == Some(here) => Verdict::Fail,
            _ => Verdict::Go,
        }
    }

    fn stops_inside(&self, moment: Moment, _: usize) -> bool {
        let stops = match *self.armed.borrow() {
            Some(Mischief::HaltInside(index, when, after))
                if (index, when) == (moment.index, moment.when) =>
            {
                self.changes() >= after
            }
            _ => false,
        };
        if stops {
            self.halted.send_replace(true);
        }
        stops
    }
}

/// A process's runtime. One thread: it spends no time on waking others up, and the crashes are many.
pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Runs something on a portal that is opened for it and shut down afterwards.
pub fn on_portal<T>(world: &World, what: impl AsyncFnOnce(Arc<Engine>, Actor) -> T) -> T {
    runtime().block_on(async {
        let engine = world.open().await;
        let ada = admin(&engine).await;
        let done = what(engine.clone(), ada).await;
        engine.shut_down().await;
        done
    })
}

/// What was left when the process died.
pub struct Crashed {
    pub job: JobId,
    /// Whether the job got to the mischief; if not, it ended.
    pub reached: bool,
}

/// Prepares the world, submits the operation that `prepare` returns, and lets the process die of the mischief.
pub fn crash(
    world: &World,
    mischief: Mischief,
    fails: Option<(usize, When)>,
    prepare: impl AsyncFnOnce(&Arc<Engine>, &Actor) -> Operation,
) -> Crashed {
    let runtime = runtime();
    let crashed = runtime.block_on(async {
        let probe = Mischievous::new(world);
        let engine = world.open_probed(probe.clone()).await;
        let ada = admin(&engine).await;
        let operation = prepare(&engine, &ada).await;
        probe.arm(Some(mischief), fails);
        let job = begin(&engine, &ada, operation).await;
        let reached = tokio::select! {
            () = probe.halted() => true,
            _ = ended(&engine, &ada, job) => false,
        };
        Crashed { job, reached }
    });
    runtime.shutdown_timeout(Duration::from_secs(10));
    crashed
}
