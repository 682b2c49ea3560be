//! Actions on the audit log.

use crate::session::Visitor;
use model::Fault;
use model::audit::ChainState;
use model::portal::Portal;
use serde::Deserialize;

/// [`verify_audit`] has no fields.
#[derive(Debug, Deserialize)]
pub struct VerifyAudit {}

/// Recomputes the log's hash chain.
///
/// # Errors
/// [`Portal::verify_audit`]'s
pub async fn verify_audit(
    portal: &dyn Portal,
    visitor: &Visitor,
    _: VerifyAudit,
) -> Result<ChainState, Fault> {
    portal.verify_audit(&visitor.actor).await
}
