//! What the rules need of the outside world, as traits: hypervisors, the image builder, the clock.

pub mod clock;
pub mod hypervisor;
pub mod image_builder;
