//! What is done to jobs.

use super::decode::hidden;
use crate::session::Visitor;
use model::Fault;
use model::job::JobId;
use model::portal::{Portal, Submitted};
use serde::Deserialize;

/// The fields of an action on one job.
#[derive(Debug, Deserialize)]
pub struct JobForm {
    /// Which.
    #[serde(deserialize_with = "hidden")]
    pub job: JobId,
}

/// Asks a job to stop.
///
/// # Errors
/// [`Portal::cancel`]'s
pub async fn cancel(portal: &dyn Portal, visitor: &Visitor, form: JobForm) -> Result<(), Fault> {
    portal.cancel(&visitor.actor, form.job).await
}

/// Submits a job's operation again.
///
/// # Errors
/// [`Portal::retry`]'s
pub async fn retry(portal: &dyn Portal, visitor: &Visitor, form: JobForm) -> Result<Submitted, Fault> {
    portal.retry(&visitor.actor, form.job).await
}
