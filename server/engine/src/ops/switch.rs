//! What an upgrade and going back have in common: the machine is switched to another boot disk, restarted where it runs, and
//! switched back when it does not come up. What was pending becomes true on the way.

use super::check::{idle, restart_of, restartable};
use super::refusal::Refusal;
use crate::machine::facts::{Facts, MachineFacts};
use crate::steps::{Step, definition, disks, generation, health, identity, power};
use model::machine::Mode;
use model::plan::Plan;

/// A machine that is off is not started, and what is true already is not made so.
pub(super) fn takes(step: &Step, facts: &Facts) -> bool {
    let Some(machine) = &facts.machine else { return true };
    // Nothing old is removed before the new system has been seen to boot.
    if [&power::STOP, &power::START, &health::AWAIT, &generation::PRUNE].contains(&step) {
        return machine.state.is_active();
    }
    if [&identity::APPLY, &disks::GROW, &definition::AUTOSTART].contains(&step) {
        return step.makes.is_some_and(|part| machine.lacks(part, &machine.spec));
    }
    true
}

/// The machine must exist on its host, which must answer, and be one whose system is replaced as a whole.
pub(super) fn check(facts: &Facts) -> Result<&MachineFacts, Refusal> {
    let machine = idle(facts)?;
    if machine.created && machine.mode() == Mode::Mutable {
        return Err(Refusal::State(
            "A mutable machine is upgraded from inside: log in as admin and run “sudo nixos-rebuild switch”."
                .to_owned(),
        ));
    }
    restartable(facts)
}

/// What it costs.
pub(super) fn announce(machine: &MachineFacts, plan: &mut Plan) {
    plan.downtime = restart_of(machine);
    plan.keeps.push("The data disk with everything on it".to_owned());
    if let Some(current) = machine.current() {
        plan.keeps.push(format!("The present system, as generation {}, to roll back to", current.number));
    }
    if machine.mode() == Mode::SemiMutable {
        plan.loses.push(
            "What was installed with “nix profile”: the writable layer over /nix is emptied".to_owned(),
        );
    }
    plan.warnings.push(if machine.state.is_active() {
        "If its boot is not complete in time, the machine goes back to what it boots now.".to_owned()
    } else {
        "It is off: the other system boots when it is started the next time.".to_owned()
    });
}
