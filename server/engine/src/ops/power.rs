//! What is done to a machine's power: a step each, which nothing undoes.

use super::check::{answering, check_pending_bridge, idle};
use super::refusal::Refusal;
use super::{Cell, Op};
use crate::job::step::After::{Forward, Nothing};
use crate::machine::facts::{Facts, MachineFacts};
use crate::steps::{Step, definition, disks, identity, power};
use model::machine::MachineState::{self, Configured, Crashed, Off, Paused, Running, ShuttingDown, Unknown};
use model::operation::{Operation, OperationKind};
use model::plan::Plan;

/// One of them.
pub(super) struct Power {
    steps: &'static [Cell],
    /// In which states it makes sense.
    fits: &'static [MachineState],
    /// How long the machine is down.
    downtime: Option<&'static str>,
    /// What a person should know before.
    loses: Option<&'static str>,
}

const PLAIN: Power = Power { steps: &[], fits: &[], downtime: None, loses: None };

pub(super) static START: Power = Power {
    // What became pending while it ran is made true before it runs again.
    steps: &[
        (&identity::APPLY, Forward),
        (&disks::GROW, Forward),
        (&definition::AUTOSTART, Forward),
        (&definition::PUT, Forward),
        (&power::START, Nothing),
    ],
    fits: &[Off, Crashed],
    ..PLAIN
};

pub(super) static SHUT_DOWN: Power = Power {
    steps: &[(&power::SHUT_DOWN, Nothing)],
    fits: &[Running, ShuttingDown],
    downtime: Some("Until it is started again."),
    ..PLAIN
};

pub(super) static REBOOT: Power = Power {
    steps: &[(&power::REBOOT, Nothing)],
    fits: &[Running],
    downtime: Some("While the guest restarts."),
    ..PLAIN
};

pub(super) static SUSPEND: Power = Power {
    steps: &[(&power::SUSPEND, Nothing)],
    fits: &[Running],
    downtime: Some("Until it is resumed."),
    ..PLAIN
};

pub(super) static RESUME: Power = Power { steps: &[(&power::RESUME, Nothing)], fits: &[Paused], ..PLAIN };

pub(super) static FORCE_OFF: Power = Power {
    steps: &[(&power::FORCE_OFF, Nothing)],
    fits: &[Running, ShuttingDown, Paused],
    downtime: Some("Until it is started again."),
    loses: Some("What the guest has not written to its disks"),
};

impl Op for Power {
    fn steps(&self) -> &'static [Cell] {
        self.steps
    }

    fn takes(&self, step: &Step, _: &Operation, facts: &Facts) -> bool {
        let lacks = |machine: &MachineFacts, part| machine.lacks(part, &machine.spec);
        step.makes.is_none_or(|part| facts.machine.as_ref().is_some_and(|machine| lacks(machine, part)))
    }

    fn plan(&self, operation: &Operation, facts: &Facts, plan: &mut Plan) -> Result<(), Refusal> {
        let machine = idle(facts)?;
        if machine.state == Unknown {
            return Err(Refusal::Unavailable(machine.spec.host.to_string()));
        }
        answering(facts, machine.spec.host.as_str())?;
        if machine.state == Configured {
            return Err(Refusal::State(machine.not_created().to_owned()));
        }
        if !self.fits.contains(&machine.state) {
            return Err(Refusal::State(does_not_fit(operation, machine.state).to_owned()));
        }
        if operation.kind() == OperationKind::Start {
            check_pending_bridge(machine, facts)?;
            let made_true = machine.pending().into_iter().filter(|change| change.when.is_restart_enough());
            plan.changes = made_true.map(|change| change.what).collect();
        }
        plan.downtime = self.downtime.map(str::to_owned);
        plan.loses.extend(self.loses.map(str::to_owned));
        Ok(())
    }
}

/// Why an operation on the power does not fit a state, and what would.
fn does_not_fit(operation: &Operation, state: MachineState) -> &'static str {
    use model::operation::OperationKind::{Resume, Start};
    match (operation.kind(), state) {
        (_, Paused) => "The machine is suspended. Resume it, or force it off.",
        (Start, ShuttingDown) => "The machine is shutting down. Wait until it is off.",
        (Start | Resume, Running) => "The machine is already running.",
        (Resume, ShuttingDown) => "The machine is not suspended, it is shutting down.",
        (_, ShuttingDown) => "The machine is shutting down. Wait until it is off, or force it off.",
        (_, Off | Crashed) => "The machine is off. Start it first.",
        _ => "That does not fit what the machine is doing now.",
    }
}
