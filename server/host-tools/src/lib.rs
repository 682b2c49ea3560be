//! What a hypervisor host is worked on with: child processes, and the disk tools that they are. Nothing here knows
//! machines, jobs or databases.

pub mod disk;
pub mod exec;
