//! `roll_back`: a machine boots one of its earlier generations again.

use super::refusal::Refusal;
use super::{Cell, Op, switch};
use crate::job::step::After::{Nothing, Undo};
use crate::machine::facts::{Facts, GenerationFacts};
use crate::steps::{Step, definition, disks, generation, health, identity, power};
use model::change::Part;
use model::operation::{MachineAction, Operation};
use model::plan::Plan;

pub(super) struct RollBack;

impl Op for RollBack {
    fn steps(&self) -> &'static [Cell] {
        const {
            &[
                (&generation::CHECK, Nothing),
                (&power::STOP, Undo),
                (&generation::SWITCH, Undo),
                (&identity::APPLY, Nothing),
                (&disks::GROW, Nothing),
                (&definition::AUTOSTART, Nothing),
                (&definition::PUT, Undo),
                (&power::START, Undo),
                (&health::AWAIT, Nothing),
            ]
        }
    }

    fn takes(&self, step: &Step, _: &Operation, facts: &Facts) -> bool {
        switch::takes(step, facts)
    }

    fn fits(&self, facts: &Facts) -> Result<(), Refusal> {
        switch::check(facts)?;
        if others(facts).next().is_none() {
            return Err(Refusal::State("There is no other generation to roll back to.".to_owned()));
        }
        Ok(())
    }

    fn plan(&self, operation: &Operation, facts: &Facts, plan: &mut Plan) -> Result<(), Refusal> {
        self.fits(facts)?;
        let machine = switch::check(facts)?;
        let Operation::OnMachine { action: MachineAction::RollBack { generation }, .. } = operation else {
            return Err(Refusal::NotFound("generation"));
        };
        let Some(chosen) = others(facts).find(|other| other.number == generation.0) else {
            let numbers: Vec<String> = others(facts).map(|other| other.number.to_string()).collect();
            let why = format!("Choose one of the generations that are kept: {}.", numbers.join(", "));
            return Err(Refusal::Field { field: "generation", why });
        };
        switch::announce(machine, plan);
        let becomes_true = machine.pending().into_iter().filter(|change| change.part != Part::Profiles);
        plan.changes = becomes_true.map(|change| change.what).collect();
        if chosen.profiles != machine.spec.profiles {
            plan.warnings.push(format!(
                "Generation {} has the profiles {}. The configuration keeps its own, which the next upgrade brings back.",
                chosen.number,
                chosen.profiles.words()
            ));
        }
        Ok(())
    }

    fn what(&self, step: &Step, operation: &Operation, facts: &Facts) -> Option<String> {
        let machine = facts.machine.as_ref()?;
        match operation {
            Operation::OnMachine { action: MachineAction::RollBack { generation: number }, .. }
                if *step == generation::SWITCH =>
            {
                Some(format!("Switch to the boot disk of generation {number}"))
            }
            _ => definition::what(step, &machine.spec),
        }
    }
}

/// What the machine can boot and does not.
fn others(facts: &Facts) -> impl Iterator<Item = &GenerationFacts> {
    let machine = facts.machine.as_ref();
    let all = machine.into_iter().flat_map(|machine| &machine.generations);
    all.filter(move |generation| machine.and_then(|m| m.generation) != Some(generation.number))
}
