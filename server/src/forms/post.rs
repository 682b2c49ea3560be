//! A posted form on its way, and what can come of it.

use crate::session::Visitor;
use crate::state::Server;
use app::routes;
use http::Uri;
use model::Fault;
use model::account::Secret;
use model::form::FormData;
use model::plan::Plan;
use model::portal::LoggedIn;
use uuid::Uuid;

/// One form on its way.
pub(super) struct Post<'a> {
    pub(super) server: &'a Server,
    pub(super) visitor: &'a Visitor,
    pub(super) uri: &'a Uri,
    pub(super) data: &'a FormData,
    /// What the device cookie holds.
    pub(super) device: Option<Secret>,
}

/// What was done, and where the browser goes.
pub(super) enum Done {
    /// To this page.
    Go(String),
    /// To this page, with a new session.
    LoggedIn(Box<LoggedIn>, String),
    /// To the login page, without a session.
    LoggedOut,
}

/// Why the same page is shown again.
#[derive(Debug, Default)]
pub(super) struct Rerender {
    pub(super) fault: Option<Fault>,
    pub(super) plan: Option<Box<Plan>>,
}

impl From<Fault> for Rerender {
    fn from(fault: Fault) -> Self {
        let plan = match &fault {
            Fault::PlanChanged { plan } | Fault::NeedsConfirmation { plan } => Some(plan.clone()),
            _ => None,
        };
        Self { fault: Some(fault), plan }
    }
}

impl Post<'_> {
    /// Back to the page that the form stands on, which confirms what was done.
    pub(super) fn here(&self) -> Done {
        Done::Go(routes::done(self.uri.path(), self.data.get("intent")))
    }
}

/// A failure of ours: logged whole under an id that the person sees.
pub(super) fn internal(error: &(dyn std::error::Error + 'static)) -> Fault {
    let id = Uuid::now_v7().to_string();
    tracing::error!(fault.id = id, error, "a form could not be carried out");
    Fault::Internal { id }
}
