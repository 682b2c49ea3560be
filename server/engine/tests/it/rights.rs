//! Who sees and does what. Other people's things do not exist, in every answer alike.

use crate::harness::{PASSWORD, World, actor, admin, build, create, member, name, next, on, secret, succeed};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use model::Fault;
use model::account::{Actor, Role, TicketPurpose};
use model::audit::{AuditFilter, Outcome};
use model::console::ConsoleRole;
use model::event::{Change, EventFrame};
use model::form;
use model::machine::MachineId;
use model::operation::{Operation, OperationKind};
use model::plan::Consent;
use model::portal::Portal as _;
use model::view::job::JobFilter;
use model::view::machine::MachineFilter;

type Events = BoxStream<'static, EventFrame>;

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
        let Some(operation) = form::on_machine(*kind, &name("bobs")) else { continue };
        assert_eq!(engine.plan(&eve, &operation).await.unwrap_err(), missing, "{kind}");
        assert_eq!(engine.submit(&eve, operation, Consent::default()).await.unwrap_err(), missing, "{kind}");
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
            engine.submit(who, Operation::RemoveImage { image }, Consent::default()).await.err(),
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
    assert_eq!(engine.closure_diff(&nobody, image, image).await.unwrap_err(), Fault::Unauthenticated);
    assert_eq!(engine.choices(&nobody).await.unwrap_err(), Fault::Unauthenticated);
    assert_eq!(
        engine.submit(&nobody, create("web"), Consent::default()).await.unwrap_err(),
        Fault::Unauthenticated
    );
    assert_eq!(engine.follow_events(&nobody, None).await.err(), Some(Fault::Unauthenticated));
    engine.shut_down().await;
}

#[tokio::test]
async fn live_events_tell_each_only_of_what_is_theirs_and_keep_the_numbers() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    let (bob, eve) = (member(&engine, "bob").await, member(&engine, "eve").await);
    succeed(&engine, &bob, create("bobs")).await;
    let bobs = engine.machine(&bob, &name("bobs")).await.unwrap().row.id;
    let mut to_eve = engine.follow_events(&eve, None).await.unwrap();
    let mut to_bob = engine.follow_events(&bob, None).await.unwrap();
    assert_eq!(full(&mut to_eve).await, []);
    assert_eq!(full(&mut to_bob).await, [bobs]);
    assert_eq!(
        full(&mut engine.follow_events(&eve, Some(bobs)).await.unwrap()).await,
        [],
        "asking by id is no way in"
    );

    succeed(&engine, &ada, on(OperationKind::Purge, "bobs")).await;
    succeed(&engine, &eve, create("eves")).await;
    let eves = engine.machine(&eve, &name("eves")).await.unwrap().row.id;
    succeed(&engine, &eve, on(OperationKind::Purge, "eves")).await;
    for (mut events, gone) in [(to_bob, bobs), (to_eve, eves)] {
        let seen = until_gone(&mut events, gone).await;
        assert!(seen.iter().any(|c| matches!(c, Change::Job { .. })), "{seen:?}");
        let about =
            seen.iter().filter_map(|c| if let Change::Machine { row } = c { Some(row.id) } else { None });
        assert!(about.into_iter().all(|id| id == gone), "{seen:?}");
    }
    engine.shut_down().await;
}

#[tokio::test]
async fn who_is_no_longer_an_administrator_does_not_go_on_to_see_what_one_sees() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    engine.add_user(&ada, "bob", Role::Administrator, &secret(PASSWORD)).await.unwrap();
    let bob = actor(&engine, "bob").await;
    succeed(&engine, &ada, create("adas")).await;
    let adas = engine.machine(&ada, &name("adas")).await.unwrap().row.id;
    let mut events = engine.follow_events(&bob, None).await.unwrap();
    assert_eq!(full(&mut events).await, [adas]);
    engine.change_password(&ada, &secret("no session"), &secret(PASSWORD), &secret(PASSWORD)).await.unwrap();
    engine.set_role(&ada, bob.user.as_ref().unwrap().id, Role::Member).await.unwrap();
    let EventFrame::Closing { why } = next(&mut events).await else { panic!("the stream must end") };
    assert!(why.contains("role"), "{why}");
    assert!(events.next().await.is_none());
    // Even with what the request believed before it asked.
    assert_eq!(full(&mut engine.follow_events(&bob, None).await.unwrap()).await, []);
    engine.shut_down().await;
}

#[tokio::test]
async fn whoever_follows_one_machine_hears_of_no_other() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    succeed(&engine, &ada, create("web")).await;
    succeed(&engine, &ada, create("db")).await;
    let web = engine.machine(&ada, &name("web")).await.unwrap().row.id;
    let mut events = engine.follow_events(&ada, Some(web)).await.unwrap();
    assert_eq!(full(&mut events).await, [web]);
    let other = succeed(&engine, &ada, on(OperationKind::Suspend, "db")).await.summary.badge.id;
    let own = succeed(&engine, &ada, on(OperationKind::Suspend, "web")).await.summary.badge.id;
    succeed(&engine, &ada, on(OperationKind::Purge, "web")).await;
    let seen = until_gone(&mut events, web).await;
    let jobs: Vec<_> =
        seen.iter().filter_map(|c| if let Change::Job { job } = c { Some(job.id) } else { None }).collect();
    assert!(jobs.contains(&own) && !jobs.contains(&other), "{seen:?}");
    assert!(seen.iter().all(|c| !matches!(c, Change::Machine { row } if row.id != web)), "{seen:?}");
    engine.shut_down().await;
}

/// The machines of the first frame.
async fn full(events: &mut Events) -> Vec<MachineId> {
    let EventFrame::Full { seq: 0, machines } = next(events).await else {
        panic!("the whole state comes first")
    };
    machines.iter().map(|row| row.id).collect()
}

/// All changes until a machine is gone, which are numbered without a gap.
async fn until_gone(events: &mut Events, gone: MachineId) -> Vec<Change> {
    let mut seen = Vec::new();
    loop {
        let EventFrame::Delta { seq, change } = next(events).await else { panic!("a change comes next") };
        seen.push(change);
        assert_eq!(seq, seen.len() as u64);
        if seen.last() == Some(&Change::Gone { id: gone }) {
            return seen;
        }
    }
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
