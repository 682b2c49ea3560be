//! What there is to do: a file per operation, with its steps and what it costs, together.
//!
//! An [`Op`] is decided from facts alone: no IO, no clock, no randomness. The same facts give the same plan, so that
//! what a form showed can be compared with what would happen now. To add one: its row in `model::catalog`, its file
//! here, and a line in [`op()`].

mod build;
mod check;
mod clone;
mod create;
mod forget;
mod op;
mod power;
mod provision;
mod reconfigure;
mod recreate;
mod refusal;
mod remove;
mod remove_image;
mod rename;
mod roll_back;
mod switch;
#[cfg(test)]
mod tests;
mod upgrade;

pub(crate) use op::{Cell, Op};
pub(crate) use refusal::Refusal;

use crate::machine::facts::Facts;
use model::operation::{Operation, OperationKind};
use model::plan::{Confirm, Plan, PlannedStep};

/// The operation of this kind.
pub(crate) fn op(kind: OperationKind) -> &'static dyn Op {
    match kind {
        OperationKind::Build => &build::Build,
        OperationKind::RemoveImage => &remove_image::RemoveImage,
        OperationKind::Create => &create::CREATE,
        OperationKind::Configure => &create::CONFIGURE,
        OperationKind::Provision => &provision::Provision,
        OperationKind::Reconfigure => &reconfigure::Reconfigure,
        OperationKind::Apply => &reconfigure::Apply,
        OperationKind::Revert => &reconfigure::Revert,
        OperationKind::Upgrade => &upgrade::Upgrade,
        OperationKind::RollBack => &roll_back::RollBack,
        OperationKind::Start => &power::START,
        OperationKind::ShutDown => &power::SHUT_DOWN,
        OperationKind::Reboot => &power::REBOOT,
        OperationKind::Suspend => &power::SUSPEND,
        OperationKind::Resume => &power::RESUME,
        OperationKind::ForceOff => &power::FORCE_OFF,
        OperationKind::Rename => &rename::Rename,
        OperationKind::Clone => &clone::Clone,
        OperationKind::Recreate => &recreate::Recreate,
        OperationKind::Destroy => &remove::DESTROY,
        OperationKind::Purge => &remove::PURGE,
        OperationKind::Forget => &forget::Forget,
    }
}

/// The steps that the operation takes, given the facts.
pub(crate) fn steps(operation: &Operation, facts: &Facts) -> Vec<Cell> {
    let op = op(operation.kind());
    op.steps().iter().filter(|(step, _)| op.takes(step, operation, facts)).copied().collect()
}

/// What the operation would do now.
pub(crate) fn plan(operation: &Operation, facts: &Facts) -> Result<Plan, Refusal> {
    let op = op(operation.kind());
    let planned = |(step, _): Cell| PlannedStep {
        name: step.name.to_owned(),
        what: op.what(step, operation, facts).unwrap_or_else(|| step.what.to_owned()),
    };
    let mut plan = Plan {
        title: operation.title(),
        machine: facts.machine.as_ref().map(|machine| machine.id),
        changes: Vec::new(),
        steps: steps(operation, facts).into_iter().map(planned).collect(),
        downtime: None,
        keeps: Vec::new(),
        loses: Vec::new(),
        warnings: Vec::new(),
        confirm: None,
    };
    op.plan(operation, facts, &mut plan)?;
    if operation.kind().row().confirm == Confirm::Name && !plan.loses.is_empty() {
        plan.confirm = operation.machine().cloned();
    }
    Ok(plan)
}
