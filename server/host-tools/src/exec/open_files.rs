//! The limit of open files (`RLIMIT_NOFILE`, getrlimit(2)): raised for this process, unchanged for its programs.
//!
//! Its soft value is low for the sake of programs that use select(2) or that close every number up to it, and we start
//! some of those. A program gets its limit right after its start, because `pre_exec` is unsafe and a shell in between
//! would hide which program is missing.

use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};
use std::sync::OnceLock;

/// The limit that this process began with, once it has been raised.
static BEFORE: OnceLock<Rlimit> = OnceLock::new();

/// Lets this process open as many files as its hard limit allows, and returns how many that is; `None` is no limit.
/// Programs started from now on get what this process had before.
///
/// # Errors
/// If the system refuses; then the limit is what it was.
pub fn raise_open_files() -> Result<Option<u64>, Errno> {
    let limit = getrlimit(Resource::Nofile);
    let maximum = limit.maximum;
    BEFORE.get_or_init(|| limit);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    Ok(maximum)
}

/// Gives a program the limit it would have had.
pub(super) fn restore(program: Pid) {
    if let Some(before) = BEFORE.get().cloned() {
        // One that has ended, or that runs as another user, is none of our business.
        if let Err(error) = prlimit(Some(program), Resource::Nofile, before) {
            tracing::debug!(%error, "a program keeps the raised limit of open files");
        }
    }
}
