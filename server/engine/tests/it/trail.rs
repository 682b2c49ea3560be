//! The audit log: complete, in order, and whoever changes it is found out.

use crate::harness::{World, actor, admin, create, member, name, on, run, secret, succeed};
use engine::Engine;
use model::Fault;
use model::audit::{AUDIT_PER_PAGE, AuditFilter, ChainState, Outcome};
use model::console::ConsoleRole;
use model::operation::OperationKind;
use model::portal::Portal as _;
use ports::hypervisor::HypervisorError;

#[tokio::test]
async fn every_act_is_found_with_its_outcome() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    succeed(&engine, &ada, create("web")).await;
    let why = HypervisorError::Failed { what: "rebooting".to_owned(), why: "no".to_owned() };
    world.hypervisor.fail_next("power", why);
    run(&engine, &ada, on(OperationKind::Reboot, "web")).await;
    let _ = engine.login(&ada, "eve\u{202e}", &secret("wrong"), None).await;

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
    assert_eq!(intact, ChainState::Intact { entries: 3 });
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
    // Somebody with the file can drop the triggers; the chain is for them.
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
