//! Every row of the route table × every kind of person, with every method of the row.

use crate::persona::{Persona, Verdict};
use crate::socket::Socket;
use crate::world::{Person, World, machine_form, within};
use http::Method;
use model::account::TicketPurpose;
use model::catalog::{self, On};
use model::console::ConsoleRole;
use server::routes::{Answer, Row, TABLE};
use sqlx::Connection as _;

/// What stands for a row's parameters: things that the member may see.
struct Things {
    machine: String,
    job: String,
    image: String,
    /// When the boot began whose transcript is asked for.
    began: String,
}

impl Things {
    /// Where the row's thing is; for the page of operations, where each of them is.
    fn paths(&self, row: &Row) -> Vec<String> {
        let id = if row.path.starts_with("/images") { &self.image } else { &self.job };
        let path = row.path.replace("{name}", &self.machine).replace("{machine}", &self.machine);
        let path = path.replace("{began}", &self.began);
        let path = path.replace("{id}", id).replace("{to}", &self.image).replace("{*file}", "page.js");
        if !path.contains("{operation}") {
            return vec![path];
        }
        let on_machine = catalog::TABLE.iter().filter(|operation| operation.on == On::Machine);
        on_machine.map(|operation| path.replace("{operation}", operation.kind.as_str())).collect()
    }
}

#[tokio::test]
async fn every_route_answers_every_kind_of_person_as_its_row_says() {
    let (world, admin) = World::new().await;
    let owner = Persona::of(&world, "mia", world.user(&admin, "mia", "member").await).await;
    let job = owner.person.job("/machines/new", &machine_form("create", "web-1")).await;
    let image = admin.image().await;
    let began = said(&owner.person, "web-1").await;
    let things = Things { machine: "web-1".to_owned(), job, image, began };
    let mia = owner.user.as_ref().map(|user| user.id);

    let mut people = Persona::all(&world, &admin).await;
    people.push(owner);
    for row in TABLE {
        let of = mia.filter(|_| row.path.contains('{'));
        for persona in &people {
            let verdict = persona.verdict(row.access, of);
            for (method, path) in
                row.answer.methods().iter().flat_map(|m| things.paths(row).into_iter().map(move |p| (m, p)))
            {
                let what = format!("{method} {path} as {}: {verdict:?}", persona.title);
                check(row, &path, method, persona, verdict, &what).await;
            }
        }
    }
    world.end().await;
}

/// Lets a machine print something, and returns when the boot began whose output is kept.
async fn said(person: &Person, machine: &str) -> String {
    let role = ConsoleRole::Driver;
    let machine = machine.parse().unwrap();
    let path = app::routes::sockets::console(&machine, role, None);
    let purpose = TicketPurpose::Console { machine: machine.clone(), role };
    let mut console = person.open(&path, &purpose).await;
    console.until("hello").await;
    console.type_in("for the record\n").await;
    console.bytes_until("for the record\n").await;
    // Written by a task of its own, soon.
    let page = format!("/machines/{machine}/console");
    within(async {
        loop {
            let body = person.get(&page).await.body;
            if let Some((_, link)) = body.split_once("/transcripts/") {
                return link.chars().take_while(char::is_ascii_digit).collect();
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

#[tokio::test]
async fn what_a_machine_said_can_be_taken_away_by_who_may_watch_it() {
    let (world, admin) = World::new().await;
    let owner = world.user(&admin, "mia", "member").await;
    owner.job("/machines/new", &machine_form("create", "web-1")).await;
    let began = said(&owner, "web-1").await;
    let path = format!("/machines/web-1/transcripts/{began}");
    // A machine's output is written in batches.
    let reply = within(async {
        loop {
            let reply = owner.get(&path).await;
            if reply.body.contains("for the record\n") {
                return reply;
            }
        }
    })
    .await;
    assert_eq!(reply.header("content-type"), Some("application/octet-stream"));
    assert!(reply.header("content-disposition").unwrap().starts_with("attachment; filename=\"web-1-20"));
    for nothing in ["0", "-1", "99999999999999999999", "..", "%2e%2e%2fsnowglobe.db"] {
        let reply = owner.get(&format!("/machines/web-1/transcripts/{nothing}")).await;
        assert_eq!(reply.status, 404, "{nothing}");
    }
    assert!(admin.get("/audit").await.body.contains("took a transcript"));
    world.end().await;
}

async fn check(row: &Row, path: &str, method: &Method, persona: &Persona, verdict: Verdict, what: &str) {
    let (person, logged_in) = (&persona.person, persona.user.is_some());
    match row.answer {
        Answer::Page | Answer::JobLog | Answer::Transcript | Answer::AuditCsv
            if verdict == Verdict::NotLoggedIn =>
        {
            let reply =
                if *method == Method::POST { person.post(path, &[]).await } else { person.get(path).await };
            assert_eq!(reply.status, 303, "{what}");
            assert!(reply.location().starts_with("/login"), "{what}: {}", reply.location());
        }
        Answer::Page if *method == Method::POST => {
            let reply = person.post(path, &[("intent", "nonsense")]).await;
            let sent_on = row.path == app::routes::LOGIN && logged_in && reply.status == 303;
            assert!(
                reply.status == 422 || reply.status == status(verdict) || sent_on,
                "{what}: {}",
                reply.status
            );
            assert_ne!(reply.status, 200, "{what}");
        }
        Answer::Page if row.path == app::routes::LOGIN && logged_in => {
            assert_eq!(person.get(path).await.location(), "/", "{what}: nothing to do there");
        }
        Answer::Page | Answer::JobLog | Answer::Transcript | Answer::AuditCsv => {
            assert_eq!(person.get(path).await.status, status(verdict), "{what}");
        }
        Answer::Api => {
            let body = match row.path {
                "/api/plan" => {
                    serde_json::json!({ "form": [["intent", "build"], ["mode", "immutable"], ["set", "core"]] })
                }
                _ => serde_json::json!({ "purpose": TicketPurpose::Events }),
            };
            let reply = person.call(path, &body).await;
            assert_eq!(reply.status, status(verdict), "{what}: {}", reply.body);
        }
        Answer::Events | Answer::Job | Answer::Console => {
            check_socket(row, path, person, verdict, what).await;
        }
        Answer::Asset | Answer::Metrics | Answer::Health => {
            assert_eq!(person.get(path).await.status, 200, "{what}");
        }
    }
}

fn status(verdict: Verdict) -> u16 {
    match verdict {
        Verdict::Allowed => 200,
        Verdict::NotLoggedIn => 401,
        Verdict::Denied => 403,
        Verdict::NotFound => 404,
    }
}

async fn check_socket(row: &Row, path: &str, person: &Person, verdict: Verdict, what: &str) {
    let last = path.rsplit('/').next().unwrap();
    let purpose = match row.answer {
        Answer::Events => TicketPurpose::Events,
        Answer::Job => TicketPurpose::Job { id: last.parse().unwrap() },
        _ => TicketPurpose::Console { machine: last.parse().unwrap(), role: ConsoleRole::Watcher },
    };
    if verdict != Verdict::Allowed {
        let asked = person.call("/api/ticket", &serde_json::json!({ "purpose": purpose })).await;
        assert_eq!(asked.status, status(verdict), "{what}: {}", asked.body);
        let refused = Socket::open(person, path, Some(&person.origin)).await.err();
        assert_eq!(refused, Some(401), "{what}: without a ticket");
        return;
    }
    let ticket = person.ticket(&purpose).await;
    let with_ticket = app::routes::sockets::with_ticket(path, &ticket);
    assert_eq!(person.socket(&with_ticket).await.err(), None, "{what}");
}

/// Opening a page is safe (RFC 9110 §9.2.1): a link, a picture or a browser that looks ahead must not change anything.
#[tokio::test]
async fn no_get_writes_to_the_database() {
    let (world, admin) = World::new().await;
    let job = admin.job("/machines/new", &machine_form("create", "web-1")).await;
    // A transcript that is not there: downloading an existing one is audited, like watching the console.
    let (image, began) = (admin.image().await, "0".to_owned());
    let things = Things { machine: "web-1".to_owned(), job, image, began };
    let database = format!("sqlite://{}", world.state.path().join("snowglobe.db").display());
    let mut looking = sqlx::SqliteConnection::connect(&database).await.unwrap();
    // Changes whenever another connection has committed something (sqlite.org/pragma.html#pragma_data_version).
    let mut version =
        async || -> i64 { sqlx::query_scalar("pragma data_version").fetch_one(&mut looking).await.unwrap() };
    let before = version().await;
    for row in TABLE.iter().filter(|row| row.answer.methods().contains(&Method::GET)) {
        for path in things.paths(row) {
            for query in ["", "?intent=purge&machine=web-1&confirm=web-1&job=1&done=verify_audit&next=/"] {
                admin.get(&format!("{path}{query}")).await;
                assert_eq!(version().await, before, "GET {path}{query}");
            }
        }
    }
    assert_eq!(admin.post("/account", &[("intent", "logout")]).await.status, 303);
    assert_ne!(version().await, before, "what does write shows");
    world.end().await;
}

#[tokio::test]
async fn what_has_no_row_is_not_found_and_says_nothing() {
    let (world, admin) = World::new().await;
    for path in [
        "/nothing",
        "/machines",
        "/machines/web/x/y",
        "/.env",
        "/pkg/none.js",
        "/pkg/../Cargo.toml",
        "/api/none",
        "/machines/%2e%2e",
    ] {
        assert_eq!(admin.get(path).await.status, 404, "{path}");
    }
    assert_eq!(world.nobody().get("/nothing").await.status, 404);
    world.end().await;
}

/// Ids in paths, queries and bodies are what people try first (IDOR): a stranger's thing answers like a missing one.
#[tokio::test]
async fn what_is_somebody_else_s_does_not_exist() {
    let (world, admin) = World::new().await;
    let owner = world.user(&admin, "mia", "member").await;
    let stranger = world.user(&admin, "eve", "member").await;
    let mia = world.id_of("mia").await.parse().unwrap();
    let eve = Persona::of(&world, "eve", stranger.clone()).await;
    let job = owner.job("/machines/new", &machine_form("create", "web-1")).await;
    let none = uuid::Uuid::now_v7().to_string();
    let began = said(&owner, "web-1").await;
    let (image, missing) = (String::new(), began.clone());
    let things = Things { machine: "web-1".to_owned(), job: job.clone(), image: image.clone(), began };
    let nothings = Things { machine: "web-2".to_owned(), job: none.clone(), image, began: missing };
    let own = |row: &&Row| {
        let is_read = row.answer.methods().contains(&Method::GET) && !row.path.starts_with("/ws");
        is_read && row.path.contains('{') && eve.verdict(row.access, Some(mia)) == Verdict::NotFound
    };
    assert!(TABLE.iter().filter(own).count() > 5);
    for row in TABLE.iter().filter(own) {
        for (own, nothing) in things.paths(row).iter().zip(nothings.paths(row)) {
            assert_eq!(owner.get(own).await.status, 200, "{own} of one's own");
            let foreign = stranger.get(own).await;
            let missing = stranger.get(&nothing).await;
            assert_eq!((foreign.status, missing.status), (404, 404), "{own}");
            let blank = |body: &str, name: &str, id: &str| body.replace(name, "NAME").replace(id, "ID").len();
            assert_eq!(
                blank(&foreign.body, "web-1", &job),
                blank(&missing.body, "web-2", &none),
                "{own} tells that there is something"
            );
        }
    }
    for path in [format!("/machines/new?job={job}"), format!("/images?job={job}")] {
        assert!(!stranger.get(&path).await.body.contains("web-1"), "{path}");
    }
    // The page repeats what it was asked for, and must not find it.
    let jobs = stranger.get("/jobs?machine=web-1").await.body;
    assert!(!jobs.contains(&job) && owner.get("/jobs?machine=web-1").await.body.contains(&job));
    let form = serde_json::json!({ "form": [["intent", "start"], ["machine", "web-1"]] });
    assert_eq!(stranger.call("/api/plan", &form).await.status, 404);
    world.end().await;
}

#[tokio::test]
async fn a_method_that_a_row_does_not_have_is_refused() {
    let (world, admin) = World::new().await;
    for (method, path) in [
        ("DELETE", "/"),
        ("PUT", "/account"),
        ("PATCH", "/machines/new"),
        ("POST", "/ws/events"),
        ("GET", "/api/plan"),
    ] {
        let reply = admin.ask(method, path, &[("origin", &admin.origin)], b"").await;
        assert_eq!(reply.status, 405, "{method} {path}");
    }
    world.end().await;
}
