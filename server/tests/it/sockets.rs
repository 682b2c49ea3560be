//! Sockets: who may open one, and what ends it.

use crate::socket::Socket;
use crate::world::{Person, World, machine_form};
use app::routes::sockets::with_ticket;
use model::account::{TICKET_SECONDS, TicketPurpose};
use model::console::ConsoleRole;

const EVENTS: &str = "/ws/events";

fn console(machine: &str, role: ConsoleRole) -> (String, TicketPurpose) {
    let name = machine.parse().unwrap();
    let path = app::routes::sockets::console(&name, role, None);
    (path, TicketPurpose::Console { machine: name, role })
}

#[tokio::test]
async fn a_socket_opens_once_with_origin_session_and_ticket() {
    let (world, admin) = World::new().await;
    let ticket = admin.ticket(&TicketPurpose::Events).await;
    let path = with_ticket(EVENTS, &ticket);
    let mut socket = admin.socket(&path).await.expect("everything is right");
    assert_eq!(socket.json().await["type"], "full");
    assert_eq!(admin.socket(&path).await.err(), Some(401), "a used ticket");
    assert_eq!(admin.socket(EVENTS).await.err(), Some(401), "no ticket");
    assert_eq!(admin.socket(&with_ticket(EVENTS, "guessed")).await.err(), Some(401), "no such ticket");
    drop(socket);
    world.end().await;
}

#[tokio::test]
async fn a_foreign_page_opens_no_socket_and_burns_no_ticket() {
    let (world, admin) = World::new().await;
    let path = with_ticket(EVENTS, &admin.ticket(&TicketPurpose::Events).await);
    let evil = format!("{}.evil.test", admin.origin);
    for origin in [None, Some("null"), Some("http://evil.test"), Some(evil.as_str())] {
        assert_eq!(Socket::open(&admin, &path, origin).await.err(), Some(403), "{origin:?}");
    }
    assert!(admin.socket(&path).await.is_ok());
    world.end().await;
}

#[tokio::test]
async fn a_ticket_is_for_one_user_one_purpose_and_one_minute() {
    let (world, admin) = World::new().await;
    let member = world.user(&admin, "mia", "member").await;
    let ticket = async |purpose: &TicketPurpose| with_ticket(EVENTS, &admin.ticket(purpose).await);

    let stolen = ticket(&TicketPurpose::Events).await;
    assert_eq!(member.socket(&stolen).await.err(), Some(401), "another user's");
    let nobody = world.nobody();
    assert_eq!(nobody.socket(&ticket(&TicketPurpose::Events).await).await.err(), Some(401), "no session");

    admin.job("/machines/new", &machine_form("create", "web-1")).await;
    let (_, watching) = console("web-1", ConsoleRole::Watcher);
    assert_eq!(admin.socket(&ticket(&watching).await).await.err(), Some(401), "for another socket");
    let (driving, _) = console("web-1", ConsoleRole::Driver);
    let watcher = admin.ticket(&watching).await;
    assert_eq!(
        admin.socket(&with_ticket(&driving, &watcher)).await.err(),
        Some(401),
        "watching is not driving"
    );

    let late = ticket(&TicketPurpose::Events).await;
    world.clock.advance_millis(TICKET_SECONDS * 1000 + 1);
    assert_eq!(admin.socket(&late).await.err(), Some(401), "too late");
    world.end().await;
}

#[tokio::test]
async fn a_member_gets_no_ticket_for_what_is_not_theirs() {
    let (world, admin) = World::new().await;
    let member = world.user(&admin, "mia", "member").await;
    let job = admin.job("/machines/new", &machine_form("create", "web-1")).await;
    for purpose in [console("web-1", ConsoleRole::Watcher).1, TicketPurpose::Job { id: job.parse().unwrap() }]
    {
        let reply = member.call("/api/ticket", &serde_json::json!({ "purpose": purpose })).await;
        assert_eq!(reply.status, 404, "{}", reply.body);
    }
    world.end().await;
}

/// An administrator watches someone's machine; what ends that closes the socket with the reason.
async fn closes_when(world: &World, admin: &Person, what: &[(&str, &str)]) {
    let second = world.user(admin, "bob", "administrator").await;
    let (path, purpose) = console("web-1", ConsoleRole::Watcher);
    let mut consoles = second.open(&path, &purpose).await;
    let mut events = second.open(EVENTS, &TicketPurpose::Events).await;
    consoles.until("hello").await;
    events.until("full").await;
    let bob = world.id_of("bob").await;
    let mut fields = what.to_vec();
    fields.push(("user", &bob));
    assert_eq!(admin.post("/users", &fields).await.status, 303);
    assert!(!consoles.why_closed().await.is_empty());
    if what.contains(&("intent", "disable")) {
        assert!(!events.why_closed().await.is_empty());
    }
}

#[tokio::test]
async fn a_role_taken_away_closes_what_it_had_opened() {
    let (world, admin) = World::new().await;
    admin.job("/machines/new", &machine_form("create", "web-1")).await;
    closes_when(&world, &admin, &[("intent", "set_role"), ("role", "member")]).await;
    world.end().await;
}

#[tokio::test]
async fn a_disabled_account_loses_its_sockets_at_once() {
    let (world, admin) = World::new().await;
    admin.job("/machines/new", &machine_form("create", "web-1")).await;
    closes_when(&world, &admin, &[("intent", "disable")]).await;
    world.end().await;
}

#[tokio::test]
async fn logging_out_closes_the_sockets() {
    let (world, admin) = World::new().await;
    let mut events = admin.open(EVENTS, &TicketPurpose::Events).await;
    events.until("full").await;
    assert_eq!(admin.post("/", &[("intent", "logout")]).await.status, 303);
    assert!(events.why_closed().await.contains("Log in"));
    world.end().await;
}

#[tokio::test]
async fn ending_a_session_closes_its_sockets_and_no_other() {
    let (world, here) = World::new().await;
    let elsewhere = world.login("ada").await;
    let mut mine = here.open(EVENTS, &TicketPurpose::Events).await;
    let mut stolen = elsewhere.open(EVENTS, &TicketPurpose::Events).await;
    mine.until("full").await;
    stolen.until("full").await;
    let page = here.get("/account").await.body;
    let handle = page.split("name=\"handle\" value=\"").nth(1).expect("another session is listed");
    let fields = [("intent", "end_session"), ("handle", handle.split('"').next().unwrap())];
    assert_eq!(here.post("/account", &fields).await.status, 303);
    assert!(stolen.why_closed().await.contains("Log in"));
    here.configure("web-1").await;
    assert_eq!(mine.until("delta").await["type"], "delta", "this session's goes on");
    world.end().await;
}

#[tokio::test]
async fn a_purged_machine_s_console_closes_and_says_why() {
    let (world, admin) = World::new().await;
    admin.job("/machines/new", &machine_form("create", "web-1")).await;
    let (path, purpose) = console("web-1", ConsoleRole::Driver);
    let mut socket = admin.open(&path, &purpose).await;
    socket.until("hello").await;
    admin.operate("web-1", "purge").await;
    assert!(!socket.why_closed().await.is_empty());
    world.end().await;
}

#[tokio::test]
async fn a_machine_started_elsewhere_shows_as_a_numbered_change() {
    let (world, admin) = World::new().await;
    let mut events = admin.open(EVENTS, &TicketPurpose::Events).await;
    let full = events.until("full").await;
    let mut seq = full["seq"].as_u64().unwrap();
    admin.job("/machines/new", &machine_form("create", "web-1")).await;
    loop {
        let delta = events.until("delta").await;
        seq += 1;
        assert_eq!(delta["seq"].as_u64(), Some(seq), "numbers have no gap");
        if delta["change"]["row"]["observed"]["state"] == "running" {
            break;
        }
    }
    world.end().await;
}

#[tokio::test]
async fn two_people_share_a_console_and_one_drives() {
    let (world, admin) = World::new().await;
    admin.job("/machines/new", &machine_form("create", "web-1")).await;
    let (path, purpose) = console("web-1", ConsoleRole::Driver);
    let mut first = admin.open(&path, &purpose).await;
    first.until("hello").await;
    first.type_in("echo one\n").await;
    first.bytes_until("echo one\n").await;

    let mut second = admin.open(&path, &purpose).await;
    assert_eq!(second.until("viewers").await["you"], "watcher", "somebody drives already");
    second.bytes_until("echo one\n").await;
    second.type_in("not mine\n").await;
    second.say("{\"type\":\"take_over\"}").await;
    while second.until("viewers").await["you"] != "driver" {}
    second.type_in("echo two\n").await;
    let seen = first.bytes_until("echo two\n").await;
    assert!(!seen.contains("not mine"), "a watcher's keys go nowhere: {seen}");
    world.end().await;
}

#[tokio::test]
async fn a_message_that_no_page_sends_closes_the_socket() {
    let (world, admin) = World::new().await;
    admin.job("/machines/new", &machine_form("create", "web-1")).await;
    let (path, purpose) = console("web-1", ConsoleRole::Watcher);
    let mut socket = admin.open(&path, &purpose).await;
    socket.say("{\"type\":\"format_disk\"}").await;
    assert!(socket.why_closed().await.contains("did not understand"));
    let mut events = admin.open(EVENTS, &TicketPurpose::Events).await;
    events.say("hello?").await;
    assert!(events.why_closed().await.contains("takes no messages"));
    world.end().await;
}

#[tokio::test]
async fn a_message_that_is_too_long_is_told_so() {
    let (world, admin) = World::new().await;
    let mut events = admin.open(EVENTS, &TicketPurpose::Events).await;
    events.until("full").await;
    events.say(&"long ".repeat(1000)).await;
    assert!(events.why_closed().await.contains("longer than"));
    assert_eq!(events.code, Some(1009));
    world.end().await;
}

#[tokio::test]
async fn a_stopping_portal_tells_every_socket_why() {
    let (world, admin) = World::new().await;
    let mut events = admin.open(EVENTS, &TicketPurpose::Events).await;
    events.until("full").await;
    world.server.stopping.cancel();
    assert!(events.why_closed().await.contains("restarted"));
}
