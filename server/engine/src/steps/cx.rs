//! What a step is given to work with.

use super::error::StepError;
use crate::core::Core;
use crate::db::{self, machines::MachineRecord};
use crate::job::log::JobLog;
use crate::job::step::{Image, Work};
use crate::machine::adopt::adopt;
use model::change::Part;
use model::job::LogLevel;
use model::machine::MachineName;
use model::spec::Spec;
use ports::hypervisor::{DiskRole, Hypervisor, MachineRef, Volume};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The message when what is on the host under a machine's name was not made for it.
const NOT_ITS_OWN: &str = "What is on the host under this machine's name does not carry its mark, so it is left alone. The hosts \
                           page shows what it is.";

/// What a step works with.
pub(crate) struct StepCx<'a> {
    pub core: &'a Arc<Core>,
    /// The job as it was accepted; its work is in `work`.
    pub job: &'a db::jobs::JobRecord,
    /// What the steps pass on to each other.
    pub work: &'a mut Work,
    /// Set when someone cancels the job or the portal shuts down; steps that wait listen to it.
    pub cancel: &'a CancellationToken,
    /// The job's log.
    pub log: &'a Arc<JobLog>,
    /// The name of the step, for the log.
    pub step: &'static str,
    /// Reports a build's progress.
    pub progress: &'a tokio::sync::watch::Sender<Option<model::job::BuildProgress>>,
}

impl StepCx<'_> {
    /// Writes a line to the job's log.
    pub fn say(&self, text: impl AsRef<str>) {
        self.log.append(self.core.clock.now(), self.step, None, LogLevel::Info, text.as_ref());
    }

    /// Writes a line that someone should look at.
    pub fn warn(&self, text: impl AsRef<str>) {
        self.log.append(self.core.clock.now(), self.step, None, LogLevel::Warning, text.as_ref());
    }

    /// Saves what the steps pass on, before something that must not happen twice.
    pub async fn save_work(&self) -> Result<(), StepError> {
        let mut tx = self.core.db.begin().await?;
        db::jobs::save_work(&mut tx, self.job.id, self.work).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The row of the job's machine, as the database has it now; `None` when it has been forgotten.
    pub async fn record(&self) -> Result<Option<MachineRecord>, StepError> {
        let Some(id) = self.work.machine else { return Ok(None) };
        Ok(db::machines::by_id(&mut *self.core.db.read().await?, id).await?)
    }

    /// The machine of the job where it has a place on its host; `None` when there is nothing of it on any host, or the job
    /// does without the host.
    pub async fn find_machine(&self) -> Result<Option<Target>, StepError> {
        let Some(mut record) = self.record().await?.filter(|_| !self.work.without_host) else {
            return Ok(None);
        };
        if record.host_ref.is_none() && record.disks.is_none() {
            return Ok(None);
        }
        let hypervisor = self.hypervisor(&record)?;
        if record.host_ref.is_none() {
            record.host_ref = adopt(self.core, hypervisor.as_ref(), &record).await?;
        }
        let machine = record.on_host().ok_or_else(|| StepError::new(NOT_ITS_OWN))?;
        Ok(Some(Target { record, machine, hypervisor }))
    }

    /// The machine of the job, which must have its place on a host.
    pub async fn machine(&self) -> Result<Target, StepError> {
        if let Some(target) = self.find_machine().await? {
            return Ok(target);
        }
        Err(StepError::new(match self.record().await? {
            Some(_) => "There is only a configuration. Create the machine from it first.",
            None => "The machine's configuration is gone. Someone has purged it; there is nothing to do.",
        }))
    }

    /// The machine's name before and after an operation that gives it another one.
    pub fn names(&self) -> Result<(&MachineName, &MachineName), StepError> {
        let operation = &self.job.operation;
        operation.machine().zip(operation.new_name()).ok_or_else(|| {
            StepError::new("The job gives no new name. This is a bug in the portal; please report it.")
        })
    }

    /// The image that the job's disks are made from.
    pub fn image(&self) -> Result<Image, StepError> {
        self.work.image.clone().ok_or_else(|| {
            StepError::new(
                "The job has no image to make disks from. This is a bug in the portal; please report it.",
            )
        })
    }

    /// Whether there is nothing of the machine on any host, so nothing needs updating there.
    pub async fn is_configuration(&self) -> Result<bool, StepError> {
        let record = self.record().await?;
        Ok(record.is_some_and(|record| record.host_ref.is_none() && record.disks.is_none()))
    }

    /// The connection to a machine's host.
    pub fn hypervisor(&self, record: &MachineRecord) -> Result<Arc<dyn Hypervisor>, StepError> {
        Ok(self.core.hosts.hypervisor(&record.spec.host).map_err(crate::error::Error::from)?)
    }

    /// Notes that a part of the configuration that this step has read is true on the host now.
    pub async fn applied(&self, target: &Target, part: Part) -> Result<(), StepError> {
        self.applied_as(target, part, &target.record.spec).await
    }

    /// Notes that a part of this configuration is true on the host now.
    pub async fn applied_as(&self, target: &Target, part: Part, spec: &Spec) -> Result<(), StepError> {
        let id = target.record.id;
        let mut tx = self.core.db.begin().await?;
        if let Some(MachineRecord { applied: Some(mut applied), .. }) =
            db::machines::by_id(&mut tx, id).await?
        {
            applied.take(part, spec);
            db::machines::set_applied(&mut tx, id, Some(&applied)).await?;
            tx.commit().await?;
        }
        self.refresh_machine().await
    }

    /// Shows the machine as the database has it now.
    pub async fn refresh_machine(&self) -> Result<(), StepError> {
        if let Some(id) = self.work.machine
            && let Some(record) = db::machines::by_id(&mut *self.core.db.read().await?, id).await?
        {
            self.core.fleet.put(&record);
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
    /// The disk that the identity lies on and that has the size of the configuration: the data disk, or the only one.
    pub fn system_disk(&self) -> Result<(&Volume, DiskRole), StepError> {
        let disks = self.record.disks.as_ref();
        let disks = disks
            .ok_or_else(|| StepError::new("The machine has no disk. Destroy it, then create it again."))?;
        Ok(match &disks.data {
            Some(data) => (data, DiskRole::Data),
            None => (&disks.boot, DiskRole::Boot),
        })
    }

    /// Its data disk, if it has one.
    pub fn data_disk(&self) -> Option<&Volume> {
        self.record.disks.as_ref()?.data.as_ref()
    }

    /// The disk that it boots.
    pub fn boot_disk(&self) -> Result<&Volume, StepError> {
        let none =
            || StepError::new("The machine has no disks to boot from. Destroy it, then create it again.");
        self.record.disks.as_ref().map(|disks| &disks.boot).ok_or_else(none)
    }

    /// An error of the machine's host, with its name.
    pub fn host_error(
        &self,
        what: &'static str,
    ) -> impl FnOnce(ports::hypervisor::HypervisorError) -> StepError {
        let host = self.record.spec.host.clone();
        move |source| StepError::host(what, &host, source)
    }
}
