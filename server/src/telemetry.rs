//! Logs: where they go, and one span and one line for each request.
//!
//! Lines go to standard error; standard output is for the few lines that `serve` prints for people. A request is logged
//! with its method, the pattern of its route, status, duration and client; never a query, a header or a body, because
//! those contain tickets, tokens and passwords.

use crate::config::LogFormat;
use crate::session::client_address;
use crate::state::Shared;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{HeaderName, HeaderValue};
use std::io::IsTerminal as _;
use std::time::Instant;
use tracing::Instrument;
use tracing_subscriber::EnvFilter;
use uuid::Uuid;

/// The answer's header with the request's id, which is also in the log.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The route of a request that no row of the table matches.
const NO_ROUTE: &str = "(none)";

/// Sets up logging. A second call, as in tests, changes nothing.
pub fn start(filter: &str, format: LogFormat) {
    let mut filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    // It warns about each cookie without a session: anyone could flood the log with requests.
    if let Ok(quiet) = "tower_sessions=error".parse() {
        filter = filter.add_directive(quiet);
    }
    let colours = std::io::stderr().is_terminal();
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    let begun = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    if let Err(error) = begun {
        tracing::debug!(%error, "logging was set up before");
    }
}

/// Gives the request an id and a span, counts it, and logs its end.
pub async fn observe(State(server): State<Shared>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = Uuid::now_v7();
    let method = request.method().clone();
    let matched = request.extensions().get::<MatchedPath>();
    let route = matched.map_or_else(|| NO_ROUTE.to_owned(), |path| path.as_str().to_owned());
    let client = client_address(&server, &request).map(|ip| ip.to_string()).unwrap_or_default();
    let span = tracing::info_span!("request", request.id = %id, %method, route, client);
    let mut response = next.run(request).instrument(span.clone()).await;
    let status = response.status().as_u16();
    let took = began.elapsed();
    server.metrics.request(method.as_str(), &route, status, took);
    let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    span.in_scope(|| match status {
        500.. => tracing::error!(status, ms, "answered"),
        _ => tracing::debug!(status, ms, "answered"),
    });
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}
