//! What several operations demand of the facts.

use super::refusal::Refusal;
use crate::machine::facts::{Facts, HostFacts, MachineFacts, needed_image};
use model::identity::Identity;
use model::image::{ProfileSet, conflicts};
use model::machine::{MachineState, Mode, Network};
use model::operation::Operation;
use model::plan::Plan;
use model::size::{Bytes, DiskGib};
use model::spec::Spec;

/// The machine of an operation on one, which nothing else may be working on or copying.
pub(super) fn idle(facts: &Facts) -> Result<&MachineFacts, Refusal> {
    let machine = facts.machine.as_ref().ok_or(Refusal::NotFound("machine"))?;
    match machine.busy.or(machine.copied_by) {
        Some(job) => Err(Refusal::Busy(job)),
        None => Ok(machine),
    }
}

/// The machine of an operation that restarts it with other disks where it runs: it must be on its host, which must answer, and be off
/// or run.
pub(super) fn restartable(facts: &Facts) -> Result<&MachineFacts, Refusal> {
    let machine = idle(facts)?;
    match machine.state {
        MachineState::Configured => return Err(Refusal::State(machine.not_created().to_owned())),
        MachineState::Unknown => return Err(Refusal::Unavailable(machine.spec.host.to_string())),
        _ => {}
    }
    answering(facts, machine.spec.host.as_str())?;
    check_restart(machine)?;
    check_pending_bridge(machine, facts)?;
    Ok(machine)
}

/// What would destroy a machine's disks or forget its configuration is refused while it is protected.
pub(super) fn check_protection(machine: &MachineFacts) -> Result<(), Refusal> {
    if machine.spec.delete_protection {
        let why = "Delete protection is on. Turn it off in Configuration first.";
        return Err(Refusal::State(why.to_owned()));
    }
    Ok(())
}

/// The host of an operation that needs it to answer.
pub(super) fn answering<'a>(facts: &'a Facts, wanted: &str) -> Result<&'a HostFacts, Refusal> {
    let unavailable = || Refusal::Unavailable(wanted.to_owned());
    facts.host.as_ref().filter(|host| host.reachable && host.capabilities.is_some()).ok_or_else(unavailable)
}

/// The image that the operation needs must be buildable.
pub(super) fn check_image(operation: &Operation, facts: &Facts) -> Result<(), Refusal> {
    let needed = needed_image(operation, facts.machine.as_ref());
    needed.map_or(Ok(()), |(profiles, mode)| check_profiles(profiles, mode, facts))
}

/// An image of these must be buildable: the builder answers, the profiles fit together.
pub(super) fn check_profiles(profiles: &ProfileSet, mode: Mode, facts: &Facts) -> Result<(), Refusal> {
    let builder = match &facts.builder {
        Some(Ok(builder)) => builder,
        Some(Err(why)) => return Err(Refusal::State(format!("No image can be built now: {why}."))),
        None => return Err(Refusal::State("The image builder has not been asked.".to_owned())),
    };
    let found = conflicts(&builder.profiles, profiles, mode);
    if found.is_empty() { Ok(()) } else { Err(Refusal::Field { field: "profiles", why: found.join(" ") }) }
}

/// The host must answer and offer the bridge.
pub(super) fn check_placement(spec: &Spec, facts: &Facts, plan: &mut Plan) -> Result<(), Refusal> {
    check_bridge(spec, facts)?;
    plan.warnings.extend(facts.host.as_ref().and_then(|host| host.slow.clone()));
    Ok(())
}

/// The disk must be one that can be created.
pub(super) fn check_disk(spec: &Spec) -> Result<(), Refusal> {
    if u64::from(spec.disk) <= DiskGib::NEW_MAX {
        return Ok(());
    }
    let why = format!(
        "A disk can have at most {} GiB, just under 16 TiB: that is the largest file that ext4 holds. Choose a smaller one.",
        DiskGib::NEW_MAX
    );
    Err(Refusal::Field { field: "disk", why })
}

/// A machine cannot have more memory than its host. One that has not said yet how much it has is believed to have enough.
pub(super) fn check_memory(spec: &Spec, facts: &Facts) -> Result<(), Refusal> {
    let Some(has) = facts.host.as_ref().and_then(|host| host.memory).filter(|has| spec.memory.bytes() > *has)
    else {
        return Ok(());
    };
    let why = format!("The host has {} of memory; choose at most {} MiB.", Bytes(has), has >> 20);
    Err(Refusal::Field { field: "memory", why })
}

/// A bridge that is pending may have been withdrawn since it was saved.
pub(super) fn check_pending_bridge(machine: &MachineFacts, facts: &Facts) -> Result<(), Refusal> {
    if machine.applied.as_ref().is_none_or(|applied| applied.network == machine.spec.network) {
        return Ok(());
    }
    check_bridge(&machine.spec, facts).map_err(|refusal| match refusal {
        Refusal::Field { why, .. } => {
            Refusal::State(format!("{why} Change the network, or drop the pending changes."))
        }
        other => other,
    })
}

/// The machine must be off, or run so that it can be shut down and started again.
pub(super) fn check_restart(machine: &MachineFacts) -> Result<(), Refusal> {
    let why = match machine.state {
        MachineState::Paused => "The machine is suspended. Resume it, or force it off, first.",
        MachineState::ShuttingDown => "The machine is shutting down. Wait until it is off.",
        _ => return Ok(()),
    };
    Err(Refusal::State(why.to_owned()))
}

/// How long a restart takes, where there is one.
pub(super) fn restart_of(machine: &MachineFacts) -> Option<String> {
    machine.state.is_active().then(|| "While the guest shuts down and boots.".to_owned())
}

/// The host must answer and offer the bridge. An unknown one is refused: it may be the host's own network, or its
/// containers'.
pub(super) fn check_bridge(spec: &Spec, facts: &Facts) -> Result<(), Refusal> {
    let host = answering(facts, spec.host.as_str())?;
    if let Network::Bridge(bridge) = &spec.network
        && !host.bridges.iter().any(|allowed| allowed == bridge.as_str())
    {
        let choices = match host.bridges.as_slice() {
            [] => "it offers none, or has not been asked yet".to_owned(),
            some => format!("choose one of {}", some.join(", ")),
        };
        let why = format!("Machines on host “{}” may not be put on {bridge}: {choices}.", host.name);
        return Err(Refusal::Field { field: "network", why });
    }
    Ok(())
}

/// Says before it is so that nobody can log in.
pub(super) fn warn_of_no_login(identity: &Identity, plan: &mut Plan) {
    if identity.admin_keys.is_empty() && identity.user_keys.is_empty() && identity.root_password.is_none() {
        plan.warnings.push(
            "Nobody will be able to log in: there is neither an SSH key nor a console password.".to_owned(),
        );
    }
}
