//! What a clone takes over, and what it refuses.

use super::*;
use model::operation::NewCopy;

/// A copy of `web` that is like it but for this.
pub(super) fn clone_to(name: &str, change: impl FnOnce(&mut NewCopy)) -> Operation {
    let spec = spec("web");
    let mut copy = NewCopy {
        name: name.parse().unwrap(),
        memory: spec.memory,
        vcpus: spec.vcpus,
        disk: spec.disk,
        network: spec.network,
        profiles: spec.profiles,
        start: false,
    };
    change(&mut copy);
    MachineAction::Clone(Box::new(copy)).on(spec.name)
}

fn off() -> Facts {
    facts(Some(machine(MachineState::Off)))
}

#[test]
fn a_plan_has_the_steps_that_there_is_something_to_do_for() {
    let like_it = ["record.new", "host.reserve", "disks.copy", "identity.renew", "definition.put"];
    assert_eq!(step_names(&clone_to("db", |_| {}), &off()), like_it);
    let all = clone_to("db", |copy| {
        copy.disk = 31.try_into().unwrap();
        copy.profiles = "python".parse().unwrap();
        copy.start = true;
    });
    let every: Vec<&str> = op(OperationKind::Clone).steps().iter().map(|(step, _)| step.name).collect();
    assert_eq!(step_names(&all, &off()), every);
    // It is the image that it boots which is the same, not the one that its next upgrade would boot.
    let mut pending = off();
    pending.machine.as_mut().unwrap().spec.profiles = "python".parse().unwrap();
    assert_eq!(step_names(&clone_to("db", |_| {}), &pending), like_it);
}

#[test]
fn a_copy_has_the_configuration_but_for_what_is_its_own() {
    let mut facts = off();
    let machine = facts.machine.as_mut().unwrap();
    machine.spec.identity.static_address = Some("192.168.1.20/24,192.168.1.1".parse().unwrap());
    machine.spec.identity.dns = vec!["192.0.2.53".parse().unwrap()];
    machine.spec.notes = "Rack 4".parse().unwrap();
    (machine.spec.autostart, machine.spec.delete_protection) = (true, true);
    // A mode that is pending needs new disks: the copy has that of the disk.
    machine.spec.mode = Mode::SemiMutable;
    let operation = clone_to("db", |copy| copy.memory = 512.try_into().unwrap());
    let made = op(OperationKind::Clone).makes(&operation, &facts).unwrap();
    let mut expected = spec("db");
    expected.memory = 512.try_into().unwrap();
    expected.identity.dns = vec!["192.0.2.53".parse().unwrap()];
    expected.notes = "Rack 4".parse().unwrap();
    assert_eq!(made, expected);
    let plan = plan(&operation, &facts).unwrap();
    assert!(plan.warnings.iter().any(|told| told.contains("asks DHCP")), "{plan:?}");
    assert!(plan.downtime.is_none() && plan.loses.is_empty(), "{plan:?}");
}

#[test]
fn what_cannot_be_copied_so_is_refused_beside_its_field() {
    let refused = |change: fn(&mut NewCopy), facts: &Facts| match plan(&clone_to("db", change), facts) {
        Err(Refusal::Field { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(|copy| copy.disk = 29.try_into().unwrap(), &off()), "disk");
    assert_eq!(refused(|copy| copy.disk = 20_000.try_into().unwrap(), &off()), "disk");
    assert_eq!(refused(|copy| copy.memory = 16_384.try_into().unwrap(), &off()), "memory");
    assert_eq!(refused(|copy| copy.network = "bridge:br9".parse().unwrap(), &off()), "network");
    assert_eq!(refused(|copy| copy.profiles = "nothing".parse().unwrap(), &off()), "profiles");
    assert_eq!(refused(|_| {}, &Facts { name_taken: true, ..off() }), "name");
    let mut mutable = off();
    mutable.machine.as_mut().unwrap().applied.as_mut().unwrap().mode = Mode::Mutable;
    assert!(plan(&clone_to("db", |_| {}), &mutable).is_ok());
    assert_eq!(refused(|copy| copy.profiles = "python".parse().unwrap(), &mutable), "profiles");
    // A disk that is larger than any new one can be may be copied as it is.
    let mut large = off();
    large.machine.as_mut().unwrap().applied.as_mut().unwrap().disk = 20_000.try_into().unwrap();
    assert!(plan(&clone_to("db", |copy| copy.disk = 20_000.try_into().unwrap()), &large).is_ok());
}

#[test]
fn without_the_builder_a_copy_boots_what_is_there() {
    let away = Facts { builder: Some(Err("no nix".to_owned())), ..off() };
    assert!(plan(&clone_to("db", |_| {}), &away).is_ok());
    let other = clone_to("db", |copy| copy.profiles = "python".parse().unwrap());
    assert!(matches!(plan(&other, &away), Err(Refusal::State(why)) if why.contains("no nix")));
}

#[test]
fn a_machine_that_is_copied_is_copied_again_and_nothing_else_is_done_to_it() {
    let job = JobId(Uuid::nil());
    let mut facts = facts(Some(machine(MachineState::Running)));
    facts.machine.as_mut().unwrap().copied_by = Some(job);
    assert!(plan(&operation(OperationKind::Clone), &facts).is_ok());
    for kind in OperationKind::ALL.iter().filter(|kind| kind.row().on == On::Machine) {
        let answer = plan(&operation(*kind), &facts);
        assert!(*kind == OperationKind::Clone || answer == Err(Refusal::Busy(job)), "{kind}: {answer:?}");
    }
    let machine = facts.machine.as_mut().unwrap();
    (machine.copied_by, machine.busy) = (None, Some(job));
    assert_eq!(plan(&operation(OperationKind::Clone), &facts), Err(Refusal::Busy(job)));
}
