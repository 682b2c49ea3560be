//! The first administrator, login and throttling, passwords, sessions, users.

use crate::world::{PASSWORD, Person, Wishes, World};
use sqlx::Connection as _;

#[tokio::test]
async fn the_setup_link_works_once() {
    let world = World::empty(Wishes::default()).await;
    let nobody = world.nobody();
    let fields = |token| {
        [
            ("intent", "setup"),
            ("token", token),
            ("name", "ada"),
            ("password", PASSWORD),
            ("password_again", PASSWORD),
        ]
    };
    let page = format!("/setup?token={}", world.setup_token);
    assert!(nobody.get(&page).await.body.contains("name=\"password_again\""));
    let guessed = nobody.get("/setup?token=guessed").await;
    assert!(guessed.body.contains("This link is not valid") && !guessed.body.contains("<form"));
    assert_eq!(nobody.post("/setup", &fields("guessed")).await.status, 403);
    let differ = [
        ("intent", "setup"),
        ("token", world.setup_token.as_str()),
        ("name", "ada"),
        ("password", PASSWORD),
        ("password_again", "another one"),
    ];
    let mut all_wrong = differ;
    all_wrong[2].1 = "No Name";
    all_wrong[3].1 = "short";
    let reply = nobody.post(&page, &all_wrong).await;
    let told = ["3 fields need", "must start with a lower-case letter", "at least 12", "passwords differ"];
    assert!(told.iter().all(|told| reply.body.contains(told)), "{}", reply.body);
    let reply = nobody.post(&page, &differ).await;
    assert_eq!(reply.status, 422);
    assert!(
        reply.body.contains("The two passwords differ") && reply.body.contains("value=\"ada\""),
        "{}",
        reply.body
    );
    assert!(!reply.body.contains(PASSWORD), "a password is never shown again");
    let reply = nobody.post("/setup", &fields(&world.setup_token)).await;
    assert_eq!((reply.status, reply.location()), (303, "/"));
    assert!(reply.cookie().unwrap().starts_with("snowglobe="));
    let again = nobody.post("/setup", &fields(&world.setup_token)).await;
    assert!((400..500).contains(&again.status), "{}", again.status);
    assert!(again.cookie().is_none());
    world.end().await;
}

#[tokio::test]
async fn wrong_passwords_are_told_beside_the_field_and_slow_down() {
    let (world, admin) = World::new().await;
    let nobody = world.nobody();
    let mut statuses = Vec::new();
    for _ in 0..30 {
        let reply =
            nobody.post("/login", &[("intent", "login"), ("name", "ada"), ("password", "wrong")]).await;
        if statuses.is_empty() {
            assert!(
                reply.body.contains("value=\"ada\"") && reply.body.contains("is wrong"),
                "{}",
                reply.body
            );
        }
        statuses.push(reply.status);
    }
    assert_eq!(statuses.first(), Some(&422));
    assert_eq!(statuses.last(), Some(&429), "{statuses:?}");
    // The right password does not help while the account is throttled; time does.
    let right = [("intent", "login"), ("name", "ada"), ("password", PASSWORD)];
    let reply = nobody.post("/login", &right).await;
    assert_eq!(reply.status, 429);
    let seconds: u64 = reply.header("retry-after").expect("programs read it here").parse().unwrap();
    assert!(reply.body.contains(&format!("Try again in {seconds} s")), "{}", reply.body);
    // A browser that has logged in before does not have to wait because of strangers, even at the same address.
    let device =
        admin.cookie.as_deref().unwrap().split("; ").find(|pair| pair.starts_with("snowglobe-device="));
    let known = Person { cookie: device.map(str::to_owned), ..world.nobody() };
    let reply = known.post("/login", &right).await;
    assert_eq!(reply.status, 303);
    assert!(reply.cookie().unwrap().contains("snowglobe-device="), "each login renews the cookie");
    world.clock.advance_millis(24 * 3600 * 1000);
    assert_eq!(nobody.post("/login", &right).await.status, 303);
    world.end().await;
}

#[tokio::test]
async fn login_leads_to_where_one_wanted_to_go_and_never_elsewhere() {
    let (world, _admin) = World::new().await;
    let nobody = world.nobody();
    let asked = nobody.get("/jobs?open=true").await;
    assert_eq!(asked.location(), "/login?next=%2Fjobs%3Fopen%3Dtrue");
    let login = [("intent", "login"), ("name", "ada"), ("password", PASSWORD)];
    assert_eq!(nobody.post(asked.location(), &login).await.location(), "/jobs?open=true");
    for evil in ["https://evil.test/", "//evil.test", "/\\evil.test"] {
        let mut fields = login.to_vec();
        fields.push(("next", evil));
        assert_eq!(nobody.post("/login", &fields).await.location(), "/", "{evil}");
    }
    world.end().await;
}

#[tokio::test]
async fn logging_out_ends_the_session_and_its_cookie() {
    let (world, admin) = World::new().await;
    let reply = admin.post("/jobs", &[("intent", "logout")]).await;
    assert_eq!((reply.status, reply.location()), (303, "/login"));
    assert!(reply.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert_eq!(admin.get("/").await.status, 303);
    world.end().await;
}

#[tokio::test]
async fn each_login_has_an_id_of_its_own_and_no_browser_chooses_one() {
    let (world, admin) = World::new().await;
    let login = [("intent", "login"), ("name", "ada"), ("password", PASSWORD)];
    let mut planted = world.nobody();
    planted.cookie = Some("snowglobe=AAAAAAAAAAAAAAAAAAAAAA".to_owned());
    let reply = planted.post("/login", &login).await;
    assert!(
        !reply.header("set-cookie").unwrap().contains("Secure"),
        "a browser would not send it back over http"
    );
    let first = reply.cookie().unwrap();
    assert_ne!(Some(&first), planted.cookie.as_ref(), "a planted id is not taken over");
    assert_eq!(planted.get("/").await.status, 303);
    planted.cookie = Some(first.clone());
    assert_eq!(planted.get("/").await.status, 200);
    let again = planted.post("/login", &login).await.cookie().unwrap();
    assert_ne!(again, first);
    assert_eq!(planted.get("/").await.status, 303, "the former session of this browser has ended");
    for bad in ["", "short", "!!!!!!!!!!!!!!!!!!!!!!", &"A".repeat(5000), &first[10..]] {
        planted.cookie = Some(format!("snowglobe={bad}"));
        assert_eq!(planted.get("/").await.status, 303, "{bad}");
    }
    assert_eq!(admin.get("/").await.header("set-cookie"), None, "a session in use costs no cookie");
    world.end().await;
}

#[tokio::test]
async fn a_page_costs_a_session_no_write_but_once_a_minute() {
    let (world, admin) = World::new().await;
    let database = format!("sqlite://{}", world.state.path().join("snowglobe.db").display());
    let mut database = sqlx::SqliteConnection::connect(&database).await.unwrap();
    let mut version =
        async || -> i64 { sqlx::query_scalar("pragma data_version").fetch_one(&mut database).await.unwrap() };
    let before = version().await;
    for _ in 0..5 {
        assert_eq!(admin.get("/account").await.status, 200);
    }
    assert_eq!(version().await, before);
    world.clock.advance_millis(60_000);
    assert_eq!(admin.get("/account").await.status, 200);
    let after = version().await;
    assert_ne!(after, before, "its use is written down");
    assert_eq!(admin.get("/account").await.status, 200);
    assert_eq!(version().await, after);
    world.end().await;
}

#[tokio::test]
async fn a_changed_password_ends_the_other_sessions() {
    let (world, here) = World::new().await;
    let elsewhere = world.login("ada").await;
    let change = |old, new| {
        [
            ("intent", "change_password"),
            ("old_password", old),
            ("new_password", new),
            ("new_password_again", new),
        ]
    };
    let new = "another four random words";
    assert_eq!(here.post("/account", &change("not this one", new)).await.status, 422);
    assert_eq!(here.post("/account", &change(PASSWORD, "short")).await.status, 422);
    let reply = here.post("/account", &change(PASSWORD, new)).await;
    assert_eq!((reply.status, reply.location()), (303, "/account?done=change_password"));
    assert_eq!((here.get("/").await.status, elsewhere.get("/").await.status), (200, 303));
    let login = |password| [("intent", "login"), ("name", "ada"), ("password", password)];
    assert_eq!(world.nobody().post("/login", &login(PASSWORD)).await.status, 422);
    assert_eq!(world.nobody().post("/login", &login(new)).await.status, 303);
    world.end().await;
}

#[tokio::test]
async fn roles_and_accounts_are_for_administrators_and_one_always_remains() {
    let (world, admin) = World::new().await;
    let member = world.user(&admin, "mia", "member").await;
    let (ada, mia) = (world.id_of("ada").await, world.id_of("mia").await);
    for fields in [
        vec![("intent", "set_role"), ("user", mia.as_str()), ("role", "administrator")],
        vec![("intent", "disable"), ("user", ada.as_str())],
        vec![("intent", "add_user"), ("name", "eve"), ("role", "administrator"), ("password", PASSWORD)],
        vec![("intent", "check_host"), ("host", "local")],
    ] {
        for page in ["/users", "/", "/account"] {
            assert_eq!(member.post(page, &fields).await.status, 403, "{fields:?} at {page}");
        }
    }
    let last = admin.post("/users", &[("intent", "disable"), ("user", &ada)]).await;
    assert_eq!(last.status, 409, "the last administrator stays");
    let promoted =
        admin.post("/users", &[("intent", "set_role"), ("user", &mia), ("role", "administrator")]).await;
    assert_eq!((promoted.status, promoted.location()), (303, "/users?done=set_role"));
    assert_eq!(member.get("/users").await.status, 200, "a role counts from the next request on");
    world.end().await;
}
