//! `recreate`: a machine gets new disks, made from its configuration beside those that it has. The former ones go last, when the
//! machine has been seen to boot from the new ones; until then it can go back to them.

use super::check::{check_disk, check_image, check_memory, check_protection, idle, restart_of, restartable};
use super::refusal::Refusal;
use super::{Cell, Op};
use crate::job::step::After::{Forward, Nothing, Undo};
use crate::machine::facts::{Facts, MachineFacts};
use crate::steps::{Step, definition, disks, generation, health, identity, image, power};
use model::operation::Operation;
use model::plan::Plan;

pub(super) struct Recreate;

impl Op for Recreate {
    fn steps(&self) -> &'static [Cell] {
        const {
            &[
                (&image::BUILD, Nothing),
                (&disks::CREATE_BESIDE, Undo),
                (&power::END, Undo),
                (&identity::KEEP_HOST_KEY, Nothing),
                (&generation::SWITCH, Undo),
                (&definition::PUT, Undo),
                (&power::START, Undo),
                (&health::AWAIT, Nothing),
                (&disks::RETIRE_FORMER, Forward),
            ]
        }
    }

    fn plan(&self, operation: &Operation, facts: &Facts, plan: &mut Plan) -> Result<(), Refusal> {
        check_protection(idle(facts)?)?;
        let machine = restartable(facts)?;
        check_memory(&machine.spec, facts).map_err(in_configuration)?;
        check_disk(&machine.spec).map_err(in_configuration)?;
        check_image(operation, facts).map_err(in_configuration)?;
        announce(machine, plan);
        Ok(())
    }

    fn what(&self, step: &Step, operation: &Operation, facts: &Facts) -> Option<String> {
        let spec = &facts.machine.as_ref()?.spec;
        image::what(step, operation, facts)
            .or_else(|| disks::what(step, spec, facts))
            .or_else(|| definition::what(step, spec))
    }
}

/// There is no field on this operation's page: what is wrong is put right in the configuration.
fn in_configuration(refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::Field { why, .. } => Refusal::State(format!("{why} Change it in Configuration first.")),
        other => other,
    }
}

/// What it costs.
fn announce(machine: &MachineFacts, plan: &mut Plan) {
    plan.changes = machine.pending().into_iter().map(|change| change.what).collect();
    let now = machine.applied.as_ref().map_or(machine.spec.disk, |applied| applied.disk);
    plan.loses.push(format!("Its disks with everything on them (up to {now})"));
    if machine.generations.len() > 1 {
        plan.loses.push("The generations to roll back to".to_owned());
    }
    plan.keeps.push("Its configuration, its network card and its SSH host key".to_owned());
    plan.downtime = restart_of(machine);
    if plan.downtime.is_none() {
        plan.warnings.push(
            "It is off, and is started: its new disks are seen to boot before the former ones go.".to_owned(),
        );
    }
    plan.warnings.push(
        "If its boot is not complete in time, the machine goes back to the disks that it has now.".to_owned(),
    );
}
