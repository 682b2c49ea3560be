//! THE route table: every path that the server answers, how, and for whom. The router is made from it and so is the
//! test that tries every row as every kind of person: a route without a row cannot exist.
//!
//! A row names the [`Action`] that its proper answer takes. Whether a login is required is decided here; whether the
//! user may is decided by the portal alone, which also audits denials. The test checks the table against the portal,
//! for every role.

pub use crate::access::Access;

use crate::answer::{json_fault, see_other};
use crate::session::{self, Visitor};
use crate::state::Shared;
use crate::{assets, download, forms, guard, monitoring, outlive, pages, telemetry, ws};
use app::routes as paths;
use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{MethodRouter, any, get, post};
use http::{Method, Uri};
use model::Fault;
use model::operation::OperationKind;
use model::permission::Action;
use tower_http::CompressionLevel;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;

/// How a path is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A page; forms are posted to it.
    Page,
    /// A server function of an island.
    Api,
    /// `/ws/events`.
    Events,
    /// `/ws/jobs/{id}`.
    Job,
    /// `/ws/console/{machine}`.
    Console,
    /// A job's log as text.
    JobLog,
    /// A machine's console output in a boot.
    Transcript,
    /// The audit log as CSV.
    AuditCsv,
    /// A file for browsers.
    Asset,
    /// Counters for monitoring.
    Metrics,
    /// Whether the server works.
    Health,
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The path as axum writes it.
    pub path: &'static str,
    /// Who gets a proper answer.
    pub access: Access,
    /// How it is answered.
    pub answer: Answer,
}

const fn row(path: &'static str, access: Access, answer: Answer) -> Row {
    Row { path, access, answer }
}

const SEE_MACHINE: Access = Access::Can(Action::SeeMachine);
const SEE_JOB: Access = Access::Can(Action::SeeJob);
const WATCH_CONSOLE: Access = Access::Can(Action::WatchConsole);
const SEE_IMAGES: Access = Access::Can(Action::SeeImages);
const READ_AUDIT: Access = Access::Can(Action::ReadAudit);
const CREATE: Access = Access::Can(Action::Operate(OperationKind::Create));
const REMOVE_IMAGE: Access = Access::Can(Action::Operate(OperationKind::RemoveImage));

/// The table.
pub const TABLE: &[Row] = &[
    row(paths::SETUP, Access::Anyone, Answer::Page),
    row(paths::LOGIN, Access::Anyone, Answer::Page),
    row(paths::MACHINES, SEE_MACHINE, Answer::Page),
    row(paths::NEW_MACHINE, CREATE, Answer::Page),
    row(paths::NEW_BATCH, CREATE, Answer::Page),
    row("/machines/{name}", SEE_MACHINE, Answer::Page),
    row("/machines/{name}/console", WATCH_CONSOLE, Answer::Page),
    row("/machines/{name}/generations", SEE_MACHINE, Answer::Page),
    row("/machines/{name}/configuration", SEE_MACHINE, Answer::Page),
    row("/machines/{name}/activity", SEE_MACHINE, Answer::Page),
    // The page of a refused or denied operation still renders; only the operation is not done.
    row("/machines/{name}/do/{operation}", SEE_MACHINE, Answer::Page),
    row(paths::IMAGES, SEE_IMAGES, Answer::Page),
    row("/images/{id}/remove", REMOVE_IMAGE, Answer::Page),
    row("/images/{id}/diff/{to}", SEE_IMAGES, Answer::Page),
    row(paths::JOBS, SEE_JOB, Answer::Page),
    row("/jobs/{id}", SEE_JOB, Answer::Page),
    row("/jobs/{id}/log", SEE_JOB, Answer::JobLog),
    row("/machines/{name}/transcripts/{began}", WATCH_CONSOLE, Answer::Transcript),
    row(paths::HOSTS, Access::Can(Action::SeeHosts), Answer::Page),
    row(paths::ACCOUNT, Access::Can(Action::ManageOwnAccount), Answer::Page),
    row(paths::USERS, Access::Can(Action::ManageUsers), Answer::Page),
    row(paths::AUDIT, READ_AUDIT, Answer::Page),
    row(paths::AUDIT_CSV, READ_AUDIT, Answer::AuditCsv),
    // What is planned, and what a ticket is for, is in the request.
    row("/api/plan", Access::LoggedIn, Answer::Api),
    row("/api/ticket", Access::LoggedIn, Answer::Api),
    row(paths::sockets::EVENTS, SEE_MACHINE, Answer::Events),
    row("/ws/jobs/{id}", SEE_JOB, Answer::Job),
    row("/ws/console/{machine}", WATCH_CONSOLE, Answer::Console),
    row("/pkg/{*file}", Access::Anyone, Answer::Asset),
    row(paths::assets::ICON, Access::Anyone, Answer::Asset),
    row("/metrics", Access::Anyone, Answer::Metrics),
    row("/healthz", Access::Anyone, Answer::Health),
];

impl Answer {
    /// The methods that the path takes; HEAD goes with GET.
    pub fn methods(self) -> &'static [Method] {
        match self {
            Answer::Page => &[Method::GET, Method::POST],
            Answer::Api => &[Method::POST],
            _ => &[Method::GET],
        }
    }

    fn handler(self) -> MethodRouter<Shared> {
        match self {
            Answer::Page => get(pages::show).post(forms::post),
            Answer::Api => post(pages::api),
            Answer::Events => get(ws::events),
            Answer::Job => get(ws::job),
            Answer::Console => get(ws::console),
            Answer::JobLog => get(download::job_log),
            Answer::Transcript => get(download::transcript),
            Answer::AuditCsv => get(download::audit_csv),
            Answer::Asset => get(assets::serve),
            Answer::Metrics => get(monitoring::metrics),
            Answer::Health => get(monitoring::health),
        }
    }

    /// Whether the handler needs to know who asks. If not, the database lookup is saved.
    fn asks_who(self) -> bool {
        !matches!(self, Answer::Asset | Answer::Metrics | Answer::Health)
    }

    /// The answer when a login is required first: for a page the login page, for anything else the fault.
    fn turn_away(self, method: &Method, uri: &Uri) -> Response {
        let whole = uri.path_and_query().map_or("/", |p| p.as_str());
        match self {
            Answer::Page if *method == Method::POST => see_other(&paths::login(uri.path())),
            Answer::Page | Answer::JobLog | Answer::Transcript | Answer::AuditCsv => {
                see_other(&paths::login(whole))
            }
            _ => json_fault(&Fault::Unauthenticated),
        }
    }
}

/// The whole server as one service, made from the table.
pub fn router(server: Shared) -> Router {
    let known = (
        from_fn_with_state(server.clone(), session::mark_secure),
        session::layer(&server),
        from_fn_with_state(server.clone(), session::identify),
    );
    let mut router = Router::new();
    for row in TABLE {
        let mut handler = row.answer.handler();
        if row.answer == Answer::Page {
            // A table of a hundred machines is mostly markup. No page holds both a lasting secret and a stranger's text,
            // which is what guessing by compressed length (BREACH) needs.
            handler = handler.layer(CompressionLayer::new().quality(CompressionLevel::Fastest));
        }
        if row.access.needs_login() {
            handler = handler.route_layer(from_fn(move |request, next| admit(*row, request, next)));
        }
        if row.answer.asks_who() {
            handler = handler.route_layer(known.clone());
        }
        router = router.route(row.path, handler);
    }
    let nothing = any(pages::not_found).layer(known);
    router
        .fallback_service(nothing.with_state(server.clone()))
        .layer(CatchPanicLayer::new())
        .layer(from_fn_with_state(server.handlers.clone(), outlive::connection))
        .layer(from_fn_with_state(server.clone(), guard::whole_body))
        .layer(from_fn_with_state(server.clone(), guard::protect))
        .layer(from_fn_with_state(server.clone(), telemetry::observe))
        .with_state(server)
}

async fn admit(row: Row, request: Request, next: Next) -> Response {
    let logged_in = request.extensions().get::<Visitor>().is_some_and(|v| v.actor.user.is_some());
    if logged_in { next.run(request).await } else { row.answer.turn_away(request.method(), request.uri()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_page_of_the_app_and_no_other() {
        let mut rows: Vec<&str> = TABLE.iter().filter(|r| r.answer == Answer::Page).map(|r| r.path).collect();
        let mut pages = paths::PAGES.to_vec();
        rows.sort_unstable();
        pages.sort_unstable();
        assert_eq!(rows, pages);
    }

    #[test]
    fn the_table_has_every_server_function_and_no_other() {
        let mut rows: Vec<&str> = TABLE.iter().filter(|r| r.answer == Answer::Api).map(|r| r.path).collect();
        let mut functions: Vec<&str> =
            leptos::server_fn::axum::server_fn_paths().map(|(path, _)| path).collect();
        rows.sort_unstable();
        functions.sort_unstable();
        assert_eq!(rows, functions);
    }

    #[test]
    fn a_path_stands_in_one_row_only_and_reading_never_changes_anything() {
        for row in TABLE {
            assert_eq!(TABLE.iter().filter(|r| r.path == row.path).count(), 1, "{}", row.path);
            let writes = row.answer.methods().iter().any(|m| *m != Method::GET);
            assert_eq!(writes, matches!(row.answer, Answer::Page | Answer::Api), "{}", row.path);
        }
    }
}
