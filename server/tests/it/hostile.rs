//! What hostile people send: it is refused beside its field and shown as text.

use crate::world::{World, machine_form};
use model::form::FormData;
use model::operation::OperationKind;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

const HOSTILE: [&str; 12] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "';drop table machines;--",
    "$(touch /tmp/owned)",
    "`id`",
    "../../etc/passwd",
    "a\nb",
    "a\r\nSet-Cookie: x=y",
    "-oProxyCommand=id",
    "a b",
    "ｗｅｂ",
    "web\u{202e}1",
];

/// No markup of the text reached the page as markup.
fn assert_harmless(body: &str, what: &str) {
    for markup in ["<script>alert", "<img src=x", "onerror=alert(1)>"] {
        assert!(!body.contains(markup), "{markup} after {what}");
    }
}

#[tokio::test]
async fn hostile_names_and_keys_are_refused_beside_their_field_and_escaped() {
    let (world, admin) = World::new().await;
    for text in HOSTILE {
        for field in ["name", "profiles", "admin_keys", "network", "host", "dns", "hosts", "static_address"] {
            let mut fields = machine_form("create", "web-1");
            fields.retain(|(name, _)| *name != field);
            fields.push((field, text));
            let reply = admin.post("/machines/new", &fields).await;
            let what = format!("{field}={text:?}");
            assert_eq!(reply.status, 422, "{what}");
            assert!(reply.body.contains("aria-invalid=\"true\"") || field == "profiles", "{what}");
            assert_harmless(&reply.body, &what);
        }
    }
    assert_eq!(admin.get("/machines/web-1").await.status, 404);
    world.end().await;
}

#[tokio::test]
async fn hostile_paths_queries_and_users_change_nothing() {
    let (world, admin) = World::new().await;
    for text in HOSTILE {
        let escaped: String = text.bytes().map(|b| format!("%{b:02X}")).collect();
        for path in [
            format!("/machines/{escaped}"),
            format!("/jobs/{escaped}"),
            format!("/jobs/{escaped}/log"),
            format!("/images/{escaped}/remove"),
        ] {
            let reply = admin.get(&path).await;
            assert_eq!(reply.status, 404, "{path}");
            assert_harmless(&reply.body, &path);
        }
        for path in [
            format!("/?q={escaped}&state={escaped}&page={escaped}"),
            format!("/audit?actor={escaped}&before={escaped}"),
            format!("/jobs?machine={escaped}"),
            format!("/login?next={escaped}"),
            format!("/account?done={escaped}"),
        ] {
            let reply = admin.get(&path).await;
            assert!(matches!(reply.status, 200 | 303 | 404 | 422), "{path}: {}", reply.status);
            assert!(!reply.location().contains("evil") && reply.header("set-cookie").is_none(), "{path}");
            assert_harmless(&reply.body, &path);
        }
        let fields =
            [("intent", "add_user"), ("name", text), ("role", "member"), ("password", "four random words")];
        let reply = admin.post("/users", &fields).await;
        assert_eq!(reply.status, 422, "{text:?}");
        assert_harmless(&reply.body, text);
        let login =
            world.nobody().post("/login", &[("intent", "login"), ("name", text), ("password", text)]).await;
        assert!(matches!(login.status, 422 | 429), "{text:?}: {}", login.status);
    }
    let csv = admin.get("/audit.csv").await.body;
    assert!(csv.lines().all(|line| !line.starts_with(['=', '+', '-', '@'])));
    world.end().await;
}

#[tokio::test]
async fn random_bodies_are_answered_by_every_page_and_server_function() {
    let (world, admin) = World::new().await;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let bytes = prop::collection::vec(any::<u8>(), 0..300);
    let nobody = world.nobody();
    for n in 0..60 {
        let body = bytes.new_tree(&mut runner).unwrap().current();
        let page =
            ["/machines/new", "/machines/new/batch", "/images", "/users", "/account", "/login", "/"][n % 7];
        // A logged-in user is redirected from the login page.
        let person = if page == "/login" { &nobody } else { &admin };
        let reply = person.post_bytes(page, &body).await;
        assert!((400..500).contains(&reply.status), "{page}: {}", reply.status);
        for api in ["/api/plan", "/api/ticket"] {
            let headers = [("origin", admin.origin.as_str()), ("content-type", "application/json")];
            let status = admin.ask("POST", api, &headers, &body).await.status;
            assert_eq!(status, 400, "{api}: {body:?}");
        }
    }
    assert_eq!(admin.get("/healthz").await.status, 200);
    world.end().await;
}

#[tokio::test]
async fn malformed_json_is_refused_with_what_is_wrong_with_it() {
    let (world, admin) = World::new().await;
    for api in ["/api/plan", "/api/ticket"] {
        for (body, wrong) in
            [("{", "EOF"), ("", "EOF"), ("not json", "expected"), ("{}", "missing field"), ("[1]", "invalid")]
        {
            let headers = [("origin", admin.origin.as_str()), ("content-type", "application/json")];
            let reply = admin.ask("POST", api, &headers, body.as_bytes()).await;
            assert_eq!(reply.status, 400, "{api} {body}: {}", reply.body);
            let fault: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
            assert_eq!(fault["code"], "malformed", "{fault}");
            assert!(fault["why"].as_str().unwrap().contains(wrong), "{api} {body}: {fault}");
        }
    }
    world.end().await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn any_bytes_posted_as_an_operation_are_answered(
        kind in prop::sample::select(OperationKind::ALL.to_vec()),
        body in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut data = FormData::from_urlencoded(&body);
        let hash = &|_: &str| "$6$salt$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".parse();
        let _ = model::form::operations(&data, hash);
        data.set("intent", kind.as_str());
        let text = String::from_utf8_lossy(&body).into_owned();
        for field in ["name", "host", "profiles", "set", "mode", "memory", "disk", "network", "admin_keys", "tcp_ports", "static_address", "hosts", "dns", "image", "machine"] {
            data.0.push((field.to_owned(), text.clone()));
        }
        if let Err(fields) = model::form::operations(&data, hash) {
            prop_assert!(!fields.is_empty(), "a refusal says what is wrong");
        }
    }

    #[test]
    fn any_text_on_a_console_s_control_channel_is_answered(
        body in prop::collection::vec(any::<u8>(), 0..200),
        kind in prop::sample::select(vec!["take_over", "release", "resize", "x"]),
    ) {
        let text = String::from_utf8_lossy(&body).into_owned();
        let known = |request: Result<_, String>| request.map_or_else(|why| !why.is_empty(), |_| true);
        prop_assert!(known(server::ws::console_request(&text)));
        let framed = serde_json::json!({ "type": kind, "cols": text, "rows": body }).to_string();
        let read = server::ws::console_request(&framed);
        prop_assert!(read.is_err() || kind == "take_over" || kind == "release");
    }
}
