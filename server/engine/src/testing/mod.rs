//! What tests of this and of other packages stand on; only with feature `testing`: a hypervisor and an image builder in memory,
//! with faults to order, a clock that stands still, and the contract that every hypervisor is held to.

pub mod builder;
pub mod clock;
pub mod contract;
pub mod hypervisor;
