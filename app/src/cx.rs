//! What a page or a server function works with: the portal, the actor, the posted form, the URL.
//!
//! All of it comes from Leptos' context, where the server put it, and is read before the first `await`.

use crate::{FormState, RequestToken};
use leptos::prelude::*;
use leptos_axum::ResponseOptions;
use leptos_router::hooks::{use_location, use_query_map};
use leptos_router::params::ParamsMap;
use model::account::{Actor, Secret};
use model::fault::Fault;
use model::form::FormData;
use model::portal::Portal;
use std::str::FromStr;
use std::sync::Arc;

/// What every request has.
#[derive(Clone)]
pub struct Caller {
    /// The portal.
    pub portal: Arc<dyn Portal>,
    /// The user and the client's address.
    pub actor: Actor,
}

/// Reads both from the context.
pub fn caller() -> Result<Caller, Fault> {
    let portal =
        use_context::<Arc<dyn Portal>>().ok_or_else(|| internal("the portal is missing from the context"))?;
    let actor = use_context::<Actor>().ok_or_else(|| internal("the actor is missing from the context"))?;
    Ok(Caller { portal, actor })
}

/// What a page works with.
#[derive(Clone)]
pub struct Cx {
    /// The portal.
    pub portal: Arc<dyn Portal>,
    /// The user and the client's address.
    pub actor: Actor,
    /// The session's token.
    pub token: Option<Secret>,
    /// The outcome of a posted form.
    pub form: FormState,
    params: ParamsMap,
    query: ParamsMap,
    path: String,
    search: String,
    response: Option<ResponseOptions>,
}

impl Cx {
    /// Reads the context. Fails only if the server forgot to provide it.
    pub fn take() -> Result<Self, Fault> {
        let Caller { portal, actor } = caller()?;
        let location = use_location();
        let (path, search) = (location.pathname.get_untracked(), location.search.get_untracked());
        Ok(Self {
            portal,
            actor,
            token: use_context::<RequestToken>().and_then(|t| t.0),
            form: use_context::<FormState>().unwrap_or_default(),
            // The page for unknown paths has no parameters, and the hook for them would panic there.
            params: use_context::<ArcMemo<ParamsMap>>().map(|p| p.get_untracked()).unwrap_or_default(),
            query: use_query_map().get_untracked(),
            path,
            search,
            response: use_context(),
        })
    }

    /// A parameter of the path. If it does not parse, it cannot exist.
    pub fn param<T: FromStr>(&self, name: &str, what: &str) -> Result<T, Fault> {
        self.params.get(name).and_then(|text| text.parse().ok()).ok_or_else(|| Fault::not_found(what))
    }

    /// A parameter of the query, trimmed; empty if there is none.
    pub fn query(&self, name: &str) -> String {
        self.query.get(name).map(|text| text.trim().to_owned()).unwrap_or_default()
    }

    /// The same as a value; `None` if it is missing or invalid.
    pub fn query_as<T: FromStr>(&self, name: &str) -> Option<T> {
        self.query(name).parse().ok()
    }

    /// The query as the values of a form.
    pub fn query_form(&self) -> FormData {
        FormData::from_urlencoded(self.search.as_bytes())
    }

    /// The path of this page.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Path and query of this page.
    pub fn here(&self) -> String {
        if self.search.is_empty() { self.path.clone() } else { format!("{}?{}", self.path, self.search) }
    }

    /// What was just done here, for a short confirmation.
    pub fn done(&self) -> String {
        if self.form.data.0.is_empty() { self.query("done") } else { String::new() }
    }

    /// Sets the response's HTTP status to the fault's.
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

/// Sets a server function's HTTP status to the fault's, and returns the fault.
pub fn with_status(fault: Fault) -> Fault {
    if let Some(response) = use_context::<ResponseOptions>()
        && let Ok(status) = http::StatusCode::from_u16(fault.status())
    {
        response.set_status(status);
    }
    fault
}

/// A bug in how the server renders pages; the text identifies it.
fn internal(what: &str) -> Fault {
    Fault::Internal { id: what.to_owned() }
}
