//! The engine as one value: opened over a state directory, shut down cleanly, and in between the only thing that knows
//! all the parts.
//!
//! ```text
//!  Portal (portal.rs)  live.rs          who asks
//!        │                │
//!        ▼                ▼
//!  plan.rs, db/, job/queue.rs ──► job/runner.rs ──► steps/ ──► ports (hypervisor, image builder)
//!                                        │                           │ events
//!                                        ▼                           ▼
//!                                  audit.rs, db/        watch.rs ──► machine/fleet.rs ──► live.rs ──► browsers
//! ```
//!
//! After [`Engine::open`] two kinds of tasks live: one runner per open job and two watchers per host. They hold the engine,
//! so it lives until [`Engine::shut_down`] or the end of the runtime; the latter is what a crash looks like, and the next
//! `open` finds the open jobs and goes on with them.

use crate::auth::password::Hasher;
use crate::auth::setup::Setup;
use crate::auth::throttle::Throttle;
use crate::auth::tickets::Tickets;
use crate::builds::Builds;
use crate::console::Hub;
use crate::db::Db;
use crate::error::chain;
use crate::hosts::Hosts;
use crate::job::live::LiveJobs;
use crate::job::recover;
use crate::machine::fleet::Fleet;
use crate::metrics::{Counts, Metrics};
use crate::ports::clock::Clock;
use crate::ports::hypervisor::Hypervisor;
use crate::ports::image_builder::ImageBuilder;
use crate::probe::Probe;
use crate::{auth, watch};
use model::Fault;
use model::account::{Secret, UserId, UserName, UserView};
use model::host::HostName;
use std::fs::File;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use tokio::sync::{Semaphore, broadcast};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What whoever runs the portal decides about the engine.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Everything that lasts lies here.
    pub state: PathBuf,
    /// How many images are built at once.
    pub build_slots: usize,
    /// How many jobs work at once; jobs that only wait do not count.
    pub job_slots: usize,
    /// How often hosts are asked for figures and for what no event told.
    pub sample_every: Duration,
    /// How long the one-time setup link is good.
    pub setup_ttl: Duration,
    /// How long a guest may take to shut down before the job gives up.
    pub shut_down_limit: Duration,
    /// How long a new machine may take to get an address before the job ends without one.
    pub address_limit: Duration,
}

impl Settings {
    /// Sensible values over this state directory.
    pub fn new(state: impl Into<PathBuf>) -> Self {
        Self {
            state: state.into(),
            build_slots: 1,
            job_slots: 8,
            sample_every: Duration::from_secs(5),
            setup_ttl: Duration::from_secs(60 * 60),
            shut_down_limit: Duration::from_secs(120),
            address_limit: Duration::from_secs(120),
        }
    }
}

/// A host that the portal manages.
#[derive(Clone)]
pub struct Host {
    /// Its name in the portal.
    pub name: HostName,
    /// `libvirt` or `proxmox`.
    pub kind: &'static str,
    /// libvirt's URI or the SSH target, for people.
    pub target: String,
    /// The connection.
    pub hypervisor: Arc<dyn Hypervisor>,
}

/// How long `open` waits for the hosts; one that is down must not keep the portal from starting.
const FIRST_LOOK: Duration = Duration::from_secs(2);

/// Why the engine could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The state directory cannot be used.
    #[error("the state directory {} cannot be used", path.display())]
    State {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another portal works on the same state directory.
    #[error("another portal is running on {}; stop it, or choose another state directory", path.display())]
    InUse {
        /// Which.
        path: PathBuf,
    },
    /// The database cannot be opened.
    #[error("the database in {} cannot be opened", path.display())]
    Database {
        /// The state directory.
        path: PathBuf,
        /// Why.
        source: sqlx::Error,
    },
    /// The database's migrations failed: it comes from a newer version, or is damaged.
    #[error("the database in {} cannot be brought up to date; it may come from a newer version", path.display())]
    Migrate {
        /// The state directory.
        path: PathBuf,
        /// Why.
        source: sqlx::migrate::MigrateError,
    },
    /// The state read from the database makes no sense.
    #[error("the state in {} cannot be read", path.display())]
    Load {
        /// The state directory.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The rules of Snowglobe at work. Implements [`model::portal::Portal`]; sockets use what stands in `live.rs`.
pub struct Engine {
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) db: Db,
    pub(crate) hosts: Hosts,
    pub(crate) builder: Arc<dyn ImageBuilder>,
    pub(crate) builds: Builds,
    pub(crate) fleet: Fleet,
    pub(crate) jobs: LiveJobs,
    pub(crate) job_slots: Arc<Semaphore>,
    pub(crate) passwords: Hasher,
    pub(crate) throttle: Throttle,
    pub(crate) tickets: Tickets,
    pub(crate) setup: Setup,
    pub(crate) consoles: Hub,
    pub(crate) counts: Arc<Counts>,
    pub(crate) rights: broadcast::Sender<UserId>,
    pub(crate) closing: CancellationToken,
    pub(crate) tasks: TaskTracker,
    pub(crate) probe: Arc<dyn Probe>,
    /// Jobs outlive the call that started them and hold the engine itself.
    me: Weak<Engine>,
    /// Held, never read: two engines on one state directory would undo each other's jobs.
    lock: Mutex<Option<File>>,
}

impl Engine {
    /// Opens the state directory, brings the database up to date, takes up every job that was open when the portal
    /// last ended, and begins to watch the hosts. A host that does not answer is no error.
    ///
    /// # Errors
    /// [`OpenError`] tells what cannot be used and why.
    pub async fn open(
        settings: Settings,
        hosts: Vec<Host>,
        builder: Arc<dyn ImageBuilder>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Engine>, OpenError> {
        Self::open_with(settings, hosts, builder, clock, Arc::new(crate::probe::Unwatched)).await
    }

    /// As [`Engine::open`], with a probe that tests use to stop or fail a job at a chosen step.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub async fn open_with(
        settings: Settings,
        hosts: Vec<Host>,
        builder: Arc<dyn ImageBuilder>,
        clock: Arc<dyn Clock>,
        probe: Arc<dyn Probe>,
    ) -> Result<Arc<Engine>, OpenError> {
        let path = settings.state.clone();
        let engine = Self::assemble(settings, hosts, builder, clock, probe).await?;
        recover::open_jobs(&engine)
            .await
            .map_err(|source| OpenError::Load { path, source: source.into() })?;
        watch::start(&engine);
        engine.first_look().await;
        Ok(engine)
    }

    /// Opens without taking up jobs and without watching hosts, for commands that look after the database or the accounts
    /// while the portal is not running.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub async fn open_at_rest(
        settings: Settings,
        hosts: Vec<Host>,
        builder: Arc<dyn ImageBuilder>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Engine>, OpenError> {
        Self::assemble(settings, hosts, builder, clock, Arc::new(crate::probe::Unwatched)).await
    }

    /// Everything but what runs by itself.
    async fn assemble(
        settings: Settings,
        hosts: Vec<Host>,
        builder: Arc<dyn ImageBuilder>,
        clock: Arc<dyn Clock>,
        probe: Arc<dyn Probe>,
    ) -> Result<Arc<Engine>, OpenError> {
        let state = settings.state.clone();
        let lock = prepare(&state)?;
        let db = Db::open(&state).await?;
        let load =
            |source: crate::error::Error| OpenError::Load { path: state.clone(), source: source.into() };
        let hosts = Hosts::open(&db, hosts, clock.now()).await.map_err(load)?;
        let fleet = Fleet::load(&db, &hosts).await.map_err(load)?;
        let counts = Arc::new(Counts::default());
        Ok(Arc::new_cyclic(|me| Engine {
            me: me.clone(),
            builds: Builds::new(settings.build_slots, counts.clone()),
            job_slots: Arc::new(Semaphore::new(settings.job_slots.max(1))),
            jobs: LiveJobs::new(state.join("jobs")),
            passwords: Hasher::new(),
            throttle: Throttle::new(clock.clone()),
            tickets: Tickets::new(clock.clone()),
            setup: Setup::new(clock.clone(), settings.setup_ttl),
            consoles: Hub::new(state.join("console"), clock.clone()),
            counts,
            rights: broadcast::Sender::new(256),
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
            lock: Mutex::new(Some(lock)),
            settings,
            clock,
            db,
            hosts,
            builder,
            fleet,
            probe,
        }))
    }

    /// Gives the hosts a moment to answer, so that the first page shows what is and not “unknown”.
    async fn first_look(&self) {
        let looks =
            self.hosts.all().filter(|entry| entry.hypervisor().is_some()).map(|entry| entry.looked_at());
        let _ = tokio::time::timeout(FIRST_LOOK, futures::future::join_all(looks)).await;
    }

    /// Ends work in good order: no new steps; a running step ends first, a build or a wait is broken off; sockets are told
    /// why they close; the database is checkpointed. Machines keep running, and open jobs go on at the next start.
    pub async fn shut_down(&self) {
        self.closing.cancel();
        self.builds.cancel_all();
        self.consoles.close_all(crate::live::SHUTTING_DOWN);
        self.tasks.close();
        self.tasks.wait().await;
        self.consoles.ended().await;
        self.db.close().await;
        // Another portal may open the directory now, even while somebody still holds this one.
        drop(crate::sync::lock(&self.lock).take());
    }

    /// The secret of the one-time setup link, while there is no user.
    ///
    /// # Errors
    /// [`Fault::Internal`] if the database does not answer.
    pub async fn setup_token(&self) -> Result<Option<Secret>, Fault> {
        let cx = self.internal_cx();
        let empty = auth::login::needs_setup(self).await.map_err(|e| cx.fault(e))?;
        Ok(empty.then(|| self.setup.token()))
    }

    /// What happened so far and is happening now, for monitoring.
    pub fn metrics(&self) -> Metrics {
        crate::metrics::collect(self)
    }

    /// Whether the database answers.
    pub async fn is_healthy(&self) -> bool {
        match self.db.ping().await {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(error = chain(&error), "the database does not answer");
                false
            }
        }
    }

    /// A user by name, for the command line of whoever has the server's own rights.
    ///
    /// # Errors
    /// [`Fault::Internal`] if the database does not answer.
    pub async fn user_by_name(&self, name: &UserName) -> Result<Option<UserView>, Fault> {
        let cx = self.internal_cx();
        auth::login::user_by_name(self, name).await.map_err(|e| cx.fault(e))
    }

    /// Makes an administrator, or makes an existing user one and gives a new password, for the command line.
    ///
    /// # Errors
    /// [`Fault::Invalid`] for a name or password that will not do.
    pub async fn create_administrator(&self, name: &str, password: &Secret) -> Result<(), Fault> {
        let cx = self.internal_cx();
        auth::login::create_administrator(self, &cx, name, password).await.map_err(|e| cx.fault(e))
    }

    /// The engine as its tasks hold it. `None` only while the last holder lets go.
    pub(crate) fn shared(&self) -> Option<Arc<Engine>> {
        self.me.upgrade()
    }

    /// The context of what nobody asked for over the network.
    pub(crate) fn internal_cx(&self) -> crate::cx::Cx {
        crate::cx::Cx::new(&model::account::Actor::anonymous(None), self.clock.as_ref())
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Engine({})", self.settings.state.display())
    }
}

/// Makes the state directory and takes its lock. The directory itself is 0711, because the hypervisor's user must
/// reach `machines/` below it; what else lies in it is ours alone.
fn prepare(state: &Path) -> Result<File, OpenError> {
    let fail = |source| OpenError::State { path: state.to_owned(), source };
    let make = |path: &Path, mode| {
        std::fs::DirBuilder::new().recursive(true).mode(mode).create(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
    };
    make(state, 0o711).map_err(fail)?;
    make(&state.join("machines"), 0o711).map_err(fail)?;
    for private in ["jobs", "console"] {
        make(&state.join(private), 0o700).map_err(fail)?;
    }
    let lock = File::create(state.join("lock")).map_err(fail)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(std::fs::TryLockError::WouldBlock) => Err(OpenError::InUse { path: state.to_owned() }),
        Err(std::fs::TryLockError::Error(source)) => Err(fail(source)),
    }
}
