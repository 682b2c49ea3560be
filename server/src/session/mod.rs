//! Who asks: from the session cookie and the connection to an [`Actor`], once per request.
//!
//! tower-sessions reads and sets the cookie, which carries the session's id and nothing else; [`store`] finds it in the engine,
//! which made it. Each login makes a new id, and the one that the browser had before is gone.
//!
//! Over TLS the cookie is called `__Host-snowglobe`: browsers accept that prefix only with `Secure`, `Path=/` and
//! without `Domain`, so that neither plain http nor a sub-domain can plant one (RFC 6265bis §4.1.3.2).

pub mod store;

use crate::answer::plain_fault;
use crate::state::{Server, Shared};
use crate::{device, origin};
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{HeaderMap, HeaderValue, SET_COOKIE, USER_AGENT};
use model::Fault;
use model::account::{Actor, Secret, SessionUser};
use model::portal::{Browser, LoggedIn};
use std::net::{IpAddr, SocketAddr};
use store::Store;
use tower_sessions::cookie::SameSite;
use tower_sessions::{Expiry, Session, SessionManagerLayer};
use uuid::Uuid;

/// The longest description of a browser that is passed on, in bytes.
const AGENT_MAX: usize = 256;

/// The person behind a request, or nobody.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// Who and from where, for the portal.
    pub actor: Actor,
    /// The session's token, if the session is valid.
    pub token: Option<Secret>,
    /// The browser's user agent.
    pub agent: Option<String>,
    /// The device cookie of an earlier login.
    pub device: Option<Secret>,
}

impl Visitor {
    /// The user, or the fault that sends to the login page.
    ///
    /// # Errors
    /// [`Fault::Unauthenticated`] if nobody is logged in.
    pub fn user(&self) -> Result<&SessionUser, Fault> {
        self.actor.user.as_ref().ok_or(Fault::Unauthenticated)
    }

    /// The browser, for a login.
    pub fn browser(&self) -> Browser<'_> {
        Browser { agent: self.agent.as_deref(), device: self.device.as_ref() }
    }
}

/// Makes a request's session known, and sets or removes its cookie.
pub fn layer(server: &Server) -> SessionManagerLayer<Store> {
    let is_secure = server.origins.public().is_secure();
    SessionManagerLayer::new(server.sessions.clone())
        .with_name(if is_secure { "__Host-snowglobe" } else { "snowglobe" })
        .with_path("/")
        .with_http_only(true)
        .with_same_site(SameSite::Lax)
        .with_secure(is_secure)
        .with_expiry(Expiry::OnInactivity(store::LONGEST))
}

/// Adds `Secure` to the cookie that tower-sessions removes without it: otherwise browsers ignore anything called
/// `__Host-…`.
pub async fn mark_secure(State(server): State<Shared>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if server.origins.public().is_secure()
        && let Some(cookie) = response.headers_mut().get_mut(SET_COOKIE)
        && let Ok(text) = cookie.to_str()
        && !text.contains("; Secure")
        && let Ok(marked) = HeaderValue::from_str(&format!("{text}; Secure"))
    {
        *cookie = marked;
    }
    response
}

/// Finds out who asks, before any handler that needs to know.
pub async fn identify(
    State(server): State<Shared>,
    session: Session,
    mut request: Request,
    next: Next,
) -> Response {
    let from = client_address(&server, &request);
    let agent = agent(request.headers());
    let device = device::read(request.headers(), &server.origins);
    let user = match session.get::<SessionUser>(store::USER).await {
        Ok(user) => user,
        Err(error) => return plain_fault(&fault(&error)),
    };
    let token = session.id().filter(|_| user.is_some()).map(|id| store::token(&id));
    request.extensions_mut().insert(Visitor { actor: Actor { user, from }, token, agent, device });
    next.run(request).await
}

/// Gives the browser the session that the engine has begun, under the id that the engine has chosen.
///
/// # Errors
/// [`Fault::Internal`] if the engine does not answer.
pub async fn begin(session: &Session, begun: &LoggedIn) -> Result<(), Fault> {
    session.cycle_id().await.map_err(|error| fault(&error))?;
    session.insert(store::BEGUN, begun.token.reveal()).await.map_err(|error| fault(&error))
}

/// Takes the session away from the browser, once the engine has ended it.
///
/// # Errors
/// [`Fault::Internal`] if the engine does not answer.
pub async fn end(session: &Session) -> Result<(), Fault> {
    match session.id() {
        Some(_) => session.flush().await.map_err(|error| fault(&error)),
        None => Ok(()),
    }
}

fn fault(error: &tower_sessions::session::Error) -> Fault {
    let id = Uuid::now_v7().to_string();
    tracing::error!(fault.id = id, %error, "a session could not be used");
    Fault::Internal { id }
}

/// The client's address, behind trusted proxies.
pub fn client_address(server: &Server, request: &Request) -> Option<IpAddr> {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>()?.0.ip();
    let lines = request.headers().get_all("x-forwarded-for");
    let forwarded: Vec<&[u8]> = lines.iter().map(|value| value.as_bytes()).collect();
    Some(origin::client(peer, &forwarded, &server.trusted_proxies))
}

fn agent(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(USER_AGENT)?.to_str().ok()?;
    Some(text.chars().filter(|c| !c.is_control()).take(AGENT_MAX).collect())
}
