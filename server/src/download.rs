//! Files to download: a job's log as text, a console's raw transcript, the audit log as CSV. All are streamed; none is
//! ever whole in memory.

use crate::answer::plain_fault;
use crate::session::Visitor;
use crate::state::Shared;
use axum::body::Body;
use axum::extract::{Extension, Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use futures::stream;
use http::header::{self, HeaderValue};
use jiff::Timestamp;
use model::account::Actor;
use model::audit::{AuditFilter, AuditPage, AuditRow};
use model::form::FormData;
use model::job::{JobId, LogLevel, LogLine};
use model::machine::MachineName;
use model::portal::Portal;
use model::view::job::JobFrame;
use model::{Fault, Time};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// A running job that is silent for this long ends the file: it holds what there is, not what is to come.
const QUIET: Duration = Duration::from_millis(500);

/// The current log of a job, one line each.
pub async fn job_log(
    State(server): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Response {
    let Ok(id) = id.parse::<JobId>() else { return plain_fault(&Fault::not_found("job")) };
    let frames = match server.engine.follow_job(&visitor.actor, id, None).await {
        Ok(frames) => frames,
        Err(fault) => return plain_fault(&fault),
    };
    let text = stream::unfold(frames, async |mut frames| {
        let text = match tokio::time::timeout(QUIET, frames.next()).await.ok().flatten()? {
            JobFrame::Lines { lines } => lines.iter().map(log_line).collect(),
            JobFrame::Closing { why } => format!("# {why}\n"),
            JobFrame::Job { .. } | JobFrame::Progress { .. } => String::new(),
            JobFrame::End => return None,
        };
        Some((Ok::<_, Infallible>(text), frames))
    });
    attachment(&format!("job-{id}.log"), "text/plain; charset=utf-8", Body::from_stream(text))
}

/// Time, step, derivation and text; unusual levels are marked.
fn log_line(line: &LogLine) -> String {
    let level = match line.level {
        LogLevel::Output | LogLevel::Info => "",
        LogLevel::Warning => "warning: ",
        LogLevel::Error => "error: ",
    };
    let from = line.from.as_ref().map(|name| format!("{name}> ")).unwrap_or_default();
    format!("{} {} {from}{level}{}\n", timestamp(line.at), line.step, line.text)
}

/// A machine's console output in one boot, byte for byte. Escape sequences are part of it: it is a file to download and
/// never shown as a page.
pub async fn transcript(
    State(server): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    Path((machine, began)): Path<(String, String)>,
) -> Response {
    let (Ok(machine), Ok(began)) = (machine.parse::<MachineName>(), began.parse().map(Time)) else {
        return plain_fault(&Fault::not_found("transcript"));
    };
    match server.engine.transcript(&visitor.actor, &machine, began).await {
        Ok(bytes) => {
            let name = format!("{machine}-{}.log", timestamp(began).replace(':', ""));
            attachment(&name, "application/octet-stream", Body::from_stream(bytes))
        }
        Err(fault) => plain_fault(&fault),
    }
}

/// The audit log as filtered, all pages of it, newest first.
pub async fn audit_csv(
    State(server): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    RawQuery(query): RawQuery,
) -> Response {
    let query = FormData::from_urlencoded(query.unwrap_or_default().as_bytes());
    let filter = AuditFilter::from_query(|name| query.get(name).to_owned());
    // The first page is asked for before anything is sent: only then is it known whether there is anything to send.
    let first = match server.portal.audit(&visitor.actor, &filter).await {
        Ok(page) => page,
        Err(fault) => return plain_fault(&fault),
    };
    let header = stream::once(async { Ok(CSV_HEADER.to_owned()) });
    let pages = Pages { portal: server.portal.clone(), actor: visitor.actor, filter, page: Some(first) };
    let rows = stream::try_unfold(pages, Pages::next);
    attachment(
        "snowglobe-audit.csv",
        "text/csv; charset=utf-8; header=present",
        Body::from_stream(header.chain(rows)),
    )
}

const CSV_HEADER: &str = "seq,began,ended,actor,from,action,subject,outcome,detail,job\r\n";

/// Walks through the audit log page by page.
struct Pages {
    portal: Arc<dyn Portal>,
    actor: Actor,
    filter: AuditFilter,
    /// The page to be written next.
    page: Option<AuditPage>,
}

impl Pages {
    async fn next(mut self) -> Result<Option<(String, Pages)>, Fault> {
        let Some(page) = self.page.take() else { return Ok(None) };
        let text: String = page.rows.iter().map(csv_row).collect();
        if let Some(next) = page.next {
            self.filter.before = Some(next);
            self.page = Some(self.portal.audit(&self.actor, &self.filter).await?);
        }
        Ok(Some((text, self)))
    }
}

fn csv_row(row: &AuditRow) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let fields = [
        row.seq.to_string(),
        timestamp(row.began),
        row.ended.map(timestamp).unwrap_or_default(),
        text(&row.actor),
        text(&row.from),
        row.action.clone(),
        text(&row.subject),
        row.outcome.as_str().to_owned(),
        text(&row.detail),
        row.job.map(|job| job.to_string()).unwrap_or_default(),
    ];
    format!("{}\r\n", fields.iter().map(|f| csv_field(f)).collect::<Vec<_>>().join(","))
}

/// A field by RFC 4180. A text that a spreadsheet would take for a formula gets an apostrophe before it: a logged name
/// must not be able to run anything on the reader's computer.
fn csv_field(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    let text = if is_formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\r', '\n', '\'']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

/// RFC 3339 in UTC; the bare number where that is beyond the calendar.
fn timestamp(time: Time) -> String {
    Timestamp::from_millisecond(time.0).map_or_else(|_| time.0.to_string(), |t| format!("{t:.3}"))
}

fn attachment(name: &str, kind: &'static str, body: Body) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(disposition) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::audit::Outcome;

    #[test]
    fn a_field_is_neither_a_formula_nor_two_fields() {
        assert_eq!(csv_field("web-1"), "web-1");
        assert_eq!(csv_field("a,\"b\"\nc"), "\"a,\"\"b\"\"\nc\"");
        for formula in ["=HYPERLINK(\"http://evil\")", "+1", "-1", "@SUM(A1)", "\t=1"] {
            assert!(csv_field(formula).starts_with("\"'"), "{formula}");
        }
    }

    #[test]
    fn the_filter_is_read_as_the_page_writes_it() {
        let query = "actor=ada&outcome=denied&before=17&subject=&action=login";
        let query = FormData::from_urlencoded(query.as_bytes());
        let read = AuditFilter::from_query(|name| query.get(name).to_owned());
        assert_eq!(read.outcome, Some(Outcome::Denied));
        assert_eq!((read.actor.as_deref(), read.before, read.subject), (Some("ada"), Some(17), None));
    }

    #[test]
    fn times_are_exact_and_any_number_has_one() {
        assert_eq!(timestamp(Time(1_700_000_000_123)), "2023-11-14T22:13:20.123Z");
        assert_eq!(timestamp(Time(i64::MAX)), i64::MAX.to_string());
    }
}
