//! The engine as one value: opened over a state directory, shut down cleanly, and in between what answers.
//!
//! ```text
//!  impl Portal (portal.rs)   sockets (live.rs)      who asks
//!        │                        │
//!        ▼                        ▼
//!  authorize, plan, job/queue ──► job/runner ──► steps/ ──► ports (hypervisor, image builder)
//!        │                            │                          │ events
//!        ▼                            ▼                          ▼
//!      db/ ◄──────────────────────  core  ◄───────────────── watch.rs ──► machine/fleet ──► live.rs ──► browsers
//! ```
//!
//! After [`Engine::open`] two kinds of tasks live: one runner per open job and a few watchers per host. They hold the core,
//! so it lives until [`Engine::shut_down`] or the end of the runtime; the latter is what a crash looks like, and the next
//! `open` finds the open jobs and goes on with them.

use crate::core::{Core, SHUTTING_DOWN};
use crate::error::{OpenError, chain};
use crate::hosts::Host;
use crate::job::recover;
use crate::metrics::Metrics;
use crate::probe::{Probe, Unwatched};
use crate::settings::Settings;
use crate::{auth, watch};
use model::Fault;
use model::account::{Secret, UserName, UserView};
use ports::clock::Clock;
use ports::image_builder::ImageBuilder;
use std::fs::File;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long `open` waits for the hosts and Nix; one that is down must not keep the portal from starting.
const FIRST_LOOK: Duration = Duration::from_secs(2);

/// The rules of Snowglobe at work. Implements [`model::portal::Portal`]; sockets use what is in `live.rs`.
pub struct Engine {
    pub(crate) core: Arc<Core>,
    /// Held, never read: two engines on one state directory would undo each other's jobs.
    lock: Mutex<Option<File>>,
}

impl Engine {
    /// Opens the state directory, brings the database up to date, takes up every job that was open when the portal
    /// last ended, and begins to watch the hosts. A host that does not answer is no error.
    ///
    /// # Errors
    /// [`OpenError`] says what cannot be used and why.
    pub async fn open(
        settings: Settings,
        hosts: Vec<Host>,
        builder: Arc<dyn ImageBuilder>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Engine>, OpenError> {
        Self::open_with(settings, hosts, builder, clock, Arc::new(Unwatched)).await
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
        let recover = async {
            engine.core.audit.complete_left_open().await?;
            recover::open_jobs(&engine.core).await
        };
        recover.await.map_err(|source| OpenError::Load { path, source: source.into() })?;
        watch::start(&engine.core);
        engine.first_look().await;
        Ok(engine)
    }

    /// Opens without taking up jobs or watching hosts, for commands that work on the database or the accounts while the
    /// portal is not running.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub async fn open_at_rest(
        settings: Settings,
        hosts: Vec<Host>,
        builder: Arc<dyn ImageBuilder>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Engine>, OpenError> {
        Self::assemble(settings, hosts, builder, clock, Arc::new(Unwatched)).await
    }

    /// Everything but the background tasks.
    async fn assemble(
        settings: Settings,
        hosts: Vec<Host>,
        builder: Arc<dyn ImageBuilder>,
        clock: Arc<dyn Clock>,
        probe: Arc<dyn Probe>,
    ) -> Result<Arc<Engine>, OpenError> {
        let lock = prepare(&settings.state)?;
        let core = Core::open(settings, hosts, builder, clock, probe).await?;
        Ok(Arc::new(Engine { core, lock: Mutex::new(Some(lock)) }))
    }

    /// Gives the hosts and Nix a moment to answer, so that the first page shows actual states and not “unknown”.
    async fn first_look(&self) {
        self.core.catalogue.latest().await;
        let hosts = self.core.hosts.all().filter(|entry| entry.hypervisor().is_some());
        let looks = hosts.map(|entry| entry.looked_at());
        let all = futures::future::join(futures::future::join_all(looks), self.core.catalogue.answered());
        let _ = tokio::time::timeout(FIRST_LOOK, all).await;
    }

    /// Shuts down cleanly: no new steps; a running step finishes first, a build or a wait is aborted; sockets are sent
    /// the reason they close; the database is checkpointed. Machines keep running, and open jobs continue at the next
    /// start.
    pub async fn shut_down(&self) {
        let core = &self.core;
        core.closing.cancel();
        core.builds.cancel_all();
        core.consoles.close_all(SHUTTING_DOWN);
        core.tasks.close();
        core.tasks.wait().await;
        core.consoles.ended().await;
        core.audit.close().await;
        core.db.close().await;
        // Another portal may open the directory now, even while someone still holds this one.
        drop(crate::sync::lock(&self.lock).take());
    }

    /// The secret of the one-time setup link, while there is no user.
    ///
    /// # Errors
    /// [`Fault::Internal`] if the database does not answer.
    pub async fn setup_token(&self) -> Result<Option<Secret>, Fault> {
        let cx = self.core.internal_cx();
        let empty = auth::login::needs_setup(&self.core).await.map_err(|e| cx.fault(e))?;
        Ok(empty.then(|| self.core.setup.token()))
    }

    /// What has happened so far and is happening now, for monitoring.
    pub fn metrics(&self) -> Metrics {
        crate::metrics::collect(&self.core)
    }

    /// Whether the database answers.
    pub async fn is_healthy(&self) -> bool {
        match self.core.db.ping().await {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(error = chain(&error), "the database does not answer");
                false
            }
        }
    }

    /// A user by name, for the command line of anyone with the server's own rights.
    ///
    /// # Errors
    /// [`Fault::Internal`] if the database does not answer.
    pub async fn user_by_name(&self, name: &UserName) -> Result<Option<UserView>, Fault> {
        let cx = self.core.internal_cx();
        auth::login::user_by_name(&self.core, name).await.map_err(|e| cx.fault(e))
    }

    /// Makes an administrator, or promotes an existing user and sets a new password, for the command line.
    ///
    /// # Errors
    /// [`Fault::Invalid`] for a name or password that will not do.
    pub async fn create_administrator(&self, name: &str, password: &Secret) -> Result<(), Fault> {
        let cx = self.core.internal_cx();
        auth::login::create_administrator(&self.core, &cx, name, password).await.map_err(|e| cx.fault(e))
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Engine({})", self.core.settings.state.display())
    }
}

/// Creates the state directory and takes its lock. The directory itself is 0711, because the hypervisor's user must
/// reach `machines/` below it; everything else in it is ours alone.
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
