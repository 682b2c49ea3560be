//! What every handler can reach: the engine behind its two doors, the site's files, the origins, the counters.

use crate::assets::Assets;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::origin::Origins;
use crate::session::store::Store;
use crate::ws::open::Sockets;
use axum::extract::FromRef;
use engine::Engine;
use ipnet::IpNet;
use model::account::Secret;
use model::portal::Portal;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The state of the router, shared by all requests.
pub type Shared = Arc<Server>;

/// Everything that a request may need.
pub struct Server {
    /// The engine, for sockets, downloads and metrics.
    pub engine: Arc<Engine>,
    /// The same engine, for pages and forms.
    pub portal: Arc<dyn Portal>,
    /// Who is logged in.
    pub sessions: Store,
    /// The origins under which browsers may talk to us.
    pub origins: Origins,
    /// Proxies trusted for the client's address.
    pub trusted_proxies: Vec<IpNet>,
    /// Files for browsers.
    pub assets: Assets,
    /// Counters of requests and sockets.
    pub metrics: Metrics,
    /// Bearer token of `/metrics`.
    pub metrics_token: Option<Secret>,
    /// How much patience there is with clients.
    pub limits: Limits,
    /// Cancelled when the server begins to stop; sockets close with the reason.
    pub stopping: CancellationToken,
    /// Requests that are being carried out, waited for when the server stops.
    pub handlers: TaskTracker,
    /// Open sockets, waited for when the server stops.
    pub sockets: Sockets,
}

impl FromRef<Shared> for Assets {
    fn from_ref(server: &Shared) -> Self {
        server.assets.clone()
    }
}
