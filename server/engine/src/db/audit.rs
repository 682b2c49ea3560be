//! The audit log's rows and the links of its hash chain.
//!
//! Each writing (an act begins, an act is completed) is one link: number, and SHA-256 over the link before it and the
//! canonical JSON of what was written. The newest link is kept in `settings`, so a row cut off at the end shows as well.

use super::{Conn, from_json, parse_some};
use crate::error::Result;
use futures::TryStreamExt as _;
use model::Time;
use model::audit::{AUDIT_PER_PAGE, AuditFilter, AuditPage, AuditRow, ChainState, Outcome};
use model::job::JobId;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use sqlx::FromRow;
use std::collections::BTreeMap;

/// What is known when an act begins. The order of the fields is the canonical one.
#[derive(Debug, Serialize)]
pub(crate) struct Begin<'a> {
    pub began: i64,
    pub actor_id: Option<String>,
    pub actor: Option<&'a str>,
    pub from_addr: Option<String>,
    pub action: &'a str,
    pub subject: Option<&'a str>,
    pub job_id: Option<String>,
    pub request: String,
}

/// What is known when it ends.
#[derive(Debug, Serialize)]
struct End<'a> {
    seq: i64,
    ended: i64,
    outcome: &'a str,
    detail: Option<&'a str>,
}

/// The newest link: how many there are, and its hash.
struct Head {
    link: i64,
    hash: String,
}

impl Head {
    async fn load(conn: &mut Conn) -> Result<Self> {
        let row: Option<(String,)> = sqlx::query_as("select value from settings where key = 'audit.head'")
            .fetch_optional(conn)
            .await?;
        let parsed = row.and_then(|(text,)| {
            let (link, hash) = text.split_once(' ')?;
            Some(Head { link: link.parse().ok()?, hash: hash.to_owned() })
        });
        Ok(parsed.unwrap_or_else(|| Head { link: 0, hash: String::new() }))
    }

    /// The link that follows, over this content.
    fn next(&self, content: &impl Serialize) -> Self {
        // Structs of texts and numbers always serialise; were one ever not to, verification would say so.
        let json = serde_json::to_vec(content).unwrap_or_default();
        let link = self.link + 1;
        let mut hasher = Sha256::new();
        hasher.update(self.hash.as_bytes());
        hasher.update(link.to_be_bytes());
        hasher.update(json);
        Head { link, hash: hex::encode(hasher.finalize()) }
    }

    async fn save(&self, conn: &mut Conn) -> Result<()> {
        sqlx::query(
            "insert into settings (key, value) values ('audit.head', ?) \
             on conflict (key) do update set value = excluded.value",
        )
        .bind(format!("{} {}", self.link, self.hash))
        .execute(conn)
        .await?;
        Ok(())
    }
}

/// Writes that an act has begun; its number completes it.
pub(crate) async fn begin(conn: &mut Conn, begin: &Begin<'_>) -> Result<i64> {
    let head = Head::load(conn).await?.next(begin);
    let (seq,): (i64,) = sqlx::query_as(
        "insert into audit (began, actor_id, actor, from_addr, action, subject, job_id, request, begin_link, \
         begin_hash) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) returning seq",
    )
    .bind(begin.began)
    .bind(&begin.actor_id)
    .bind(begin.actor)
    .bind(&begin.from_addr)
    .bind(begin.action)
    .bind(begin.subject)
    .bind(&begin.job_id)
    .bind(&begin.request)
    .bind(head.link)
    .bind(&head.hash)
    .fetch_one(&mut *conn)
    .await?;
    head.save(conn).await?;
    Ok(seq)
}

/// Completes an act, once: a second completion changes nothing, as after a crash between this and what followed.
pub(crate) async fn complete(
    conn: &mut Conn,
    seq: i64,
    outcome: Outcome,
    detail: Option<&str>,
    now: Time,
) -> Result<()> {
    let end = End { seq, ended: now.0, outcome: outcome.as_str(), detail };
    let head = Head::load(conn).await?.next(&end);
    let done = sqlx::query(
        "update audit set ended = ?, outcome = ?, detail = ?, end_link = ?, end_hash = ? \
         where seq = ? and end_link is null",
    )
    .bind(end.ended)
    .bind(end.outcome)
    .bind(end.detail)
    .bind(head.link)
    .bind(&head.hash)
    .bind(seq)
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() == 1 {
        head.save(conn).await?;
    }
    Ok(())
}

#[derive(FromRow)]
struct Row {
    seq: i64,
    began: i64,
    actor_id: Option<String>,
    actor: Option<String>,
    from_addr: Option<String>,
    action: String,
    subject: Option<String>,
    job_id: Option<String>,
    request: String,
    begin_link: i64,
    begin_hash: String,
    ended: Option<i64>,
    outcome: Option<String>,
    detail: Option<String>,
    end_link: Option<i64>,
    end_hash: Option<String>,
}

impl Row {
    fn view(self) -> Result<AuditRow> {
        let outcome = match &self.outcome {
            Some(word) => from_json("an outcome", &format!("\"{word}\""))?,
            None => Outcome::Pending,
        };
        Ok(AuditRow {
            seq: self.seq,
            began: Time(self.began),
            ended: self.ended.map(Time),
            actor: self.actor,
            from: self.from_addr,
            action: self.action,
            subject: self.subject,
            outcome,
            detail: self.detail,
            job: parse_some::<JobId>("a job's id", self.job_id.as_deref())?,
        })
    }

    /// The two writings of a row as links: number, content, hash.
    fn links(&self) -> impl Iterator<Item = (i64, Link)> {
        let begin = Begin {
            began: self.began,
            actor_id: self.actor_id.clone(),
            actor: self.actor.as_deref(),
            from_addr: self.from_addr.clone(),
            action: &self.action,
            subject: self.subject.as_deref(),
            job_id: self.job_id.clone(),
            request: self.request.clone(),
        };
        let json = |content: serde_json::Result<Vec<u8>>| content.unwrap_or_default();
        let first =
            Link { seq: self.seq, content: json(serde_json::to_vec(&begin)), hash: self.begin_hash.clone() };
        let second = self.end_link.zip(self.ended).map(|(link, ended)| {
            let end = End {
                seq: self.seq,
                ended,
                outcome: self.outcome.as_deref().unwrap_or_default(),
                detail: self.detail.as_deref(),
            };
            let hash = self.end_hash.clone().unwrap_or_default();
            (link, Link { seq: self.seq, content: json(serde_json::to_vec(&end)), hash })
        });
        std::iter::once((self.begin_link, first)).chain(second)
    }
}

struct Link {
    seq: i64,
    content: Vec<u8>,
    hash: String,
}

const COLUMNS: &str = "select seq, began, actor_id, actor, from_addr, action, subject, job_id, request, begin_link, \
    begin_hash, ended, outcome, detail, end_link, end_hash from audit";

/// One page, what is under way first, then the newest completion: this order stays as it is while acts that began
/// earlier are completed later, so that no page skips a row.
pub(crate) async fn page(conn: &mut Conn, filter: &AuditFilter) -> Result<AuditPage> {
    let rows: Vec<Row> = sqlx::query_as(&format!(
        "{COLUMNS} where (?1 is null or actor = ?1) and (?2 is null or subject = ?2) \
         and (?3 is null or action = ?3) and (?4 is null or coalesce(outcome, 'pending') = ?4) \
         and (?5 is null or end_link < ?5) \
         order by (end_link is null) desc, end_link desc, seq desc limit ?6"
    ))
    .bind(&filter.actor)
    .bind(&filter.subject)
    .bind(&filter.action)
    .bind(filter.outcome.map(Outcome::as_str))
    .bind(filter.before)
    .bind(AUDIT_PER_PAGE + 1)
    .fetch_all(conn)
    .await?;
    let per_page = usize::try_from(AUDIT_PER_PAGE).unwrap_or(usize::MAX);
    let more = rows.len() > per_page;
    // The next page starts below the last completion shown. A page of nothing but acts under way would have no such place;
    // then the next one starts at the newest completion there can be.
    let next = more.then(|| rows.get(per_page - 1).and_then(|row| row.end_link).unwrap_or(i64::MAX));
    let rows: Result<Vec<AuditRow>> = rows.into_iter().take(per_page).map(Row::view).collect();
    Ok(AuditPage { rows: rows?, next })
}

/// Recomputes the chain. Rows are read as they come: the log of many years does not fit in memory. In the order of their
/// beginnings, which is that of the rows; completions wait for their turn, and only as many as were under way at a time.
pub(crate) async fn verify(conn: &mut Conn) -> Result<ChainState> {
    let head = Head::load(conn).await?;
    let (mut entries, mut last) = (0, 0);
    let mut at = Head { link: 0, hash: String::new() };
    let mut waiting: BTreeMap<i64, Link> = BTreeMap::new();
    let query = format!("{COLUMNS} order by begin_link");
    let mut rows = sqlx::query_as::<_, Row>(&query).fetch(&mut *conn);
    while let Some(row) = rows.try_next().await? {
        entries += 1;
        last = last.max(row.seq);
        waiting.extend(row.links());
        if let Some(broken) = follow(&mut at, &mut waiting) {
            return Ok(broken);
        }
        // All links up to this beginning have been read: what is not there now is gone.
        if at.link < row.begin_link {
            break;
        }
    }
    if let Some(link) = waiting.values().next() {
        return Ok(ChainState::Broken { at: link.seq });
    }
    if at.link != head.link || at.hash != head.hash {
        return Ok(ChainState::Broken { at: last + 1 });
    }
    Ok(ChainState::Intact { entries })
}

/// Goes on along the links that are there; says where the chain is broken, if it is.
fn follow(at: &mut Head, waiting: &mut BTreeMap<i64, Link>) -> Option<ChainState> {
    while let Some(link) = waiting.remove(&(at.link + 1)) {
        let number = at.link + 1;
        let mut hasher = Sha256::new();
        hasher.update(at.hash.as_bytes());
        hasher.update(number.to_be_bytes());
        hasher.update(&link.content);
        if hex::encode(hasher.finalize()) != link.hash {
            return Some(ChainState::Broken { at: link.seq });
        }
        *at = Head { link: number, hash: link.hash };
    }
    None
}
