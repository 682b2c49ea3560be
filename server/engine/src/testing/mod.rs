//! What the tests of this and other packages build on; only with feature `testing`: a hypervisor and an image builder
//! in memory, with injectable faults, a clock that stands still, and the contract that every hypervisor is held to.

pub mod builder;
pub mod clock;
pub mod contract;
pub mod hypervisor;

use model::operation::OperationKind;

/// The operations' table: each with the names and the marks of its steps.
pub fn operations() -> Vec<(OperationKind, Vec<(&'static str, &'static str)>)> {
    let steps = |kind: OperationKind| {
        crate::ops::op(kind).steps().iter().map(|(step, after)| (step.name, after.as_str())).collect()
    };
    OperationKind::ALL.iter().map(|kind| (*kind, steps(*kind))).collect()
}
