//! `reconfigure`, `apply`, `revert`: a machine's configuration, and making it true.
//!
//! A configuration is saved when the job is accepted. What of it can be true at once is made so by the job; the rest is
//! pending until a restart, and is seen as such. Nothing of this is undone when it fails: what was saved stays saved, and
//! pending.

use super::check::{
    answering, check_bridge, check_disk, check_memory, check_pending_bridge, check_profiles, check_restart,
    idle, restart_of, warn_of_no_login,
};
use super::refusal::Refusal;
use super::{Cell, Op};
use crate::job::step::After::{Forward, Nothing, Undo};
use crate::machine::facts::{Facts, MachineFacts};
use crate::steps::{Step, definition, disks, identity, power, record};
use model::change::{Change, Part, When};
use model::identity::Identity;
use model::machine::MachineState::{Configured, Crashed, Off, Paused, Running, ShuttingDown, Unknown};
use model::operation::{MachineAction, Operation};
use model::plan::Plan;
use model::spec::Spec;

pub(super) struct Reconfigure;

impl Op for Reconfigure {
    fn steps(&self) -> &'static [Cell] {
        const {
            &[
                (&record::SAVE, Forward),
                (&identity::APPLY, Forward),
                (&disks::GROW, Forward),
                (&definition::AUTOSTART, Forward),
                (&definition::PUT, Forward),
            ]
        }
    }

    fn takes(&self, step: &Step, operation: &Operation, facts: &Facts) -> bool {
        let Some((machine, wanted)) = facts.machine.as_ref().zip(wanted(operation, facts)) else {
            return true;
        };
        can_be_made_now(step, machine, &wanted)
    }

    fn saves(&self, operation: &Operation, facts: &Facts) -> Option<Spec> {
        wanted(operation, facts)
    }

    fn fits(&self, facts: &Facts) -> Result<(), Refusal> {
        reachable(idle(facts)?, facts)
    }

    fn plan(&self, operation: &Operation, facts: &Facts, plan: &mut Plan) -> Result<(), Refusal> {
        self.fits(facts)?;
        let machine = idle(facts)?;
        let Some(wanted) = wanted(operation, facts) else { return Err(Refusal::NotFound("configuration")) };
        nobody_else_changed_it(operation, machine, &wanted)?;
        check_changed(machine, &wanted, facts)?;
        let changes = machine.spec.changes(&wanted);
        let pending = machine.applied.as_ref().map_or_else(Vec::new, |applied| applied.changes(&wanted));
        if changes.is_empty() && pending.is_empty() {
            return Err(Refusal::Unchanged);
        }
        plan.changes = changes.iter().map(|change| in_words(change, machine)).collect();
        warn(machine, &wanted, plan);
        Ok(())
    }

    fn what(&self, step: &Step, operation: &Operation, facts: &Facts) -> Option<String> {
        let wanted = wanted(operation, facts)?;
        what(step, &wanted)
    }
}

pub(super) struct Apply;

impl Op for Apply {
    fn steps(&self) -> &'static [Cell] {
        const {
            &[
                (&power::STOP, Undo),
                // What is applied stays so, whatever becomes of the rest.
                (&identity::APPLY, Nothing),
                (&disks::GROW, Nothing),
                (&definition::AUTOSTART, Nothing),
                (&definition::PUT, Undo),
                (&power::START, Undo),
            ]
        }
    }

    fn takes(&self, step: &Step, _: &Operation, facts: &Facts) -> bool {
        let Some(machine) = &facts.machine else { return true };
        match step.makes {
            Some(part) => machine.lacks(part, &machine.spec),
            None => machine.state.is_active(),
        }
    }

    fn plan(&self, _: &Operation, facts: &Facts, plan: &mut Plan) -> Result<(), Refusal> {
        let machine = idle(facts)?;
        reachable(machine, facts)?;
        let (changes, later) = by_restart(pending(machine)?)?;
        check_pending_bridge(machine, facts)?;
        plan.changes = changes.into_iter().map(|change| change.what).collect();
        plan.keeps = later
            .into_iter()
            .map(|change| format!("The pending change “{}”, which {}", change.what, change.when.title()))
            .collect();
        check_restart(machine)?;
        plan.downtime = restart_of(machine);
        Ok(())
    }

    fn what(&self, step: &Step, _: &Operation, facts: &Facts) -> Option<String> {
        what(step, &facts.machine.as_ref()?.spec)
    }
}

pub(super) struct Revert;

impl Op for Revert {
    fn steps(&self) -> &'static [Cell] {
        // What was not noted as applied may have reached the guest all the same: what is to stay is put there again.
        const {
            &[
                (&record::SAVE, Forward),
                (&identity::APPLY, Forward),
                (&definition::AUTOSTART, Forward),
                (&definition::PUT, Forward),
            ]
        }
    }

    fn what(&self, step: &Step, _: &Operation, _: &Facts) -> Option<String> {
        (*step == record::SAVE).then(|| "Go back to the configuration from before the changes".to_owned())
    }

    fn takes(&self, step: &Step, _: &Operation, facts: &Facts) -> bool {
        facts.machine.as_ref().is_none_or(|machine| can_be_made_now(step, machine, &machine.spec))
    }

    fn saves(&self, _: &Operation, facts: &Facts) -> Option<Spec> {
        let machine = facts.machine.as_ref()?;
        let applied = machine.applied.as_ref()?;
        let mut spec = machine.spec.clone();
        Part::ALL.into_iter().for_each(|part| spec.take(part, applied));
        Some(spec)
    }

    fn plan(&self, _: &Operation, facts: &Facts, plan: &mut Plan) -> Result<(), Refusal> {
        let machine = idle(facts)?;
        let dropped = pending(machine)?;
        reachable(machine, facts)?;
        plan.loses.extend(dropped.into_iter().map(|change| format!("The change “{}”", change.what)));
        Ok(())
    }
}

/// Whether a step has something to do for this configuration. What a running machine gets at its next start only is no step
/// of the job.
fn can_be_made_now(step: &Step, machine: &MachineFacts, spec: &Spec) -> bool {
    step.makes.is_none_or(|part| {
        machine.lacks(part, spec) && (part.when() == When::Now || !machine.state.is_active())
    })
}

/// The whole configuration that the machine is to have.
fn wanted(operation: &Operation, facts: &Facts) -> Option<Spec> {
    let Operation::OnMachine { action: MachineAction::Reconfigure(change), .. } = operation else {
        return None;
    };
    let present = &facts.machine.as_ref()?.spec;
    let mut wanted = present.clone();
    let over = change.over(present);
    // The name and the host are not this form's: another operation may have changed them since it was opened.
    Part::ALL.into_iter().for_each(|part| wanted.take(part, &over));
    Some(wanted)
}

/// Two people at once: the second is shown what the first has changed, and saves again.
fn nobody_else_changed_it(
    operation: &Operation,
    machine: &MachineFacts,
    wanted: &Spec,
) -> Result<(), Refusal> {
    let Operation::OnMachine { action: MachineAction::Reconfigure(change), .. } = operation else {
        return Ok(());
    };
    let mut present = machine.spec.clone();
    present.identity.hide_secrets();
    let theirs: Vec<String> = change.base.changes(&present).into_iter().map(|change| change.what).collect();
    // A job that is tried again finds what it has saved itself.
    if theirs.is_empty() || machine.spec == *wanted {
        return Ok(());
    }
    let why = format!(
        "The configuration was changed while this form was open: {}. Look at what you entered, and save again.",
        theirs.join("; ")
    );
    Err(Refusal::Field { field: "base", why })
}

/// What changes must be possible. What stays is not judged: it is so already.
fn check_changed(machine: &MachineFacts, wanted: &Spec, facts: &Facts) -> Result<(), Refusal> {
    if (&wanted.profiles, wanted.mode) != (&machine.spec.profiles, machine.spec.mode) {
        check_profiles(&wanted.profiles, wanted.mode, facts)?;
    }
    if let Some(now) = machine.applied.as_ref().map(|applied| applied.disk).filter(|now| wanted.disk < *now) {
        let why = format!(
            "The disk has {now} and cannot become smaller: a file system that is in use cannot be shrunk safely."
        );
        return Err(Refusal::Field { field: "disk", why });
    }
    if wanted.disk != machine.spec.disk {
        check_disk(wanted)?;
    }
    let differs = |differs: fn(&Spec, &Spec) -> bool| {
        std::iter::once(&machine.spec).chain(&machine.applied).any(|now| differs(now, wanted))
    };
    if differs(|now, wanted| now.memory != wanted.memory) {
        check_memory(wanted, facts)?;
    }
    if differs(|now, wanted| now.network != wanted.network) {
        check_bridge(wanted, facts)?;
    }
    Ok(())
}

/// The host must answer, unless there is nothing of the machine anywhere.
fn reachable(machine: &MachineFacts, facts: &Facts) -> Result<(), Refusal> {
    match machine.state {
        Configured if machine.created => Err(Refusal::State(machine.not_created().to_owned())),
        Configured => Ok(()),
        Unknown => Err(Refusal::Unavailable(machine.spec.host.to_string())),
        Off | Crashed | Running | Paused | ShuttingDown => {
            answering(facts, machine.spec.host.as_str()).map(drop)
        }
    }
}

/// What is pending.
fn pending(machine: &MachineFacts) -> Result<Vec<Change>, Refusal> {
    let pending = machine.pending();
    if pending.is_empty() {
        return Err(Refusal::State("There are no pending changes.".to_owned()));
    }
    Ok(pending)
}

/// Splits off what a restart does not make true. That there is nothing else is refused.
fn by_restart(pending: Vec<Change>) -> Result<(Vec<Change>, Vec<Change>), Refusal> {
    let (now, later): (Vec<_>, Vec<_>) =
        pending.into_iter().partition(|change| change.when.is_restart_enough());
    if now.is_empty() {
        let what: Vec<String> =
            later.iter().map(|change| format!("{} ({})", change.what, change.when.title())).collect();
        let why = format!("A restart is not enough for what is pending: {}.", what.join("; "));
        return Err(Refusal::State(why));
    }
    Ok((now, later))
}

/// A change, with what it needs: where the machine runs, or where its next start is not enough.
fn in_words(change: &Change, machine: &MachineFacts) -> String {
    if machine.state.is_active() || machine.created && !change.when.is_restart_enough() {
        format!("{} ({})", change.what, change.when.title())
    } else {
        change.what.clone()
    }
}

/// What a person should know before locking themselves out.
fn warn(machine: &MachineFacts, wanted: &Spec, plan: &mut Plan) {
    let (before, after) = (&machine.spec.identity, &wanted.identity);
    let has_ssh = |identity: &Identity| identity.tcp_ports.iter().any(|range| range.contains(22));
    if has_ssh(before) && !has_ssh(after) {
        plan.warnings.push("TCP port 22 is closed: nobody can log in with SSH any more.".to_owned());
    }
    warn_of_no_login(after, plan);
    if machine.spec.network != wanted.network || before.static_address != after.static_address {
        plan.warnings.push("Its address changes.".to_owned());
    }
}

fn what(step: &Step, wanted: &Spec) -> Option<String> {
    definition::what(step, wanted)
        .or_else(|| (*step == disks::GROW).then(|| format!("Enlarge the disk to {}", wanted.disk)))
}
