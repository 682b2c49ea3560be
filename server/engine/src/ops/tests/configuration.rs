//! Changing a configuration: what is refused, what can be made true now, what waits.

use super::*;

#[test]
fn a_configuration_is_applied_as_far_as_the_machine_allows_now() {
    let change = reconfigure(|spec| {
        spec.memory = 4096.try_into().unwrap();
        spec.disk = 50.try_into().unwrap();
        spec.identity.dns = vec!["192.0.2.53".parse().unwrap()];
    });
    let off = facts(Some(machine(MachineState::Off)));
    assert_eq!(step_names(&change, &off), ["record.save", "identity.apply", "disks.grow", "definition.put"]);
    let running = facts(Some(machine(MachineState::Running)));
    assert_eq!(step_names(&change, &running), ["record.save", "identity.apply", "disks.grow"]);
    let shown = plan(&change, &running).unwrap();
    assert_eq!(
        shown.changes,
        [
            "Memory: 2 GiB → 4 GiB (needs a restart)",
            "Disk: 30 GiB → 50 GiB (applied at once)",
            "Name servers: + 192.0.2.53 (applied at once)"
        ]
    );
    assert_eq!(shown.downtime, None);
    let bare = facts(Some(machine(MachineState::Configured)));
    assert_eq!(step_names(&change, &bare), ["record.save"]);
    let away = facts(Some(machine(MachineState::Unknown)));
    assert_eq!(plan(&change, &away), Err(Refusal::Unavailable("local".to_owned())));
}

#[test]
fn what_there_is_only_a_configuration_of_takes_no_step_without_work() {
    let bare = facts(Some(machine(MachineState::Configured)));
    assert_eq!(step_names(&operation(OperationKind::Rename), &bare), ["record.rename"]);
    assert_eq!(step_names(&on_web(OperationKind::Purge), &bare), ["host.release", "record.forget"]);
    let left = facts(Some(MachineFacts { placed: true, ..machine(MachineState::Configured) }));
    assert_eq!(step_names(&on_web(OperationKind::Purge), &left).len(), 5, "something is left on its host");
}

#[test]
fn saving_without_a_change_is_no_failure_and_dropping_changes_says_what_it_saves() {
    let mut had = machine(MachineState::Off);
    assert_eq!(plan(&reconfigure(|_| {}), &facts(Some(had.clone()))), Err(Refusal::Unchanged));
    had.spec.memory = 4096.try_into().unwrap();
    let dropped = plan(&on_web(OperationKind::Revert), &facts(Some(had))).unwrap();
    assert_eq!(dropped.steps[0].what, "Go back to the configuration from before the changes");
}

#[test]
fn a_configuration_that_cannot_be_is_refused_beside_its_field() {
    let off = facts(Some(machine(MachineState::Off)));
    let field = |change: Operation, facts: &Facts| match plan(&change, facts) {
        Err(Refusal::Field { field, why }) => (field, why),
        other => panic!("{other:?}"),
    };
    let (of, why) = field(reconfigure(|spec| spec.disk = 20.try_into().unwrap()), &off);
    assert!(of == "disk" && why.contains("30 GiB"), "{why}");
    let (of, _) = field(reconfigure(|spec| spec.network = "bridge:docker0".parse().unwrap()), &off);
    assert_eq!(of, "network");
    assert!(plan(&reconfigure(|spec| spec.network = "bridge:br0".parse().unwrap()), &off).is_ok());
    let mut theirs = machine(MachineState::Off);
    theirs.spec.vcpus = 4.try_into().unwrap();
    let changed = facts(Some(theirs.clone()));
    let (of, why) = field(reconfigure(|spec| spec.memory = 4096.try_into().unwrap()), &changed);
    assert!(of == "base" && why.contains("Processors: 2 vCPUs → 4 vCPUs"), "{why}");
    // The very same, as when a failed job is tried again.
    assert!(plan(&reconfigure(|spec| spec.vcpus = 4.try_into().unwrap()), &changed).is_ok());
}

#[test]
fn what_has_no_disk_yet_may_get_a_smaller_one() {
    let bare = facts(Some(machine(MachineState::Configured)));
    assert!(plan(&reconfigure(|spec| spec.disk = 20.try_into().unwrap()), &bare).is_ok());
    // Saved and not made: what is there counts.
    let mut failed = machine(MachineState::Off);
    failed.spec.disk = 3000.try_into().unwrap();
    let failed = facts(Some(failed));
    let mut less = reconfigure(|spec| spec.disk = 100.try_into().unwrap());
    if let Operation::OnMachine { action: MachineAction::Reconfigure(change), .. } = &mut less {
        change.base.disk = 3000.try_into().unwrap();
    }
    assert!(plan(&less, &failed).is_ok());
}

#[test]
fn a_bridge_that_was_withdrawn_is_not_put_later() {
    let mut moved = machine(MachineState::Off);
    moved.spec.network = "bridge:br7".parse().unwrap();
    let facts = facts(Some(moved));
    for kind in [OperationKind::Start, OperationKind::Apply] {
        let refused = plan(&on_web(kind), &facts);
        assert!(matches!(&refused, Err(Refusal::State(why)) if why.contains("br7")), "{kind}: {refused:?}");
    }
    assert!(plan(&on_web(OperationKind::Revert), &facts).is_ok(), "which leads out");
}

#[test]
fn secrets_stay_unless_they_are_typed_or_removed() {
    let mut had = machine(MachineState::Off);
    let hash: model::identity::PasswordHash = "$6$salt$aaaaaaaaaaaaaaaaaaaa".parse().unwrap();
    had.spec.identity.root_password = Some(hash.clone());
    let facts = facts(Some(had));
    let saved = |keep: bool| {
        let mut change = reconfigure(|spec| spec.memory = 4096.try_into().unwrap());
        if let Operation::OnMachine { action: MachineAction::Reconfigure(change), .. } = &mut change {
            change.kept.root_password = keep;
        }
        op(OperationKind::Reconfigure).saves(&change, &facts).unwrap().identity.root_password
    };
    assert_eq!(saved(true), Some(hash));
    assert_eq!(saved(false), None);
}

#[test]
fn what_is_pending_is_applied_by_a_restart_or_at_the_next_start_or_dropped() {
    let mut changed = machine(MachineState::Running);
    changed.spec.memory = 4096.try_into().unwrap();
    let running = facts(Some(changed.clone()));
    let apply = on_web(OperationKind::Apply);
    assert_eq!(step_names(&apply, &running), ["power.stop", "definition.put", "power.start"]);
    assert!(plan(&apply, &running).unwrap().downtime.is_some());
    changed.state = MachineState::Off;
    changed.spec.identity.hosts = vec!["192.0.2.9 nas".parse().unwrap()];
    let off = facts(Some(changed));
    assert_eq!(step_names(&apply, &off), ["identity.apply", "definition.put"]);
    assert_eq!(
        step_names(&on_web(OperationKind::Start), &off),
        ["identity.apply", "definition.put", "power.start"]
    );
    let revert = on_web(OperationKind::Revert);
    assert_eq!(plan(&revert, &off).unwrap().loses.len(), 2);
    assert_eq!(op(OperationKind::Revert).saves(&revert, &off), Some(spec("web")));
    let settled = facts(Some(machine(MachineState::Off)));
    assert_eq!(step_names(&on_web(OperationKind::Start), &settled), ["power.start"]);
}
