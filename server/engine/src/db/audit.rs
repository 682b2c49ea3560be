//! The audit log's rows and the links of its hash chain.
//!
//! Each writing (an act begins, an act is completed) is one link: number, and SHA-256 over the link before it and the
//! canonical JSON of what was written. The newest link is kept in `settings`, so a row cut off at the end shows as well.

mod page;

pub(crate) use page::page;

use super::{Conn, Tx};
use crate::error::Result;
use futures::TryStreamExt as _;
use model::Time;
use model::audit::{ChainState, Outcome};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
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
        let row = sqlx::query_scalar!("select value from settings where key = 'audit.head'");
        let parsed = row.fetch_optional(conn).await?.and_then(|text| {
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

/// Writes that an act has begun; its number completes it.
pub(crate) async fn begin(tx: &mut Tx, begin: &Begin<'_>) -> Result<i64> {
    let head = Head::load(tx).await?.next(begin);
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

/// Completes an act, once: a second completion changes nothing, as after a crash between this and what followed.
pub(crate) async fn complete(
    tx: &mut Tx,
    seq: i64,
    outcome: Outcome,
    detail: Option<&str>,
    now: Time,
) -> Result<()> {
    let end = End { seq, ended: now.0, outcome: outcome.as_str(), detail };
    let head = Head::load(tx).await?.next(&end);
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

/// Recomputes the chain. Rows are read as they come: the log of many years does not fit in memory. In the order of their
/// beginnings, which is that of the rows; completions wait for their turn, and only as many as were under way at a time.
pub(crate) async fn verify(conn: &mut Conn) -> Result<ChainState> {
    let head = Head::load(conn).await?;
    let (mut entries, mut last) = (0, 0);
    let mut at = Head { link: 0, hash: String::new() };
    let mut waiting: BTreeMap<i64, Link> = BTreeMap::new();
    let mut rows = sqlx::query_as!(
        Row,
        "select seq, began, actor_id, actor, from_addr, action, subject, job_id, request, begin_link, begin_hash, ended, \
         outcome, detail, end_link, end_hash from audit order by begin_link"
    )
    .fetch(&mut *conn);
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
