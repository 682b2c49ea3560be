//! A portal inside the bench's own process: the real engine, router and sockets over the memory hypervisor and the memory
//! builder, so that a guest or a build can print as much as it likes. Used by `console` and `log`.

use crate::person::Person;
use crate::process::needed;
use anyhow::{Context as _, Result};
use engine::Engine;
use engine::testing::builder::MemoryBuilder;
use engine::testing::hypervisor::{MemoryHypervisor, THIN};
use engine::{Host, Settings};
use model::account::{Actor, SessionUser};
use ports::clock::SystemClock;
use server::assets::Assets;
use server::limits::Limits;
use server::origin::Origins;
use server::state::Shared;
use server::wire::{self, Surroundings};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The portal and a user in it.
pub struct Inside {
    /// What the sockets run on.
    pub server: Shared,
    /// Controls the builds' output.
    pub builder: Arc<MemoryBuilder>,
    /// Someone who may do everything.
    pub person: Person,
    running: JoinHandle<Result<()>>,
    _state: TempDir,
}

impl Inside {
    /// Starts the portal with its first administrator.
    ///
    /// # Errors
    /// If it cannot start.
    pub async fn begin() -> Result<Self> {
        let state = tempfile::tempdir()?;
        let builder = Arc::new(MemoryBuilder::new());
        let host = Host {
            name: "local".parse().map_err(|_| anyhow::anyhow!("no host name"))?,
            kind: "libvirt",
            target: "memory:".to_owned(),
            bridges: Vec::new(),
            hypervisor: Arc::new(MemoryHypervisor::new(THIN)),
        };
        let settings = Settings::new(state.path());
        let engine = Engine::open(settings, vec![host], builder.clone(), Arc::new(SystemClock)).await?;
        let token = engine.setup_token().await?.context("a new portal has a setup link")?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let around = Surroundings {
            origins: Origins::of_listener(address),
            trusted_proxies: Vec::new(),
            assets: Assets::load(Path::new(&needed("SNOWGLOBE_SITE")?))?,
            metrics_token: None,
            limits: Limits::default(),
        };
        let server = wire::assemble(engine, around);
        let running = tokio::spawn(wire::run(listener, server.clone()));
        let person = Person::set_up(&address.to_string(), token.reveal()).await?;
        Ok(Self { server, builder, person, running, _state: state })
    }

    /// The administrator as the engine's actor.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn actor(&self) -> Result<Actor> {
        let name = "ada".parse().map_err(|_| anyhow::anyhow!("no user name"))?;
        let user = self.server.engine.user_by_name(&name).await?.context("the administrator is gone")?;
        let user = SessionUser { id: user.id, name: user.name, role: user.role };
        Ok(Actor { user: Some(user), from: None })
    }

    /// Stops the portal.
    ///
    /// # Errors
    /// If it does not shut down cleanly.
    pub async fn end(self) -> Result<()> {
        self.server.stopping.cancel();
        self.running.await?
    }
}
