//! Hypervisors behind the engine's one trait, [`ports::hypervisor::Hypervisor`].
//!
//! A folder per kind of host, each with the same files where both have the same thing to do. The server's composition
//! root makes one value per configured host and hands it to the engine; nobody else names anything in here.

pub mod libvirt;
