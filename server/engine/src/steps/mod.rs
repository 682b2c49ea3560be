//! The steps that operations are made of, a file per family. A step that only one operation has is with it in `ops/`.
//!
//! The contract of a step:
//! - `run` makes it so, and is quick when it already is. After a crash it may be called again on what it has half done.
//! - `undo` is idempotent and tolerates a half-done `run`, or one that never began.
//! - It never asks a person, and it logs what it does as it does it.
//! - It takes a [`Lease`](crate::job::lease::Lease): proof that its caller is the one runner of the job, which holds the machine.
//! - Whatever later steps need is in [`Work`](crate::job::step::Work).
//!
//! The runner (`job/runner.rs`) is the only caller.

pub(crate) mod address;
mod cx;
pub(crate) mod definition;
pub(crate) mod disks;
mod error;
pub(crate) mod generation;
pub(crate) mod health;
pub(crate) mod host;
pub(crate) mod identity;
pub(crate) mod image;
pub(crate) mod power;
pub(crate) mod record;
mod step;

pub(crate) use cx::StepCx;
pub(crate) use error::StepError;
pub(crate) use step::Step;

/// Every step there is, by family. A job is read back by the names of its steps, including jobs of a version that
/// combined them differently.
pub(crate) static ALL: &[&Step] = &[
    &address::AWAIT,
    &definition::AUTOSTART,
    &definition::PUT,
    &definition::REMOVE,
    &disks::COPY,
    &disks::CREATE,
    &disks::CREATE_BESIDE,
    &disks::GROW,
    &disks::RETIRE,
    &disks::RETIRE_FORMER,
    &generation::CHECK,
    &generation::MAKE,
    &generation::PRUNE,
    &generation::SWITCH,
    &health::AWAIT,
    &host::RELEASE,
    &host::RENAME,
    &host::RESERVE,
    &identity::APPLY,
    &identity::KEEP_HOST_KEY,
    &identity::RENEW,
    &identity::WRITE,
    &image::BUILD,
    &image::FORGET,
    &power::END,
    &power::FORCE_OFF,
    &power::KILL,
    &power::REBOOT,
    &power::REQUIRE_OFF,
    &power::RESUME,
    &power::SHUT_DOWN,
    &power::START,
    &power::STOP,
    &power::SUSPEND,
    &record::ABANDON,
    &record::FORGET,
    &record::NEW,
    &record::RENAME,
    &record::SAVE,
];

/// The step of this name, if there is one.
pub(crate) fn named(name: &str) -> Option<&'static Step> {
    ALL.iter().copied().find(|step| step.name == name)
}
