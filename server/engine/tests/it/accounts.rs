//! Setup, login, sessions, passwords, users, tickets.

use crate::harness::{PASSWORD, World, admin, member, patiently, secret};
use engine::Engine;
use model::Fault;
use model::account::{Actor, Role, Secret, SessionUser, TICKET_SECONDS, TicketPurpose};
use model::portal::{Browser, LoggedIn, Portal as _};

const FIREFOX: Browser<'_> = Browser { agent: Some("Browser/1.0"), device: None };
const DAY: i64 = 24 * 60 * 60 * 1000;

fn stranger() -> Actor {
    Actor::anonymous(Some([10, 0, 0, 9].into()))
}

fn acting(user: SessionUser) -> Actor {
    Actor { user: Some(user), from: Some([10, 0, 0, 9].into()) }
}

async fn login(engine: &Engine, name: &str, password: &str) -> Result<LoggedIn, Fault> {
    engine.login(&stranger(), name, &secret(password), &FIREFOX).await
}

#[tokio::test]
async fn the_setup_link_makes_one_administrator_once() {
    let world = World::new();
    let engine = world.open().await;
    let token = engine.setup_token().await.unwrap().unwrap();
    assert!(engine.needs_setup().await.unwrap());
    let setup = async |token: &str, name: &str, password: &str| {
        engine.setup(&stranger(), &secret(token), name, &secret(password), &Browser::default()).await
    };
    assert!(matches!(setup("wrong", "ada", PASSWORD).await, Err(Fault::Denied { .. })));
    let both = setup(token.reveal(), "Ada <b>", "short").await.unwrap_err();
    assert!(both.of_field("name").is_some() && both.of_field("password").is_some(), "{both:?}");
    let ada = setup(token.reveal(), "ada", PASSWORD).await.unwrap();
    assert_eq!(ada.user.role, Role::Administrator);
    assert_eq!(engine.session(&ada.token).await.unwrap(), Some(ada.user));
    assert!(setup(token.reveal(), "eve", PASSWORD).await.is_err());
    assert!(engine.setup_token().await.unwrap().is_none());
    assert!(!engine.needs_setup().await.unwrap());
    engine.shut_down().await;
}

#[tokio::test]
async fn wrong_names_wrong_passwords_and_disabled_accounts_are_told_alike() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    let bob = member(&engine, "bob").await.user.unwrap();
    engine.set_disabled(&ada, bob.id, true).await.unwrap();
    let faults = [
        login(&engine, "ada", "not her password").await.unwrap_err(),
        login(&engine, "nobody", PASSWORD).await.unwrap_err(),
        login(&engine, "bob", PASSWORD).await.unwrap_err(),
        login(&engine, "'; drop table users; --", PASSWORD).await.unwrap_err(),
        login(&engine, "ada", &"x".repeat(1 << 20)).await.unwrap_err(),
    ];
    assert!(faults.iter().all(|f| *f == faults[0] && f.status() == 422), "{faults:?}");
    assert!(login(&engine, "ada", PASSWORD).await.is_ok());
    engine.set_disabled(&ada, bob.id, false).await.unwrap();
    assert!(login(&engine, "bob", PASSWORD).await.is_ok());
    engine.shut_down().await;
}

#[tokio::test]
async fn guessing_is_slowed_down_and_the_right_password_works_after_the_wait() {
    let world = World::new();
    let engine = world.open().await;
    admin(&engine).await;
    let mut seconds = None;
    for _ in 0..10 {
        if let Err(Fault::Throttled { seconds: wait }) = login(&engine, "ada", "wrong password").await {
            seconds = Some(wait);
            break;
        }
    }
    let seconds = seconds.expect("ten wrong passwords in one moment were let through");
    assert!(matches!(login(&engine, "ada", PASSWORD).await, Err(Fault::Throttled { .. })));
    world.clock.advance_millis(i64::try_from(seconds).unwrap() * 1000);
    assert!(login(&engine, "ada", PASSWORD).await.is_ok());
    assert!(engine.metrics().logins_refused >= 5);
    engine.shut_down().await;
}

#[tokio::test]
async fn a_session_slides_ends_and_is_not_in_the_database_as_it_is() {
    let world = World::new();
    let engine = world.open().await;
    admin(&engine).await;
    let session = login(&engine, "ada", PASSWORD).await.unwrap();
    for _ in 0..4 {
        world.clock.advance_millis(6 * DAY);
        assert!(engine.session(&session.token).await.unwrap().is_some(), "use keeps it standing");
    }
    world.clock.advance_millis(6 * DAY);
    assert_eq!(engine.session(&session.token).await.unwrap(), None, "thirty days are the end");
    let idle = login(&engine, "ada", PASSWORD).await.unwrap();
    world.clock.advance_millis(7 * DAY);
    assert_eq!(engine.session(&idle.token).await.unwrap(), None, "seven idle days are the end");
    assert_eq!(engine.session(&secret("no such token")).await.unwrap(), None);

    let session = login(&engine, "ada", PASSWORD).await.unwrap();
    let ada = acting(session.user.clone());
    let shown = engine.sessions(&ada, &session.token).await.unwrap();
    assert_eq!(shown.len(), 1);
    assert!(shown[0].current && shown[0].from.as_deref() == Some("10.0.0.9"));
    let database = std::fs::read(world.database()).unwrap();
    let log = std::fs::read(world.database().with_extension("db-wal")).unwrap_or_default();
    let token = session.token.reveal().as_bytes();
    assert!(![database, log].iter().any(|file| file.windows(token.len()).any(|w| w == token)));
    engine.logout(&ada, &session.token).await.unwrap();
    assert_eq!(engine.session(&session.token).await.unwrap(), None);
    engine.shut_down().await;
}

#[tokio::test]
async fn a_user_who_logs_in_again_and_again_keeps_fifty_sessions() {
    let world = World::new();
    let engine = world.open().await;
    admin(&engine).await;
    let mut sessions = Vec::new();
    for _ in 0..51 {
        sessions.push(login(&engine, "ada", PASSWORD).await.unwrap());
        world.clock.advance_millis(60_000);
        // The first one is used throughout.
        assert!(engine.session(&sessions[0].token).await.unwrap().is_some());
    }
    assert_eq!(engine.session(&sessions[1].token).await.unwrap(), None, "unused for the longest time");
    for session in [&sessions[0], &sessions[2], &sessions[50]] {
        assert!(engine.session(&session.token).await.unwrap().is_some());
    }
    let row = "select count(*) from sessions";
    assert_eq!(sqlx::query_scalar::<_, i64>(row).fetch_one(&mut world.sql().await).await.unwrap(), 50);
    engine.shut_down().await;
}

#[tokio::test]
async fn changing_the_password_ends_the_other_sessions() {
    let world = World::new();
    let engine = world.open().await;
    admin(&engine).await;
    let (here, there) =
        (login(&engine, "ada", PASSWORD).await.unwrap(), login(&engine, "ada", PASSWORD).await.unwrap());
    let ada = acting(here.user.clone());
    let change = async |old: &str, new: &str| {
        engine.change_password(&ada, &here.token, &secret(old), &secret(new)).await
    };
    assert!(change("wrong", "another long password").await.unwrap_err().of_field("old_password").is_some());
    assert!(change(PASSWORD, "short").await.unwrap_err().of_field("new_password").is_some());
    change(PASSWORD, "another long password").await.unwrap();
    assert!(engine.session(&here.token).await.unwrap().is_some());
    assert_eq!(engine.session(&there.token).await.unwrap(), None);
    assert!(login(&engine, "ada", PASSWORD).await.is_err());

    let third = login(&engine, "ada", "another long password").await.unwrap();
    let sessions = engine.sessions(&ada, &here.token).await.unwrap();
    let other = sessions.iter().find(|s| !s.current).unwrap();
    engine.end_session(&ada, &other.handle).await.unwrap();
    assert_eq!(engine.session(&third.token).await.unwrap(), None);
    assert_eq!(engine.end_session(&ada, "unknown").await.unwrap_err(), Fault::not_found("session"));
    engine.shut_down().await;
}

#[tokio::test]
async fn disabling_ends_sessions_and_open_sockets_are_told_at_once() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    let bob = member(&engine, "bob").await.user.unwrap();
    let session = login(&engine, "bob", PASSWORD).await.unwrap();
    engine.still_allowed(bob.id, &TicketPurpose::Events).await.unwrap();
    let mut changes = engine.rights_changes();
    engine.set_disabled(&ada, bob.id, true).await.unwrap();
    assert_eq!(patiently(changes.recv()).await.unwrap(), bob.id);
    assert_eq!(engine.still_allowed(bob.id, &TicketPurpose::Events).await, Err(Fault::Unauthenticated));
    assert_eq!(engine.session(&session.token).await.unwrap(), None);
    engine.set_disabled(&ada, bob.id, false).await.unwrap();
    assert_eq!(engine.session(&session.token).await.unwrap(), None, "an old session does not come back");
    engine.shut_down().await;
}

#[tokio::test]
async fn there_is_always_an_administrator_who_can_log_in() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    let id = ada.user.as_ref().unwrap().id;
    assert!(matches!(engine.set_role(&ada, id, Role::Member).await, Err(Fault::Refused { .. })));
    assert!(matches!(engine.set_disabled(&ada, id, true).await, Err(Fault::Refused { .. })));
    engine.add_user(&ada, "bob", Role::Administrator, &secret(PASSWORD)).await.unwrap();
    let again = engine.add_user(&ada, "bob", Role::Member, &secret(PASSWORD)).await.unwrap_err();
    assert!(again.of_field("name").is_some());
    let bob = engine.user(&ada, &"bob".parse().unwrap()).await.unwrap();
    // Two who dismiss each other at the same moment: one of them stays.
    let answers =
        tokio::join!(engine.set_role(&ada, id, Role::Member), engine.set_role(&ada, bob.id, Role::Member));
    assert_eq!([answers.0.is_ok(), answers.1.is_ok()].iter().filter(|ok| **ok).count(), 1, "{answers:?}");
    engine.shut_down().await;
}

#[tokio::test]
async fn a_ticket_opens_what_it_was_issued_for() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    let bob = member(&engine, "bob").await;
    let ticket = engine.ticket(&ada, TicketPurpose::Events).await.unwrap();
    assert_eq!(engine.redeem(&bob, &ticket, &TicketPurpose::Events).await, Err(Fault::Unauthenticated));
    let ticket = engine.ticket(&ada, TicketPurpose::Events).await.unwrap();
    engine.redeem(&ada, &ticket, &TicketPurpose::Events).await.unwrap();
    assert_eq!(engine.redeem(&ada, &ticket, &TicketPurpose::Events).await, Err(Fault::Unauthenticated));
    let ticket = engine.ticket(&ada, TicketPurpose::Events).await.unwrap();
    world.clock.advance_millis(TICKET_SECONDS * 1000);
    assert_eq!(engine.redeem(&ada, &ticket, &TicketPurpose::Events).await, Err(Fault::Unauthenticated));
    engine.shut_down().await;
}

/// A login from an address, with or without a device cookie.
async fn login_from(
    engine: &Engine,
    host: u8,
    password: &str,
    device: Option<&Secret>,
) -> Result<LoggedIn, Fault> {
    let from = Actor::anonymous(Some([10, 0, 0, host].into()));
    engine.login(&from, "ada", &secret(password), &Browser { device, ..FIREFOX }).await
}

#[tokio::test]
async fn a_stranger_who_keeps_guessing_does_not_keep_the_owner_out() {
    let world = World::new();
    let engine = world.open().await;
    admin(&engine).await;
    let first = login_from(&engine, 1, PASSWORD, None).await.unwrap();
    let mut throttled = 0;
    for second in 0..75 {
        // Five guesses a second at the owner's own address, as behind a proxy that is not trusted, and one at another.
        for host in [1, 1, 1, 1, 1, 2] {
            let guess = login_from(&engine, host, "wrong password", None).await;
            throttled += u32::from(guess.is_err_and(|fault| fault.retry_after().is_some()));
        }
        if second % 25 == 24 {
            login_from(&engine, 1, PASSWORD, Some(&first.device))
                .await
                .expect("a known device does not wait");
            login_from(&engine, 3, PASSWORD, None).await.expect("neither does a new one elsewhere");
        }
        world.clock.advance_millis(1000);
    }
    assert!(throttled > 400, "{throttled} guesses were slowed down");
    engine.shut_down().await;
}

#[tokio::test]
async fn a_device_is_known_by_what_its_last_login_gave_it_and_guesses_no_quicker() {
    let world = World::new();
    let engine = world.open().await;
    admin(&engine).await;
    let first = login_from(&engine, 1, PASSWORD, None).await.unwrap();
    let second = login_from(&engine, 1, PASSWORD, Some(&first.device)).await.unwrap();
    assert_ne!(first.device, second.device);
    let mut wait = None;
    for _ in 0..10 {
        let guess = login_from(&engine, 1, "wrong password", Some(&second.device)).await.unwrap_err();
        wait = wait.or(guess.retry_after());
    }
    assert_eq!(wait, Some(1), "a thief of the cookie is slowed down as well");
    engine.shut_down().await;
    let engine = world.open().await;
    let third = login_from(&engine, 1, PASSWORD, Some(&second.device)).await.unwrap();
    assert_eq!(third.user.name.as_str(), "ada");
    engine.shut_down().await;
}

#[tokio::test]
async fn guesses_from_outside_do_not_keep_somebody_from_changing_the_password() {
    let world = World::new();
    let engine = world.open().await;
    admin(&engine).await;
    let session = login(&engine, "ada", PASSWORD).await.unwrap();
    while !login(&engine, "ada", "wrong password").await.is_err_and(|fault| fault.retry_after().is_some()) {}
    let (ada, new) = (acting(session.user), secret("another long password"));
    engine.change_password(&ada, &session.token, &secret(PASSWORD), &new).await.unwrap();
    engine.shut_down().await;
}
