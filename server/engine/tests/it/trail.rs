//! The audit log: complete, in order, and tampering is detected.

use crate::crash::{on_portal, runtime};
use crate::harness::{World, actor, admin, create, member, name, on, run, secret, succeed};
use engine::Engine;
use model::Fault;
use model::account::Role;
use model::audit::{AUDIT_PER_PAGE, AuditFilter, ChainState, Outcome};
use model::console::ConsoleRole;
use model::operation::OperationKind;
use model::portal::{Browser, Portal as _};
use ports::hypervisor::HypervisorError;
use sha2::{Digest as _, Sha256};
use sqlx::Row as _;
use std::time::Duration;

#[tokio::test]
async fn every_act_is_found_with_its_outcome() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    succeed(&engine, &ada, create("web")).await;
    let why = HypervisorError::Failed { what: "rebooting".to_owned(), why: "no".to_owned() };
    world.hypervisor.fail_next("power", why);
    run(&engine, &ada, on(OperationKind::Reboot, "web")).await;
    let _ = engine.login(&ada, "eve\u{202e}", &secret("wrong"), &Browser::default()).await;

    let session = engine.attach_console(&ada, &name("web"), ConsoleRole::Driver, None).await.unwrap();
    let pending = AuditFilter { outcome: Some(Outcome::Pending), ..AuditFilter::default() };
    let open = engine.audit(&ada, &pending).await.unwrap().rows;
    assert_eq!(open.iter().map(|r| r.action.as_str()).collect::<Vec<_>>(), ["drive_console"]);
    let mut metrics = engine.metrics();
    assert_eq!(metrics.console_viewers, 1);
    drop(session);
    while metrics.console_viewers > 0 {
        tokio::task::yield_now().await;
        metrics = engine.metrics();
    }
    engine.shut_down().await;

    let engine = world.open().await;
    let ada = actor(&engine, "ada").await;
    let rows = engine.audit(&ada, &AuditFilter::default()).await.unwrap().rows;
    let told: Vec<_> = rows.iter().map(|r| (r.action.as_str(), r.outcome, r.subject.as_deref())).collect();
    for wanted in [
        ("create_administrator", Outcome::Succeeded, Some("ada")),
        ("create", Outcome::Succeeded, Some("web")),
        ("reboot", Outcome::Failed, Some("web")),
        ("drive_console", Outcome::Succeeded, Some("web")),
    ] {
        assert!(told.contains(&wanted), "{wanted:?} is not in {told:#?}");
    }
    let login = rows.iter().find(|r| r.action == "login").unwrap();
    assert_eq!(login.outcome, Outcome::Denied);
    let create = rows.iter().find(|r| r.action == "create").unwrap();
    assert!(create.job.is_some() && create.ended.is_some() && create.from.as_deref() == Some("127.0.0.1"));
    for (filter, count) in [
        (AuditFilter { action: Some("reboot".to_owned()), ..AuditFilter::default() }, 1),
        (AuditFilter { subject: Some("web".to_owned()), ..AuditFilter::default() }, 3),
        (AuditFilter { actor: Some("nobody".to_owned()), ..AuditFilter::default() }, 0),
    ] {
        assert_eq!(engine.audit(&ada, &filter).await.unwrap().rows.len(), count, "{filter:?}");
    }
    engine.shut_down().await;
}

#[tokio::test]
async fn pages_follow_each_other_without_a_gap() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    for _ in 0..AUDIT_PER_PAGE + 20 {
        engine.check_host(&ada, &"local".parse().unwrap()).await.unwrap();
    }
    let first = engine.audit(&ada, &AuditFilter::default()).await.unwrap();
    let second =
        engine.audit(&ada, &AuditFilter { before: first.next, ..AuditFilter::default() }).await.unwrap();
    assert_eq!(second.next, None);
    let seqs: Vec<i64> = first.rows.iter().chain(&second.rows).map(|r| r.seq).collect();
    let expected: Vec<i64> = (1..=i64::from(AUDIT_PER_PAGE) + 21).rev().collect();
    assert_eq!(seqs, expected);
    engine.shut_down().await;
}

#[tokio::test]
async fn rows_cannot_be_changed_or_removed_and_a_chain_that_was_tampered_with_is_broken() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    succeed(&engine, &ada, create("web")).await;
    succeed(&engine, &ada, on(OperationKind::Purge, "web")).await;
    let intact = engine.verify_audit(&ada).await.unwrap();
    assert_eq!(intact, ChainState::Intact { entries: 3, unkeyed: 0 });
    engine.shut_down().await;

    let mut sql = world.sql().await;
    for forbidden in [
        "delete from audit where seq = 2",
        "update audit set outcome = 'failed' where seq = 2",
        "update audit set subject = 'other' where seq = 3",
    ] {
        let refused = sqlx::query(forbidden).execute(&mut sql).await.unwrap_err();
        assert!(refused.to_string().contains("append_only"), "{forbidden}: {refused}");
    }
    // Someone with the file can drop the triggers; the chain is for them.
    for statement in ["drop trigger audit_keep_rows", "drop trigger audit_complete_once"] {
        sqlx::query(statement).execute(&mut sql).await.unwrap();
    }
    for (tamper, repair, at) in [
        (
            "update audit set subject = 'db' where seq = 2",
            "update audit set subject = 'web' where seq = 2",
            2,
        ),
        (
            "update audit set detail = 'x' where seq = 1",
            "update audit set detail = 'from the command line' where seq = 1",
            1,
        ),
        (
            "update audit set ended = ended + 1 where seq = 3",
            "update audit set ended = ended - 1 where seq = 3",
            3,
        ),
        ("delete from audit where seq = 3", "", 4),
    ] {
        sqlx::query(tamper).execute(&mut sql).await.unwrap();
        let engine = world.open().await;
        let state = engine.verify_audit(&ada).await.unwrap();
        let ChainState::Broken { at: found } = state else { panic!("{tamper}: {state:?}") };
        assert!(found == at || repair.is_empty(), "{tamper}: {found}");
        engine.shut_down().await;
        if !repair.is_empty() {
            sqlx::query(repair).execute(&mut sql).await.unwrap();
            let engine = world.open().await;
            assert_eq!(engine.verify_audit(&ada).await.unwrap(), intact, "{repair}");
            engine.shut_down().await;
        }
    }
}

/// “evil\u{202e}nimda” would be shown as “eviladmin”.
#[tokio::test]
async fn nothing_in_a_subject_reorders_what_is_shown() {
    let world = World::new();
    let engine = world.open().await;
    let (ada, bob) = (admin(&engine).await, member(&engine, "bob").await);
    let subjects = async |engine: &Engine| {
        let denied = AuditFilter { outcome: Some(Outcome::Denied), ..AuditFilter::default() };
        let rows = engine.audit(&ada, &denied).await.unwrap().rows;
        rows.into_iter().filter_map(|row| row.subject).collect::<Vec<_>>()
    };
    let odd = "evil\u{202e}nimda\u{2066}";
    let denied = engine.add_user(&bob, odd, Role::Member, &secret("long enough 1")).await;
    assert!(matches!(denied, Err(Fault::Denied { .. })), "{denied:?}");
    assert_eq!(subjects(&engine).await, ["evilnimda"]);
    engine.shut_down().await;

    let mut sql = world.sql().await;
    let written: String = sqlx::query_scalar("select subject from audit where outcome = 'denied'")
        .fetch_one(&mut sql)
        .await
        .unwrap();
    assert_eq!(written, "evilnimda");
    // Written by a portal that did not check.
    for statement in ["drop trigger audit_keep_rows", "drop trigger audit_complete_once"] {
        sqlx::query(statement).execute(&mut sql).await.unwrap();
    }
    sqlx::query("update audit set subject = ? where outcome = 'denied'")
        .bind(odd)
        .execute(&mut sql)
        .await
        .unwrap();
    let engine = world.open().await;
    assert_eq!(subjects(&engine).await, ["evilnimda"]);
    engine.shut_down().await;
}

#[tokio::test]
async fn a_flood_of_denials_is_a_few_entries_and_their_count() {
    let world = World::new();
    let engine = world.open().await;
    let (ada, bob) = (admin(&engine).await, member(&engine, "bob").await);
    let denials = async |engine: &Engine, count| {
        for _ in 0..count {
            assert!(matches!(engine.users(&bob).await, Err(Fault::Denied { .. })));
        }
    };
    let details = async |engine: &Engine| {
        let denied = AuditFilter { outcome: Some(Outcome::Denied), ..AuditFilter::default() };
        let rows = engine.audit(&ada, &denied).await.unwrap().rows;
        assert!(rows.iter().all(|row| row.actor.as_deref() == Some("bob")), "{rows:#?}");
        rows.into_iter().map(|row| row.detail.unwrap_or_default()).collect::<Vec<_>>()
    };
    denials(&engine, 47).await;
    assert_eq!(details(&engine).await, [""; 5]);
    world.clock.advance_millis(60_000);
    denials(&engine, 4).await;
    assert_eq!(details(&engine).await[0], "43 more denials of manage_users by bob in 60 s");
    engine.shut_down().await;
    let engine = world.open().await;
    let found = details(&engine).await;
    assert_eq!((found.len(), found[0].as_str()), (7, "3 more denials of manage_users by bob in 1 s"));
    engine.shut_down().await;
}

/// Makes the log what the version before keys would have written: links of plain SHA-256, nothing about keys. That is also
/// the best that a forger without the key can do.
async fn without_key(world: &World) {
    let mut sql = world.sql().await;
    for statement in
        ["drop trigger if exists audit_complete_once", "delete from settings where key = 'audit.eras'"]
    {
        sqlx::query(statement).execute(&mut sql).await.unwrap();
    }
    let rows = sqlx::query("select * from audit order by seq").fetch_all(&mut sql).await.unwrap();
    let json = |text: Option<String>| text.map_or("null".to_owned(), |text| format!("\"{text}\""));
    let mut links: Vec<(i64, i64, &str, String)> = Vec::new();
    for row in &rows {
        let text = |column| json(row.get::<Option<String>, _>(column));
        let number = |column| row.get::<Option<i64>, _>(column).unwrap();
        let begin = format!(
            r#"{{"began":{},"actor_id":{},"actor":{},"from_addr":{},"action":{},"subject":{},"job_id":{},"request":{}}}"#,
            number("began"),
            text("actor_id"),
            text("actor"),
            text("from_addr"),
            text("action"),
            text("subject"),
            text("job_id"),
            text("request"),
        );
        let end = format!(
            r#"{{"seq":{},"ended":{},"outcome":{},"detail":{}}}"#,
            number("seq"),
            number("ended"),
            text("outcome"),
            text("detail"),
        );
        links.push((number("begin_link"), number("seq"), "begin_hash", begin));
        links.push((number("end_link"), number("seq"), "end_hash", end));
    }
    links.sort();
    let mut hash = String::new();
    for (link, seq, column, content) in &links {
        let mut hasher = Sha256::new();
        hasher.update(hash.as_bytes());
        hasher.update(link.to_be_bytes());
        hasher.update(content);
        hash = hex::encode(hasher.finalize());
        let update = format!("update audit set {column} = ? where seq = ?");
        sqlx::query(&update).bind(&hash).bind(seq).execute(&mut sql).await.unwrap();
    }
    let head = format!("{} {hash}", links.len());
    sqlx::query("update settings set value = ? where key = 'audit.head'")
        .bind(head)
        .execute(&mut sql)
        .await
        .unwrap();
}

/// The log's warning and state at a start.
async fn started(world: &World) -> (Option<String>, ChainState) {
    let engine = world.open().await;
    let ada = admin(&engine).await;
    let warning = engine.audit(&ada, &AuditFilter::default()).await.unwrap().warning;
    let state = engine.verify_audit(&ada).await.unwrap();
    engine.shut_down().await;
    (warning, state)
}

#[tokio::test]
async fn somebody_who_can_only_write_the_database_cannot_forge_the_chain() {
    let world = World::new();
    let (warning, state) = started(&world).await;
    assert_eq!((warning, state), (None, ChainState::Intact { entries: 1, unkeyed: 0 }));
    let engine = world.open().await;
    let ada = admin(&engine).await;
    without_key(&world).await;
    let state = engine.verify_audit(&ada).await.unwrap();
    assert_eq!(state, ChainState::Broken { at: 2 }, "there is no seal of the present key");
    engine.shut_down().await;
    let (warning, state) = started(&world).await;
    assert!(warning.is_some(), "the end that was written down beside the database is not there");
    assert_eq!(
        state,
        ChainState::Intact { entries: 2, unkeyed: 1 },
        "what is forged is not said to be proved"
    );
}

#[tokio::test]
async fn a_log_from_before_there_were_keys_is_continued_with_one() {
    let world = World::new();
    started(&world).await;
    without_key(&world).await;
    for file in ["audit.key", "audit.head"] {
        std::fs::remove_file(world.settings.state.join(file)).unwrap();
    }
    let state = ChainState::Intact { entries: 1, unkeyed: 1 };
    assert_eq!(started(&world).await, (None, state));
    let engine = world.open().await;
    let ada = admin(&engine).await;
    engine.check_host(&ada, &"local".parse().unwrap()).await.unwrap();
    let state = ChainState::Intact { entries: 2, unkeyed: 1 };
    assert_eq!(engine.verify_audit(&ada).await.unwrap(), state);
    engine.shut_down().await;
}

#[tokio::test]
async fn a_database_that_was_put_back_is_noticed_and_said_in_the_log() {
    let world = World::new();
    started(&world).await;
    let backup = std::fs::read(world.database()).unwrap();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    engine.check_host(&ada, &"local".parse().unwrap()).await.unwrap();
    engine.shut_down().await;
    std::fs::write(world.database(), backup).unwrap();

    let (warning, state) = started(&world).await;
    assert!(warning.as_ref().is_some_and(|words| words.contains("older backup")), "{warning:?}");
    assert_eq!(state, ChainState::Intact { entries: 2, unkeyed: 0 });
    let engine = world.open().await;
    let page = engine.audit(&admin(&engine).await, &AuditFilter::default()).await.unwrap();
    assert_eq!(page.warning, None, "at the next start all is as it was left");
    let entry = &page.rows[0];
    assert_eq!((entry.action.as_str(), entry.outcome), ("check_audit_log", Outcome::Failed));
    assert_eq!(entry.detail, warning);
    engine.shut_down().await;
}

#[tokio::test]
async fn a_lost_key_is_said_and_what_it_proved_is_not_called_proved() {
    let world = World::new();
    started(&world).await;
    std::fs::remove_file(world.settings.state.join("audit.key")).unwrap();
    let (warning, state) = started(&world).await;
    assert!(warning.as_ref().is_some_and(|words| words.contains("is missing")), "{warning:?}");
    assert_eq!(state, ChainState::Unproven { entries: 2, lost: 1 });
    assert_eq!(started(&world).await, (None, ChainState::Unproven { entries: 2, lost: 1 }));
}

#[tokio::test]
async fn of_refused_logins_only_the_names_of_users_are_recorded() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    let typed = "my secret in the wrong field";
    for name in [typed, "ada"] {
        assert!(engine.login(&ada, name, &secret("wrong"), &Browser::default()).await.is_err());
    }
    let logins = AuditFilter { action: Some("login".to_owned()), ..AuditFilter::default() };
    let rows = engine.audit(&ada, &logins).await.unwrap().rows;
    let subjects: Vec<_> = rows.iter().map(|row| row.subject.as_deref()).collect();
    assert_eq!(subjects, [Some("ada"), None]);
    assert!(!format!("{rows:?}").contains(typed), "{rows:#?}");
    engine.shut_down().await;
}

#[test]
fn a_console_that_was_open_when_the_portal_was_killed_is_closed_in_the_log() {
    let world = World::new();
    let killed = runtime();
    killed.block_on(async {
        let engine = world.open().await;
        let ada = admin(&engine).await;
        succeed(&engine, &ada, create("web")).await;
        let session = engine.attach_console(&ada, &name("web"), ConsoleRole::Watcher, None).await.unwrap();
        // A killed process drops nothing.
        std::mem::forget(session);
    });
    killed.shutdown_timeout(Duration::from_secs(10));
    on_portal(&world, async |engine, ada| {
        let rows = engine.audit(&ada, &AuditFilter::default()).await.unwrap().rows;
        let watched = rows.iter().find(|row| row.action == "watch_console").unwrap();
        assert!(watched.ended.is_some(), "{watched:?}");
        assert_eq!(watched.detail.as_deref(), Some("the portal ended before this was closed"));
        assert!(matches!(engine.verify_audit(&ada).await.unwrap(), ChainState::Intact { .. }));
    });
}
