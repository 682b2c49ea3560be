//! A machine's configuration: saved, applied as far as it can be now, pending for the rest.

use crate::crash::{Mischief, Mischievous};
use crate::harness::{World, admin, build, change, create, on, reconfigure, run, spec, succeed, until_state};
use engine::Engine;
use engine::probe::When;
use model::account::Actor;
use model::change::Change;
use model::fault::Fault;
use model::job::JobState;
use model::machine::MachineState;
use model::operation::{KeptSecrets, MachineAction, Operation, OperationKind, Reconfigure};
use model::plan::Consent;
use model::portal::Portal as _;
use ports::hypervisor::HypervisorError;
use std::sync::Arc;

/// What of `web` is pending.
async fn pending(engine: &Engine, ada: &Actor) -> Vec<String> {
    let machine = engine.machine(ada, &"web".parse().unwrap()).await.unwrap();
    assert_eq!(machine.row.pending, !machine.pending.is_empty(), "the list says the same");
    machine.pending.into_iter().map(|Change { what, .. }| what).collect()
}

/// The files and the definition that the host has.
fn host_has(world: &World, text: &str) -> bool {
    world.hypervisor.picture().iter().any(|line| line.contains(text))
}

async fn running(world: &World) -> (Arc<Engine>, Actor) {
    let engine = world.open().await;
    let ada = admin(&engine).await;
    succeed(&engine, &ada, create("web")).await;
    (engine, ada)
}

#[tokio::test]
async fn a_running_machine_takes_what_it_can_and_the_rest_waits_for_a_restart() {
    let world = World::new();
    let (engine, ada) = running(&world).await;
    succeed(&engine, &ada, change("web")).await;
    assert_eq!(pending(&engine, &ada).await, ["Memory: 512 MiB → 768 MiB"]);
    assert!(host_has(&world, "nameserver 192.0.2.53"), "the guest was given its identity");
    assert!(host_has(&world, &format!("of {} bytes", 3_u64 << 30)), "the disk has grown");
    assert!(host_has(&world, "Running autostart"), "the host starts it at its next boot");
    let grown = world.hypervisor.ran().iter().any(|argv| argv.iter().any(|word| word.contains("resize2fs")));
    assert!(grown, "and the guest was asked to grow its file system");
    succeed(&engine, &ada, on(OperationKind::Apply, "web")).await;
    assert_eq!(pending(&engine, &ada).await, [""; 0]);
    assert!(host_has(&world, "768"), "{:?}", world.hypervisor.picture());
    assert_eq!(world.hypervisor.state_of("web"), Some(MachineState::Running));
    engine.shut_down().await;
}

#[tokio::test]
async fn what_is_removed_is_removed_from_the_guest() {
    let world = World::new();
    let (engine, ada) = running(&world).await;
    succeed(&engine, &ada, change("web")).await;
    assert!(host_has(&world, "resolv.conf"));
    let mut back = reconfigure("web", |spec| {
        spec.memory = 768.try_into().unwrap();
        spec.disk = 3.try_into().unwrap();
    });
    opened_now(&engine, &ada, &mut back).await;
    succeed(&engine, &ada, back).await;
    assert!(!host_has(&world, "resolv.conf"));
    assert!(!host_has(&world, "autostart"));
    engine.shut_down().await;
}

#[tokio::test]
async fn notes_and_delete_protection_are_true_once_saved_and_no_change_to_the_host() {
    let world = World::new();
    let (engine, ada) = running(&world).await;
    let before = world.hypervisor.picture();
    let protect = reconfigure("web", |spec| {
        spec.notes = "Ask Ada first.\n<b>Rack 4</b>".parse().unwrap();
        spec.delete_protection = true;
        spec.memory = 768.try_into().unwrap();
    });
    let job = succeed(&engine, &ada, protect).await;
    let steps: Vec<_> = job.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(steps, ["record.save"]);
    assert_eq!(world.hypervisor.picture(), before);
    assert_eq!(pending(&engine, &ada).await, ["Memory: 512 MiB → 768 MiB"]);
    // What is true cannot be dropped.
    succeed(&engine, &ada, on(OperationKind::Revert, "web")).await;
    let spec = engine.machine(&ada, &"web".parse().unwrap()).await.unwrap().spec;
    assert_eq!(spec.notes.as_str(), "Ask Ada first.\n<b>Rack 4</b>");
    for kind in [OperationKind::Destroy, OperationKind::Purge] {
        let Fault::Refused { why } = engine.plan(&ada, &on(kind, "web")).await.unwrap_err() else { panic!() };
        assert!(why.contains("Delete protection is on"), "{why}");
    }
    let mut off = reconfigure("web", |_| {});
    opened_now(&engine, &ada, &mut off).await;
    succeed(&engine, &ada, off).await;
    succeed(&engine, &ada, on(OperationKind::Purge, "web")).await;
    engine.shut_down().await;
}

/// As if the form had been opened just now.
async fn opened_now(engine: &Engine, ada: &Actor, operation: &mut Operation) {
    let Operation::OnMachine { machine, action: MachineAction::Reconfigure(change) } = operation else {
        panic!("{operation:?}")
    };
    change.base = engine.machine(ada, machine).await.unwrap().spec;
}

#[tokio::test]
async fn a_guest_that_cannot_be_told_gets_it_at_its_next_start() {
    let world = World::new();
    let (engine, ada) = running(&world).await;
    for (last, silent) in [(53, Some(HypervisorError::NoAgent)), (54, None)] {
        match silent {
            Some(error) => world.hypervisor.fail_next("agent_run", error),
            // An older image has no such command.
            None => world.hypervisor.set_exit(2),
        }
        let mut dns = reconfigure("web", |spec| spec.identity.dns = vec![[192, 0, 2, last].into()]);
        opened_now(&engine, &ada, &mut dns).await;
        let job = succeed(&engine, &ada, dns).await;
        assert!(!pending(&engine, &ada).await.is_empty(), "{job:#?}");
        assert!(!host_has(&world, &format!("192.0.2.{last}")));
        world.hypervisor.set_exit(0);
        succeed(&engine, &ada, on(OperationKind::ForceOff, "web")).await;
        assert!(!pending(&engine, &ada).await.is_empty(), "switching it off is not enough");
        succeed(&engine, &ada, on(OperationKind::Start, "web")).await;
        assert!(host_has(&world, &format!("nameserver 192.0.2.{last}")));
        assert_eq!(pending(&engine, &ada).await, [""; 0]);
    }
    engine.shut_down().await;
}

#[tokio::test]
async fn the_second_of_two_editors_is_shown_what_the_first_has_changed() {
    let world = World::new();
    let (engine, ada) = running(&world).await;
    succeed(&engine, &ada, change("web")).await;
    let mut late = reconfigure("web", |spec| spec.vcpus = 2.try_into().unwrap());
    let refused = engine.submit(&ada, late.clone(), Consent::default()).await.unwrap_err();
    let Fault::Invalid { fields } = &refused else { panic!("{refused:?}") };
    assert_eq!(fields[0].field, "base");
    assert!(fields[0].message.contains("Memory: 512 MiB → 768 MiB"), "{refused}");
    // Shown that, they save what they want over it.
    opened_now(&engine, &ada, &mut late).await;
    let Fault::Invalid { fields } = engine.plan(&ada, &late).await.unwrap_err() else { panic!() };
    assert_eq!(fields[0].field, "disk", "theirs still has the smaller disk, and is told so beside it");
    engine.shut_down().await;
}

#[tokio::test]
async fn dropped_changes_leave_the_machine_as_it_is() {
    let world = World::new();
    let (engine, ada) = running(&world).await;
    succeed(&engine, &ada, change("web")).await;
    succeed(&engine, &ada, on(OperationKind::Revert, "web")).await;
    assert_eq!(pending(&engine, &ada).await, [""; 0]);
    let spec = engine.machine(&ada, &"web".parse().unwrap()).await.unwrap().spec;
    assert_eq!((spec.memory.to_string(), spec.disk.to_string()), ("512 MiB".to_owned(), "3 GiB".to_owned()));
    assert!(host_has(&world, "nameserver 192.0.2.53"), "what was true stays");
    engine.shut_down().await;
}

#[tokio::test]
async fn a_machine_that_does_not_start_with_its_changes_runs_again_without_them() {
    let world = World::new();
    let probe = Mischievous::new(&world);
    let engine = world.open_probed(probe.clone()).await;
    let ada = admin(&engine).await;
    succeed(&engine, &ada, create("web")).await;
    succeed(&engine, &ada, change("web")).await;
    // power.stop, definition.put, power.start
    probe.arm(Some(Mischief::Fail(2, When::BeforeRun)), None);
    let job = run(&engine, &ada, on(OperationKind::Apply, "web")).await;
    probe.arm(None, None);
    assert_eq!(job.summary.badge.state, JobState::Failed);
    assert_eq!(world.hypervisor.state_of("web"), Some(MachineState::Running), "{job:#?}");
    assert!(host_has(&world, "512"), "{:?}", world.hypervisor.picture());
    assert_eq!(pending(&engine, &ada).await, ["Memory: 512 MiB → 768 MiB"]);
    engine.shut_down().await;
}

#[tokio::test]
async fn pending_changes_outlive_the_portal() {
    let world = World::new();
    let (engine, ada) = running(&world).await;
    succeed(&engine, &ada, change("web")).await;
    engine.shut_down().await;
    drop(engine);
    let engine = world.open().await;
    assert_eq!(pending(&engine, &ada).await, ["Memory: 512 MiB → 768 MiB"]);
    engine.shut_down().await;
}

#[tokio::test]
async fn a_password_is_kept_changed_and_removed_and_no_job_keeps_it() {
    const HASH: &str = "$6$salt$thisIsNoRealHashButLooksLikeOne";
    let world = World::new();
    let (engine, ada) = running(&world).await;
    let save = async |hash: Option<&str>, kept: bool, vcpus: u64| {
        let base = engine.machine(&ada, &"web".parse().unwrap()).await.unwrap().spec;
        let mut spec = base.clone();
        spec.vcpus = vcpus.try_into().unwrap();
        spec.identity.root_password = hash.map(|hash| hash.parse().unwrap());
        let kept = KeptSecrets { root_password: kept, samba: true };
        let change = MachineAction::Reconfigure(Box::new(Reconfigure { base, spec, kept }));
        succeed(&engine, &ada, change.on("web".parse().unwrap())).await;
    };
    save(Some(HASH), false, 1).await;
    assert!(host_has(&world, HASH));
    save(None, true, 2).await;
    assert!(host_has(&world, HASH), "an empty field keeps it");
    let operations = sqlx::query_scalar::<_, String>("select group_concat(operation || work) from jobs");
    let stored = operations.fetch_one(&mut world.sql().await).await.unwrap();
    assert!(!stored.contains(HASH), "{stored}");
    save(None, false, 2).await;
    assert!(!host_has(&world, HASH));
    engine.shut_down().await;
}

fn broken() -> HypervisorError {
    HypervisorError::Failed { what: "that".to_owned(), why: "no space left".to_owned() }
}

#[tokio::test]
async fn a_create_that_defined_its_machine_twice_is_undone_to_nothing() {
    let world = World::new();
    let probe = Mischievous::new(&world);
    let engine = world.open_probed(probe.clone()).await;
    let ada = admin(&engine).await;
    probe.arm(Some(Mischief::Twice), None);
    world.hypervisor.fail_next("power", broken());
    let job = run(&engine, &ada, create("web")).await;
    assert_eq!(job.summary.badge.state, JobState::Failed, "{job:#?}");
    assert_eq!(world.hypervisor.domain_names(), Vec::<String>::new());
    assert_eq!(world.snapshot().await, Vec::<String>::new());
    engine.shut_down().await;
}

#[tokio::test]
async fn a_disk_that_could_not_grow_grows_at_the_next_start() {
    let world = World::new();
    let (engine, ada) = running(&world).await;
    world.hypervisor.fail_next("grow_disk", broken());
    let job = run(&engine, &ada, change("web")).await;
    assert_eq!(job.summary.badge.state, JobState::Failed);
    assert_eq!(
        pending(&engine, &ada).await,
        ["Memory: 512 MiB → 768 MiB", "Disk: 2 GiB → 3 GiB", "Autostart: off → on"]
    );
    succeed(&engine, &ada, on(OperationKind::ForceOff, "web")).await;
    succeed(&engine, &ada, on(OperationKind::Start, "web")).await;
    assert!(host_has(&world, &format!("of {} bytes", 3_u64 << 30)));
    assert!(host_has(&world, "Running autostart"));
    assert_eq!(pending(&engine, &ada).await, [""; 0]);
    engine.shut_down().await;
}

/// The guest may have it all the same: the portal has only not heard of it.
#[tokio::test]
async fn a_dropped_identity_is_taken_back_from_the_guest() {
    let world = World::new();
    let (engine, ada) = running(&world).await;
    world.hypervisor.set_exit(2);
    succeed(&engine, &ada, change("web")).await;
    world.hypervisor.set_exit(0);
    let before = world.hypervisor.ran().len();
    let job = succeed(&engine, &ada, on(OperationKind::Revert, "web")).await;
    assert!(job.steps.iter().any(|step| step.name == "identity.apply"), "{job:#?}");
    assert_eq!(world.hypervisor.ran().len(), before + 1);
    engine.shut_down().await;
}

#[tokio::test]
async fn a_guest_that_does_not_shut_down_goes_on_running() {
    let mut world = World::new();
    world.settings.shut_down_limit = std::time::Duration::from_millis(200);
    let (engine, ada) = running(&world).await;
    succeed(&engine, &ada, change("web")).await;
    world.hypervisor.set_deaf(true);
    let job = run(&engine, &ada, on(OperationKind::Apply, "web")).await;
    assert_eq!(job.summary.badge.state, JobState::Failed);
    assert_eq!(world.hypervisor.state_of("web"), Some(MachineState::Running));
    assert_eq!(pending(&engine, &ada).await, ["Memory: 512 MiB → 768 MiB"]);
    engine.shut_down().await;
}

#[tokio::test]
async fn autostart_outlives_another_name_and_being_made_anew() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    let mut spec = spec("web");
    spec.autostart = true;
    succeed(&engine, &ada, Operation::Create { spec: Box::new(spec) }).await;
    assert!(host_has(&world, "web Running autostart"));
    succeed(&engine, &ada, on(OperationKind::ForceOff, "web")).await;
    succeed(&engine, &ada, MachineAction::Rename { name: "db".parse().unwrap() }.on("web".parse().unwrap()))
        .await;
    assert!(host_has(&world, "db Off autostart"));
    world.hypervisor.undefine("db");
    until_state(&engine, &ada, "db", MachineState::Configured).await;
    succeed(&engine, &ada, on(OperationKind::Provision, "db")).await;
    assert!(host_has(&world, "db Running autostart"), "its domain was gone");
    succeed(&engine, &ada, on(OperationKind::Destroy, "db")).await;
    assert!(!host_has(&world, "autostart"));
    succeed(&engine, &ada, on(OperationKind::Provision, "db")).await;
    assert!(host_has(&world, "db Running autostart"));
    engine.shut_down().await;
}

#[tokio::test]
async fn other_profiles_stay_pending_through_a_restart_and_can_be_dropped() {
    let world = World::new();
    let (engine, ada) = running(&world).await;
    let more = reconfigure("web", |spec| spec.profiles = "docker,python".parse().unwrap());
    succeed(&engine, &ada, more).await;
    assert_eq!(pending(&engine, &ada).await, ["Profiles: + python"]);
    let Fault::Refused { why } = engine.plan(&ada, &on(OperationKind::Apply, "web")).await.unwrap_err()
    else {
        panic!()
    };
    assert!(why.contains("needs an upgrade"), "{why}");
    succeed(&engine, &ada, on(OperationKind::ForceOff, "web")).await;
    succeed(&engine, &ada, on(OperationKind::Start, "web")).await;
    assert_eq!(pending(&engine, &ada).await, ["Profiles: + python"]);
    // What there is of the other profiles is no update of the image that it has.
    succeed(&engine, &ada, build("docker,python")).await;
    assert!(!engine.machine(&ada, &"web".parse().unwrap()).await.unwrap().row.update_available);
    succeed(&engine, &ada, on(OperationKind::Revert, "web")).await;
    assert_eq!(pending(&engine, &ada).await, [""; 0]);
    engine.shut_down().await;
}

#[tokio::test]
async fn the_hosts_last_word_about_its_memory_counts() {
    let world = World::new();
    let (engine, ada) = running(&world).await;
    let local = "local".parse().unwrap();
    let wants = async |mib: u64| {
        let much = reconfigure("web", |spec| spec.memory = mib.try_into().unwrap());
        engine.plan(&ada, &much).await
    };
    for (gib, refused) in [(4, None), (1, Some("The host has 1 GiB of memory"))] {
        world.hypervisor.set_memory(gib << 30);
        engine.check_host(&ada, &local).await.unwrap();
        let answer = wants(2048).await.map(drop).map_err(|fault| fault.to_string());
        match refused {
            Some(why) => assert!(answer.unwrap_err().contains(why)),
            None => answer.unwrap(),
        }
    }
    world.hypervisor.fail_next("memory", broken());
    engine.check_host(&ada, &local).await.unwrap();
    let Fault::Invalid { fields } = wants(1025).await.unwrap_err() else { panic!() };
    assert_eq!(fields[0].field, "memory", "what it cannot say now is as it was");
    wants(1024).await.unwrap();
    engine.shut_down().await;
}
