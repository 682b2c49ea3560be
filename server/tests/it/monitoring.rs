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

#[tokio::test]
async fn counters_are_for_this_computer_or_for_whoever_has_the_token() {
    let (world, admin) = World::new().await;
    let through_proxy = [("x-forwarded-for", "203.0.113.9")];
    assert_eq!(admin.ask("GET", "/metrics", &through_proxy, b"").await.status, 401);
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
