//! Answers that are not pages: a fault as text or as JSON, and the way to another page.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{self, HeaderValue};
use model::Fault;

/// A fault as plain text, where no page can be rendered.
pub fn plain_fault(fault: &Fault) -> Response {
    with_patience(fault, (status_of(fault), format!("{fault}\n")).into_response())
}

/// A fault as JSON, as islands and sockets read it.
pub fn json_fault(fault: &Fault) -> Response {
    with_patience(fault, (status_of(fault), axum::Json(fault)).into_response())
}

/// Sends the browser to another page, to be fetched by GET (RFC 9110 §15.4.4).
pub fn see_other(path: &str) -> Response {
    match HeaderValue::from_str(path) {
        Ok(location) => (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response(),
        Err(_) => plain_fault(&Fault::not_found("page")),
    }
}

/// The status that goes with a fault.
pub fn status_of(fault: &Fault) -> StatusCode {
    StatusCode::from_u16(fault.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// `Retry-After` (RFC 9110 §10.2.3), for anyone who has tried too often.
pub fn retry_after(fault: &Fault) -> Option<HeaderValue> {
    fault.retry_after().map(HeaderValue::from)
}

fn with_patience(fault: &Fault, mut response: Response) -> Response {
    if let Some(seconds) = retry_after(fault) {
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}
