//! What an operation is to those that plan and run it.

use super::refusal::Refusal;
use crate::job::step::After;
use crate::machine::facts::Facts;
use crate::steps::Step;
use model::operation::Operation;
use model::plan::Plan;
use model::spec::Spec;

/// A step of an operation and what happens to it when the job does not succeed.
pub(crate) type Cell = (&'static Step, After);

/// One operation, or a few that differ in a step.
pub(crate) trait Op: Sync {
    /// Its steps in order.
    fn steps(&self) -> &'static [Cell];

    /// Refuses what cannot be done to the machine now, whatever is filled in: its form says so up front. Only for
    /// operations that have a form.
    fn fits(&self, _facts: &Facts) -> Result<(), Refusal> {
        Ok(())
    }

    /// Adds to the plan what it costs, or refuses.
    fn plan(&self, operation: &Operation, facts: &Facts, plan: &mut Plan) -> Result<(), Refusal>;

    /// Whether there is anything for a step to do; one without is left out of the plan and of the job.
    fn takes(&self, _step: &Step, _operation: &Operation, _facts: &Facts) -> bool {
        true
    }

    /// The configuration of the machine that it makes, whose row is written when the job is accepted. Its first step is done then.
    fn makes(&self, operation: &Operation, _facts: &Facts) -> Option<Spec> {
        operation.new_machine().cloned()
    }

    /// The configuration that the machine has from the moment the job is accepted, if the operation changes it. Its first step
    /// is done then.
    fn saves(&self, _operation: &Operation, _facts: &Facts) -> Option<Spec> {
        None
    }

    /// What a step will do, where this operation has a better sentence than the step itself.
    fn what(&self, _step: &Step, _operation: &Operation, _facts: &Facts) -> Option<String> {
        None
    }
}
