//! Who sees and does what. What is somebody else's does not exist, in every answer alike.

use crate::harness::{World, actor, admin, build, create, member, name, next, on, secret, succeed};
use model::Fault;
use model::account::{Actor, Role, TicketPurpose};
use model::audit::{AuditFilter, Outcome};
use model::console::ConsoleRole;
use model::event::{Change, EventFrame};
use model::job::JobFilter;
use model::machine::MachineFilter;
use model::operation::{Operation, OperationKind};
use model::portal::Portal as _;

#[tokio::test]
async fn a_member_sees_and_touches_nothing_of_others() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    let (bob, eve) = (member(&engine, "bob").await, member(&engine, "eve").await);
    let job = succeed(&engine, &bob, create("bobs")).await.summary.badge.id;

    let missing = Fault::not_found("machine");
    assert_eq!(engine.machine(&eve, &name("bobs")).await.unwrap_err(), missing);
    for kind in OperationKind::ALL {
        let Some(operation) = Operation::on_machine(*kind, name("bobs")) else { continue };
        assert_eq!(engine.plan(&eve, &operation).await.unwrap_err(), missing, "{kind}");
        assert_eq!(engine.submit(&eve, operation, None).await.unwrap_err(), missing, "{kind}");
    }
    let console = TicketPurpose::Console { machine: name("bobs"), role: ConsoleRole::Watcher };
    assert_eq!(engine.ticket(&eve, console.clone()).await.unwrap_err(), missing);
    let attach = engine.attach_console(&eve, &name("bobs"), ConsoleRole::Watcher, None).await;
    assert_eq!(attach.unwrap_err(), missing);
    let missing = Fault::not_found("job");
    assert_eq!(engine.job(&eve, job).await.unwrap_err(), missing);
    assert_eq!(engine.cancel(&eve, job).await.unwrap_err(), missing);
    assert_eq!(engine.retry(&eve, job).await.unwrap_err(), missing);
    assert_eq!(engine.form_of_job(&eve, job).await.unwrap_err(), missing);
    assert_eq!(engine.follow_job(&eve, job, None).await.err().unwrap(), missing);
    assert_eq!(engine.ticket(&eve, TicketPurpose::Job { id: job }).await.unwrap_err(), missing);

    let seen = async |who: &Actor| {
        let machines = engine.machines(who, &MachineFilter::default()).await.unwrap();
        let jobs = engine.jobs(who, &JobFilter::default()).await.unwrap();
        let image = engine.images(who).await.unwrap().remove(0);
        (machines.total, machines.matching, jobs.len(), image.machines.len(), image.users)
    };
    assert_eq!(seen(&eve).await, (0, 0, 0, 0, 1), "that somebody uses an image is no secret, who is");
    assert_eq!(seen(&bob).await, (1, 1, 1, 1, 1));
    assert_eq!(seen(&ada).await, (1, 1, 1, 1, 1));
    // An administrator's job on Bob's machine is Bob's to see.
    succeed(&engine, &ada, on(OperationKind::Reboot, "bobs")).await;
    assert_eq!(seen(&bob).await.2, 2);

    let denied = AuditFilter { outcome: Some(Outcome::Denied), ..AuditFilter::default() };
    let rows = engine.audit(&ada, &denied).await.unwrap().rows;
    assert!(rows.len() > 20 && rows.iter().all(|r| r.actor.as_deref() == Some("eve")), "{rows:#?}");
    engine.shut_down().await;
}

#[tokio::test]
async fn what_is_for_administrators_is_denied_to_members_and_strangers() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    let bob = member(&engine, "bob").await;
    succeed(&engine, &ada, build("docker")).await;
    let image = engine.images(&bob).await.unwrap()[0].id;
    let local = "local".parse().unwrap();
    let ada_id = ada.user.as_ref().unwrap().id;
    let as_ = async |who: &Actor| {
        [
            engine.submit(who, Operation::RemoveImage { image }, None).await.err(),
            engine.check_host(who, &local).await.err(),
            engine.audit(who, &AuditFilter::default()).await.err(),
            engine.verify_audit(who).await.err(),
            engine.users(who).await.err(),
            engine.user(who, &"ada".parse().unwrap()).await.err(),
            engine
                .add_user(who, "mallory", Role::Administrator, &secret("a long enough password"))
                .await
                .err(),
            engine.set_role(who, ada_id, Role::Member).await.err(),
            engine.set_disabled(who, ada_id, true).await.err(),
        ]
    };
    for answer in as_(&bob).await {
        assert!(matches!(answer, Some(Fault::Denied { .. })), "{answer:?}");
    }
    let nobody = Actor::anonymous(None);
    for answer in as_(&nobody).await {
        assert_eq!(answer, Some(Fault::Unauthenticated));
    }
    assert_eq!(
        engine.machines(&nobody, &MachineFilter::default()).await.unwrap_err(),
        Fault::Unauthenticated
    );
    assert_eq!(engine.images(&nobody).await.unwrap_err(), Fault::Unauthenticated);
    assert_eq!(engine.choices(&nobody).await.unwrap_err(), Fault::Unauthenticated);
    assert_eq!(engine.submit(&nobody, create("web"), None).await.unwrap_err(), Fault::Unauthenticated);
    assert_eq!(engine.follow_events(&nobody).await.err(), Some(Fault::Unauthenticated));
    engine.shut_down().await;
}

#[tokio::test]
async fn live_events_tell_each_only_of_what_is_theirs_and_keep_the_numbers() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    let (bob, eve) = (member(&engine, "bob").await, member(&engine, "eve").await);
    succeed(&engine, &bob, create("bobs")).await;
    let mut to_eve = engine.follow_events(&eve).await.unwrap();
    let mut to_bob = engine.follow_events(&bob).await.unwrap();
    let EventFrame::Full { seq: mut at, machines } = next(&mut to_eve).await else { panic!() };
    assert_eq!(machines, []);
    let EventFrame::Full { machines, .. } = next(&mut to_bob).await else { panic!() };
    assert_eq!(machines.len(), 1);

    succeed(&engine, &ada, on(OperationKind::Purge, "bobs")).await;
    let gone = machines[0].id;
    let mut seen = Vec::new();
    loop {
        let EventFrame::Delta { change, .. } = next(&mut to_bob).await else { panic!() };
        let done = change == Change::Gone { id: gone };
        seen.push(change);
        if done {
            break;
        }
    }
    assert!(seen.iter().any(|c| matches!(c, Change::Job { .. })), "{seen:?}");
    for _ in 0..seen.len() {
        let frame = next(&mut to_eve).await;
        let EventFrame::Delta { seq, change: Change::Nothing } = frame else { panic!("{frame:?}") };
        assert_eq!(seq, at + 1);
        at = seq;
    }
    engine.shut_down().await;
}

#[tokio::test]
async fn a_machine_list_is_searched_filtered_and_paged() {
    let world = World::new();
    let engine = world.open().await;
    let bob = {
        admin(&engine).await;
        member(&engine, "bob").await
    };
    let ada = actor(&engine, "ada").await;
    for n in 0..105 {
        let owner = if n < 3 { &bob } else { &ada };
        let mut spec = crate::harness::spec(&format!("m{n:03}"));
        spec.profiles = if n == 7 { "python".parse().unwrap() } else { "docker".parse().unwrap() };
        succeed(&engine, owner, Operation::Configure { spec: Box::new(spec) }).await;
    }
    succeed(&engine, &ada, create("zebra")).await;
    let list = async |search: &str, page: u32| {
        let filter = MachineFilter { search: search.to_owned(), page, ..MachineFilter::default() };
        engine.machines(&ada, &filter).await.unwrap()
    };
    let first = list("", 0).await;
    assert_eq!((first.rows.len(), first.matching, first.total), (100, 106, 106));
    assert_eq!(first.rows[0].name, name("m000"));
    let second = list("", 1).await;
    assert_eq!(second.rows.len(), 6);
    assert_eq!(second.rows[5].name, name("zebra"));
    assert_eq!(list("", u32::MAX).await.rows.len(), 0);
    assert_eq!(list("PYTHON", 0).await.rows[0].name, name("m007"));
    assert_eq!(list("bob", 0).await.matching, 3);
    let address = second.rows[5].observed.addresses[0].ip.to_string();
    assert_eq!(list(&address, 0).await.rows[0].name, name("zebra"));
    let running =
        MachineFilter { state: Some(model::machine::MachineState::Running), ..MachineFilter::default() };
    assert_eq!(engine.machines(&ada, &running).await.unwrap().matching, 1);
    engine.shut_down().await;
}
