//! What a page or a server function is given: the portal, who asks, the form that was posted, the URL.
//!
//! All of it comes from Leptos' context, where the server put it, and is read before the first `await`.

use crate::{FormState, RequestToken};
use leptos::prelude::*;
use leptos_axum::ResponseOptions;
use leptos_router::hooks::{use_location, use_query_map};
use leptos_router::params::ParamsMap;
use model::account::{Actor, Secret};
use model::fault::Fault;
use model::portal::Portal;
use std::str::FromStr;
use std::sync::Arc;

/// The portal and who asks.
#[derive(Clone)]
pub struct Asked {
    /// The door.
    pub portal: Arc<dyn Portal>,
    /// Who asks, from where.
    pub actor: Actor,
}

/// Reads both from the context.
pub fn asked() -> Result<Asked, Fault> {
    let portal =
        use_context::<Arc<dyn Portal>>().ok_or_else(|| internal("the portal is missing from the context"))?;
    let actor = use_context::<Actor>().ok_or_else(|| internal("the actor is missing from the context"))?;
    Ok(Asked { portal, actor })
}

/// A page's surroundings.
#[derive(Clone)]
pub struct Cx {
    /// The door.
    pub portal: Arc<dyn Portal>,
    /// Who asks, from where.
    pub actor: Actor,
    /// The session's token.
    pub token: Option<Secret>,
    /// What became of a posted form.
    pub form: FormState,
    params: ParamsMap,
    query: ParamsMap,
    path: String,
    response: Option<ResponseOptions>,
}

impl Cx {
    /// Reads the context. Fails only when the server forgot to provide it.
    pub fn take() -> Result<Self, Fault> {
        let Asked { portal, actor } = asked()?;
        let location = use_location();
        let (path, search) = (location.pathname.get_untracked(), location.search.get_untracked());
        Ok(Self {
            portal,
            actor,
            token: use_context::<RequestToken>().and_then(|t| t.0),
            form: use_context::<FormState>().unwrap_or_default(),
            // The page for paths that lead nowhere has no parameters, and the hook for them would panic there.
            params: use_context::<ArcMemo<ParamsMap>>().map(|p| p.get_untracked()).unwrap_or_default(),
            query: use_query_map().get_untracked(),
            path: if search.is_empty() { path } else { format!("{path}?{search}") },
            response: use_context(),
        })
    }

    /// A part of the path, as a value. What does not parse cannot exist.
    pub fn param<T: FromStr>(&self, name: &str, what: &str) -> Result<T, Fault> {
        self.params.get(name).and_then(|text| text.parse().ok()).ok_or_else(|| Fault::not_found(what))
    }

    /// A parameter of the query, blanks cut off; empty if it is not there.
    pub fn query(&self, name: &str) -> String {
        self.query.get(name).map(|text| text.trim().to_owned()).unwrap_or_default()
    }

    /// The same as a value; `None` if it is missing or makes no sense.
    pub fn query_as<T: FromStr>(&self, name: &str) -> Option<T> {
        self.query(name).parse().ok()
    }

    /// Path and query of this page.
    pub fn here(&self) -> &str {
        &self.path
    }

    /// What was done here a moment ago, for a short confirmation.
    pub fn done(&self) -> String {
        if self.form.data.0.is_empty() { self.query("done") } else { String::new() }
    }

    /// Gives the response a fault's HTTP status.
    pub fn set_status(&self, fault: &Fault) {
        if let Some(response) = &self.response
            && let Ok(status) = http::StatusCode::from_u16(fault.status())
        {
            response.set_status(status);
        }
    }

    /// Sends the browser elsewhere (RFC 9110 §15.4.4) instead of showing this page.
    pub fn redirect(&self, to: &str) {
        if let Some(response) = &self.response
            && let Ok(location) = http::HeaderValue::from_str(to)
        {
            response.set_status(http::StatusCode::SEE_OTHER);
            response.insert_header(http::header::LOCATION, location);
        }
    }
}

/// Gives a server function's response the fault's HTTP status and hands the fault on.
pub fn tell(fault: Fault) -> Fault {
    if let Some(response) = use_context::<ResponseOptions>()
        && let Ok(status) = http::StatusCode::from_u16(fault.status())
    {
        response.set_status(status);
    }
    fault
}

/// A mistake in how the server renders; the sentence finds it in the source.
fn internal(what: &str) -> Fault {
    Fault::Internal { id: what.to_owned() }
}
