//! `/metrics` for Prometheus and `/healthz` for whatever restarts an unresponsive server.

use crate::origin::{self, Origins};
use crate::state::Shared;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use sha2::{Digest, Sha256};
use std::net::SocketAddr;

/// The counters as text in the format of `OpenMetrics`, for holders of the token; without one configured, for this
/// computer.
pub async fn metrics(State(server): State<Shared>, request: Request) -> Response {
    let allowed = match &server.metrics_token {
        Some(token) => bears(request.headers(), token.reveal()),
        None => is_from_here(&server.origins, &request),
    };
    if !allowed {
        let why =
            "Counters are for this computer, or for requests with the token of SNOWGLOBE_METRICS_TOKEN.\n";
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], why).into_response();
    }
    match server.metrics.as_text() {
        Ok(text) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(std::fmt::Error) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Whether the server works: its database answers.
pub async fn health(State(server): State<Shared>) -> Response {
    match server.engine.is_healthy().await {
        true => "ok\n".into_response(),
        false => {
            (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer; see the log\n").into_response()
        }
    }
}

/// Compared by hash, so that timing reveals nothing about how much of the token was right.
fn bears(headers: &HeaderMap, token: &str) -> bool {
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.strip_prefix("Bearer "));
    given.is_some_and(|given| Sha256::digest(given) == Sha256::digest(token))
}

/// A request from this computer that no proxy forwards for someone else and no foreign page made: a name may resolve
/// here (DNS rebinding), but an address or “localhost” cannot be anyone else's.
fn is_from_here(origins: &Origins, request: &Request) -> bool {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let passed_on = ["x-forwarded-for", "forwarded", "x-real-ip", "via"];
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
    peer.is_some_and(|p| p.0.ip().to_canonical().is_loopback())
        && !passed_on.iter().any(|name| request.headers().contains_key(*name))
        && (origins.serve(host) || origin::is_fixed(host))
}
