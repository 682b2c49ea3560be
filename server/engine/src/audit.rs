//! The audit log: an entry is written before an act and completed after it, so an act that began and never ended
//! shows up too. A job's entry begins in the transaction that accepts the job and is completed in the one that ends
//! it.
//!
//! Entries never contain secrets: names, subjects and sentences only. Nothing written can be removed, so what anyone
//! may cause as often as they like, being denied, is summarised ([`denials`]).
//!
//! The entries form a chain whose links only the holder of a key can make ([`keys`]), and its end is also kept
//! outside the database ([`anchor`]), so changes, removals and replacements by someone with the database file show
//! up.

mod anchor;
mod denials;
mod keys;
mod start;

use crate::counts::Counts;
use crate::cx::Cx;
use crate::db::{self, Db, Tx};
use crate::error::{Error, Result, chain};
use crate::settings::Settings;
use crate::sync::lock;
use crate::text;
use anchor::Anchor;
use db::audit::{Head, Keys};
use denials::{Denials, Summary, Taken};
use model::account::Actor;
use model::audit::{AuditFilter, AuditPage, ChainState, Outcome};
use model::job::JobId;
use ports::clock::Clock;
use sqlx::Connection as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// How often denials that were only counted are checked.
const SUMMARISE_EVERY: Duration = Duration::from_secs(10);
/// How often the anchor is written.
const ANCHOR_EVERY: Duration = Duration::from_secs(60 * 60);
/// The detail for those who wanted what someone else's job was already making.
const JOINED: &str = "joined a build that was under way";
/// The action under which problems with the log at startup are recorded.
const CHECK: &str = "check_audit_log";

/// The audit log, for everything that writes to it.
pub(crate) struct Audit {
    db: Db,
    clock: Arc<dyn Clock>,
    counts: Arc<Counts>,
    denials: Denials,
    state: PathBuf,
    keys: Keys,
    /// What was wrong with the log when it was opened, as sentences.
    warning: Option<String>,
    /// What the anchor says, once it has been compared.
    anchored: Mutex<Option<Head>>,
}

impl Audit {
    /// Opens the log: makes or reads its key, and compares its end with the anchor. A mismatch is a warning in the
    /// server's log, in the audit log and on its page, and no reason not to start.
    pub async fn open(
        db: Db,
        clock: Arc<dyn Clock>,
        counts: Arc<Counts>,
        settings: &Settings,
    ) -> Result<Self> {
        let state = settings.state.clone();
        let keys = keys::load(&state, settings.audit_key.as_deref())
            .map_err(|source| Error::Io { what: "the key of the audit log cannot be read", source })?;
        let mut audit = Self {
            db,
            clock,
            counts,
            denials: Denials::default(),
            state,
            keys,
            warning: None,
            anchored: Mutex::default(),
        };
        audit.warning = audit.take_up().await?;
        audit.write_anchor("opened").await?;
        Ok(audit)
    }

    /// Begins the log's next run; anything wrong with it is in the log itself from now on.
    async fn take_up(&self) -> Result<Option<String>> {
        let mut tx = self.db.begin().await?;
        let warnings = start::take_up(&mut tx, &self.keys, &self.state).await?;
        let cx = Cx::new(&Actor::anonymous(None), self.clock.as_ref());
        for warning in &warnings {
            tracing::error!("{warning}");
            self.over(&mut tx, &cx, CHECK, None, Outcome::Failed, Some(warning)).await?;
        }
        tx.commit().await?;
        Ok((!warnings.is_empty()).then(|| warnings.join(" ")))
    }

    /// Writes down where the chain ends, beside the database and to the server's log. An anchor whose link the chain
    /// has lost stays as it is, so that the next start finds it too.
    async fn write_anchor(&self, when: &str) -> Result<()> {
        let mut conn = self.db.read().await?;
        let before = lock(&self.anchored).clone();
        if let Some(before) = before
            && !start::contains(&mut conn, &before).await?
        {
            let link = before.link;
            tracing::error!(audit.link = link, "the audit log was replaced or cut off while the portal ran");
            return Ok(());
        }
        let (head, entries) = db::audit::head(&mut conn).await?;
        *lock(&self.anchored) = Some(head.clone());
        tracing::info!(
            audit.entries = entries,
            audit.link = head.link,
            audit.head = head.hash,
            audit.key = self.keys.current.id(),
            when,
            "the audit log's end"
        );
        let anchor = Anchor::new(&self.keys, head, entries, self.clock.now());
        anchor.write(&self.state)
    }

    /// One page of the log.
    pub async fn page(&self, filter: &AuditFilter) -> Result<AuditPage> {
        let mut page = db::audit::page(&mut *self.db.read().await?, filter).await?;
        page.warning.clone_from(&self.warning);
        Ok(page)
    }

    /// Recomputes the chain, in a transaction: entries that are written meanwhile must not look like damage.
    pub async fn verify(&self) -> Result<ChainState> {
        let mut conn = self.db.read().await?;
        let mut tx = conn.begin().await?;
        let state = db::audit::verify(&mut tx, &self.keys).await?;
        tx.commit().await?;
        match state {
            ChainState::Broken { at } => {
                tracing::error!(audit.seq = at, "the audit log's chain is broken");
            }
            ChainState::Unproven { lost, .. } => {
                tracing::error!(lost, "the key of some of the audit log's entries is not here");
            }
            ChainState::Intact { .. } => {}
        }
        Ok(state)
    }

    /// Begins an entry; its number completes it.
    pub async fn begin(
        &self,
        tx: &mut Tx,
        cx: &Cx,
        action: &str,
        subject: Option<&str>,
        job: Option<JobId>,
    ) -> Result<i64> {
        let user = cx.actor.user.as_ref();
        // Someone's input that is not one of our names: nothing in it may reorder or hide text.
        let subject = subject.map(text::clean);
        let begin = db::audit::Begin {
            began: cx.now.0,
            actor_id: user.map(|u| u.id.to_string()),
            actor: user.map(|u| u.name.as_str()),
            from_addr: cx.actor.from.map(|ip| ip.to_string()),
            action,
            subject: subject.as_deref(),
            job_id: job.map(|j| j.to_string()),
            request: cx.request.to_string(),
        };
        self.counts.audited();
        db::audit::begin(tx, &self.keys.current, &begin).await
    }

    /// Completes an entry; a second completion changes nothing.
    pub async fn complete(
        &self,
        tx: &mut Tx,
        seq: i64,
        outcome: Outcome,
        detail: Option<&str>,
    ) -> Result<()> {
        db::audit::complete(tx, &self.keys.current, seq, outcome, detail, self.clock.now()).await
    }

    /// Completes the entries of a job: `seq`, the requester's, and those of people who joined it.
    pub async fn complete_job(
        &self,
        tx: &mut Tx,
        job: JobId,
        seq: i64,
        outcome: Outcome,
        detail: Option<&str>,
    ) -> Result<()> {
        let joined = match detail {
            Some(detail) => format!("{JOINED}: {detail}"),
            None => JOINED.to_owned(),
        };
        for open in db::audit::open_of_job(tx, job).await? {
            let detail = if open == seq { detail } else { Some(joined.as_str()) };
            self.complete(tx, open, outcome, detail).await?;
        }
        Ok(())
    }

    /// Writes an act that has been done.
    pub async fn done(
        &self,
        tx: &mut Tx,
        cx: &Cx,
        action: &str,
        subject: Option<&str>,
        detail: Option<&str>,
    ) -> Result<()> {
        self.over(tx, cx, action, subject, Outcome::Succeeded, detail).await
    }

    /// Begins an entry in a transaction of its own.
    pub async fn begin_now(&self, cx: &Cx, action: &str, subject: Option<&str>) -> Result<i64> {
        let mut tx = self.db.begin().await?;
        let seq = self.begin(&mut tx, cx, action, subject, None).await?;
        tx.commit().await?;
        Ok(seq)
    }

    /// Writes an act that has been done, in a transaction of its own.
    pub async fn done_now(
        &self,
        cx: &Cx,
        action: &str,
        subject: Option<&str>,
        detail: Option<&str>,
    ) -> Result<()> {
        self.over_now(cx, action, subject, Outcome::Succeeded, detail).await
    }

    /// Writes that the actor was not allowed to do something, or counts it for a summary when that happens often.
    pub async fn denied(
        &self,
        cx: &Cx,
        action: &str,
        subject: Option<&str>,
        detail: Option<&str>,
    ) -> Result<()> {
        match self.denials.take(cx, action) {
            Taken::Entry => self.over_now(cx, action, subject, Outcome::Denied, detail).await,
            Taken::Summary(summary) => self.write_summary(&summary).await,
            Taken::Counted => Ok(()),
        }
    }

    /// Completes what a killed portal left open, such as consoles: they ended with it at the latest.
    pub async fn complete_left_open(&self) -> Result<()> {
        let mut tx = self.db.begin().await?;
        for seq in db::audit::left_open(&mut tx).await? {
            self.complete(&mut tx, seq, Outcome::Succeeded, Some("the portal ended before this was closed"))
                .await?;
        }
        tx.commit().await
    }

    /// Completes an entry where there is only the log left to report an error to.
    pub async fn complete_logged(&self, seq: i64, outcome: Outcome, detail: Option<&str>) {
        let complete = async {
            let mut tx = self.db.begin().await?;
            self.complete(&mut tx, seq, outcome, detail).await?;
            tx.commit().await?;
            Ok::<_, crate::error::Error>(())
        };
        if let Err(error) = complete.await {
            tracing::error!(audit.seq = seq, error = chain(&error), "an audit entry could not be completed");
        }
    }

    /// Writes what was only counted, and the anchor. Nothing else may be written after this.
    pub async fn close(&self) {
        self.write_summaries(self.denials.drain(self.clock.now())).await;
        self.anchor("closed").await;
    }

    async fn anchor(&self, when: &str) {
        if let Err(error) = self.write_anchor(when).await {
            tracing::warn!(error = chain(&error), "the audit log's end could not be written down");
        }
    }

    async fn write_summaries(&self, summaries: Vec<Summary>) {
        for summary in summaries {
            if let Err(error) = self.write_summary(&summary).await {
                let (action, detail) = (&summary.action, &summary.detail);
                tracing::error!(error = chain(&error), action, detail, "denials could not be audited");
            }
        }
    }

    async fn write_summary(&self, summary: &Summary) -> Result<()> {
        let (action, detail) = (&summary.action, &summary.detail);
        self.over_now(&summary.cx, action, None, Outcome::Denied, Some(detail)).await
    }

    /// Writes an act that is over, in a transaction of its own.
    async fn over_now(
        &self,
        cx: &Cx,
        action: &str,
        subject: Option<&str>,
        outcome: Outcome,
        detail: Option<&str>,
    ) -> Result<()> {
        let mut tx = self.db.begin().await?;
        self.over(&mut tx, cx, action, subject, outcome, detail).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn over(
        &self,
        tx: &mut Tx,
        cx: &Cx,
        action: &str,
        subject: Option<&str>,
        outcome: Outcome,
        detail: Option<&str>,
    ) -> Result<()> {
        let seq = self.begin(tx, cx, action, subject, None).await?;
        db::audit::complete(tx, &self.keys.current, seq, outcome, detail, cx.now).await
    }
}

/// Writes what is due by the clock, indefinitely: summaries of denials, and the anchor.
pub(crate) async fn keep(audit: Arc<Audit>) {
    let [mut summaries, mut anchor] = [SUMMARISE_EVERY, ANCHOR_EVERY].map(tokio::time::interval);
    // Opening has written it a moment ago.
    anchor.reset();
    for timer in [&mut summaries, &mut anchor] {
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    }
    loop {
        tokio::select! {
            _ = summaries.tick() => {
                audit.write_summaries(audit.denials.due(audit.clock.now())).await;
            }
            _ = anchor.tick() => audit.anchor("running").await,
        }
    }
}
