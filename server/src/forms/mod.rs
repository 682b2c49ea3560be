//! Posted forms: every page takes them at its own URL, and the field `intent` tells what is meant.
//!
//! What was done leads to another page (303), so that a reload repeats nothing. What was not done shows the same page
//! again, with everything that was typed and the reason beside the field. Nothing of this needs JavaScript.

mod accounts;
mod intent;
mod operations;
mod post;

use crate::answer::{plain_fault, see_other};
use crate::session::{self, Visitor};
use crate::state::Shared;
use crate::{device, pages};
use app::{FormState, routes};
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{self, HeaderMap};
use http::{StatusCode, Uri};
use model::Fault;
use model::form::FormData;
use post::{Done, Post, Rerender};
use tower_sessions::Session;

pub use intent::{Intent, WORDS, Word};
pub use operations::hash_password;

/// Takes a form that was posted to a page.
pub async fn post(
    State(server): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    session: Session,
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
    let device = device::read(&headers, &server.origins);
    let form = Post { server: &server, visitor: &visitor, uri: &uri, data: &data, device };
    match form.carry_out().await {
        Ok(Done::Go(to)) => see_other(&to),
        Ok(Done::LoggedIn(begun, to)) => {
            let mut response = go(session::begin(&session, &begun).await, &to);
            device::remember(&mut response, &server.origins, &begun.device);
            response
        }
        Ok(Done::LoggedOut) => go(session::end(&session).await, routes::LOGIN),
        // The session has ended since the page was opened. At the login page it is the answer to a wrong password.
        Err(Rerender { fault: Some(Fault::Unauthenticated), .. }) if uri.path() != routes::LOGIN => {
            see_other(&routes::login(uri.path()))
        }
        Err(Rerender { fault, plan }) => {
            let form = FormState { data: data.without_secrets(), fault, plan: plan.map(|plan| *plan) };
            pages::render(&server, &visitor, &uri, headers, form).await
        }
    }
}

impl Post<'_> {
    async fn carry_out(&self) -> Result<Done, Rerender> {
        match Intent::read(self.data, self.uri.query().unwrap_or(""))? {
            Intent::ShowPlan(kind) => self.show_plan(kind).await,
            Intent::Operate(kind) => self.operate(kind).await,
            other => Ok(self.ask(other).await?),
        }
    }
}

fn go(session: Result<(), Fault>, to: &str) -> Response {
    match session {
        Ok(()) => see_other(to),
        Err(fault) => plain_fault(&fault),
    }
}
