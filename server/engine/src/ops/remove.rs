//! `destroy` and `purge`: domain and disks go; the configuration as well, or not.

use super::check::{answering, check_protection, idle};
use super::refusal::Refusal;
use super::{Cell, Op};
use crate::job::step::After::Forward;
use crate::machine::facts::{Facts, MachineFacts};
use crate::steps::{Step, definition, disks, host, power, record};
use model::machine::MachineState;
use model::operation::{Operation, OperationKind};
use model::plan::Plan;

pub(super) struct Remove {
    steps: &'static [Cell],
}

pub(super) static DESTROY: Remove = Remove {
    steps: &[
        (&power::KILL, Forward),
        (&definition::REMOVE, Forward),
        (&disks::RETIRE, Forward),
        (&host::RELEASE, Forward),
    ],
};

pub(super) static PURGE: Remove = Remove {
    steps: &[
        (&power::KILL, Forward),
        (&definition::REMOVE, Forward),
        (&disks::RETIRE, Forward),
        (&host::RELEASE, Forward),
        (&record::FORGET, Forward),
    ],
};

impl Op for Remove {
    fn steps(&self) -> &'static [Cell] {
        self.steps
    }

    fn takes(&self, step: &Step, _: &Operation, facts: &Facts) -> bool {
        // A create that was given up may have taken a place which the row does not know.
        let always = [&host::RELEASE, &record::FORGET].contains(&step);
        always || !facts.machine.as_ref().is_some_and(MachineFacts::is_nowhere)
    }

    fn plan(&self, operation: &Operation, facts: &Facts, plan: &mut Plan) -> Result<(), Refusal> {
        let machine = idle(facts)?;
        check_protection(machine)?;
        if machine.created && machine.state == MachineState::Unknown {
            return Err(Refusal::Unavailable(machine.spec.host.to_string()));
        }
        let host = answering(facts, machine.spec.host.as_str());
        if operation.kind() == OperationKind::Purge && !machine.created && !machine.placed && host.is_err() {
            // As far as the portal knows there is nothing on the host, so there is nothing to wait for.
            plan.warnings
                .push(format!("Host “{}” is unreachable: nothing is removed there.", machine.spec.host));
        } else {
            host?;
        }
        if operation.kind() == OperationKind::Destroy && machine.is_nowhere() {
            let why = "There is only a configuration: nothing to destroy. Purge removes the configuration.";
            return Err(Refusal::State(why.to_owned()));
        }
        let configuration = "Its configuration, from which it can be created again".to_owned();
        if machine.created || !matches!(machine.state, MachineState::Configured | MachineState::Unknown) {
            let disk = machine.spec.disk;
            plan.loses.push(format!("Its disks with everything on them (up to {disk})"));
            if machine.state.is_active() {
                plan.downtime = Some("It is switched off at once.".to_owned());
            }
        } else if machine.placed {
            plan.loses.push("What is left of it on its host".to_owned());
        }
        if operation.kind() == OperationKind::Purge {
            plan.loses.push(configuration);
            plan.keeps.push("Its jobs and audit entries".to_owned());
        } else {
            plan.keeps.push(configuration);
        }
        plan.keeps.push("The image it was made from".to_owned());
        Ok(())
    }
}
