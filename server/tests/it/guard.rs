//! Same origin, host names, headers, cookies, proxies.

use crate::http::form;
use crate::world::{PASSWORD, Wishes, World};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

#[tokio::test]
async fn a_state_change_needs_an_origin_of_ours() {
    let (world, admin) = World::new().await;
    let body = form(&[("intent", "logout")]);
    let own = admin.origin.clone();
    let refused: [&[(&str, &str)]; 8] = [
        &[FORM],
        &[FORM, ("origin", "null")],
        &[FORM, ("origin", "http://evil.test")],
        &[FORM, ("origin", "https://evil.test"), ("sec-fetch-site", "same-origin")],
        &[FORM, ("origin", &own), ("sec-fetch-site", "cross-site")],
        &[FORM, ("origin", &own), ("sec-fetch-site", "same-site")],
        &[FORM, ("sec-fetch-site", "cross-site")],
        &[FORM, ("referer", &own)],
    ];
    for headers in refused {
        assert_eq!(admin.ask("POST", "/", headers, body.as_bytes()).await.status, 403, "{headers:?}");
    }
    assert_eq!(admin.get("/").await.status, 200, "nothing of this logged anybody out");
    let evil = format!("{own}.evil.test");
    assert_eq!(admin.ask("POST", "/api/ticket", &[("origin", &evil)], b"{}").await.status, 403);
    let accepted: [&[(&str, &str)]; 2] = [
        &[FORM, ("sec-fetch-site", "same-origin")],
        &[FORM, ("origin", &own), ("sec-fetch-site", "same-origin")],
    ];
    for headers in accepted {
        let person = world.login("ada").await;
        assert_eq!(person.ask("POST", "/", headers, body.as_bytes()).await.status, 303, "{headers:?}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_foreign_host_name_is_dns_rebinding() {
    let (world, admin) = World::new().await;
    let twice = format!("{}:80", admin.host);
    for host in ["evil.test", "evil.test:80", "127.0.0.1", "localhost", &twice] {
        let mut person = admin.clone();
        person.host = host.to_owned();
        assert_eq!(person.get("/").await.status, 421, "{host}");
    }
    let mut person = admin.clone();
    person.host = person.host.replace("127.0.0.1", "localhost");
    assert_eq!(person.get("/").await.status, 200);
    for second in ["evil.test", admin.host.as_str()] {
        assert_eq!(admin.ask("GET", "/", &[("host", second)], b"").await.status, 400, "two hosts: {second}");
    }
    world.end().await;
}

#[tokio::test]
async fn every_answer_has_its_headers_and_a_page_a_nonce_of_its_own() {
    let (world, admin) = World::new().await;
    for path in
        ["/", "/login", "/nothing", "/favicon.svg", "/metrics", "/healthz", "/audit.csv", "/api/ticket"]
    {
        let reply = admin.get(path).await;
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("x-frame-options", "DENY"),
        ] {
            assert_eq!(reply.header(name), Some(value), "{path}");
        }
        assert!(reply.header("content-security-policy").unwrap().contains("default-src 'none'"), "{path}");
        assert!(reply.header("x-request-id").is_some(), "{path}");
    }
    let (one, two) = (admin.get("/").await, admin.get("/").await);
    assert_eq!(one.header("cache-control"), Some("no-store"));
    let policy = one.header("content-security-policy").unwrap();
    assert_ne!(Some(policy), two.header("content-security-policy"), "a nonce is used once");
    for part in [
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "connect-src 'self'",
        "'wasm-unsafe-eval'",
    ] {
        assert!(policy.contains(part), "{part} in {policy}");
    }
    assert!(!policy.contains("unsafe-inline") && !policy.contains("'unsafe-eval'"));
    let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap();
    assert!(nonce.len() >= 22, "128 bits: {nonce}");
    for script in one.body.split("<script").skip(1) {
        let tag = script.split('>').next().unwrap();
        assert!(tag.contains(nonce), "a script without the nonce: <script{tag}>");
    }
    for inline in [" onclick=", " onload=", " onerror=", " style=\"", "javascript:"] {
        assert!(!one.body.contains(inline), "{inline}");
    }
    world.end().await;
}

#[tokio::test]
async fn over_tls_the_cookie_and_the_transport_are_strict() {
    let (world, admin) =
        World::with(Wishes { public: Some("https://vms.example.org"), ..Wishes::default() }).await;
    let cookie = admin.cookie.clone().unwrap();
    assert!(cookie.starts_with("__Host-snowglobe="), "{cookie}");
    let reply = admin.post("/login", &[("intent", "login"), ("name", "ada"), ("password", PASSWORD)]).await;
    let set = reply.set_cookie("__Host-snowglobe").unwrap();
    for flag in ["; Path=/;", "; HttpOnly", "; SameSite=Lax", "; Secure", "; Max-Age=2592000"] {
        assert!(set.contains(flag), "{flag} in {set}");
    }
    assert!(!set.contains("Domain"), "{set}");
    assert_ne!(reply.cookie().as_deref(), Some(cookie.as_str()), "a login makes a new session");
    assert_eq!(admin.get("/").await.status, 303, "and ends the one that this browser had");
    assert!(reply.header("strict-transport-security").is_some());
    let reply = world.login("ada").await.post("/", &[("intent", "logout")]).await;
    let set = reply.header("set-cookie").unwrap();
    for part in ["__Host-snowglobe=;", "; Path=/;", "; Max-Age=0", "; Secure"] {
        assert!(set.contains(part), "browsers remove it only with {part}: {set}");
    }
    world.end().await;
}

#[tokio::test]
async fn forwarded_addresses_reach_the_audit_log_only_through_a_trusted_proxy() {
    let cases: [(&'static [&'static str], &str); 2] = [(&["127.0.0.0/8"], "203.0.113.9"), (&[], "127.0.0.1")];
    for (trusted_proxies, from) in cases {
        let (world, admin) = World::with(Wishes { trusted_proxies, ..Wishes::default() }).await;
        let body = form(&[("intent", "login"), ("name", "ada"), ("password", "wrong")]);
        // A client may send any bytes, and the proxy adds to them.
        let forwarded = ("x-forwarded-for", "6.6.6.6, \u{ff}, 203.0.113.9");
        let headers = [FORM, ("origin", admin.origin.as_str()), forwarded];
        assert_eq!(world.nobody().ask("POST", "/login", &headers, body.as_bytes()).await.status, 422);
        let csv = admin.get("/audit.csv?outcome=denied").await.body;
        assert!(csv.contains(&format!(",{from},")), "{csv}");
        assert!(!csv.contains("6.6.6.6"));
        world.end().await;
    }
}

#[tokio::test]
async fn too_much_is_not_read() {
    let (world, admin) = World::new().await;
    let body = vec![b'a'; model::form::BODY_MAX + 1];
    let headers = [FORM, ("origin", admin.origin.as_str())];
    assert_eq!(admin.ask("POST", "/account", &headers, &body).await.status, 413);
    let json = [("content-type", "application/json"), ("origin", admin.origin.as_str())];
    assert_eq!(admin.ask("POST", "/account", &json, b"{}").await.status, 415);
    world.end().await;
}
