//! `rename`: a machine that is off gets another name, and everything known by its name follows.

use super::check::{answering, idle};
use super::refusal::Refusal;
use super::{Cell, Op};
use crate::job::step::After::{Nothing, Undo};
use crate::machine::facts::{Facts, MachineFacts};
use crate::steps::{Step, definition, host, identity, power, record};
use model::machine::MachineState::{Configured, Crashed, Off, Paused, Running, ShuttingDown, Unknown};
use model::operation::Operation;
use model::plan::Plan;

pub(super) struct Rename;

impl Op for Rename {
    fn steps(&self) -> &'static [Cell] {
        const {
            &[
                (&power::REQUIRE_OFF, Nothing),
                (&record::RENAME, Undo),
                (&host::RENAME, Undo),
                (&identity::WRITE, Undo),
                (&definition::PUT, Undo),
            ]
        }
    }

    fn fits(&self, facts: &Facts) -> Result<(), Refusal> {
        let machine = idle(facts)?;
        let host = machine.spec.host.as_str();
        let why = match machine.state {
            Off | Crashed => return answering(facts, host).map(drop),
            Configured if machine.is_nowhere() => return Ok(()),
            Configured if machine.created => machine.not_created(),
            Configured => "Something of it is left on its host. Destroy it first.",
            Unknown => return Err(Refusal::Unavailable(host.to_owned())),
            Running => "The machine is running. Shut it down first.",
            ShuttingDown => "The machine is shutting down. Wait until it is off.",
            Paused => "The machine is suspended. Resume it and shut it down first.",
        };
        Err(Refusal::State(why.to_owned()))
    }

    fn plan(&self, operation: &Operation, facts: &Facts, plan: &mut Plan) -> Result<(), Refusal> {
        self.fits(facts)?;
        let machine = idle(facts)?;
        let (now, Some(name)) = (&machine.spec.name, operation.new_name()) else {
            return Err(Refusal::NotFound("name"));
        };
        let wrong = if name == now {
            Some(format!("It is already called {name}; choose another name."))
        } else {
            facts.name_taken.then(|| format!("There already is a machine named {name}; choose another name."))
        };
        if let Some(why) = wrong {
            return Err(Refusal::Field { field: "name", why });
        }
        if machine.created {
            plan.keeps.push("Its disks with everything on them, and its snapshots".to_owned());
            plan.keeps.push("Its network card, and with it the address that is reserved for it".to_owned());
            plan.warnings.push(format!(
                "Once it is started again, its host name is {name}. Update whatever reaches it as {now}."
            ));
        }
        plan.keeps.push(
            "Its jobs and console logs, and links to its old page, which lead to the new one".to_owned(),
        );
        Ok(())
    }

    fn takes(&self, step: &Step, _: &Operation, facts: &Facts) -> bool {
        *step == record::RENAME || !facts.machine.as_ref().is_some_and(MachineFacts::is_nowhere)
    }

    fn what(&self, step: &Step, operation: &Operation, facts: &Facts) -> Option<String> {
        let (name, machine) = (operation.new_name()?, facts.machine.as_ref()?);
        if *step == record::RENAME {
            return Some(format!("Save the new name, {name}"));
        }
        let hostname = || format!("Write its new host name, {name}, to its disk");
        (*step == identity::WRITE).then(hostname).or_else(|| definition::what(step, &machine.spec))
    }
}
