//! Who asks: from the session cookie and the connection to an [`Actor`], once for each request.
//!
//! The session is one opaque token that the engine made and of which it keeps only a hash; the cookie carries it and
//! nothing else. `tower-sessions` would add a store, a record type and a cache between this cookie and
//! `Portal::session`, which already answers the only question there is, so it is left out.
//!
//! Over TLS the cookie is called `__Host-snowglobe`: browsers accept that prefix only with `Secure`, `Path=/` and
//! without `Domain`, so that neither plain http nor a sub-domain can plant one (RFC 6265bis §4.1.3.2).

use crate::origin::{self, Origins};
use crate::state::{Server, Shared};
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{COOKIE, HeaderMap, HeaderValue, USER_AGENT};
use model::Fault;
use model::account::{Actor, Secret, SessionUser};
use std::net::{IpAddr, SocketAddr};

/// How long a browser keeps the cookie, in seconds: as long as a session can last at all. The engine ends it earlier
/// when it is not used.
const COOKIE_SECONDS: u32 = 30 * 24 * 3600;

/// The longest description of a browser that is passed on, in bytes.
const AGENT_MAX: usize = 256;

/// The person, or nobody, behind a request.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// Who and from where, for the portal.
    pub actor: Actor,
    /// The session's token, if the session stands.
    pub token: Option<Secret>,
    /// The browser in its own words.
    pub agent: Option<String>,
}

impl Visitor {
    /// The user, or the fault that sends to the login page.
    ///
    /// # Errors
    /// [`Fault::Unauthenticated`] if nobody is logged in.
    pub fn user(&self) -> Result<&SessionUser, Fault> {
        self.actor.user.as_ref().ok_or(Fault::Unauthenticated)
    }
}

/// Finds out who asks, before any handler that has to know.
pub async fn identify(State(server): State<Shared>, mut request: Request, next: Next) -> Response {
    let from = client_address(&server, &request);
    let token = token(request.headers(), &server.origins);
    let agent = agent(request.headers());
    let user = match &token {
        Some(token) => server.portal.session(token).await,
        None => Ok(None),
    };
    let user = match user {
        Ok(user) => user,
        Err(fault) => return crate::answer::plain_fault(&fault),
    };
    let token = token.filter(|_| user.is_some());
    request.extensions_mut().insert(Visitor { actor: Actor { user, from }, token, agent });
    next.run(request).await
}

/// The client's address, seen through trusted proxies.
pub fn client_address(server: &Server, request: &Request) -> Option<IpAddr> {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>()?.0.ip();
    let lines = request.headers().get_all("x-forwarded-for");
    let forwarded: Vec<&str> = lines.iter().filter_map(|value| value.to_str().ok()).collect();
    Some(origin::client(peer, &forwarded, &server.trusted_proxies))
}

fn agent(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(USER_AGENT)?.to_str().ok()?;
    Some(text.chars().filter(|c| !c.is_control()).take(AGENT_MAX).collect())
}

fn cookie_name(origins: &Origins) -> &'static str {
    if origins.public().is_secure() { "__Host-snowglobe" } else { "snowglobe" }
}

/// The token in the cookie. Anything that no engine can have made is not looked up at all.
fn token(headers: &HeaderMap, origins: &Origins) -> Option<Secret> {
    let name = cookie_name(origins);
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(key, _)| *key == name)?;
    let plausible = (32..=256).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_alphanumeric());
    plausible.then(|| Secret::new(value.to_owned()))
}

/// The `Set-Cookie` that begins a session in the browser, or with no token the one that ends it.
pub fn set_cookie(origins: &Origins, token: Option<&Secret>) -> Option<HeaderValue> {
    let (value, age) = token.map_or(("", 0), |t| (t.reveal(), COOKIE_SECONDS));
    let secure = if origins.public().is_secure() { "; Secure" } else { "" };
    let name = cookie_name(origins);
    let text = format!("{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}");
    let mut header = HeaderValue::from_str(&text).ok()?;
    header.set_sensitive(true);
    Some(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(public: &str) -> Origins {
        Origins::new(public.parse().unwrap(), "127.0.0.1:3000".parse().unwrap())
    }

    fn found(cookie: &str, public: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_str(cookie).unwrap());
        token(&headers, &origins(public)).map(|t| t.reveal().to_owned())
    }

    #[test]
    fn the_cookie_has_every_flag_that_its_name_promises() {
        let token = Secret::new("ab".repeat(32));
        let over = |public| set_cookie(&origins(public), Some(&token)).unwrap().to_str().unwrap().to_owned();
        let tls = over("https://vms.example.org");
        assert!(tls.starts_with("__Host-snowglobe=abab"), "{tls}");
        for flag in ["; Path=/;", "; HttpOnly", "; SameSite=Lax", "; Secure"] {
            assert!(tls.contains(flag), "{flag} in {tls}");
        }
        assert!(!tls.contains("Domain"));
        let plain = over("http://127.0.0.1:3000");
        assert!(plain.starts_with("snowglobe=") && !plain.contains("Secure"), "{plain}");
        let gone = set_cookie(&origins("https://vms.example.org"), None).unwrap();
        assert!(gone.to_str().unwrap().contains("Max-Age=0"));
    }

    #[test]
    fn only_the_right_cookie_is_read_and_only_a_token_in_it() {
        let token = "0123456789abcdef".repeat(4);
        let plain = "http://127.0.0.1:3000";
        assert_eq!(found(&format!("a=b; snowglobe={token}; c=d"), plain), Some(token.clone()));
        assert_eq!(found(&format!("snowglobe={token}"), "https://vms.example.org"), None);
        assert_eq!(found(&format!("__Host-snowglobe={token}"), "https://vms.example.org"), Some(token));
        for bad in [
            "snowglobe=",
            "snowglobe=short",
            "snowglobe",
            "xsnowglobe=0123",
            &format!("snowglobe={}", "a".repeat(5000)),
        ] {
            assert_eq!(found(bad, plain), None, "{bad}");
        }
    }
}
