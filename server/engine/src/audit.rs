//! The audit log: an entry is written before an act and completed after it, so an act that was begun and never ended
//! shows as well. A job's entry begins in the transaction that accepts it and ends in the one that ends it.
//!
//! What is written here never contains a secret: names, subjects and sentences only. Nothing that is written can be
//! removed, so what anybody may cause as often as they like, being denied, is summarised ([`denials`]).

mod denials;

use crate::core::Core;
use crate::counts::Counts;
use crate::cx::Cx;
use crate::db::{self, Db, Tx};
use crate::error::{Result, chain};
use denials::{Denials, Summary, Taken};
use model::audit::Outcome;
use model::job::JobId;
use ports::clock::Clock;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// How often denials that were only counted are looked through.
const SUMMARISE_EVERY: Duration = Duration::from_secs(10);

/// The audit log, for all who write to it.
pub(crate) struct Audit {
    db: Db,
    clock: Arc<dyn Clock>,
    counts: Arc<Counts>,
    denials: Denials,
}

impl Audit {
    /// The log in this database.
    pub fn new(db: Db, clock: Arc<dyn Clock>, counts: Arc<Counts>) -> Self {
        Self { db, clock, counts, denials: Denials::default() }
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
        let begin = db::audit::Begin {
            began: cx.now.0,
            actor_id: user.map(|u| u.id.to_string()),
            actor: user.map(|u| u.name.as_str()),
            from_addr: cx.actor.from.map(|ip| ip.to_string()),
            action,
            subject,
            job_id: job.map(|j| j.to_string()),
            request: cx.request.to_string(),
        };
        self.counts.audited();
        db::audit::begin(tx, &begin).await
    }

    /// Completes an entry; a second completion changes nothing.
    pub async fn complete(
        &self,
        tx: &mut Tx,
        seq: i64,
        outcome: Outcome,
        detail: Option<&str>,
    ) -> Result<()> {
        db::audit::complete(tx, seq, outcome, detail, self.clock.now()).await
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
        let mut tx = self.db.begin().await?;
        self.done(&mut tx, cx, action, subject, detail).await?;
        tx.commit().await?;
        Ok(())
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
            Taken::Entry => self.write_denial(cx, action, subject, detail).await,
            Taken::Summary(summary) => self.write_summary(&summary).await,
            Taken::Counted => Ok(()),
        }
    }

    /// Completes an entry where nobody is left to report an error to but the log.
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

    /// Writes what was only counted. Nothing else may be written after this.
    pub async fn close(&self) {
        self.write_summaries(self.denials.drain(self.clock.now())).await;
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
        self.write_denial(&summary.cx, &summary.action, None, Some(&summary.detail)).await
    }

    async fn write_denial(
        &self,
        cx: &Cx,
        action: &str,
        subject: Option<&str>,
        detail: Option<&str>,
    ) -> Result<()> {
        let mut tx = self.db.begin().await?;
        self.over(&mut tx, cx, action, subject, Outcome::Denied, detail).await?;
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
        db::audit::complete(tx, seq, outcome, detail, cx.now).await
    }
}

/// Writes summaries of denials by the clock, for ever.
pub(crate) async fn summarise(core: Arc<Core>) {
    let mut timer = tokio::time::interval(SUMMARISE_EVERY);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        core.audit.write_summaries(core.audit.denials.due(core.clock.now())).await;
    }
}
