//! How much patience there is with clients, and how many files the process may have open for them and for its own work.

use host_tools::exec;
use rustix::process::{Resource, getrlimit};
use std::time::Duration;

/// The number of open files below which the portal warns that it has few: jobs, sockets, consoles and child processes
/// each need some.
const FEW_FILES: u64 = 4096;

/// How much patience there is with clients.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections open at a time, sockets included.
    pub connections: usize,
    /// Of these, connections from one address. A trusted proxy speaks for many people and is not counted.
    pub per_address: usize,
    /// From the connection, or the previous answer, until a request's head has arrived.
    pub head: Duration,
    /// From a request's head until its body has arrived.
    pub body: Duration,
    /// Without the client reading a single byte.
    pub stall: Duration,
}

impl Limits {
    /// For a process that may have this many files open. Clients get at most half of them: a log follower also has a
    /// file open, and so do the database, jobs and child processes.
    pub fn for_open_files(files: u64) -> Self {
        let connections = usize::try_from(files / 2).unwrap_or(usize::MAX).clamp(64, 1024);
        Self {
            connections,
            per_address: connections / 4,
            head: Duration::from_secs(30),
            body: Duration::from_secs(30),
            stall: Duration::from_secs(30),
        }
    }
}

impl Default for Limits {
    /// For the 1024 files that a process may have open by default (getrlimit(2)).
    fn default() -> Self {
        Self::for_open_files(1024)
    }
}

/// Lets the process, but not the programs that it starts, open as many files as its hard limit allows, and returns how
/// many that is. Nothing of ours uses select(2), for whose sake the soft limit is low.
pub fn raise_open_files() -> u64 {
    let files = exec::raise_open_files().unwrap_or_else(|error| {
        tracing::warn!(%error, "the limit of open files cannot be raised");
        getrlimit(Resource::Nofile).current
    });
    // No limit at all is `None`.
    let files = files.unwrap_or(u64::MAX);
    if files < FEW_FILES {
        tracing::warn!(
            files,
            "the process may open few files, so few people can be served at a time; set LimitNOFILE of its service to {FEW_FILES} or more"
        );
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Rlimit, setrlimit};

    #[test]
    fn the_soft_limit_of_open_files_is_raised_to_the_hard_one() {
        let hard = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: Some(256), maximum: hard }).unwrap();
        assert_eq!(raise_open_files(), hard.unwrap_or(u64::MAX));
        assert_eq!(getrlimit(Resource::Nofile).current, hard);
    }

    #[test]
    fn files_are_left_for_everything_that_is_no_connection() {
        assert_eq!(Limits::for_open_files(1024).connections, 512);
        assert_eq!(Limits::for_open_files(u64::MAX).connections, 1024);
        for files in [256, 1024, 65_536] {
            let limits = Limits::for_open_files(files);
            assert!(limits.per_address * 4 <= limits.connections, "one address leaves room for others");
        }
    }
}
