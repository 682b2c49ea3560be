//! Actions on hosts.

use super::decode::hidden;
use crate::session::Visitor;
use model::Fault;
use model::host::{HostName, HostView};
use model::portal::Portal;
use serde::Deserialize;

/// The fields of an action on one host.
#[derive(Debug, Deserialize)]
pub struct HostForm {
    /// Which.
    #[serde(deserialize_with = "hidden")]
    pub host: HostName,
}

/// Checks a host again.
///
/// # Errors
/// [`Portal::check_host`]'s
pub async fn check_host(portal: &dyn Portal, visitor: &Visitor, form: HostForm) -> Result<HostView, Fault> {
    portal.check_host(&visitor.actor, &form.host).await
}
