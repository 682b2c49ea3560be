//! The composition root: from a configuration to a running portal. The only place that names a kind of hypervisor.

use crate::assets::{self, Assets};
use crate::config::{Config, HostSetting};
use crate::connections;
use crate::limits::{self, Limits};
use crate::metrics::Metrics;
use crate::origin::Origins;
use crate::session::store::Store;
use crate::state::{Server, Shared};
use crate::ws::open::Sockets;
use crate::{routes, shutdown};
use anyhow::{Context as _, Result, anyhow, bail};
use engine::image::{BuilderSettings, FlakeSource, NixBuilder};
use engine::{Engine, Host, OpenError, Settings};
use hypervisors::libvirt::{Libvirt, LibvirtSettings};
use ipnet::IpNet;
use model::account::Secret;
use ports::clock::SystemClock;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What the router needs beside the engine.
pub struct Surroundings {
    /// The origins under which browsers may talk to us.
    pub origins: Origins,
    /// Proxies trusted for the client's address.
    pub trusted_proxies: Vec<IpNet>,
    /// Files for browsers.
    pub assets: Assets,
    /// Bearer token of `/metrics`.
    pub metrics_token: Option<Secret>,
    /// How much patience there is with clients.
    pub limits: Limits,
}

/// Puts the state of the router together.
pub fn assemble(engine: Arc<Engine>, around: Surroundings) -> Shared {
    // Leptos spawns its tasks on whatever is named first; a second call, as in tests, is refused and harmless.
    if any_spawner::Executor::init_tokio().is_err() {
        tracing::debug!("the executor was named before");
    }
    Arc::new(Server {
        portal: engine.clone(),
        sessions: Store::new(engine.clone()),
        metrics: Metrics::new(engine.clone()),
        engine,
        origins: around.origins,
        trusted_proxies: around.trusted_proxies,
        assets: around.assets,
        metrics_token: around.metrics_token,
        limits: around.limits,
        stopping: CancellationToken::new(),
        handlers: TaskTracker::new(),
        sockets: Sockets::default(),
    })
}

/// Opens the engine over the configured hosts.
///
/// # Errors
/// If the state directory cannot be used; the message says what to do.
pub async fn open_engine(config: &Config) -> Result<Arc<Engine>> {
    let (settings, builder, clock) = parts(config);
    opened(Engine::open(settings, hosts(config), builder, clock).await)
}

/// The same without taking up jobs or watching hosts, for commands that only touch the database.
///
/// # Errors
/// As [`open_engine`].
pub async fn open_engine_at_rest(config: &Config) -> Result<Arc<Engine>> {
    let (settings, builder, clock) = parts(config);
    opened(Engine::open_at_rest(settings, Vec::new(), builder, clock).await)
}

/// The engine, or what keeps it from opening and how to fix that.
fn opened(engine: Result<Arc<Engine>, OpenError>) -> Result<Arc<Engine>> {
    engine.map_err(|error| {
        let fix = match &error {
            OpenError::State { .. } => {
                ". Give it to the portal's user, or choose another directory with SNOWGLOBE_STATE."
            }
            OpenError::InUse { .. } => ".",
            OpenError::Database { .. } | OpenError::Load { .. } => {
                ". Check whether its disk is full or its files belong to another user; else restore it from a backup."
            }
            OpenError::Migrate { .. } => {
                ". Run the version of Snowglobe that it comes from, or restore it from a backup."
            }
        };
        anyhow!("{:#}{fix}", anyhow::Error::new(error))
    })
}

fn parts(config: &Config) -> (Settings, Arc<NixBuilder>, Arc<SystemClock>) {
    let settings = Settings {
        build_slots: config.build_slots,
        job_slots: config.job_slots,
        jobs_per_user: config.jobs_per_user,
        builds_per_user: config.builds_per_user,
        host_patience: config.host_patience,
        health_limit: config.boot_limit,
        generations: config.generations,
        sample_every: config.sample_every,
        audit_key: credential("audit-key"),
        ..Settings::new(&config.state)
    };
    let flake = config.image_flake.clone().map_or(FlakeSource::Embedded, FlakeSource::Path);
    let builder = NixBuilder::new(BuilderSettings {
        state: config.state.clone(),
        flake,
        extra_nix_config: config.nix_config.clone(),
    });
    (settings, Arc::new(builder), Arc::new(SystemClock))
}

/// A secret that the service manager has put where only this service can read it (systemd.exec(5), `LoadCredential=`).
fn credential(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os("CREDENTIALS_DIRECTORY")?).join(name);
    path.exists().then_some(path)
}

fn hosts(config: &Config) -> Vec<Host> {
    let connect = |host: &HostSetting| {
        let settings = LibvirtSettings { state: config.state.clone(), acceleration: config.acceleration };
        let hypervisor = Libvirt::connect(&host.uri, settings);
        Host {
            name: host.name.clone(),
            kind: "libvirt",
            target: host.uri.clone(),
            bridges: host.bridges.clone(),
            hypervisor,
        }
    };
    config.hosts.iter().map(connect).collect()
}

/// Runs the portal until a signal ends it.
///
/// # Errors
/// What keeps it from starting, each with what to do.
pub async fn serve(config: &Config) -> Result<()> {
    assets::check(&config.site)?;
    let assets = Assets::load(&config.site)?;
    // The port is taken before the engine opens: a second portal must fail before touching anything.
    let listener = listen(config.listen).await?;
    let origins = config.origins(listener.local_addr().context("the address listened on is not known")?);
    let signals = shutdown::Signals::new().context("signals cannot be received")?;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    let engine = open_engine(config).await?;
    let server = assemble(
        engine,
        Surroundings {
            origins,
            trusted_proxies: config.trusted_proxies.clone(),
            assets,
            metrics_token: config.metrics_token.clone(),
            limits: Limits::for_open_files(limits::raise_open_files()),
        },
    );
    shutdown::watch(signals, server.stopping.clone());
    announce(&server).await?;
    run(listener, server).await
}

/// Serves on a listener until `stopping` is cancelled, then shuts down cleanly.
///
/// # Errors
/// If an internal error ended accepting connections; then too, everything has shut down cleanly.
pub async fn run(listener: TcpListener, server: Shared) -> Result<()> {
    let router = routes::router(server.clone());
    let mut serving = tokio::spawn(connections::serve(listener, router, server.clone()));
    tokio::select! {
        () = server.stopping.cancelled() => {
            shutdown::finish(&server, serving).await;
            Ok(())
        }
        broken = &mut serving => {
            server.stopping.cancel();
            shutdown::finish(&server, std::future::ready(())).await;
            broken.context("accepting connections was broken off")
        }
    }
}

/// The few lines on standard output that people and programs wait for; the last one is always the same.
async fn announce(server: &Server) -> Result<()> {
    let public = server.origins.public();
    let mut lines = format!("Snowglobe is listening at {public}\n");
    if let Some(token) = server.engine.setup_token().await? {
        let (path, token) = (app::routes::SETUP, token.reveal());
        lines.push_str(&format!("Set up the first administrator: {public}{path}?token={token}\n"));
    }
    lines.push_str("Ctrl-C or SIGTERM stops the portal; machines keep running.\n");
    // Our parent may have stopped reading, which is no reason to exit.
    if let Err(error) = io::stdout().write_all(lines.as_bytes()) {
        tracing::warn!(%error, "standard output is closed");
    }
    Ok(())
}

async fn listen(address: SocketAddr) -> Result<TcpListener> {
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => bail!(
            "{address} is taken: another program listens there, perhaps this portal already. End that one, or choose another port with SNOWGLOBE_LISTEN."
        ),
        Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => bail!(
            "{address} is not an address of this computer. Choose one of its own with SNOWGLOBE_LISTEN."
        ),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => bail!(
            "{address} may not be listened on: ports below 1024 need a privilege. Choose a higher one with SNOWGLOBE_LISTEN and let a reverse proxy have the low one."
        ),
        Err(error) => Err(error).with_context(|| format!("{address} cannot be listened on")),
    }
}
