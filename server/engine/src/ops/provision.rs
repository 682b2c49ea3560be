//! `provision`: a machine that has only a configuration, or one whose domain is gone.

use super::check::{check_disk, check_image, check_memory, check_placement, idle};
use super::create::{self, CREATE};
use super::refusal::Refusal;
use super::{Cell, Op};
use crate::machine::facts::Facts;
use crate::steps::{Step, disks, image};
use model::machine::MachineState;
use model::operation::Operation;
use model::plan::Plan;

pub(super) struct Provision;

impl Op for Provision {
    fn steps(&self) -> &'static [Cell] {
        // The steps of create after the first, which writes the row that exists already.
        CREATE.steps().get(1..).unwrap_or_default()
    }

    fn plan(&self, operation: &Operation, facts: &Facts, plan: &mut Plan) -> Result<(), Refusal> {
        let machine = idle(facts)?;
        match machine.state {
            MachineState::Configured => {}
            MachineState::Unknown => return Err(Refusal::Unavailable(machine.spec.host.to_string())),
            _ => return Err(Refusal::State("This machine has already been created.".to_owned())),
        }
        check_memory(&machine.spec, facts)?;
        if !machine.created {
            check_disk(&machine.spec)?;
        }
        check_image(operation, facts)?;
        check_placement(&machine.spec, facts, plan)?;
        if machine.created {
            plan.keeps
                .push("Its disks with everything on them, and the image they were made from".to_owned());
        }
        Ok(())
    }

    fn what(&self, step: &Step, operation: &Operation, facts: &Facts) -> Option<String> {
        let machine = facts.machine.as_ref()?;
        if machine.created && *step == image::BUILD {
            return Some("Keep the image that its disks were made from".to_owned());
        }
        if machine.created && *step == disks::CREATE {
            return Some("Check that the disks are there".to_owned());
        }
        create::what(step, operation, &machine.spec, facts)
    }
}
