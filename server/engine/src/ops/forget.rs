//! `forget`: the portal lets go of a machine whose host is gone for good, or whose record cannot be read. What is on the host
//! stays there.

use super::check::idle;
use super::refusal::Refusal;
use super::{Cell, Op};
use crate::job::step::After::Forward;
use crate::machine::facts::Facts;
use crate::steps::record;
use model::host::HostName;
use model::operation::Operation;
use model::plan::Plan;

pub(super) struct Forget;

impl Op for Forget {
    fn steps(&self) -> &'static [Cell] {
        const { &[(&record::ABANDON, Forward)] }
    }

    fn plan(&self, _: &Operation, facts: &Facts, plan: &mut Plan) -> Result<(), Refusal> {
        plan.keeps.push("Its jobs and audit entries".to_owned());
        if let Some(machine) = &facts.unreadable {
            if let Some(job) = machine.busy {
                return Err(Refusal::Busy(job));
            }
            plan.loses.push("Its record, which cannot be read".to_owned());
            plan.warnings.push(stays(&machine.host));
            return Ok(());
        }
        let machine = idle(facts)?;
        let host = &machine.spec.host;
        if facts.host.as_ref().is_some_and(|host| host.reachable) {
            let why = format!(
                "Host “{host}” is reachable. Purge the machine: that removes it from the host as well."
            );
            return Err(Refusal::State(why));
        }
        plan.loses.push("Its configuration, from which it can be created again".to_owned());
        if machine.created || machine.placed {
            plan.warnings.push(stays(host));
        }
        Ok(())
    }
}

fn stays(host: &HostName) -> String {
    format!(
        "Whatever is on host “{host}” stays there: the machine, which may be running, and its disks. Remove them by hand."
    )
}
