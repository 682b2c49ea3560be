//! `upgrade`: a machine boots the present image of its profiles, made beside what it boots now. Everything that can take long or
//! fail comes before the guest is shut down; if the new system does not come up, the machine goes back by itself.

use super::check::check_image;
use super::refusal::Refusal;
use super::{Cell, Op, switch};
use crate::job::step::After::{Forward, Nothing, Undo};
use crate::machine::facts::Facts;
use crate::steps::{Step, definition, disks, generation, health, identity, image, power};
use model::operation::Operation;
use model::plan::Plan;

pub(super) struct Upgrade;

impl Op for Upgrade {
    fn steps(&self) -> &'static [Cell] {
        const {
            &[
                (&image::BUILD, Nothing),
                (&generation::MAKE, Undo),
                (&power::STOP, Undo),
                (&generation::SWITCH, Undo),
                // What is applied stays so, whatever becomes of the rest.
                (&identity::APPLY, Nothing),
                (&disks::GROW, Nothing),
                (&definition::AUTOSTART, Nothing),
                (&definition::PUT, Undo),
                (&power::START, Undo),
                (&health::AWAIT, Nothing),
                (&generation::PRUNE, Forward),
            ]
        }
    }

    fn takes(&self, step: &Step, _: &Operation, facts: &Facts) -> bool {
        switch::takes(step, facts)
    }

    fn plan(&self, operation: &Operation, facts: &Facts, plan: &mut Plan) -> Result<(), Refusal> {
        let machine = switch::check(facts)?;
        check_image(operation, facts)?;
        let current = machine.current().map(|generation| generation.image);
        if facts.next_image.is_some() && facts.next_image == current {
            let why = "It already boots the present image of its profiles. Nothing would change.";
            return Err(Refusal::State(why.to_owned()));
        }
        switch::announce(machine, plan);
        plan.changes = machine.pending().into_iter().map(|change| change.what).collect();
        Ok(())
    }

    fn what(&self, step: &Step, operation: &Operation, facts: &Facts) -> Option<String> {
        let machine = facts.machine.as_ref()?;
        image::what(step, operation, facts).or_else(|| definition::what(step, &machine.spec))
    }
}
