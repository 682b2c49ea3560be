//! The steps that operations are made of, a file per family.
//!
//! The contract of a step:
//! - `run` makes it so, and is quick when it already is. After a crash it may be called again on what it has half done.
//! - `undo` is idempotent and bears a half-done `run`, or one that never began.
//! - It never asks a person, and it logs what it does as it does it.
//! - It takes a [`Lease`]: proof that its caller is the one runner of the job, which holds the machine.
//! - Whatever later steps need is in [`Work`](crate::job::step::Work).
//!
//! The runner (`job/runner.rs`) is the only caller.

mod address;
mod cx;
mod definition;
mod disks;
mod error;
mod identity;
mod image;
mod power;
mod record;

pub(crate) use cx::StepCx;
pub(crate) use error::StepError;
pub(crate) use record::insert as insert_record;

use crate::job::lease::Lease;
use crate::job::step::Step;
use futures::FutureExt as _;
use futures::future::BoxFuture;

/// Makes it so.
pub(crate) fn run<'a>(
    step: Step,
    cx: &'a mut StepCx<'_>,
    lease: &'a Lease,
) -> BoxFuture<'a, Result<(), StepError>> {
    match step {
        Step::RecordNew => record::new(cx, lease).boxed(),
        Step::RecordForget => record::forget(cx, lease).boxed(),
        Step::ImageBuild => image::build(cx, lease).boxed(),
        Step::ImageForget => image::forget(cx, lease).boxed(),
        Step::DisksCreate => disks::create(cx, lease).boxed(),
        Step::DisksRetire => disks::retire(cx, lease).boxed(),
        Step::IdentityWrite => identity::write(cx, lease).boxed(),
        Step::DefinitionPut => definition::put(cx, lease).boxed(),
        Step::DefinitionRemove => definition::remove(cx, lease).boxed(),
        Step::PowerStart => power::start(cx, lease).boxed(),
        Step::PowerShutDown => power::shut_down(cx, lease).boxed(),
        Step::PowerReboot => power::reboot(cx, lease).boxed(),
        Step::PowerForceOff | Step::PowerKill => power::force_off(cx, lease).boxed(),
        Step::PowerSuspend => power::suspend(cx, lease).boxed(),
        Step::PowerResume => power::resume(cx, lease).boxed(),
        Step::AddressAwait => address::wait(cx, lease).boxed(),
    }
}

/// Makes it as it was before. Steps whose mark is never “undo” have nothing to do here.
pub(crate) fn undo<'a>(
    step: Step,
    cx: &'a mut StepCx<'_>,
    lease: &'a Lease,
) -> BoxFuture<'a, Result<(), StepError>> {
    match step {
        Step::RecordNew => record::forget(cx, lease).boxed(),
        Step::DisksCreate => disks::undo_create(cx, lease).boxed(),
        Step::DefinitionPut => definition::undo_put(cx, lease).boxed(),
        Step::PowerStart => power::undo_start(cx, lease).boxed(),
        Step::RecordForget
        | Step::ImageBuild
        | Step::ImageForget
        | Step::DisksRetire
        | Step::IdentityWrite
        | Step::DefinitionRemove
        | Step::PowerShutDown
        | Step::PowerReboot
        | Step::PowerForceOff
        | Step::PowerKill
        | Step::PowerSuspend
        | Step::PowerResume
        | Step::AddressAwait => futures::future::ok(()).boxed(),
    }
}
