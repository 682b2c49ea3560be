//! Forms without JavaScript: input stays, errors are beside it, losses are confirmed.

use crate::world::{World, machine_form};

#[tokio::test]
async fn a_form_with_mistakes_comes_back_with_everything_that_was_typed() {
    let (world, admin) = World::new().await;
    let mut fields = machine_form("create", "Web One");
    fields.retain(|(name, _)| *name != "memory");
    fields.extend([
        ("memory", "1"),
        ("admin_keys", "not a key"),
        ("hosts", "10.0.0.9 db.lan"),
        ("root_password", "hunter2 hunter2"),
    ]);
    let reply = admin.post("/machines/new", &fields).await;
    assert_eq!(reply.status, 422);
    for kept in ["value=\"Web One\"", "value=\"1\"", "not a key", "10.0.0.9 db.lan"] {
        assert!(reply.body.contains(kept), "{kept}");
    }
    assert!(reply.body.matches("aria-invalid=\"true\"").count() >= 3, "{}", reply.body);
    assert!(reply.body.contains("must start with a lower-case letter"));
    assert!(!reply.body.contains("hunter2"), "a password is never shown again");
    world.end().await;
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once_and_a_typed_password_is_asked_for_again() {
    let (world, admin) = World::new().await;
    let mut fields = machine_form("configure", "web-1");
    fields.extend([("profiles", "docker"), ("profiles", "rust"), ("profiles", "python")]);
    fields.extend([("udp_ports", "99999"), ("root_password", "hunter2 hunter2")]);
    let reply = admin.post("/machines/new", &fields).await;
    assert_eq!(reply.status, 422);
    for told in ["3 fields need to be corrected", "cannot be combined", "99999", "Enter this again"] {
        assert!(reply.body.contains(told), "{told}: {}", reply.body);
    }
    // As the page posts it the next time, with everything else corrected.
    let mut again = machine_form("configure", "web-1");
    again.extend([("retype", "root_password"), ("root_password", "")]);
    let reply = admin.post("/machines/new", &again).await;
    assert_eq!(reply.status, 422);
    assert!(reply.body.contains("Enter this again"), "{}", reply.body);
    assert_eq!(admin.get("/machines/web-1").await.status, 404, "not saved without its password");
    again.push(("left_empty", "root_password"));
    assert_eq!(admin.post("/machines/new", &again).await.status, 303);
    admin.latest_job("web-1").await;
    world.end().await;
}

#[tokio::test]
async fn the_plan_is_shown_on_request_and_nothing_is_done() {
    let (world, admin) = World::new().await;
    let mut fields = machine_form("show_plan", "web-1");
    fields.push(("of", "create"));
    let reply = admin.post("/machines/new", &fields).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert!(
        reply.body.contains("class=\"plan-steps\"") && reply.body.contains("value=\"web-1\""),
        "{}",
        reply.body
    );
    assert_eq!(admin.get("/machines/web-1").await.status, 404);
    world.end().await;
}

#[tokio::test]
async fn a_machine_is_created_stopped_destroyed_and_purged() {
    let (world, admin) = World::new().await;
    admin.job("/machines/new", &machine_form("create", "web-1")).await;
    let off = [("intent", "force_off"), ("machine", "web-1")];
    let reply = admin.post("/machines/web-1", &off).await;
    assert_eq!((reply.status, reply.location()), (303, "/machines/web-1/do/force_off"), "it asks first");
    admin.operate("web-1", "force_off").await;

    let page = "/machines/web-1/do/destroy";
    let digest = admin.digest(page).await;
    let destroy = |confirm| {
        [("intent", "destroy"), ("machine", "web-1"), ("digest", digest.as_str()), ("confirm", confirm)]
    };
    for wrong in ["", "web-2", "WEB-1"] {
        let reply = admin.post(page, &destroy(wrong)).await;
        assert_eq!(reply.status, 422, "{wrong}");
        assert!(reply.body.contains("Type the machine"), "{}", reply.body);
    }
    let reply = admin.post(page, &destroy("web-1")).await;
    assert_eq!((reply.status, reply.location()), (303, "/machines/web-1"));
    admin.latest_job("web-1").await;
    assert_eq!(admin.get("/machines/web-1").await.status, 200, "its configuration stays");
    admin.operate("web-1", "purge").await;
    assert_eq!(admin.get("/machines/web-1").await.status, 404);
    world.end().await;
}

#[tokio::test]
async fn a_plan_that_is_no_longer_the_one_shown_is_shown_anew() {
    let (world, admin) = World::new().await;
    admin.configure("web-1").await;
    let digest = "0".repeat(64);
    let fields = [("intent", "provision"), ("machine", "web-1"), ("digest", digest.as_str())];
    let reply = admin.post("/machines/web-1", &fields).await;
    assert_eq!(reply.status, 409, "{}", reply.body);
    assert!(reply.body.contains("has changed since"));
    let damaged = [("intent", "provision"), ("machine", "web-1"), ("digest", "<script>")];
    assert_eq!(admin.post("/machines/web-1", &damaged).await.status, 422);
    world.end().await;
}

#[tokio::test]
async fn the_list_starts_several_machines_and_keeps_its_filter() {
    let (world, admin) = World::new().await;
    for name in ["web-1", "web-2"] {
        admin.job("/machines/new", &machine_form("create", name)).await;
    }
    let both = |intent| [("intent", intent), ("from", "list"), ("machine", "web-1"), ("machine", "web-2")];
    let reply = admin.post("/?q=web", &both("reboot")).await;
    assert_eq!((reply.status, reply.location()), (303, "/?q=web"));
    for name in ["web-1", "web-2"] {
        admin.latest_job(name).await;
    }
    admin.operate("web-1", "force_off").await;
    let fields = [("intent", "start"), ("from", "list"), ("machine", "web-1"), ("machine", "web-2")];
    let reply = admin.post("/", &fields).await;
    assert_eq!(reply.status, 422, "{}", reply.body);
    assert!(reply.body.contains("web-2: The machine is already running."), "{}", reply.body);
    assert!(!reply.body.contains("web-1: "), "the others go on");
    assert!(reply.body.contains("Accepted: Start web-1."), "{}", reply.body);
    admin.latest_job("web-1").await;
    let foreign = [("intent", "start"), ("from", "list"), ("machine", "web-1"), ("machine", "nobody")];
    let reply = admin.post("/", &foreign).await;
    assert!(reply.body.contains("nobody: There is no such machine"), "{}", reply.body);
    world.end().await;
}

#[tokio::test]
async fn a_job_s_log_can_be_taken_away() {
    let (world, admin) = World::new().await;
    let id = admin.job("/machines/new", &machine_form("create", "web-1")).await;
    let reply = admin.get(&format!("/jobs/{id}/log")).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
    assert!(reply.body.lines().count() > 3 && reply.body.contains(" disks.create "), "{}", reply.body);
    world.end().await;
}
