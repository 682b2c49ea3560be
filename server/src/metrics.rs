//! Counters for Prometheus; `monitoring` answers with them.
//!
//! Requests and sockets are counted here as they happen; the engine's counters are read at each scrape. Labels come
//! from fixed sets only (route patterns, known methods, kinds), so that no client can fill the memory with series.

use engine::Engine;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::collections::BTreeMap;
use std::fmt;
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
    /// Counters at zero, along with this engine's.
    pub fn new(engine: Arc<Engine>) -> Self {
        let mut registry = Registry::default();
        let requests = Family::default();
        let durations: Family<_, _, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(BUCKETS));
        let sockets = Family::default();
        let ours = registry.sub_registry_with_prefix("snowglobe");
        ours.register("http_requests", "Requests by method, route and status", requests.clone());
        let help = "Time until the answer's first byte";
        ours.register_with_unit("http_request_duration", help, Unit::Seconds, durations.clone());
        ours.register("sockets", "Open sockets by what they carry", sockets.clone());
        ours.register_collector(Box::new(OfEngine(engine)));
        registry.register_collector(Box::new(OfProcess));
        Self { registry, requests, durations, sockets }
    }

    /// All counters as text in the format of `OpenMetrics`.
    ///
    /// # Errors
    /// If a collector cannot write what it counts.
    pub fn as_text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
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

/// Any text may be a request's method; these are the ones kept apart.
fn known_method(method: &str) -> &'static str {
    ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"].into_iter().find(|m| *m == method).unwrap_or("other")
}

/// What the engine counts, read at each scrape.
#[derive(Debug)]
struct OfEngine(Arc<Engine>);

impl Collector for OfEngine {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let now = self.0.metrics();
        let out = &mut encoder;
        gauge(out, "jobs_running", "Jobs that are under way", now.jobs_running)?;
        gauge(out, "jobs_queued", "Jobs that wait for their turn", now.jobs_queued)?;
        gauge(out, "builds_running", "Image builds under way, waiting ones included", now.builds)?;
        gauge(out, "console_viewers", "Viewers of consoles", now.console_viewers)?;
        counter(out, "audit_entries", "Entries written to the audit log", now.audit_entries)?;
        counter(out, "logins_refused", "Logins refused", now.logins_refused)?;
        counter(out, "build_seconds", "Time that ended builds took together", now.build_seconds)?;
        let version = [("version", env!("CARGO_PKG_VERSION").to_owned())];
        let mut build =
            out.encode_descriptor("build_info", "The portal's version", None, MetricType::Gauge)?;
        ConstGauge::new(1_i64).encode(build.encode_family(&version)?)?;
        by_label(out, "machines", "Machines by state", MetricType::Gauge, "state", now.machines)?;
        by_label(out, "hosts", "Hosts by whether they answer", MetricType::Gauge, "state", now.hosts)?;
        by_label(out, "builds", "Builds that ended", MetricType::Counter, "outcome", now.builds_ended)?;
        let mut jobs = out.encode_descriptor("jobs", "Jobs that ended", None, MetricType::Counter)?;
        for ((kind, outcome), count) in now.jobs_ended {
            let labels = [("kind", kind.as_str()), ("outcome", outcome)];
            ConstCounter::new(count).encode(jobs.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

/// What every monitored process reports, under the names that Prometheus' own client libraries give it.
#[derive(Debug)]
struct OfProcess;

impl Collector for OfProcess {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let out = &mut encoder;
        if let Some(bytes) = resident_bytes() {
            gauge(out, "process_resident_memory_bytes", "Resident memory", bytes)?;
        }
        if let Some(count) = open_files() {
            gauge(out, "process_open_fds", "Open file descriptors", count)?;
        }
        Ok(())
    }
}

fn gauge(out: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    ConstGauge::new(signed(value)).encode(out.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

fn counter<N>(out: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: N) -> fmt::Result
where
    ConstCounter<N>: EncodeMetric,
{
    ConstCounter::new(value).encode(out.encode_descriptor(name, help, None, MetricType::Counter)?)
}

fn by_label(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    kind: MetricType,
    label: &str,
    values: BTreeMap<&'static str, u64>,
) -> fmt::Result {
    let mut family = out.encode_descriptor(name, help, None, kind)?;
    for (value, count) in values {
        let labels = [(label, value)];
        let metric = family.encode_family(&labels)?;
        match kind {
            MetricType::Counter => ConstCounter::new(count).encode(metric)?,
            _ => ConstGauge::new(signed(count)).encode(metric)?,
        }
    }
    Ok(())
}

/// Gauges are signed in the format.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Resident memory by proc(5), `/proc/self/status`; none if the system has no such file.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// Open file descriptors by proc(5).
fn open_files() -> Option<u64> {
    u64::try_from(std::fs::read_dir("/proc/self/fd").ok()?.count()).ok()
}
