//! Posted forms: every page takes them at its own URL, and the field `intent` says what is asked for.
//!
//! ```text
//! table     the word, who may, and the function         decode    fields → the struct of an action, by serde
//! accounts, users, hosts, jobs, audit, operations       post      a form on its way: what it leads to
//! batch     many machines from one text                 body      bytes → fields
//! ```
//!
//! An action is one function of (portal, visitor, struct of its fields) that returns what was done; the table adds
//! which page that leads to. Success leads to another page (303), so that a reload repeats nothing. A failure shows the
//! same page again, with everything that was typed and the reason beside the field. None of this needs JavaScript.

pub mod accounts;
pub mod audit;
mod batch;
mod body;
mod decode;
pub mod hosts;
pub mod jobs;
pub mod operations;
mod post;
mod table;
pub mod users;

use crate::answer::{plain_fault, see_other};
use crate::session::{self, Visitor};
use crate::state::Shared;
use crate::{device, pages};
use app::{FormState, routes};
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use decode::OUTDATED;
use http::header::HeaderMap;
use http::{StatusCode, Uri};
use model::Fault;
use model::form::FormData;
use post::{Done, Post, Rerender};
use tower_sessions::Session;

pub use table::{FORM_ACTIONS, FormAction};

/// Takes a form that was posted to a page.
pub async fn post(
    State(server): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    session: Session,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(data) = body::read(&headers, body).await else {
        let why = "Forms are read as application/x-www-form-urlencoded or multipart/form-data only.\n";
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, why).into_response();
    };
    let data = linked(data, &uri);
    let form = Post { portal: &*server.portal, visitor: &visitor, uri: &uri, data: &data };
    match form.carry_out().await.unwrap_or_else(|fault| Done::Rerender(fault.into())) {
        Done::Go(to) => see_other(&to),
        Done::LoggedIn(begun, to) => {
            let mut response = go(session::begin(&session, &begun).await, &to);
            device::remember(&mut response, &server.origins, &begun.device);
            response
        }
        Done::LoggedOut => go(session::end(&session).await, routes::LOGIN),
        // The session has ended since the page was opened. On the login page nobody has one.
        Done::Rerender(Rerender { fault: Some(Fault::Unauthenticated), .. })
            if uri.path() != routes::LOGIN =>
        {
            see_other(&routes::login(uri.path()))
        }
        Done::Rerender(Rerender { fault, plan, chain, accepted, batch }) => {
            let data = data.without_secrets();
            let form = FormState { data, fault, plan: plan.map(|plan| *plan), chain, accepted, batch };
            pages::render(&server, &visitor, &uri, headers, form).await
        }
    }
}

/// What was posted. A link may have put the setup token or the page after the login into the URL of the form.
fn linked(mut data: FormData, uri: &Uri) -> FormData {
    let linked = FormData::from_urlencoded(uri.query().unwrap_or("").as_bytes());
    for name in ["token", "next"] {
        if data.get(name).is_empty() && linked.has(name) {
            data.set(name, linked.get(name));
        }
    }
    data
}

impl Post<'_> {
    /// Carries out what the form asks for. A form from someone who would have to log in first is not even read: its
    /// secrets cost time to hash.
    async fn carry_out(&self) -> Result<Done, Fault> {
        let word = self.data.get("intent");
        let action = FormAction::all().find(|action| action.word == word);
        let action = action.ok_or_else(|| Fault::invalid("intent", OUTDATED))?;
        if action.access.needs_login() {
            self.visitor.user()?;
        }
        (action.read)(self)?.await
    }
}

fn go(session: Result<(), Fault>, to: &str) -> Response {
    match session {
        Ok(()) => see_other(to),
        Err(fault) => plain_fault(&fault),
    }
}
