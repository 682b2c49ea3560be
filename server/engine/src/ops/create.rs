//! `create` and `configure`: a machine that there was not, or its configuration alone.

use super::check::{check_disk, check_image, check_memory, check_placement, warn_of_no_login};
use super::refusal::Refusal;
use super::{Cell, Op};
use crate::job::step::After::{Nothing, Undo};
use crate::machine::facts::Facts;
use crate::steps::{Step, address, definition, disks, host, identity, image, power, record};
use model::operation::{Operation, OperationKind};
use model::plan::Plan;
use model::spec::Spec;

pub(super) struct New {
    steps: &'static [Cell],
}

pub(super) static CREATE: New = New {
    steps: &[
        (&record::NEW, Undo),
        (&host::RESERVE, Undo),
        (&image::BUILD, Nothing),
        (&disks::CREATE, Undo),
        (&identity::WRITE, Nothing),
        (&definition::PUT, Undo),
        (&power::START, Undo),
        (&address::AWAIT, Nothing),
    ],
};

pub(super) static CONFIGURE: New = New { steps: &[(&record::NEW, Undo)] };

impl Op for New {
    fn steps(&self) -> &'static [Cell] {
        self.steps
    }

    fn plan(&self, operation: &Operation, facts: &Facts, plan: &mut Plan) -> Result<(), Refusal> {
        let Some(spec) = operation.new_machine() else { return Err(Refusal::NotFound("machine")) };
        if facts.name_taken {
            // This reveals no more about someone else's machine than trying to use its name on the network.
            let why = format!("There already is a machine named {}; choose another name.", spec.name);
            return Err(Refusal::Field { field: "name", why });
        }
        if facts.host.is_none() {
            let why = format!("There is no host “{}”; choose one from the list.", spec.host);
            return Err(Refusal::Field { field: "host", why });
        }
        check_memory(spec, facts)?;
        check_disk(spec)?;
        check_image(operation, facts)?;
        if operation.kind() == OperationKind::Create {
            check_placement(spec, facts, plan)?;
        }
        warn_of_no_login(&spec.identity, plan);
        Ok(())
    }

    fn what(&self, step: &Step, operation: &Operation, facts: &Facts) -> Option<String> {
        what(step, operation, operation.new_machine()?, facts)
    }
}

/// What a step will do that creates a machine from this specification.
pub(super) fn what(step: &Step, operation: &Operation, spec: &Spec, facts: &Facts) -> Option<String> {
    image::what(step, operation, facts)
        .or_else(|| disks::what(step, spec, facts))
        .or_else(|| definition::what(step, spec))
}
