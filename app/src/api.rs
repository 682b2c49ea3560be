//! The server functions. Only islands call them; pages post forms, so that they work without JavaScript.

use leptos::prelude::*;
use leptos::server_fn::codec::{Json, JsonEncoding};
use leptos::server_fn::error::{FromServerFnError, ServerFnErrorErr};
use model::account::TicketPurpose;
use model::fault::{Fault, FieldError};
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
            // Reading the arguments is the first thing that happens on the server; in the browser this is about the answer.
            #[cfg(feature = "ssr")]
            ServerFnErrorErr::Deserialization(why) | ServerFnErrorErr::Args(why) => {
                crate::cx::with_status(Fault::Malformed { why })
            }
            ServerFnErrorErr::Request(_) => Fault::refused("The portal is unreachable."),
            other => {
                Fault::refused(format!("The portal's answer could not be read ({other}). Reload the page."))
            }
        })
    }
}

/// What the server thinks of a form while it is filled in. A form that is not complete yet is no error.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Judged {
    /// It could be sent.
    Planned {
        /// What would happen.
        plan: Box<Plan>,
        /// The plan's fingerprint; the browser posts it back without having to compute it.
        digest: PlanDigest,
    },
    /// Not yet: what is wrong, each beside its field.
    Incomplete {
        /// The fields, in the form's order.
        fields: Vec<FieldError>,
    },
}

/// What the form would do if it were sent now, or what is wrong with it. Nothing is hashed and nothing is changed.
#[server(name = AskPlan, prefix = "/api", endpoint = "plan", input = Json, output = Json)]
pub async fn plan(form: FormData) -> Result<Judged, ApiError> {
    let caller = crate::cx::caller()?;
    let operations = match model::form::operations(&form, &model::form::placeholder_hash) {
        Ok(operations) => operations,
        Err(fields) => {
            let fields = model::portal::all_mistakes(&*caller.portal, &caller.actor, &form, fields).await;
            return Ok(Judged::Incomplete { fields });
        }
    };
    let Some(operation) = operations.first() else {
        return Err(crate::cx::with_status(Fault::refused("There is nothing to plan.")).into());
    };
    match caller.portal.plan(&caller.actor, operation).await {
        Ok(plan) => Ok(Judged::Planned { digest: plan.digest(), plan: Box::new(plan) }),
        // The whole form is outdated: there is no field to say that beside.
        Err(Fault::Invalid { fields }) if fields.iter().all(|error| error.field == "base") => {
            let why = fields.iter().map(|error| error.message.as_str()).collect::<Vec<_>>().join(" ");
            Err(crate::cx::with_status(Fault::refused(why)).into())
        }
        Err(Fault::Invalid { fields }) => Ok(Judged::Incomplete { fields: fields.into() }),
        Err(fault) => Err(crate::cx::with_status(fault).into()),
    }
}

/// A ticket that opens one socket once.
#[server(name = AskTicket, prefix = "/api", endpoint = "ticket", input = Json, output = Json)]
pub async fn ticket(purpose: TicketPurpose) -> Result<String, ApiError> {
    let caller = crate::cx::caller()?;
    let ticket = caller.portal.ticket(&caller.actor, purpose).await.map_err(crate::cx::with_status)?;
    Ok(ticket.reveal().to_owned())
}
