//! Hypervisors behind the engine's one trait, [`ports::hypervisor::Hypervisor`].
//!
//! A folder per kind of host, each with the same files where both do the same thing. The server's composition root
//! makes one value per configured host and hands it to the engine; nothing else names anything in here.

pub mod libvirt;
