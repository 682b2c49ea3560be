//! `/metrics` for Prometheus and `/healthz` for whatever restarts a server that does not answer.
//!
//! Requests and sockets are counted here as they happen; what the engine counts is asked for at each scrape. Labels come
//! from fixed sets only (route patterns, known methods, kinds), so that no client can fill the memory with series.

use crate::state::Shared;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::{IntoResponse, Response};
use engine::Engine;
use http::{HeaderMap, StatusCode, header};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use sha2::{Digest, Sha256};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Upper bounds of the request durations, in seconds: a rendered page is expected in the first few.
const BUCKETS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0, 10.0];

type Labels<const N: usize> = [(&'static str, String); N];

/// The counters of the server.
pub struct Metrics {
    registry: Registry,
    requests: Family<Labels<3>, Counter>,
    durations: Family<Labels<2>, Histogram, fn() -> Histogram>,
    sockets: Family<Labels<1>, Gauge>,
}

impl Metrics {
    /// Counters at zero, beside those of this engine.
    pub fn new(engine: Arc<Engine>) -> Self {
        let mut registry = Registry::with_prefix("snowglobe");
        let requests = Family::default();
        let durations: Family<_, _, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(BUCKETS));
        let sockets = Family::default();
        registry.register("http_requests", "Requests by method, route and status", requests.clone());
        registry.register("http_request_seconds", "Time until the answer's first byte", durations.clone());
        registry.register("sockets", "Open sockets by what they carry", sockets.clone());
        registry.register_collector(Box::new(OfEngine(engine)));
        Self { registry, requests, durations, sockets }
    }

    /// Counts a request that has been answered.
    pub fn request(&self, method: &str, route: &str, status: u16, took: Duration) {
        let method = known_method(method).to_owned();
        let route = route.to_owned();
        let status = status.to_string();
        let durations = [("method", method.clone()), ("route", route.clone())];
        self.durations.get_or_create(&durations).observe(took.as_secs_f64());
        self.requests.get_or_create(&[("method", method), ("route", route), ("status", status)]).inc();
    }

    /// Counts a socket as open for as long as the answer lives.
    pub fn socket(&self, kind: &'static str) -> OpenSocket {
        let gauge = self.sockets.get_or_create_owned(&[("kind", kind.to_owned())]);
        gauge.inc();
        OpenSocket(gauge)
    }
}

/// An open socket in the count.
pub struct OpenSocket(Gauge);

impl Drop for OpenSocket {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Any text may stand as a method in a request; these are the ones that are told apart.
fn known_method(method: &str) -> &'static str {
    ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"].into_iter().find(|m| *m == method).unwrap_or("other")
}

/// What the engine counts, read at each scrape.
#[derive(Debug)]
struct OfEngine(Arc<Engine>);

impl Collector for OfEngine {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let now = self.0.metrics();
        gauge(&mut encoder, "jobs_running", "Jobs that have begun and are not over", now.running)?;
        gauge(&mut encoder, "jobs_queued", "Jobs that wait for their turn", now.queued)?;
        gauge(&mut encoder, "console_viewers", "Viewers of consoles", now.console_viewers)?;
        if let Some(bytes) = resident_bytes() {
            gauge(&mut encoder, "resident_memory_bytes", "Memory of the server process", bytes)?;
        }
        counter(
            &mut encoder,
            "audit_entries",
            "Entries of the audit log written since the start",
            now.audit_entries,
        )?;
        let mut machines =
            encoder.encode_descriptor("machines", "Machines by state", None, MetricType::Gauge)?;
        for (state, count) in now.machines {
            let labels = [("state", state.as_str())];
            let value = ConstGauge::new(i64::try_from(count).unwrap_or(i64::MAX));
            value.encode(machines.encode_family(&labels)?)?;
        }
        let mut jobs =
            encoder.encode_descriptor("jobs", "Jobs ended since the start", None, MetricType::Counter)?;
        for ((kind, outcome), count) in now.jobs {
            let labels = [("kind", kind.as_str()), ("outcome", outcome.as_str())];
            ConstCounter::new(count).encode(jobs.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> Result<(), fmt::Error> {
    let value = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
    value.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

fn counter(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: u64,
) -> Result<(), fmt::Error> {
    ConstCounter::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)
}

/// Resident memory by proc(5), `/proc/self/status`; none where the system has no such file.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// The counters as OpenMetrics text, for whoever has the token; without one configured, for this computer.
pub async fn serve(State(server): State<Shared>, request: Request) -> Response {
    let allowed = match &server.metrics_token {
        Some(token) => bears(request.headers(), token.reveal()),
        None => is_from_here(&request),
    };
    if !allowed {
        let why =
            "Counters are for this computer, or for whoever bears the token of SNOWGLOBE_METRICS_TOKEN.\n";
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], why).into_response();
    }
    let mut text = String::new();
    match encode(&mut text, &server.metrics.registry) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(fmt::Error) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
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

/// Compared by hash, so that the time it takes tells nothing about how much of the token was right.
fn bears(headers: &HeaderMap, token: &str) -> bool {
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.strip_prefix("Bearer "));
    given.is_some_and(|given| Sha256::digest(given) == Sha256::digest(token))
}

/// A request from this computer that no proxy passes on for somebody else.
fn is_from_here(request: &Request) -> bool {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let passed_on = ["x-forwarded-for", "forwarded", "x-real-ip", "via"];
    peer.is_some_and(|p| p.0.ip().to_canonical().is_loopback())
        && !passed_on.iter().any(|name| request.headers().contains_key(*name))
}
