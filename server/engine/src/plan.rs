//! What an operation would do, decided from facts alone: no IO, no clock, no chance. The same facts give the same plan, so
//! that what a form showed can be compared with what would happen now.
//!
//! [`plan`] says yes with the steps and what they cost, or no with a [`Refusal`] that says why and what to do instead.

mod words;

#[cfg(test)]
mod tests;

use crate::machine::facts::{Facts, HostFacts, MachineFacts, needed_image};
use crate::operations;
use model::Fault;
use model::image::conflicts;
use model::job::JobId;
use model::machine::{MachineState, Network};
use model::operation::{Operation, OperationKind};
use model::plan::{Plan, PlannedStep};
use model::spec::Spec;

/// Why an operation cannot be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// What it is about does not exist.
    NotFound(&'static str),
    /// A field of the form is wrong, in the light of what there is.
    Field {
        /// Its name.
        field: &'static str,
        /// What is wrong and what to do.
        why: String,
    },
    /// Another job holds the machine.
    Busy(JobId),
    /// The host does not answer.
    Unavailable(String),
    /// It does not fit the present state.
    State(String),
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound(what) => Fault::not_found(what),
            Refusal::Field { field, why } => Fault::invalid(field, why),
            Refusal::Busy(job) => Fault::Busy { job },
            Refusal::Unavailable(host) => Fault::Unavailable { host },
            Refusal::State(why) => Fault::Refused { why },
        }
    }
}

/// What the operation would do now.
pub(crate) fn plan(operation: &Operation, facts: &Facts) -> Result<Plan, Refusal> {
    let mut plan = Plan {
        title: operation.title(),
        steps: steps(operation, facts),
        downtime: None,
        keeps: Vec::new(),
        loses: Vec::new(),
        warnings: Vec::new(),
        confirm: None,
    };
    match operation {
        Operation::Build { .. } => {
            check_image(operation, facts)?;
        }
        Operation::Create { spec } | Operation::Configure { spec } => {
            new_machine(operation, spec, facts, &mut plan)?
        }
        Operation::Provision { .. } => provision(operation, facts, &mut plan)?,
        Operation::Start { .. }
        | Operation::ShutDown { .. }
        | Operation::Reboot { .. }
        | Operation::ForceOff { .. }
        | Operation::Suspend { .. }
        | Operation::Resume { .. } => power(operation.kind(), facts, &mut plan)?,
        Operation::Destroy { .. } | Operation::Purge { .. } => remove(operation.kind(), facts, &mut plan)?,
        Operation::RemoveImage { .. } => remove_image(facts, &mut plan)?,
    }
    Ok(plan)
}

fn steps(operation: &Operation, facts: &Facts) -> Vec<PlannedStep> {
    operations::steps(operation.kind())
        .iter()
        .map(|(step, _)| PlannedStep {
            name: step.name().to_owned(),
            what: words::what(*step, operation, facts),
        })
        .collect()
}

/// The machine of an operation on one, which nothing else may be working on.
fn idle(facts: &Facts) -> Result<&MachineFacts, Refusal> {
    let machine = facts.machine.as_ref().ok_or(Refusal::NotFound("machine"))?;
    match machine.busy {
        Some(job) => Err(Refusal::Busy(job)),
        None => Ok(machine),
    }
}

/// The host of an operation that needs it to answer.
fn answering<'a>(facts: &'a Facts, wanted: &str) -> Result<&'a HostFacts, Refusal> {
    let unavailable = || Refusal::Unavailable(wanted.to_owned());
    facts.host.as_ref().filter(|host| host.reachable && host.capabilities.is_some()).ok_or_else(unavailable)
}

/// The image must be one that can be built: the builder answers, the profiles fit together.
fn check_image(operation: &Operation, facts: &Facts) -> Result<(), Refusal> {
    let Some((profiles, mode)) = needed_image(operation, facts.machine.as_ref()) else { return Ok(()) };
    let builder = match &facts.builder {
        Some(Ok(builder)) => builder,
        Some(Err(why)) => return Err(Refusal::State(format!("No image can be built now: {why}."))),
        None => return Err(Refusal::State("The image builder has not been asked.".to_owned())),
    };
    let found = conflicts(&builder.profiles, profiles, mode);
    if found.is_empty() { Ok(()) } else { Err(Refusal::Field { field: "profiles", why: found.join(" ") }) }
}

fn new_machine(operation: &Operation, spec: &Spec, facts: &Facts, plan: &mut Plan) -> Result<(), Refusal> {
    if let Some(machine) = &facts.machine {
        // Who may not see the other machine learns no more from this than from trying to use its name on the network.
        let why = format!("There is a machine named {} already; choose another name.", machine.spec.name);
        return Err(Refusal::Field { field: "name", why });
    }
    if facts.host.is_none() {
        let why = format!("There is no host “{}”; choose one of the list.", spec.host);
        return Err(Refusal::Field { field: "host", why });
    }
    check_image(operation, facts)?;
    if operation.kind() == OperationKind::Create {
        check_placement(spec, facts, plan)?;
    }
    let identity = &spec.identity;
    if identity.admin_keys.is_empty() && identity.user_keys.is_empty() && identity.root_password.is_none() {
        plan.warnings.push(
            "Nobody will be able to log in: there is neither an SSH key nor a console password.".to_owned(),
        );
    }
    Ok(())
}

/// The host must answer and have the bridge.
fn check_placement(spec: &Spec, facts: &Facts, plan: &mut Plan) -> Result<(), Refusal> {
    let host = answering(facts, spec.host.as_str())?;
    if let Network::Bridge(bridge) = &spec.network
        && !host.bridges.is_empty()
        && !host.bridges.iter().any(|there| there == bridge.as_str())
    {
        let why = format!("Host “{}” has no bridge {bridge}; it has {}.", host.name, host.bridges.join(", "));
        return Err(Refusal::Field { field: "network", why });
    }
    plan.warnings.extend(host.slow.clone());
    Ok(())
}

fn provision(operation: &Operation, facts: &Facts, plan: &mut Plan) -> Result<(), Refusal> {
    let machine = idle(facts)?;
    match machine.state {
        MachineState::Configured => {}
        MachineState::Unknown => return Err(Refusal::Unavailable(machine.spec.host.to_string())),
        _ => return Err(Refusal::State("This machine has been created already.".to_owned())),
    }
    check_image(operation, facts)?;
    check_placement(&machine.spec, facts, plan)?;
    if machine.created {
        plan.keeps.push("Its disks with everything on them, and the image they were made from".to_owned());
    }
    Ok(())
}

fn power(kind: OperationKind, facts: &Facts, plan: &mut Plan) -> Result<(), Refusal> {
    use MachineState::{Configured, Crashed, Off, Paused, Running, ShuttingDown, Unknown};
    use OperationKind as Op;
    let machine = idle(facts)?;
    let refuse = |why: &str| Err(Refusal::State(why.to_owned()));
    if machine.state == Unknown {
        return Err(Refusal::Unavailable(machine.spec.host.to_string()));
    }
    answering(facts, machine.spec.host.as_str())?;
    if machine.state == Configured {
        return refuse("This machine has only a configuration. Create it from its configuration first.");
    }
    let fits = match kind {
        Op::Start => matches!(machine.state, Off | Crashed),
        Op::Suspend | Op::Reboot => machine.state == Running,
        Op::ShutDown => matches!(machine.state, Running | ShuttingDown),
        Op::ForceOff => matches!(machine.state, Running | ShuttingDown | Paused),
        Op::Resume => machine.state == Paused,
        _ => false,
    };
    if !fits {
        return refuse(words::does_not_fit(kind, machine.state));
    }
    plan.downtime = words::downtime(kind);
    if kind == Op::ForceOff {
        plan.warnings.push(
            "This is pulling the plug: what the guest has not written to its disks is lost.".to_owned(),
        );
    }
    Ok(())
}

fn remove(kind: OperationKind, facts: &Facts, plan: &mut Plan) -> Result<(), Refusal> {
    let machine = idle(facts)?;
    if machine.created && machine.state == MachineState::Unknown {
        return Err(Refusal::Unavailable(machine.spec.host.to_string()));
    }
    answering(facts, machine.spec.host.as_str())?;
    if kind == OperationKind::Destroy && !machine.created && machine.state == MachineState::Configured {
        let why = "There is only a configuration: nothing to destroy. Purge removes the configuration.";
        return Err(Refusal::State(why.to_owned()));
    }
    let configuration = "Its configuration, from which it can be created again".to_owned();
    if machine.created || machine.state != MachineState::Configured {
        let disk = machine.spec.disk;
        plan.loses.push(format!("Its disks with everything on them (up to {disk})"));
        if machine.state.is_active() {
            plan.downtime = Some("It is switched off at once.".to_owned());
        }
    }
    if kind == OperationKind::Purge {
        plan.loses.push(configuration);
        plan.keeps.push("Its jobs and audit entries".to_owned());
    } else {
        plan.keeps.push(configuration);
    }
    plan.keeps.push("The image it was made from".to_owned());
    plan.confirm = Some(machine.spec.name.clone());
    Ok(())
}

fn remove_image(facts: &Facts, plan: &mut Plan) -> Result<(), Refusal> {
    let image = facts.image.as_ref().ok_or(Refusal::NotFound("image"))?;
    if let Some(first) = image.users.first() {
        let others = match image.users.len() - 1 {
            0 => String::new(),
            1 => " and one other machine".to_owned(),
            n => format!(" and {n} other machines"),
        };
        return Err(Refusal::State(format!(
            "The image is used by {first}{others}. Destroy what uses it first, or leave the image."
        )));
    }
    plan.title = format!("Remove image {}", image.title);
    plan.warnings.push("Building it again takes its time once Nix has collected it.".to_owned());
    Ok(())
}
