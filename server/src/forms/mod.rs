//! Posted forms: every page takes them at its own URL, and the field `intent` tells what is meant.
//!
//! What was done leads to another page (303), so that a reload repeats nothing. What was not done shows the same page
//! again, with everything that was typed and the reason beside the field. Nothing of this needs JavaScript.

mod accounts;
mod intent;
mod operations;

use crate::pages;
use crate::session::{Visitor, set_cookie};
use crate::state::{Server, Shared};
use app::{FormState, routes};
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{self, HeaderMap};
use http::{StatusCode, Uri};
use model::Fault;
use model::form::FormData;
use model::plan::Plan;
use model::portal::LoggedIn;
use uuid::Uuid;

pub use intent::{Intent, WORDS, Word};
pub use operations::hash_password;

/// One form on its way.
pub(crate) struct Post<'a> {
    server: &'a Server,
    visitor: &'a Visitor,
    uri: &'a Uri,
    data: &'a FormData,
}

/// What was done, and where the browser goes.
pub(crate) enum Done {
    /// To this page.
    Go(String),
    /// To this page, with a new session.
    LoggedIn(Box<LoggedIn>, String),
    /// To the login page, without a session.
    LoggedOut,
}

/// Why the same page is shown again.
#[derive(Debug, Default)]
pub(crate) struct Again {
    fault: Option<Fault>,
    plan: Option<Box<Plan>>,
}

impl From<Fault> for Again {
    fn from(fault: Fault) -> Self {
        let plan = match &fault {
            Fault::PlanChanged { plan } => Some(plan.clone()),
            _ => None,
        };
        Self { fault: Some(fault), plan }
    }
}

/// Takes a form that was posted to a page.
pub async fn post(
    State(server): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    if kind
        .split(';')
        .next()
        .is_none_or(|k| !k.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
    {
        let why = "Forms are read as application/x-www-form-urlencoded only.\n";
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, why).into_response();
    }
    let data = FormData::from_urlencoded(&body);
    let form = Post { server: &server, visitor: &visitor, uri: &uri, data: &data };
    match form.carry_out().await {
        Ok(Done::Go(to)) => pages::see_other(&to),
        Ok(Done::LoggedIn(session, to)) => with_cookie(&server, pages::see_other(&to), Some(&session)),
        Ok(Done::LoggedOut) => with_cookie(&server, pages::see_other(routes::LOGIN), None),
        // The session has ended since the page was opened. At the login page it is the answer to a wrong password.
        Err(Again { fault: Some(Fault::Unauthenticated), .. }) if uri.path() != routes::LOGIN => {
            pages::see_other(&routes::login(uri.path()))
        }
        Err(Again { fault, plan }) => {
            let form = FormState { data: data.without_secrets(), fault, plan: plan.map(|plan| *plan) };
            pages::render(&server, &visitor, &uri, headers, form).await
        }
    }
}

impl Post<'_> {
    async fn carry_out(&self) -> Result<Done, Again> {
        match Intent::read(self.data, self.uri.query().unwrap_or(""))? {
            Intent::ShowPlan(kind) => self.show_plan(kind).await,
            Intent::Operate(kind) => self.operate(kind).await,
            other => Ok(self.ask(other).await?),
        }
    }

    /// Back to the page that the form stands on, which confirms what was done.
    fn here(&self) -> Done {
        Done::Go(routes::done(self.uri.path(), self.data.get("intent")))
    }
}

fn with_cookie(server: &Server, mut response: Response, session: Option<&LoggedIn>) -> Response {
    if let Some(cookie) = set_cookie(&server.origins, session.map(|s| &s.token)) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// A failure of ours: logged whole under an id that the person sees.
pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> Fault {
    let id = Uuid::now_v7().to_string();
    tracing::error!(fault.id = id, error, "a form could not be carried out");
    Fault::Internal { id }
}
