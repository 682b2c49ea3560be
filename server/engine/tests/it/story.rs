//! What a person does with a machine, from the form to the purge, and what the pages would show in between.

use crate::harness::{World, admin, create, ended, name, on, run, spec, succeed, until_said, until_state};
use model::Fault;
use model::address::AddressSource;
use model::job::{JobState, StepState};
use model::machine::{MachineState, Mode};
use model::operation::{Operation, OperationKind};
use model::plan::Consent;
use model::portal::Portal as _;
use model::spec::Spec;
use model::view::machine::MachineFilter;

#[tokio::test]
async fn a_machine_is_created_used_destroyed_created_again_and_purged() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;

    let job = succeed(&engine, &ada, create("web")).await;
    let names: Vec<&str> = job.steps.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "record.new",
            "host.reserve",
            "image.build",
            "disks.create",
            "identity.write",
            "definition.put",
            "power.start",
            "address.await"
        ]
    );
    assert!(job.steps.iter().all(|s| s.state == StepState::Done && s.began.is_some() && s.ended.is_some()));
    let web = engine.machine(&ada, &name("web")).await.unwrap();
    assert_eq!(web.row.observed.state, MachineState::Running);
    assert_eq!(web.row.observed.addresses.len(), 1, "{:?}", web.row.observed);
    assert_eq!(web.row.job, None);
    assert_eq!(web.image.as_ref().unwrap().machines, [name("web")]);
    assert_eq!(web.jobs.len(), 1);
    assert_eq!(world.builder.root_names().len(), 2, "one for the image, one for the machine");

    for (kind, state) in [
        (OperationKind::Reboot, MachineState::Running),
        (OperationKind::Suspend, MachineState::Paused),
        (OperationKind::Resume, MachineState::Running),
        (OperationKind::ShutDown, MachineState::Off),
        (OperationKind::Start, MachineState::Running),
        (OperationKind::ForceOff, MachineState::Off),
        (OperationKind::Start, MachineState::Running),
    ] {
        succeed(&engine, &ada, on(kind, "web")).await;
        let now = engine.machine(&ada, &name("web")).await.unwrap();
        assert_eq!(now.row.observed.state, state, "after {kind}");
    }

    succeed(&engine, &ada, on(OperationKind::Destroy, "web")).await;
    let web = engine.machine(&ada, &name("web")).await.unwrap();
    assert_eq!((web.row.observed.state, &web.image), (MachineState::Configured, &None));
    assert_eq!(web.row.observed.warning, None);
    assert_eq!(world.hypervisor.disk_names(), Vec::<String>::new());

    succeed(&engine, &ada, on(OperationKind::Provision, "web")).await;
    assert_eq!(world.builder.builds(), 1, "the image was there");
    assert_eq!(world.hypervisor.state_of("web"), Some(MachineState::Running));

    succeed(&engine, &ada, on(OperationKind::Purge, "web")).await;
    assert_eq!(engine.machine(&ada, &name("web")).await.unwrap_err(), Fault::not_found("machine"));
    assert_eq!(engine.machines(&ada, &MachineFilter::default()).await.unwrap().total, 0);
    assert_eq!(world.snapshot().await, Vec::<String>::new());
    engine.shut_down().await;
}

#[tokio::test]
async fn a_plan_that_has_changed_is_shown_again() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    let shown = engine.plan(&ada, &create("web")).await.unwrap();
    assert!(shown.steps[2].what.starts_with("Build the image"), "{shown:?}");
    succeed(&engine, &ada, create("other")).await;
    // Only the wording has changed: the image exists now.
    let job = engine.submit(&ada, create("web"), Consent::to(&shown)).await.unwrap().job;
    assert_eq!(ended(&engine, &ada, job).await.summary.badge.state, JobState::Succeeded);

    let destroy = on(OperationKind::Destroy, "web");
    let running = engine.plan(&ada, &destroy).await.unwrap();
    succeed(&engine, &ada, on(OperationKind::ForceOff, "web")).await;
    let fault = engine.submit(&ada, destroy.clone(), Consent::to(&running)).await.unwrap_err();
    let Fault::PlanChanged { plan } = fault else { panic!("{fault:?}") };
    assert_eq!(plan.downtime, None, "it is off already");
    let job = engine.submit(&ada, destroy, Consent::to(&plan)).await.unwrap().job;
    assert_eq!(ended(&engine, &ada, job).await.summary.badge.state, JobState::Succeeded);
    engine.shut_down().await;
}

#[tokio::test]
async fn what_loses_something_is_done_only_for_whoever_has_agreed_to_it() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    succeed(&engine, &ada, create("web")).await;
    for kind in [OperationKind::ForceOff, OperationKind::Destroy, OperationKind::Purge] {
        let plan = engine.plan(&ada, &on(kind, "web")).await.unwrap();
        let unread = Consent { name: Some("web".to_owned()), plan: None };
        let mistyped = Consent { name: Some("wep".to_owned()), ..Consent::to(&plan) };
        let tries = [Consent::default(), unread].into_iter().chain(plan.confirm.as_ref().map(|_| mistyped));
        for consent in tries {
            let fault = engine.submit(&ada, on(kind, "web"), consent.clone()).await.unwrap_err();
            assert!(matches!(fault, Fault::NeedsConfirmation { .. }), "{kind} {consent:?}: {fault:?}");
        }
    }
    assert_eq!(engine.machine(&ada, &name("web")).await.unwrap().row.observed.state, MachineState::Running);
    engine.shut_down().await;
}

#[tokio::test]
async fn a_configuration_is_saved_without_touching_the_host() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    succeed(&engine, &ada, Operation::Configure { spec: Box::new(spec("later")) }).await;
    assert_eq!(world.builder.builds(), 0);
    assert_eq!(world.hypervisor.disk_names(), Vec::<String>::new());
    let later = engine.machine(&ada, &name("later")).await.unwrap();
    assert_eq!(later.row.observed.state, MachineState::Configured);
    let may: Vec<_> = later.actions.iter().filter(|a| a.refused.is_none()).map(|a| a.kind).collect();
    let bare =
        [OperationKind::Provision, OperationKind::Reconfigure, OperationKind::Rename, OperationKind::Purge];
    assert_eq!(may, bare);

    let again =
        engine.submit(&ada, Operation::Configure { spec: Box::new(spec("later")) }, Consent::default()).await;
    assert!(again.unwrap_err().of_field("name").is_some());
    succeed(&engine, &ada, on(OperationKind::Purge, "later")).await;
    engine.shut_down().await;
}

#[tokio::test]
async fn a_mutable_machine_has_one_disk_with_its_identity_on_it() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    let spec = Spec { mode: Mode::Mutable, ..spec("solo") };
    succeed(&engine, &ada, Operation::Create { spec: Box::new(spec) }).await;
    assert_eq!(world.hypervisor.disk_names(), ["solo/boot"]);
    succeed(&engine, &ada, on(OperationKind::Purge, "solo")).await;
    engine.shut_down().await;
}

#[tokio::test]
async fn a_guest_that_does_not_listen_is_said_so_and_the_machine_stays_as_it_is() {
    let mut world = World::new();
    world.settings.shut_down_limit = std::time::Duration::from_millis(50);
    let engine = world.open().await;
    let ada = admin(&engine).await;
    succeed(&engine, &ada, create("web")).await;
    world.hypervisor.set_deaf(true);
    let job = run(&engine, &ada, on(OperationKind::ShutDown, "web")).await;
    assert_eq!(job.summary.badge.state, JobState::Failed);
    assert!(job.failure.unwrap().message.contains("force it off"));
    assert!(job.can_retry && !job.form_again);
    until_state(&engine, &ada, "web", MachineState::Running).await;
    engine.shut_down().await;
}

#[tokio::test]
async fn a_machine_without_an_address_is_created_with_a_warning() {
    let mut world = World::new();
    world.settings.address_limit = std::time::Duration::from_millis(50);
    world.hypervisor.set_address(None);
    let engine = world.open().await;
    let ada = admin(&engine).await;
    succeed(&engine, &ada, create("web")).await;
    assert_eq!(engine.machine(&ada, &name("web")).await.unwrap().row.observed.addresses, []);
    engine.shut_down().await;
}

#[tokio::test]
async fn a_lease_of_an_earlier_life_is_not_taken_for_the_guest_s_word() {
    let mut world = World::new();
    world.settings.address_limit = std::time::Duration::from_millis(50);
    world.hypervisor.set_address(Some(AddressSource::Lease));
    let engine = world.open().await;
    let ada = admin(&engine).await;
    let job = succeed(&engine, &ada, create("web")).await.summary.badge.id;
    until_said(&engine, &ada, job, "The machine should be at 192.0.2.").await;
    succeed(&engine, &ada, on(OperationKind::Destroy, "web")).await;
    world.hypervisor.set_address(Some(AddressSource::Agent));
    let job = succeed(&engine, &ada, on(OperationKind::Provision, "web")).await.summary.badge.id;
    until_said(&engine, &ada, job, "The machine is at 192.0.2.").await;
    engine.shut_down().await;
}

#[tokio::test]
async fn the_root_password_is_never_part_of_an_answer() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    let hash = format!("$6$saltsalt${}", "x".repeat(86));
    let mut with = spec("web");
    with.identity.root_password = Some(hash.parse().unwrap());
    let job = succeed(&engine, &ada, Operation::Create { spec: Box::new(with) }).await;
    let detail = engine.machine(&ada, &name("web")).await.unwrap();
    assert!(detail.has_root_password);
    let form = engine.form_of_job(&ada, job.summary.badge.id).await.unwrap();
    assert_eq!(form.get("name"), "web");
    let audit = engine.audit(&ada, &Default::default()).await.unwrap();
    let log =
        std::fs::read_to_string(world.settings.state.join(format!("jobs/{}.log", job.summary.badge.id)));
    for text in [
        serde_json::to_string(&detail).unwrap(),
        serde_json::to_string(&form).unwrap(),
        serde_json::to_string(&audit).unwrap(),
        serde_json::to_string(&job).unwrap(),
        log.unwrap(),
    ] {
        assert!(!text.contains("$6$"), "{text}");
    }
    engine.shut_down().await;
}
