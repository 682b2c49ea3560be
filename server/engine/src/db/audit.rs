//! The audit log's rows and the links of its hash chain.
//!
//! Each write (an act begins, an act is completed) is one link: a number, and an HMAC over the link before it and the
//! canonical JSON of what was written ([`seal`]). The newest link is kept in `settings`, so a row cut off at the end
//! shows up too.

mod page;
mod seal;

pub(crate) use page::page;
pub(crate) use seal::{Era, Head, Keys};

use super::column::{Json, Read as _, to_json};
use super::{Conn, Tx};
use crate::error::Result;
use crate::key::Key;
use futures::TryStreamExt as _;
use model::Time;
use model::audit::{ChainState, Outcome};
use model::job::JobId;
use seal::{Proof, Walk};
use serde::Serialize;
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

impl Head {
    async fn load(conn: &mut Conn) -> Result<Self> {
        let row = sqlx::query_scalar!("select value from settings where key = 'audit.head'");
        let parsed = row.fetch_optional(conn).await?.and_then(|text| {
            let (link, hash) = text.split_once(' ')?;
            Some(Head { link: link.parse().ok()?, hash: hash.to_owned() })
        });
        Ok(parsed.unwrap_or_else(|| Head { link: 0, hash: String::new() }))
    }

    /// The link that follows, over this content.
    fn next(&self, key: &Key, content: &impl Serialize) -> Self {
        // Structs of texts and numbers always serialise; if one ever did not, verification would catch it.
        let json = serde_json::to_vec(content).unwrap_or_default();
        Head { link: self.link + 1, hash: self.keyed(key, &json) }
    }

    async fn save(&self, tx: &mut Tx) -> Result<()> {
        let head = format!("{} {}", self.link, self.hash);
        sqlx::query!(
            "insert into settings (key, value) values ('audit.head', ?) \
             on conflict (key) do update set value = excluded.value",
            head,
        )
        .execute(&mut **tx)
        .await?;
        Ok(())
    }
}

/// The newest link, and how many entries there are: none is ever removed, so that is the last one's number.
pub(crate) async fn head(conn: &mut Conn) -> Result<(Head, i64)> {
    let head = Head::load(conn).await?;
    let entries =
        sqlx::query_scalar!(r#"select max(seq) as "entries: i64" from audit"#).fetch_one(conn).await?;
    Ok((head, entries.unwrap_or(0)))
}

/// The hash of the link of this number, if it is there.
pub(crate) async fn link_hash(conn: &mut Conn, link: i64) -> Result<Option<String>> {
    let hash = sqlx::query_scalar!(
        r#"select begin_hash as "hash!" from audit where begin_link = ?1 union all
        select end_hash from audit where end_link = ?1"#,
        link,
    );
    Ok(hash.fetch_optional(conn).await?)
}

/// The eras of the chain, in their order.
pub(crate) async fn eras(conn: &mut Conn) -> Result<Vec<Era>> {
    let row = sqlx::query_scalar!(
        r#"select value as "value: Json<Vec<Era>>" from settings where key = 'audit.eras'"#
    );
    row.fetch_optional(conn).await?.map_or(Ok(Vec::new()), Json::read)
}

/// Begins the era of this key behind the newest link.
pub(crate) async fn begin_era(tx: &mut Tx, key: &Key) -> Result<()> {
    let mut eras = eras(tx).await?;
    eras.push(Era::new(key, &Head::load(tx).await?));
    let eras = to_json(&eras)?;
    sqlx::query!(
        "insert into settings (key, value) values ('audit.eras', ?) \
         on conflict (key) do update set value = excluded.value",
        eras,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Writes that an act has begun; its number completes it.
pub(crate) async fn begin(tx: &mut Tx, key: &Key, begin: &Begin<'_>) -> Result<i64> {
    let head = Head::load(tx).await?.next(key, begin);
    let seq = sqlx::query_scalar!(
        r#"insert into audit (began, actor_id, actor, from_addr, action, subject, job_id, request, begin_link,
        begin_hash) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) returning seq as "seq!""#,
        begin.began,
        begin.actor_id,
        begin.actor,
        begin.from_addr,
        begin.action,
        begin.subject,
        begin.job_id,
        begin.request,
        head.link,
        head.hash,
    )
    .fetch_one(&mut **tx)
    .await?;
    head.save(tx).await?;
    Ok(seq)
}

/// The acts that were begun, never ended, and are no job's: a portal that was killed did not complete them.
pub(crate) async fn left_open(conn: &mut Conn) -> Result<Vec<i64>> {
    let rows =
        sqlx::query_scalar!("select seq from audit where end_link is null and job_id is null order by seq");
    Ok(rows.fetch_all(conn).await?)
}

/// The acts that end with a job, and have not ended.
pub(crate) async fn open_of_job(conn: &mut Conn, job: JobId) -> Result<Vec<i64>> {
    let job = job.to_string();
    let rows =
        sqlx::query_scalar!("select seq from audit where job_id = ? and end_link is null order by seq", job);
    Ok(rows.fetch_all(conn).await?)
}

/// Completes an act, once: a second completion changes nothing, as after a crash between this and what followed.
pub(crate) async fn complete(
    tx: &mut Tx,
    key: &Key,
    seq: i64,
    outcome: Outcome,
    detail: Option<&str>,
    now: Time,
) -> Result<()> {
    let end = End { seq, ended: now.0, outcome: outcome.as_str(), detail };
    let head = Head::load(tx).await?.next(key, &end);
    let done = sqlx::query!(
        "update audit set ended = ?, outcome = ?, detail = ?, end_link = ?, end_hash = ? \
         where seq = ? and end_link is null",
        end.ended,
        end.outcome,
        end.detail,
        head.link,
        head.hash,
        seq,
    )
    .execute(&mut **tx)
    .await?;
    if done.rows_affected() == 1 {
        head.save(tx).await?;
    }
    Ok(())
}

/// A whole row, as the chain is computed from it.
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
        let first = Link {
            seq: self.seq,
            begins: true,
            content: json(serde_json::to_vec(&begin)),
            hash: self.begin_hash.clone(),
        };
        let second = self.end_link.zip(self.ended).map(|(link, ended)| {
            let end = End {
                seq: self.seq,
                ended,
                outcome: self.outcome.as_deref().unwrap_or_default(),
                detail: self.detail.as_deref(),
            };
            let hash = self.end_hash.clone().unwrap_or_default();
            (link, Link { seq: self.seq, begins: false, content: json(serde_json::to_vec(&end)), hash })
        });
        std::iter::once((self.begin_link, first)).chain(second)
    }
}

struct Link {
    seq: i64,
    /// Whether the act begins here; otherwise it is completed.
    begins: bool,
    content: Vec<u8>,
    hash: String,
}

/// Recomputes the chain. Rows are streamed: a log of many years does not fit in memory. In the order of their
/// beginnings, which is the order of the rows; completions wait for their turn, and only as many as were under way at a
/// time.
pub(crate) async fn verify(conn: &mut Conn, keys: &Keys) -> Result<ChainState> {
    let head = Head::load(conn).await?;
    let eras = eras(conn).await?;
    let mut walk = Walk::new(keys, &eras);
    let (mut count, mut last) = (Count::default(), 0);
    let mut waiting: BTreeMap<i64, Link> = BTreeMap::new();
    let mut rows = sqlx::query_as!(
        Row,
        "select seq, began, actor_id, actor, from_addr, action, subject, job_id, request, begin_link, begin_hash, ended, \
         outcome, detail, end_link, end_hash from audit order by begin_link"
    )
    .fetch(&mut *conn);
    while let Some(row) = rows.try_next().await? {
        last = last.max(row.seq);
        waiting.extend(row.links());
        if let Some(at) = follow(&mut walk, &mut waiting, &mut count) {
            return Ok(ChainState::Broken { at });
        }
        // All links up to this beginning have been read: what is missing now is gone.
        if walk.at.link < row.begin_link {
            break;
        }
    }
    if let Some(link) = waiting.values().next() {
        return Ok(ChainState::Broken { at: link.seq });
    }
    if walk.at != head || !walk.may_end() {
        return Ok(ChainState::Broken { at: last + 1 });
    }
    let Count { entries, unkeyed, lost } = count;
    Ok(if lost > 0 {
        ChainState::Unproven { entries, lost }
    } else {
        ChainState::Intact { entries, unkeyed }
    })
}

/// Entries by the key that proves their beginning.
#[derive(Default)]
struct Count {
    entries: i64,
    unkeyed: i64,
    lost: i64,
}

/// Goes on along the links that are there; returns the entry at which the chain is broken, if it is.
fn follow(walk: &mut Walk<'_>, waiting: &mut BTreeMap<i64, Link>, count: &mut Count) -> Option<i64> {
    while let Some(link) = waiting.remove(&(walk.at.link + 1)) {
        if !walk.step(&link.content, link.hash) {
            return Some(link.seq);
        }
        if link.begins {
            count.entries += 1;
            count.unkeyed += i64::from(walk.proof == Proof::Unkeyed);
            count.lost += i64::from(walk.proof == Proof::Lost);
        }
    }
    None
}
