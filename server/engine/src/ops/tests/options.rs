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
