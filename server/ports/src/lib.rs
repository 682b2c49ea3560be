//! What the rules need from the outside world, as traits: hypervisors with their consoles, the image builder, the
//! clock.

pub mod clock;
pub mod console;
pub mod hypervisor;
pub mod image_builder;
