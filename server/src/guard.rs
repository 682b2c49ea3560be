//! What runs before every handler: the server's own name, same-origin state changes, bodies, security headers.
//!
//! - `Host` must be a name of this server: a foreign name that resolves here means DNS rebinding.
//! - A method that changes state needs an `Origin` of ours, or, where a client sends none, `Sec-Fetch-Site: same-origin`.
//!   Browsers send both automatically and scripts cannot forge them, so that no token has to go into each form.
//! - A body is complete before a handler runs, or the request is answered without one.
//! - A page's policy allows its own scripts and nothing inline but what carries the nonce of this one answer.

use crate::state::Shared;
use app::routes::NEW_BATCH;
use axum::body::{Body, HttpBody as _, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use model::form::{BODY_MAX, UPLOAD_MAX};

/// Headers of every answer.
const ALWAYS: [(HeaderName, &str); 6] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), payment=(), usb=(), serial=(), clipboard-read=(self), clipboard-write=(self), fullscreen=(self)",
    ),
];

/// The policy of an answer that is not a page: it may do nothing at all.
const NOT_A_PAGE: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// The content security policy of a page whose inline scripts and styles carry this nonce.
///
/// Styles need the nonce because a terminal makes style elements; `wasm-unsafe-eval` compiles WebAssembly and nothing
/// else (CSP Level 3 §6.3.1); `connect-src 'self'` includes the sockets of the same host.
pub fn page_policy(nonce: &str) -> String {
    format!(
        "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'; style-src 'self' 'nonce-{nonce}'; connect-src 'self'; img-src 'self' data:; font-src 'self'; manifest-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
}

/// Refuses what is not meant for this server or does not come from its own pages, and adds the headers to the answer.
pub async fn protect(State(server): State<Shared>, request: Request, next: Next) -> Response {
    let refused = refusal(&server.origins, &request);
    let mut response = match refused {
        Some((status, why)) => {
            tracing::warn!(method = %request.method(), path = request.uri().path(), why, "request refused");
            (status, format!("{why}\n")).into_response()
        }
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if server.origins.public().is_secure() {
        // One year, as browsers' preload rules ask; sub-domains are not ours to decide about.
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(NOT_A_PAGE));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Reads a request's body, within the page's limit and the server's patience. A handler never waits for a client, and a
/// body whose declared length is too large is not read at all.
pub async fn whole_body(State(server): State<Shared>, request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let most = if head.uri.path() == NEW_BATCH { UPLOAD_MAX } else { BODY_MAX };
    if body.size_hint().lower() > most as u64 {
        return too_large(most);
    }
    match tokio::time::timeout(server.limits.body, to_bytes(body, most)).await {
        Ok(Ok(bytes)) => next.run(Request::from_parts(head, Body::from(bytes))).await,
        // Or the client disconnected, and nobody reads the answer.
        Ok(Err(_)) => too_large(most),
        Err(_) => {
            let why = "The request took too long to arrive. Send it again.\n";
            (StatusCode::REQUEST_TIMEOUT, [(header::CONNECTION, "close")], why).into_response()
        }
    }
}

fn too_large(most: usize) -> Response {
    let why = format!("This is more than {} KiB, the most that the portal reads at once.\n", most / 1024);
    (StatusCode::PAYLOAD_TOO_LARGE, [(header::CONNECTION, "close")], why).into_response()
}

fn refusal(origins: &crate::origin::Origins, request: &Request) -> Option<(StatusCode, &'static str)> {
    if has_dot_segment(request.uri().path()) {
        return Some((StatusCode::NOT_FOUND, "There is nothing at this address."));
    }
    // Two readers could take two names for the server's (RFC 9112 §3.2).
    if request.headers().get_all(header::HOST).iter().count() > 1 {
        return Some((StatusCode::BAD_REQUEST, "A request names one host, in one Host header."));
    }
    // Monitoring asks by address. Neither changes anything; “ok” is no secret, and the metrics handler checks the name
    // itself.
    let for_machines = matches!(request.uri().path(), "/healthz" | "/metrics");
    let text = |name: HeaderName| request.headers().get(name).and_then(|v| v.to_str().ok());
    let host = request.uri().authority().map(|a| a.as_str()).or_else(|| text(header::HOST));
    if !for_machines && !host.is_some_and(|host| origins.serve(host)) {
        return Some((
            StatusCode::MISDIRECTED_REQUEST,
            "This server does not answer to that name. Open it at its public address, or set SNOWGLOBE_PUBLIC_URL to the address you use.",
        ));
    }
    let is_safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let site = text(HeaderName::from_static("sec-fetch-site"));
    let same_origin = match request.headers().get(header::ORIGIN) {
        // “none” is a reload of an answer by the person at the keyboard.
        Some(origin) => {
            origin.to_str().is_ok_and(|o| origins.allow(o))
                && matches!(site, None | Some("same-origin" | "none"))
        }
        None => site == Some("same-origin"),
    };
    if !is_safe && !same_origin {
        return Some((
            StatusCode::FORBIDDEN,
            "This request does not come from a page of this portal. Open the portal at its public address and try again there.",
        ));
    }
    None
}

/// Whether a path has a `.` or `..` segment anywhere, percent-encoded or not. Browsers resolve such paths before
/// sending; one that still arrives is meant to make two readers disagree about which page it is.
fn has_dot_segment(path: &str) -> bool {
    let decoded = path
        .to_ascii_lowercase()
        .replace("%2e", ".")
        .replace("%2f", "/")
        .replace("%5c", "/")
        .replace('\\', "/");
    decoded.split('/').any(|segment| matches!(segment, "." | ".."))
}

/// Whether a socket's handshake comes from one of our pages. Browsers always send `Origin` with it (RFC 6455 §4.1), so
/// its absence is refused too.
pub fn socket_origin_is_ours(server: &crate::state::Server, headers: &http::HeaderMap) -> bool {
    headers.get(header::ORIGIN).and_then(|o| o.to_str().ok()).is_some_and(|o| server.origins.allow(o))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_goes_up_is_seen_in_every_disguise() {
        for up in
            ["/..", "/a/../b", "/a/%2e%2E/b", "/a/.%2e", "/a/./b", "/a%2f..%2fb", "/a/..\\b", "/a/%2e%2e%5cb"]
        {
            assert!(has_dot_segment(up), "{up}");
        }
        for fine in ["/", "/machines/web-1", "/audit.csv", "/a..b", "/...", "/%2e%2e%2e"] {
            assert!(!has_dot_segment(fine), "{fine}");
        }
    }

    #[test]
    fn a_page_s_policy_allows_nothing_inline_without_its_nonce() {
        let policy = page_policy("n0nce");
        assert!(policy.starts_with("default-src 'none'") && policy.matches("'nonce-n0nce'").count() == 2);
        assert!(
            !policy.contains("unsafe-inline") && !policy.contains("'unsafe-eval'") && !policy.contains('*')
        );
    }
}
