//! A request that has begun is completed, even if the client hangs up meanwhile.
//!
//! hyper drops the future of a request when its connection breaks. Between two `await`s of a handler that would leave
//! its work half done: a job accepted without an answer is harmless, but a transaction cut short, or an act without its
//! audit entry, is not. So every handler runs in a separate task, reading ones too, because a denial, the use of a
//! session and the download of a transcript are also written down.

use crate::connections::Place;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

/// Runs the rest of the request in a task that outlives its connection. It keeps the connection's place meanwhile, so
/// that nobody starts more requests at a time than their connections allow. The server waits for `handlers` when it
/// stops.
pub async fn connection(State(handlers): State<TaskTracker>, request: Request, next: Next) -> Response {
    let busy = request.extensions().get::<Place>().map(Place::busy);
    let work = async move {
        let response = next.run(request).await;
        drop(busy);
        response
    };
    match handlers.spawn(work.in_current_span()).await {
        Ok(response) => response,
        // Panics are caught inside; what remains is a runtime that ends before the task.
        Err(error) => {
            tracing::error!(%error, "a request was not completed");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn_with_state;
    use axum::routing::post;
    use hyper::service::Service as _;
    use hyper_util::service::TowerToHyperService;
    use std::sync::Arc;
    use tokio::sync::Notify;

    #[tokio::test(start_paused = true)]
    async fn what_was_begun_is_done_though_the_client_hangs_up() {
        let [begun, go_on, done] = [(); 3].map(|()| Arc::new(Notify::new()));
        let handler = {
            let (begun, go_on, done) = (begun.clone(), go_on.clone(), done.clone());
            async move || {
                begun.notify_one();
                go_on.notified().await;
                done.notify_one();
            }
        };
        let handlers = TaskTracker::new();
        let router =
            Router::new().route("/", post(handler)).layer(from_fn_with_state(handlers.clone(), connection));
        let request = http::Request::post("/").body(Body::empty()).unwrap();
        let mut answer = Box::pin(TowerToHyperService::new(router).call(request));
        tokio::select! {
            _ = &mut answer => panic!("the handler waits"),
            () = begun.notified() => {}
        }
        drop(answer);
        handlers.close();
        assert_eq!(handlers.len(), 1, "stopping the server waits for it");
        go_on.notify_one();
        let soon = std::time::Duration::from_secs(60);
        tokio::time::timeout(soon, done.notified())
            .await
            .expect("the handler goes on without its connection");
        handlers.wait().await;
    }
}
