//! The handles that the rules work with, as one value: everything behind the portal takes `&Core`; what outlives the
//! call that started it (a job, a watcher) takes `&Arc<Core>`.
//!
//! The core knows none of its users. It is opened, watched over and shut down by [`Engine`](crate::Engine).

use crate::audit::Audit;
use crate::auth::devices::Devices;
use crate::auth::password::Hasher;
use crate::auth::setup::Setup;
use crate::auth::throttle::Throttle;
use crate::auth::tickets::Tickets;
use crate::builds::Builds;
use crate::console::Hub;
use crate::counts::Counts;
use crate::cx::Cx;
use crate::db::Db;
use crate::error::{Error, OpenError};
use crate::hosts::{Host, Hosts};
use crate::image::{Catalogue, Forecasts};
use crate::job::live::LiveJobs;
use crate::machine::fleet::Fleet;
use crate::probe::Probe;
use crate::settings::Settings;
use crate::slots::Slots;
use model::account::{Actor, UserId};
use ports::clock::Clock;
use ports::image_builder::ImageBuilder;
use std::sync::Arc;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Said to every socket when the portal ends.
pub(crate) const SHUTTING_DOWN: &str = "The portal is being restarted; this page reconnects automatically.";

/// What the rules work with.
pub(crate) struct Core {
    pub settings: Settings,
    pub clock: Arc<dyn Clock>,
    pub db: Db,
    pub audit: Arc<Audit>,
    pub hosts: Hosts,
    pub builder: Arc<dyn ImageBuilder>,
    pub catalogue: Catalogue,
    pub forecasts: Forecasts,
    /// Held while a garbage-collector root and its row change together.
    pub rooting: tokio::sync::Mutex<()>,
    pub builds: Builds,
    pub fleet: Fleet,
    pub jobs: LiveJobs,
    pub job_slots: Slots,
    pub passwords: Hasher,
    pub throttle: Throttle,
    pub devices: Devices,
    pub tickets: Tickets,
    pub setup: Setup,
    pub consoles: Hub,
    pub counts: Arc<Counts>,
    /// Broadcasts the id of each user whose role, account or sessions have changed.
    pub rights: broadcast::Sender<UserId>,
    /// Cancelled when the engine shuts down.
    pub closing: CancellationToken,
    /// Everything that a shutdown waits for.
    pub tasks: TaskTracker,
    pub probe: Arc<dyn Probe>,
}

impl Core {
    /// Opens the database in the state directory and reads what there is. Nothing runs by itself yet.
    pub async fn open(
        settings: Settings,
        hosts: Vec<Host>,
        builder: Arc<dyn ImageBuilder>,
        clock: Arc<dyn Clock>,
        probe: Arc<dyn Probe>,
    ) -> Result<Arc<Core>, OpenError> {
        let state = settings.state.clone();
        let db = Db::open(&state).await?;
        let load = |source: Error| OpenError::Load { path: state.clone(), source: source.into() };
        let hosts = Hosts::open(&db, hosts).await.map_err(load)?;
        let fleet = Fleet::load(&db, &hosts).await.map_err(load)?;
        let counts = Arc::new(Counts::default());
        let audit = Audit::open(db.clone(), clock.clone(), counts.clone(), &settings).await.map_err(load)?;
        let devices =
            Devices::open(&state).map_err(|source| OpenError::State { path: state.clone(), source })?;
        let (tasks, closing) = (TaskTracker::new(), CancellationToken::new());
        Ok(Arc::new(Core {
            devices,
            audit: Arc::new(audit),
            rooting: tokio::sync::Mutex::default(),
            builds: Builds::new(settings.build_slots, counts.clone()),
            job_slots: Slots::new(settings.job_slots),
            jobs: LiveJobs::new(state.join("jobs")),
            passwords: Hasher::new(settings.password_cost),
            throttle: Throttle::new(clock.clone()),
            tickets: Tickets::new(clock.clone()),
            setup: Setup::new(clock.clone(), settings.setup_ttl),
            consoles: Hub::new(state.join("console"), clock.clone()),
            counts,
            rights: broadcast::Sender::new(256),
            forecasts: Forecasts::new(builder.clone(), clock.clone(), tasks.clone(), closing.clone()),
            catalogue: Catalogue::new(builder.clone(), clock.clone(), tasks.clone(), closing.clone()),
            closing,
            tasks,
            settings,
            clock,
            db,
            hosts,
            builder,
            fleet,
            probe,
        }))
    }

    /// The context of a request that begins now.
    pub fn cx(&self, actor: &Actor) -> Cx {
        Cx::new(actor, self.clock.as_ref())
    }

    /// The context of what nobody requested over the network.
    pub fn internal_cx(&self) -> Cx {
        self.cx(&Actor::anonymous(None))
    }
}
