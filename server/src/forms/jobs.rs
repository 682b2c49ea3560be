//! Actions on jobs.

use super::decode::hidden;
use crate::session::Visitor;
use model::Fault;
use model::account::UserId;
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

/// The fields of [`cancel_all`].
#[derive(Debug, Deserialize)]
pub struct CancelAll {
    /// Whose jobs.
    #[serde(deserialize_with = "hidden")]
    pub user: UserId,
}

/// Asks all open jobs of a user to stop, and returns how many there were.
///
/// # Errors
/// [`Portal::cancel_all`]'s
pub async fn cancel_all(portal: &dyn Portal, visitor: &Visitor, form: CancelAll) -> Result<usize, Fault> {
    portal.cancel_all(&visitor.actor, form.user).await
}

/// Ends a job that cannot finish by itself.
///
/// # Errors
/// [`Portal::give_up`]'s
pub async fn give_up(portal: &dyn Portal, visitor: &Visitor, form: JobForm) -> Result<(), Fault> {
    portal.give_up(&visitor.actor, form.job).await
}
