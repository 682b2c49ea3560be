//! Switching to another system: an upgrade, and going back.

use super::*;

#[test]
fn an_upgrade_builds_before_it_touches_the_machine_and_says_what_it_costs() {
    let upgrade = on_web(OperationKind::Upgrade);
    let running = facts(Some(machine(MachineState::Running)));
    let whole = [
        "image.build",
        "generation.make",
        "power.stop",
        "generation.switch",
        "definition.put",
        "power.start",
        "health.await",
        "generation.prune",
    ];
    assert_eq!(step_names(&upgrade, &running), whole);
    let shown = plan(&upgrade, &running).unwrap();
    assert!(shown.downtime.is_some() && shown.loses.is_empty(), "{shown:?}");
    assert!(shown.keeps.iter().any(|kept| kept.contains("generation 2")), "{:?}", shown.keeps);
    let off = facts(Some(machine(MachineState::Off)));
    let needs_boot =
        |step: &str| step.starts_with("power.") || ["health.await", "generation.prune"].contains(&step);
    let quiet: Vec<&str> = whole.into_iter().filter(|step| !needs_boot(step)).collect();
    assert_eq!(step_names(&upgrade, &off), quiet);
    let newest = Facts { next_image: Some(ImageId(Uuid::from_u128(2))), ..running.clone() };
    assert!(
        matches!(plan(&upgrade, &newest), Err(Refusal::State(why)) if why.contains("Nothing would change"))
    );
    let mut pending = machine(MachineState::Running);
    pending.spec.memory = 4096.try_into().unwrap();
    pending.spec.identity.dns = vec!["192.0.2.53".parse().unwrap()];
    let with_pending = plan(&upgrade, &facts(Some(pending))).unwrap();
    assert!(with_pending.steps.iter().any(|step| step.name == "identity.apply"));
    assert_eq!(with_pending.changes.len(), 2, "{:?}", with_pending.changes);
}

#[test]
fn only_what_is_replaced_as_a_whole_can_be_upgraded() {
    let in_mode = |mode| {
        let mut web = machine(MachineState::Running);
        web.spec.mode = mode;
        web.applied.as_mut().unwrap().mode = mode;
        facts(Some(web))
    };
    let upgrade = on_web(OperationKind::Upgrade);
    assert!(
        matches!(plan(&upgrade, &in_mode(Mode::Mutable)), Err(Refusal::State(why)) if why.contains("inside"))
    );
    let lost = plan(&upgrade, &in_mode(Mode::SemiMutable)).unwrap().loses;
    assert!(lost.len() == 1 && lost[0].contains("nix profile"), "{lost:?}");
    // A mode that is pending needs new disks; the image is that of the present mode.
    let mut pending = machine(MachineState::Running);
    pending.spec.mode = Mode::Mutable;
    assert!(plan(&upgrade, &facts(Some(pending))).unwrap().steps[0].what.contains("(immutable)"));
}

#[test]
fn a_machine_rolls_back_only_to_what_is_kept() {
    let to =
        |number| MachineAction::RollBack { generation: GenerationNumber(number) }.on("web".parse().unwrap());
    let running = facts(Some(machine(MachineState::Running)));
    assert!(plan(&to(1), &running).is_ok());
    for not_kept in [2, 3] {
        let answer = plan(&to(not_kept), &running);
        assert!(matches!(answer, Err(Refusal::Field { field: "generation", .. })), "{answer:?}");
    }
    let only = MachineFacts { generations: vec![generation(2)], ..machine(MachineState::Running) };
    assert!(matches!(plan(&to(1), &facts(Some(only))), Err(Refusal::State(_))));
}
