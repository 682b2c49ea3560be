//! Counters, health, and the audit log as a file.

use crate::world::{Wishes, World, machine_form};

#[tokio::test]
async fn counters_tell_of_requests_machines_and_jobs() {
    let (world, admin) = World::new().await;
    admin.job("/machines/new", &machine_form("create", "web-1")).await;
    let reply = admin.get("/metrics").await;
    assert_eq!(reply.status, 200);
    assert!(reply.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    for line in [
        "snowglobe_http_requests_total{method=\"POST\",route=\"/machines/new\",status=\"303\"} 1",
        "snowglobe_machines{state=\"running\"} 1",
        "snowglobe_jobs_total{kind=\"create\",outcome=\"succeeded\"} 1",
        "# EOF",
    ] {
        assert!(reply.body.contains(line), "{line} in\n{}", reply.body);
    }
    assert!(!reply.body.contains("web-1"), "names of machines are not for monitoring");
    world.end().await;
}

/// The rules of Prometheus (prometheus.io/docs/practices/naming) and of `OpenMetrics` (§ Names, Metric types).
#[tokio::test]
async fn every_figure_is_described_and_named_as_monitoring_expects() {
    let (world, admin) = World::new().await;
    admin.job("/machines/new", &machine_form("create", "web-1")).await;
    let text = admin.get("/metrics").await.body;
    let described = |what: &str| -> Vec<&str> {
        let lines = text.lines().filter_map(|line| line.strip_prefix("# ")?.strip_prefix(what));
        lines.filter_map(|rest| rest.split_whitespace().next()).collect()
    };
    let (helps, types) = (described("HELP"), described("TYPE"));
    assert_eq!(helps, types, "a figure has both");
    assert!(helps.len() > 12, "{helps:?}");
    for name in &helps {
        assert!(name.starts_with("snowglobe_") || name.starts_with("process_"), "{name}");
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
        assert!(!name.ends_with("_total"), "a family has no suffix, its sample has: {name}");
    }
    for sample in text.lines().filter(|line| !line.starts_with('#')) {
        let name = sample.split(['{', ' ']).next().unwrap();
        let family = ["_total", "_bucket", "_sum", "_count"].iter().find_map(|s| name.strip_suffix(s));
        let family = family.unwrap_or(name);
        assert!(helps.contains(&family), "{sample} belongs to nothing described");
        let is_counter = text.contains(&format!("# TYPE {family} counter"));
        assert_eq!(is_counter, name.ends_with("_total"), "{sample}");
    }
    world.end().await;
}

#[tokio::test]
async fn counters_are_for_this_computer_or_for_whoever_has_the_token() {
    let (world, admin) = World::new().await;
    let through_proxy = [("x-forwarded-for", "203.0.113.9")];
    assert_eq!(admin.ask("GET", "/metrics", &through_proxy, b"").await.status, 401);
    // A page under a name that resolves here must not read them with the browser of someone working at the server.
    let hosts = ["127.0.0.1", "[::1]:9090", "localhost:9090"].map(|host| (host, 200));
    for (host, status) in hosts.into_iter().chain([("evil.test", 401), ("localhost.evil.test", 401)]) {
        let mut monitoring = world.nobody();
        monitoring.host = host.to_owned();
        assert_eq!(monitoring.get("/metrics").await.status, status, "{host}");
        assert_eq!(monitoring.get("/healthz").await.status, 200, "{host}");
    }
    world.end().await;

    let (world, admin) =
        World::with(Wishes { metrics_token: Some("a-long-enough-token"), ..Wishes::default() }).await;
    let ask = async |value: &str| admin.ask("GET", "/metrics", &[("authorization", value)], b"").await.status;
    assert_eq!(admin.get("/metrics").await.status, 401);
    assert_eq!(ask("Bearer wrong").await, 401);
    assert_eq!(ask("Bearer a-long-enough-token").await, 200);
    world.end().await;
}

#[tokio::test]
async fn the_audit_log_as_a_file_has_every_entry_once() {
    let (world, admin) = World::new().await;
    let ada = world.id_of("ada").await;
    for _ in 0..model::audit::AUDIT_PER_PAGE + 5 {
        let same = [("intent", "set_role"), ("user", ada.as_str()), ("role", "administrator")];
        assert_eq!(admin.post("/users", &same).await.status, 303);
    }
    let csv = admin.get("/audit.csv").await;
    assert_eq!(csv.header("content-disposition"), Some("attachment; filename=\"snowglobe-audit.csv\""));
    let mut seqs: Vec<i64> =
        csv.body.lines().skip(1).map(|l| l.split(',').next().unwrap().parse().unwrap()).collect();
    let count = seqs.len();
    seqs.sort_unstable();
    seqs.dedup();
    assert_eq!(seqs.len(), count, "no entry twice");
    assert!(count > model::audit::AUDIT_PER_PAGE as usize, "{count}");
    assert_eq!(seqs.last().copied(), Some(seqs.len() as i64), "no entry left out");
    world.end().await;
}
