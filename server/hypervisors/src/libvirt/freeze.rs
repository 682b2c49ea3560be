//! A guest's file systems that stand still for a moment, so that a copy of its disk is complete.
//!
//! A guest must not stay so, whatever becomes of the portal: before anything stands still, a program is left running in the guest
//! that gets everything moving again by itself after a while. Without it, nothing is stopped.

use super::agent::{Process, ask, ask_within, exec, exited};
use super::connect::Link;
use super::error::failed;
use ports::hypervisor::{HypervisorError, MachineRef, Result};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// After how long a guest gets moving by itself.
const LONGEST: Duration = Duration::from_secs(30);
/// How long the guest may take to write what it has in memory: less than that, with the beginning of the copy.
const FREEZE_SECONDS: i32 = 15;
/// The program that gets the guest moving. It waits first, so that it is found out whether it runs.
pub const SWITCH: &[&str] = &[
    "/bin/sh",
    "-c",
    "PATH=/run/current-system/sw/bin:/run/wrappers/bin:$PATH; command -v fsfreeze || exit 1; sleep 30; \
     while read -r device dir rest; do case $device in /dev/*) fsfreeze --unfreeze \"$dir\" ;; esac; done </proc/mounts",
];
/// How long the program has to end if it cannot run.
const SETTLES: Duration = Duration::from_millis(100);
/// How often a guest is told to move on, and how long apart.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// A guest whose file systems stand still.
pub struct Frozen {
    switch: Process,
    since: Instant,
}

/// Stops the guest's file systems.
///
/// # Errors
/// When the agent does not answer, or the guest cannot; nothing stands still then.
pub async fn freeze(link: &Link, machine: &MachineRef) -> Result<Frozen> {
    let switch = exec(link, machine, SWITCH, b"").await?;
    sleep(SETTLES).await;
    if exited(link, machine, switch).await?.is_some() {
        return Err(failed("Stopping the guest's file systems", "the guest has no program “fsfreeze”"));
    }
    let since = Instant::now();
    let still: Result<i64> =
        ask_within(link, machine, "guest-fsfreeze-freeze", None::<()>, FREEZE_SECONDS).await;
    let frozen = Frozen { switch, since };
    match still {
        Ok(count) if count > 0 => Ok(frozen),
        // An agent that answered too late has stopped them all the same.
        other => {
            frozen.thaw(link, machine).await;
            let none = || failed("Stopping the guest's file systems", "it has none that can be stopped");
            Err(other.err().unwrap_or_else(none))
        }
    }
}

impl Frozen {
    /// Gets the guest moving again; returns for how long it stood still, unless it has got moving by itself before.
    pub async fn thaw(self, link: &Link, machine: &MachineRef) -> Option<Duration> {
        let mut done = thaw(link, machine).await;
        for _ in 1..TRIES {
            if done.is_ok() {
                break;
            }
            sleep(PAUSE).await;
            done = thaw(link, machine).await;
        }
        let stood = self.since.elapsed();
        match done {
            Ok(()) => self.disarm(link, machine).await,
            Err(error) => {
                tracing::warn!(machine.name = %machine.name, %error, "a guest gets moving by itself within {LONGEST:?}");
            }
        }
        (stood < LONGEST).then_some(stood)
    }

    /// Ends the program that would do it; it has nothing to do any more.
    async fn disarm(&self, link: &Link, machine: &MachineRef) {
        let kill = format!("kill {}", self.switch.pid());
        if let Err(error) = exec(link, machine, &["/bin/sh", "-c", &kill], b"").await {
            tracing::debug!(machine.name = %machine.name, %error, "the switch goes off without anything to do");
        }
    }
}

/// Gets a guest moving that may stand still. One that moves, or is off, is fine.
///
/// # Errors
/// When the agent does not answer.
pub async fn thaw(link: &Link, machine: &MachineRef) -> Result<()> {
    match ask::<i64>(link, machine, "guest-fsfreeze-thaw", None::<()>).await {
        Err(HypervisorError::NoSuchMachine { .. }) => Ok(()),
        other => other.map(drop),
    }
}
