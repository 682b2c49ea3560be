//! A text with many machines while it is judged: what is wrong with each machine, what would happen, what became of it.

use crate::batch::fields::Described;
use crate::batch::{self, Format};
use crate::forms::operations::Submissions;
use crate::session::Visitor;
use model::fault::{Fault, FieldError};
use model::form::{self, FormData, HashPassword, wrong_profiles};
use model::machine::MachineName;
use model::operation::Operation;
use model::plan::Plan;
use model::portal::{Choices, Portal};
use model::view::batch::BatchProgress;
use std::collections::BTreeSet;

/// The field with the text.
pub(super) const TEXT: &str = "text";

/// One machine of a text.
pub(super) struct Machine {
    pub(super) described: Described,
    /// The operation; none while something is wrong.
    pub(super) operation: Option<Operation>,
    pub(super) plan: Option<Plan>,
    /// One that was accepted before is neither judged nor submitted again.
    pub(super) progress: BatchProgress,
}

/// A text with everything that is known about it.
pub(super) struct Checked {
    pub(super) format: Format,
    pub(super) digest: String,
    pub(super) machines: Vec<Machine>,
}

impl Checked {
    /// Reads a text and judges each machine as the form for a new one does; those of these names were accepted before.
    pub(super) fn read(
        text: &str,
        base: FormData,
        accepted: &BTreeSet<String>,
        choices: &Choices,
        hash: HashPassword<'_>,
    ) -> Result<Self, Fault> {
        let batch = batch::read(text, base).map_err(|mistakes| {
            let wrong = mistakes.iter().map(|mistake| FieldError::new(TEXT, mistake.to_string()));
            Fault::invalid_fields(wrong.collect())
        })?;
        let machines = batch.machines.into_iter().map(|described| {
            let is_accepted = accepted.contains(described.data.get("name"));
            Machine::read(described, is_accepted, choices, hash)
        });
        Ok(Self { format: batch.format, digest: batch.digest, machines: machines.collect() })
    }

    /// What is still to be submitted.
    pub(super) fn operations(&self) -> Vec<Operation> {
        self.machines.iter().filter_map(|machine| machine.operation.clone()).collect()
    }

    /// Notes what became of each operation.
    pub(super) fn note(&mut self, done: Submissions) {
        for (operation, job) in done.accepted {
            for machine in self.machines.iter_mut().filter(|machine| machine.name() == operation.machine()) {
                machine.progress = BatchProgress::Accepted(job);
            }
        }
        for (operation, fault) in done.refused {
            let of_it = |machine: &&mut Machine| machine.name() == operation.machine();
            if let Some(machine) = self.machines.iter_mut().find(of_it) {
                machine.refuse(fault);
            }
        }
    }
}

impl Machine {
    fn read(mut described: Described, is_accepted: bool, choices: &Choices, hash: HashPassword<'_>) -> Self {
        let progress = if is_accepted { BatchProgress::Before } else { BatchProgress::Open };
        if is_accepted {
            described.errors.clear();
            return Self { described, operation: None, plan: None, progress };
        }
        let operation = form::operations(&described.data, hash);
        let operation = operation.map(|operations| operations.into_iter().next());
        let operation = operation.unwrap_or_else(|errors| {
            described.errors.extend(errors);
            None
        });
        let operation = operation.filter(|_| described.errors.is_empty());
        if operation.is_none() {
            // A plan would judge them, and there is none.
            described.errors.extend(wrong_profiles(&described.data, &choices.profiles));
        }
        Self { described, operation, plan: None, progress }
    }

    /// Plans it. What only the facts show to be wrong stands beside its field too.
    pub(super) async fn plan(&mut self, portal: &dyn Portal, visitor: &Visitor) -> Result<(), Fault> {
        let Some(operation) = &self.operation else { return Ok(()) };
        match portal.plan(&visitor.actor, operation).await {
            Ok(plan) => self.plan = Some(plan),
            Err(fault @ (Fault::Unauthenticated | Fault::Denied { .. } | Fault::Internal { .. })) => {
                return Err(fault);
            }
            Err(fault) => self.refuse(fault),
        }
        Ok(())
    }

    pub(super) fn refuse(&mut self, fault: Fault) {
        match fault {
            Fault::Invalid { fields } => self.described.errors.extend(Vec::from(fields)),
            other => self.described.errors.push(FieldError::new("", other.to_string())),
        }
    }

    fn name(&self) -> Option<&MachineName> {
        self.operation.as_ref().and_then(Operation::machine)
    }
}
