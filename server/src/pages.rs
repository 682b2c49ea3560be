//! Pages: Leptos renders them; this provides their context and finishes the answer.
//!
//! Every page is rendered completely before the first byte is sent (`SsrMode::Async`): only then are its status and its
//! redirects known, and nothing is missing without JavaScript. A refused form is answered by the same function, with
//! the input in the context.

use crate::answer::{retry_after, status_of};
use crate::guard::page_policy;
use crate::session::Visitor;
use crate::state::Shared;
use app::{AssetVersion, FormState, RequestToken};
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse as _, Response};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Request, StatusCode, Uri};
use leptos::nonce::use_nonce;
use leptos::prelude::{provide_context, use_context};
use leptos_axum::ResponseOptions;
use model::account::Actor;
use model::portal::Portal;
use std::sync::Arc;

/// A page as a visitor opens it.
pub async fn show(
    State(server): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    render(&server, &visitor, &uri, headers, FormState::default()).await
}

/// Renders the page of a URL with the result of a posted form, under the fault's status if there is one.
pub async fn render(
    server: &Shared,
    visitor: &Visitor,
    uri: &Uri,
    mut headers: HeaderMap,
    form: FormState,
) -> Response {
    // A page does not get what it could leak.
    headers.remove(header::COOKIE);
    headers.remove(header::AUTHORIZATION);
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = path_only(uri);
    *request.headers_mut() = headers;
    let given = Given {
        portal: server.portal.clone(),
        actor: visitor.actor.clone(),
        token: RequestToken(visitor.token.clone()),
        version: AssetVersion(server.assets.version().to_owned()),
        form,
    };
    leptos_axum::render_app_async_with_context(move || given.provide(), app::shell)(request).await
}

/// What a page finds in Leptos' context.
#[derive(Clone)]
struct Given {
    portal: Arc<dyn Portal>,
    actor: Actor,
    token: RequestToken,
    version: AssetVersion,
    form: FormState,
}

impl Given {
    fn provide(&self) {
        if let Some(answer) = use_context::<ResponseOptions>() {
            if let Some(status) = self.form.fault.as_ref().map(status_of) {
                answer.set_status(status);
            }
            if let Some(seconds) = self.form.fault.as_ref().and_then(retry_after) {
                answer.insert_header(header::RETRY_AFTER, seconds);
            }
            let nonce = use_nonce().map(|nonce| nonce.to_string()).unwrap_or_default();
            if let Ok(policy) = HeaderValue::from_str(&page_policy(&nonce)) {
                answer.insert_header(header::CONTENT_SECURITY_POLICY, policy);
            }
        }
        provide_context(self.portal.clone());
        provide_context(self.actor.clone());
        provide_context(self.token.clone());
        provide_context(self.version.clone());
        provide_context(self.form.clone());
    }
}

/// The server functions of islands, with the same context as pages.
pub async fn api(
    State(server): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    request: Request<Body>,
) -> Response {
    let portal = server.portal.clone();
    let context = move || {
        provide_context(portal.clone());
        provide_context(visitor.actor.clone());
    };
    leptos_axum::handle_server_fns_with_context(context, request).await.into_response()
}

/// The “not found” page. Also for what only looks like a page, such as a missing script.
pub async fn not_found(
    State(server): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let mut response = render(&server, &visitor, &uri, headers, FormState::default()).await;
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

/// Path and query. Leptos wants a URI with both and would fail on `*`.
fn path_only(uri: &Uri) -> Uri {
    uri.path_and_query()
        .and_then(|p| Uri::builder().path_and_query(p.clone()).build().ok())
        .unwrap_or_default()
}
