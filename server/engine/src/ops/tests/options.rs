//! What a person chooses about a machine beside what it is made of.

use super::*;

#[test]
fn a_protected_machine_is_destroyed_once_its_protection_is_off() {
    for state in STATES {
        let mut protected = machine(state);
        protected.spec.delete_protection = true;
        let facts = facts(Some(protected));
        for kind in [OperationKind::Destroy, OperationKind::Purge] {
            let refused = plan(&on_web(kind), &facts);
            let says = |why: &str| why.contains("Turn it off in Configuration");
            assert!(matches!(&refused, Err(Refusal::State(why)) if says(why)), "{kind}: {refused:?}");
        }
    }
    let mut protected = machine(MachineState::Running);
    protected.spec.delete_protection = true;
    let facts = facts(Some(protected));
    let mut off = reconfigure(|_| {});
    if let Operation::OnMachine { action: MachineAction::Reconfigure(change), .. } = &mut off {
        change.base.delete_protection = true;
    }
    assert_eq!(step_names(&off, &facts), ["record.save"]);
    let shown = plan(&off, &facts).unwrap();
    assert_eq!(shown.changes, ["Delete protection: on → off (takes effect when saved)"]);
}

#[test]
fn autostart_is_set_at_once_and_by_no_restart() {
    let change = reconfigure(|spec| spec.autostart = true);
    for state in [MachineState::Running, MachineState::Off] {
        let facts = facts(Some(machine(state)));
        assert_eq!(step_names(&change, &facts), ["record.save", "definition.autostart"]);
        let shown = plan(&change, &facts).unwrap();
        assert!(shown.steps[1].what.contains("at boot") && shown.downtime.is_none(), "{shown:?}");
    }
}

#[test]
fn other_profiles_wait_for_an_upgrade_and_no_restart_claims_them() {
    let running = facts(Some(machine(MachineState::Running)));
    let more = reconfigure(|spec| spec.profiles = "docker,python".parse().unwrap());
    for (state, words) in [
        (MachineState::Running, "Profiles: + python (needs an upgrade)"),
        (MachineState::Off, "Profiles: + python (needs an upgrade)"),
        (MachineState::Configured, "Profiles: + python"),
    ] {
        let facts = facts(Some(machine(state)));
        assert_eq!(step_names(&more, &facts), ["record.save"]);
        assert_eq!(plan(&more, &facts).unwrap().changes, [words]);
    }
    let clash = reconfigure(|spec| spec.profiles = "docker,python,rust".parse().unwrap());
    let create = |operation: &Operation| plan(operation, &facts(None)).unwrap_err();
    let mut new = spec("web");
    new.profiles = "docker,python,rust".parse().unwrap();
    let told = create(&Operation::Create { spec: Box::new(new) });
    assert!(matches!(&told, Refusal::Field { field: "profiles", .. }), "{told:?}");
    assert_eq!(plan(&clash, &running), Err(told), "as on the form for a new machine");
    let mut mutable = machine(MachineState::Running);
    mutable.spec.mode = Mode::Mutable;
    let mut of_mutable = more.clone();
    if let Operation::OnMachine { action: MachineAction::Reconfigure(change), .. } = &mut of_mutable {
        (change.base.mode, change.spec.mode) = (Mode::Mutable, Mode::Mutable);
    }
    let shown = plan(&of_mutable, &facts(Some(mutable))).unwrap();
    assert_eq!(shown.changes, ["Profiles: + python (needs to be recreated)"]);
    let other_mode = reconfigure(|spec| spec.mode = Mode::Mutable);
    assert_eq!(step_names(&other_mode, &facts(Some(machine(MachineState::Running)))), ["record.save"]);
    let shown = plan(&other_mode, &running).unwrap();
    assert_eq!(shown.changes, ["Mode: Immutable → Mutable (needs to be recreated)"]);
    // Nobody is kept from changing the rest.
    let broken = Facts { builder: Some(Err("no nix".to_owned())), ..running };
    assert!(matches!(plan(&more, &broken), Err(Refusal::State(why)) if why.contains("no nix")));
    assert!(plan(&operation(OperationKind::Reconfigure), &broken).is_ok());
}

#[test]
fn a_restart_applies_what_it_can_and_leaves_the_rest_pending() {
    let mut changed = machine(MachineState::Running);
    changed.spec.profiles = "docker,python".parse().unwrap();
    let apply = on_web(OperationKind::Apply);
    let refused = plan(&apply, &facts(Some(changed.clone())));
    assert!(
        matches!(&refused, Err(Refusal::State(why)) if why.contains("+ python (needs an upgrade)")),
        "{refused:?}"
    );
    assert!(plan(&on_web(OperationKind::Revert), &facts(Some(changed.clone()))).is_ok());
    changed.spec.memory = 4096.try_into().unwrap();
    let both = facts(Some(changed.clone()));
    assert_eq!(step_names(&apply, &both), ["power.stop", "definition.put", "power.start"]);
    let shown = plan(&apply, &both).unwrap();
    assert_eq!(shown.changes, ["Memory: 2 GiB → 4 GiB"]);
    assert_eq!(shown.keeps, ["The pending change “Profiles: + python”, which needs an upgrade"]);
    changed.state = MachineState::Off;
    let started = plan(&on_web(OperationKind::Start), &facts(Some(changed))).unwrap();
    assert_eq!(started.changes, ["Memory: 2 GiB → 4 GiB"]);
}

#[test]
fn no_machine_gets_more_memory_than_its_host_has() {
    let much = |mib: u64| reconfigure(|spec| spec.memory = mib.try_into().unwrap());
    let new = |mib: u64| {
        let mut spec = spec("web");
        spec.memory = mib.try_into().unwrap();
        Operation::Create { spec: Box::new(spec) }
    };
    let mut large = machine(MachineState::Configured);
    large.spec.memory = 8193.try_into().unwrap();
    for (operation, machine) in [
        (new(8193), None),
        (much(8193), Some(machine(MachineState::Running))),
        (on_web(OperationKind::Provision), Some(large.clone())),
    ] {
        let mut facts = facts(machine);
        let why = "The host has 8 GiB of memory; choose at most 8192 MiB.".to_owned();
        assert_eq!(plan(&operation, &facts), Err(Refusal::Field { field: "memory", why }));
        facts.host.as_mut().unwrap().memory = None;
        assert!(plan(&operation, &facts).is_ok(), "what is not known is not checked");
    }
    assert!(plan(&new(8192), &facts(None)).is_ok());
    // The host had more once: whatever else is changed can be.
    large = machine(MachineState::Running);
    large.spec.memory = 8193.try_into().unwrap();
    large.applied = Some(large.spec.clone());
    let mut other = much(8193);
    if let Operation::OnMachine { action: MachineAction::Reconfigure(change), .. } = &mut other {
        change.base.memory = change.spec.memory;
        change.spec.vcpus = 1.try_into().unwrap();
    }
    assert!(plan(&other, &facts(Some(large))).is_ok());
}
