//! Pages of the audit log: what is under way first, then the newest completion. This order stays as it is while acts that
//! began earlier are completed later, so that no page skips a row.
//!
//! A page starts behind the last row of the one before and follows an index, so that it costs the same however long the
//! log is; hence one statement per filter column. With several filters, the one that usually leaves least is looked up,
//! and the others are compared.

use crate::db::Conn;
use crate::db::column::{Read as _, Text, Word};
use crate::error::Result;
use crate::text;
use model::Time;
use model::audit::{AUDIT_PER_PAGE, AuditFilter, AuditPage, AuditRow, Outcome};
use model::job::JobId;

struct Row {
    seq: i64,
    began: i64,
    ended: Option<i64>,
    actor: Option<String>,
    from_addr: Option<String>,
    action: String,
    subject: Option<String>,
    outcome: Option<Word<Outcome>>,
    detail: Option<String>,
    job_id: Option<Text<JobId>>,
    end_link: Option<i64>,
}

impl Row {
    /// What [`AuditFilter::before`] is for the page that starts behind this row.
    fn cursor(&self) -> i64 {
        self.end_link.unwrap_or(-self.seq)
    }

    fn view(self) -> Result<AuditRow> {
        Ok(AuditRow {
            seq: self.seq,
            began: Time(self.began),
            ended: self.ended.map(Time),
            actor: self.actor,
            from: self.from_addr,
            action: self.action,
            // Older entries may contain anything.
            subject: self.subject.as_deref().map(text::clean),
            outcome: self.outcome.read()?.unwrap_or(Outcome::Pending),
            detail: self.detail,
            job: self.job_id.read()?,
        })
    }
}

/// Rows that match a condition and pass the filter.
macro_rules! select_rows {
    ($condition:literal, $filter:ident, $outcome:ident, $before:ident, $limit:ident) => {
        sqlx::query_as!(
            Row,
            r#"select seq, began, ended, actor, from_addr, action, subject, outcome as "outcome: Word<Outcome>", detail,
            job_id as "job_id: Text<JobId>", end_link from audit
            where (?1 is null or subject = ?1) and (?2 is null or actor = ?2) and (?3 is null or action = ?3)
            and (?4 is null or coalesce(outcome, 'pending') = ?4) and "# + $condition + " limit ?6",
            $filter.subject,
            $filter.actor,
            $filter.action,
            $outcome,
            $before,
            $limit
        )
    };
}

/// One page.
pub(crate) async fn page(conn: &mut Conn, filter: &AuditFilter) -> Result<AuditPage> {
    let per_page = usize::try_from(AUDIT_PER_PAGE).unwrap_or(usize::MAX);
    // Acts under way have no place in the order of completions yet: a page that starts among them says so by the sign.
    let before = filter.before.unwrap_or(-i64::MAX);
    let mut rows = Vec::new();
    if before < 0 && filter.outcome.is_none_or(|outcome| outcome == Outcome::Pending) {
        rows = pending(conn, filter, before.saturating_neg(), AUDIT_PER_PAGE + 1).await?;
    }
    let left = (AUDIT_PER_PAGE + 1).saturating_sub(u32::try_from(rows.len()).unwrap_or(u32::MAX));
    if left > 0 && filter.outcome != Some(Outcome::Pending) {
        let below = if before < 0 { i64::MAX } else { before };
        rows.extend(completed(conn, filter, below, left).await?);
    }
    let more = rows.len() > per_page;
    rows.truncate(per_page);
    let next = rows.last().filter(|_| more).map(Row::cursor);
    let rows: Result<Vec<AuditRow>> = rows.into_iter().map(Row::view).collect();
    Ok(AuditPage { rows: rows?, next, warning: None })
}

/// Acts under way, the newest first.
async fn pending(conn: &mut Conn, filter: &AuditFilter, before: i64, limit: u32) -> sqlx::Result<Vec<Row>> {
    let outcome = filter.outcome.map(Outcome::as_str);
    select_rows!("end_link is null and seq < ?5 order by seq desc", filter, outcome, before, limit)
        .fetch_all(conn)
        .await
}

/// Completed acts, the newest completion first.
async fn completed(conn: &mut Conn, filter: &AuditFilter, before: i64, limit: u32) -> sqlx::Result<Vec<Row>> {
    let outcome = filter.outcome.map(Outcome::as_str);
    if filter.subject.is_some() {
        select_rows!("subject = ?1 and end_link < ?5 order by end_link desc", filter, outcome, before, limit)
            .fetch_all(conn)
            .await
    } else if filter.actor.is_some() {
        select_rows!("actor = ?2 and end_link < ?5 order by end_link desc", filter, outcome, before, limit)
            .fetch_all(conn)
            .await
    } else if filter.action.is_some() {
        select_rows!("action = ?3 and end_link < ?5 order by end_link desc", filter, outcome, before, limit)
            .fetch_all(conn)
            .await
    } else if filter.outcome.is_some() {
        select_rows!("outcome = ?4 and end_link < ?5 order by end_link desc", filter, outcome, before, limit)
            .fetch_all(conn)
            .await
    } else {
        select_rows!("end_link < ?5 order by end_link desc", filter, outcome, before, limit)
            .fetch_all(conn)
            .await
    }
}
