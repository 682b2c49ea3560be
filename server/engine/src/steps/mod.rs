//! The steps that operations are made of, a file per family.
//!
//! The contract of a step:
//! - `run` makes it so, and is quick when it already is. After a crash it may be called again on what it has half done.
//! - `undo` is idempotent and bears a half-done `run`, or one that never began.
//! - It never asks a person, and it logs what it does as it does it.
//! - It takes a [`Lease`]: proof that its caller is the one runner of the job, which holds the machine.
//! - Whatever later steps need is in [`Work`].
//!
//! The runner (`job/runner.rs`) is the only caller.

mod address;
mod definition;
mod disks;
mod error;
mod identity;
mod image;
mod power;
mod record;
pub(crate) mod work;

pub(crate) use error::StepError;
pub(crate) use record::insert as insert_record;

use crate::db::{self, machines::MachineRecord};
use crate::engine::Engine;
use crate::job::lease::Lease;
use crate::job::log::JobLog;
use crate::ports::hypervisor::{Hypervisor, MachineRef};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use model::job::LogLevel;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use work::Work;

macro_rules! steps {
    ($($(#[$meta:meta])* $step:ident = $name:literal;)*) => {
        /// Every step there is. The name is the same in code, database, log and on pages.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(crate) enum Step {
            $($(#[$meta])* $step,)*
        }

        impl Step {
            /// `family.verb`.
            pub const fn name(self) -> &'static str {
                match self { $(Step::$step => $name,)* }
            }

            /// The step of this name.
            pub fn from_name(name: &str) -> Option<Step> {
                match name { $($name => Some(Step::$step),)* _ => None }
            }
        }
    };
}

steps! {
    /// Writes the machine's row.
    RecordNew = "record.new";
    /// Removes the machine's row.
    RecordForget = "record.forget";
    /// Builds the image, or finds it built.
    ImageBuild = "image.build";
    /// Removes an image's row and root.
    ImageForget = "image.forget";
    /// Makes the machine's disks.
    DisksCreate = "disks.create";
    /// Removes them.
    DisksRetire = "disks.retire";
    /// Writes the identity files.
    IdentityWrite = "identity.write";
    /// Defines the domain.
    DefinitionPut = "definition.put";
    /// Removes it.
    DefinitionRemove = "definition.remove";
    /// Switches on.
    PowerStart = "power.start";
    /// Asks the guest to shut down and waits until it has.
    PowerShutDown = "power.shut_down";
    /// Asks the guest to reboot.
    PowerReboot = "power.reboot";
    /// Pulls the plug because somebody asked for it.
    PowerForceOff = "power.force_off";
    /// Pulls the plug because the machine will be removed.
    PowerKill = "power.kill";
    /// Stops the processors.
    PowerSuspend = "power.suspend";
    /// Lets them run.
    PowerResume = "power.resume";
    /// Waits for an address.
    AddressAwait = "address.await";
}

impl Step {
    /// Whether it changes something on the machine's host; what the tests of the operations table ask.
    #[cfg(test)]
    pub const fn works_on_host(self) -> bool {
        !matches!(self, Step::RecordNew | Step::RecordForget | Step::ImageBuild | Step::ImageForget)
    }

    /// Whether it mostly waits for something. Such a step takes no slot from jobs that work: builds have slots of their own.
    pub const fn only_waits(self) -> bool {
        matches!(self, Step::ImageBuild | Step::AddressAwait | Step::PowerShutDown)
    }

    /// Makes it so.
    pub fn run<'a>(self, cx: &'a mut StepCx<'_>, lease: &'a Lease) -> BoxFuture<'a, Result<(), StepError>> {
        match self {
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
    pub fn undo<'a>(self, cx: &'a mut StepCx<'_>, lease: &'a Lease) -> BoxFuture<'a, Result<(), StepError>> {
        match self {
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
}

/// What a step works with.
pub(crate) struct StepCx<'a> {
    pub engine: &'a Arc<Engine>,
    /// The job as it was accepted; its work is in `work`.
    pub job: &'a db::jobs::JobRecord,
    /// What the steps hand on to each other.
    pub work: &'a mut Work,
    /// Set when somebody cancels the job or the portal ends; steps that wait listen to it.
    pub cancel: &'a CancellationToken,
    /// The job's log.
    pub log: &'a Arc<JobLog>,
    /// Which step this is, for the log.
    pub step: Step,
    /// Tells how a build is coming on.
    pub progress: &'a tokio::sync::watch::Sender<Option<model::job::BuildProgress>>,
}

impl StepCx<'_> {
    /// Writes a line to the job's log.
    pub fn say(&self, text: impl AsRef<str>) {
        self.log.append(self.engine.clock.now(), self.step.name(), None, LogLevel::Info, text.as_ref());
    }

    /// Writes a line that somebody should look at.
    pub fn warn(&self, text: impl AsRef<str>) {
        self.log.append(self.engine.clock.now(), self.step.name(), None, LogLevel::Warning, text.as_ref());
    }

    /// The machine of the job, as the database has it now; `None` when it has been forgotten.
    pub async fn find_machine(&self) -> Result<Option<Target>, StepError> {
        let Some(id) = self.work.machine else { return Ok(None) };
        let record = db::machines::by_id(&mut *self.engine.db.read().await?, id).await?;
        let Some(record) = record else { return Ok(None) };
        let hypervisor =
            self.engine.hosts.hypervisor(&record.spec.host).map_err(crate::error::Error::from)?;
        let machine = MachineRef { name: record.spec.name.clone(), uuid: record.birthmarks.uuid };
        Ok(Some(Target { record, machine, hypervisor }))
    }

    /// The machine of the job, which must be there.
    pub async fn machine(&self) -> Result<Target, StepError> {
        self.find_machine().await?.ok_or_else(|| {
            StepError::new(
                "The machine's configuration is gone. Somebody has purged it; there is nothing to do.",
            )
        })
    }

    /// Shows the machine as the database has it now.
    pub async fn refresh_machine(&self) -> Result<(), StepError> {
        if let Some(id) = self.work.machine
            && let Some(record) = db::machines::by_id(&mut *self.engine.db.read().await?, id).await?
        {
            self.engine.fleet.put(&record);
        }
        Ok(())
    }
}

/// The machine that a step works on.
pub(crate) struct Target {
    pub record: MachineRecord,
    pub machine: MachineRef,
    pub hypervisor: Arc<dyn Hypervisor>,
}

impl Target {
    /// An error of the machine's host, with its name.
    pub fn host_error(
        &self,
        what: &'static str,
    ) -> impl FnOnce(crate::ports::hypervisor::HypervisorError) -> StepError {
        let host = self.record.spec.host.clone();
        move |source| StepError::host(what, &host, source)
    }
}
