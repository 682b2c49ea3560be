//! `clone`: another machine with a copy of a machine's disk. It is a new machine in everything but what is on the disk: its ids,
//! its name, its host keys are its own.
//!
//! The job works on the new machine, so that its steps are those of a new one; the machine that is copied is held too, by any
//! number of clones at once, and goes on running.

use super::check::{answering, check_bridge, check_disk, check_memory, check_profiles, warn_of_no_login};
use super::refusal::Refusal;
use super::{Cell, Op, create};
use crate::job::step::After::{Nothing, Undo};
use crate::machine::facts::{Facts, MachineFacts, needed_image};
use crate::steps::{Step, address, definition, disks, host, identity, image, power, record};
use model::machine::MachineState::{Configured, Crashed, Off, Paused, Running, ShuttingDown, Unknown};
use model::machine::Mode;
use model::operation::{MachineAction, NewCopy, Operation};
use model::plan::Plan;
use model::spec::Spec;

pub(super) struct Clone;

impl Op for Clone {
    fn steps(&self) -> &'static [Cell] {
        const {
            &[
                (&record::NEW, Undo),
                (&host::RESERVE, Undo),
                (&image::BUILD, Nothing),
                (&disks::COPY, Undo),
                (&disks::GROW, Nothing),
                (&identity::RENEW, Nothing),
                (&definition::PUT, Undo),
                (&power::START, Undo),
                (&address::AWAIT, Nothing),
            ]
        }
    }

    fn takes(&self, step: &Step, operation: &Operation, facts: &Facts) -> bool {
        let Some((machine, copy)) = facts.machine.as_ref().zip(copy_of(operation)) else { return true };
        if *step == image::BUILD {
            return needed_image(operation, Some(machine)).is_some();
        }
        if *step == disks::GROW {
            return machine.applied.as_ref().is_some_and(|applied| applied.disk < copy.disk);
        }
        copy.start || ![&power::START, &address::AWAIT].contains(&step)
    }

    fn makes(&self, operation: &Operation, facts: &Facts) -> Option<Spec> {
        let (machine, copy) = facts.machine.as_ref().zip(copy_of(operation))?;
        let mut spec = Spec {
            name: copy.name.clone(),
            profiles: copy.profiles.clone(),
            mode: machine.mode(),
            memory: copy.memory,
            vcpus: copy.vcpus,
            disk: copy.disk,
            network: copy.network.clone(),
            autostart: false,
            delete_protection: false,
            ..machine.spec.clone()
        };
        // Two machines of one address reach nobody.
        spec.identity.static_address = None;
        Some(spec)
    }

    fn fits(&self, facts: &Facts) -> Result<(), Refusal> {
        let machine = facts.machine.as_ref().ok_or(Refusal::NotFound("machine"))?;
        if let Some(job) = machine.busy {
            return Err(Refusal::Busy(job));
        }
        let host = machine.spec.host.as_str();
        let why = match machine.state {
            Off | Crashed | Running if machine.applied.is_some() => return answering(facts, host).map(drop),
            Off | Crashed | Running => {
                "It has no disk that could be copied. Destroy it, then create it again."
            }
            Configured => machine.not_created(),
            Unknown => return Err(Refusal::Unavailable(host.to_owned())),
            ShuttingDown => "The machine is shutting down. Wait until it is off.",
            Paused => "The machine is suspended. Resume it, or force it off, first.",
        };
        Err(Refusal::State(why.to_owned()))
    }

    fn plan(&self, operation: &Operation, facts: &Facts, plan: &mut Plan) -> Result<(), Refusal> {
        self.fits(facts)?;
        let (machine, copy) =
            facts.machine.as_ref().zip(copy_of(operation)).ok_or(Refusal::NotFound("machine"))?;
        let spec = self.makes(operation, facts).ok_or(Refusal::NotFound("machine"))?;
        if facts.name_taken {
            let why = format!("There already is a machine named {}; choose another name.", spec.name);
            return Err(Refusal::Field { field: "name", why });
        }
        check_memory(&spec, facts)?;
        check_size(machine, &spec)?;
        check_bridge(&spec, facts)?;
        check_other_image(operation, machine, copy, facts)?;
        plan.warnings.extend(facts.host.as_ref().and_then(|host| host.slow.clone()));
        warn(machine, &spec, copy, plan);
        Ok(())
    }

    fn what(&self, step: &Step, operation: &Operation, facts: &Facts) -> Option<String> {
        let machine = facts.machine.as_ref()?;
        let spec = self.makes(operation, facts)?;
        if *step == record::NEW {
            return Some(format!("Save the configuration of {} with ids of its own", spec.name));
        }
        if *step == disks::COPY {
            let how = if machine.state == Running { ", while it runs" } else { "" };
            return Some(format!("Copy the disk of {}{how}", machine.spec.name));
        }
        if *step == disks::GROW {
            return Some(format!("Enlarge the copy to {}", spec.disk));
        }
        create::what(step, operation, &spec, facts)
    }
}

/// What the copy gets of its own.
fn copy_of(operation: &Operation) -> Option<&NewCopy> {
    match operation {
        Operation::OnMachine { action: MachineAction::Clone(copy), .. } => Some(copy),
        _ => None,
    }
}

/// A copy has at least the size of what is copied: a file system cannot be shrunk safely.
fn check_size(machine: &MachineFacts, spec: &Spec) -> Result<(), Refusal> {
    let Some(now) = machine.applied.as_ref().map(|applied| applied.disk) else { return Ok(()) };
    if spec.disk < now {
        let why = format!("The disk that is copied has {now}, and the copy cannot be smaller.");
        return Err(Refusal::Field { field: "disk", why });
    }
    if spec.disk > now { check_disk(spec) } else { Ok(()) }
}

/// Another image than the one that the machine boots must be buildable, and the machine's mode one whose system is not on the
/// disk that is copied.
fn check_other_image(
    operation: &Operation,
    machine: &MachineFacts,
    copy: &NewCopy,
    facts: &Facts,
) -> Result<(), Refusal> {
    if needed_image(operation, Some(machine)).is_none() {
        return Ok(());
    }
    if machine.mode() == Mode::Mutable {
        let booted = machine.current().map(|current| current.profiles.words()).unwrap_or_default();
        let why = format!(
            "The system of a mutable machine is on the disk that is copied: leave the profiles as they are ({booted}), and \
             change the copy from inside."
        );
        return Err(Refusal::Field { field: "profiles", why });
    }
    check_profiles(&copy.profiles, machine.mode(), facts)
}

/// What the copy has, what it has not, and what the copying does to the machine.
fn warn(machine: &MachineFacts, spec: &Spec, copy: &NewCopy, plan: &mut Plan) {
    let source = &machine.spec.name;
    plan.keeps.push(format!("{source} as it is, with everything on it"));
    plan.keeps.push("What is on the disk, and keys, passwords, ports and notes, in the copy too".to_owned());
    if machine.state == Running {
        plan.warnings.push(format!(
            "{source} goes on running. If its guest agent answers, its file systems stand still for a moment so that the copy \
             is complete; otherwise the copy is as after a power cut."
        ));
    }
    if machine.spec.identity.static_address.is_some() {
        plan.warnings.push(format!("The address of {source} stays its own: the copy asks DHCP for one."));
    }
    let boots_another = machine.current().is_some_and(|current| current.profiles != copy.profiles);
    if boots_another && machine.mode() == Mode::SemiMutable {
        plan.warnings.push(
            "What was installed with “nix profile” is not in the copy: it boots another image.".to_owned(),
        );
    }
    warn_of_no_login(&spec.identity, plan);
}
