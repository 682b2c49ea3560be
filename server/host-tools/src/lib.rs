//! The tools for working on a hypervisor host: child processes, and the disk tools built on them. Nothing here knows
//! machines, jobs or databases.

pub mod disk;
pub mod exec;
