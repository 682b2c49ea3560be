//! What a step is given to work with.

use super::error::StepError;
use crate::core::Core;
use crate::db::{self, machines::MachineRecord};
use crate::job::log::JobLog;
use crate::job::step::Work;
use model::job::LogLevel;
use ports::hypervisor::{Hypervisor, MachineRef};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What a step works with.
pub(crate) struct StepCx<'a> {
    pub core: &'a Arc<Core>,
    /// The job as it was accepted; its work is in `work`.
    pub job: &'a db::jobs::JobRecord,
    /// What the steps hand on to each other.
    pub work: &'a mut Work,
    /// Set when somebody cancels the job or the portal ends; steps that wait listen to it.
    pub cancel: &'a CancellationToken,
    /// The job's log.
    pub log: &'a Arc<JobLog>,
    /// The name of the step, for the log.
    pub step: &'static str,
    /// Tells how a build is coming on.
    pub progress: &'a tokio::sync::watch::Sender<Option<model::job::BuildProgress>>,
}

impl StepCx<'_> {
    /// Writes a line to the job's log.
    pub fn say(&self, text: impl AsRef<str>) {
        self.log.append(self.core.clock.now(), self.step, None, LogLevel::Info, text.as_ref());
    }

    /// Writes a line that somebody should look at.
    pub fn warn(&self, text: impl AsRef<str>) {
        self.log.append(self.core.clock.now(), self.step, None, LogLevel::Warning, text.as_ref());
    }

    /// Saves what the steps hand on, before something that must not happen twice.
    pub async fn save_work(&self) -> Result<(), StepError> {
        let mut tx = self.core.db.begin().await?;
        db::jobs::save_work(&mut tx, self.job.id, self.work).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The machine of the job, as the database has it now; `None` when it has been forgotten.
    pub async fn find_machine(&self) -> Result<Option<Target>, StepError> {
        let Some(id) = self.work.machine.filter(|_| !self.work.without_host) else { return Ok(None) };
        let record = db::machines::by_id(&mut *self.core.db.read().await?, id).await?;
        let Some(record) = record else { return Ok(None) };
        let hypervisor = self.core.hosts.hypervisor(&record.spec.host).map_err(crate::error::Error::from)?;
        let machine = MachineRef { name: record.spec.name.clone(), uuid: record.hardware.uuid };
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
    /// An error of the machine's host, with its name.
    pub fn host_error(
        &self,
        what: &'static str,
    ) -> impl FnOnce(ports::hypervisor::HypervisorError) -> StepError {
        let host = self.record.spec.host.clone();
        move |source| StepError::host(what, &host, source)
    }
}
