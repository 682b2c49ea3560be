//! The server functions. Only islands call them; pages post forms, so that they work without JavaScript.

use leptos::prelude::*;
use leptos::server_fn::codec::{Json, JsonEncoding};
use leptos::server_fn::error::{FromServerFnError, ServerFnErrorErr};
use model::account::TicketPurpose;
use model::fault::Fault;
use model::form::FormData;
use model::plan::{Plan, PlanDigest};
use serde::{Deserialize, Serialize};

/// A [`Fault`] on its way to an island.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ApiError(pub Fault);

impl From<Fault> for ApiError {
    fn from(fault: Fault) -> Self {
        Self(fault)
    }
}

impl FromServerFnError for ApiError {
    type Encoder = JsonEncoding;

    /// What goes wrong between browser and portal, before or after the portal has been asked.
    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        Self(match error {
            ServerFnErrorErr::Request(_) => {
                Fault::refused("The portal does not answer. The page tries again by itself.")
            }
            other => Fault::refused(format!(
                "The portal's answer could not be read ({other}). Load the page again."
            )),
        })
    }
}

/// A plan and its fingerprint; the browser posts it back without having to compute it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// Its fingerprint.
    pub digest: PlanDigest,
}

/// What the form would do if it were sent now, or what is wrong with it: all of it, each beside its field. Nothing is hashed
/// and nothing is changed.
#[server(name = AskPlan, prefix = "/api", endpoint = "plan", input = Json, output = Json)]
pub async fn plan(form: FormData) -> Result<Planned, ApiError> {
    let asked = crate::cx::asked()?;
    let operations = model::form::operations(&form, &placeholder_hash);
    let operations = operations.map_err(|fields| crate::cx::tell(Fault::Invalid { fields }))?;
    let Some(operation) = operations.first() else {
        return Err(crate::cx::tell(Fault::refused("There is nothing to be planned.")).into());
    };
    let plan = asked.portal.plan(&asked.actor, operation).await.map_err(crate::cx::tell)?;
    Ok(Planned { digest: plan.digest(), plan })
}

/// A ticket that opens one socket once.
#[server(name = AskTicket, prefix = "/api", endpoint = "ticket", input = Json, output = Json)]
pub async fn ticket(purpose: TicketPurpose) -> Result<String, ApiError> {
    let asked = crate::cx::asked()?;
    let ticket = asked.portal.ticket(&asked.actor, purpose).await.map_err(crate::cx::tell)?;
    Ok(ticket.reveal().to_owned())
}

/// Stands in for a password's hash where a form is only judged, not carried out: a plan does not depend on it.
#[cfg(feature = "ssr")]
fn placeholder_hash(_clear: &str) -> Result<model::identity::PasswordHash, model::newtype::Refused> {
    "$6$placeholder$0000000000000000".parse()
}
