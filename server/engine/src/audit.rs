//! The audit log: an entry is written before an act and completed after it, so an act that was begun and never ended
//! shows as well. A job's entry begins in the transaction that accepts it and ends in the one that ends it.
//!
//! What is written here never contains a secret: names, subjects and sentences only.

use crate::core::Core;
use crate::cx::Cx;
use crate::db::{self, Tx};
use crate::error::{Result, chain};
use model::audit::Outcome;
use model::job::JobId;

/// Begins an entry in a transaction of the caller.
pub(crate) async fn begin_in(
    core: &Core,
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
    core.counts.audited();
    db::audit::begin(tx, &begin).await
}

/// Writes an act that is over already, in a transaction of the caller.
pub(crate) async fn done_in(
    core: &Core,
    tx: &mut Tx,
    cx: &Cx,
    action: &str,
    subject: Option<&str>,
    outcome: Outcome,
    detail: Option<&str>,
) -> Result<()> {
    let seq = begin_in(core, tx, cx, action, subject, None).await?;
    db::audit::complete(tx, seq, outcome, detail, cx.now).await
}

/// Begins an entry of its own.
pub(crate) async fn begin(core: &Core, cx: &Cx, action: &str, subject: Option<&str>) -> Result<i64> {
    let mut tx = core.db.begin().await?;
    let seq = begin_in(core, &mut tx, cx, action, subject, None).await?;
    tx.commit().await?;
    Ok(seq)
}

/// Writes an act that has been done.
pub(crate) async fn done(
    core: &Core,
    cx: &Cx,
    action: &str,
    subject: Option<&str>,
    detail: Option<&str>,
) -> Result<()> {
    over(core, cx, action, subject, Outcome::Succeeded, detail).await
}

/// Writes that the actor was not allowed to do something.
pub(crate) async fn denied(core: &Core, cx: &Cx, action: &str, subject: Option<&str>) -> Result<()> {
    over(core, cx, action, subject, Outcome::Denied, None).await
}

/// Writes an act with its outcome.
pub(crate) async fn over(
    core: &Core,
    cx: &Cx,
    action: &str,
    subject: Option<&str>,
    outcome: Outcome,
    detail: Option<&str>,
) -> Result<()> {
    let mut tx = core.db.begin().await?;
    done_in(core, &mut tx, cx, action, subject, outcome, detail).await?;
    tx.commit().await?;
    Ok(())
}

/// Completes an entry where nobody is left to tell about an error but the log.
pub(crate) async fn complete_logged(core: &Core, seq: i64, outcome: Outcome, detail: Option<&str>) {
    let complete = async {
        let mut tx = core.db.begin().await?;
        db::audit::complete(&mut tx, seq, outcome, detail, core.clock.now()).await?;
        tx.commit().await?;
        Ok::<_, crate::error::Error>(())
    };
    if let Err(error) = complete.await {
        tracing::error!(audit.seq = seq, error = chain(&error), "an audit entry could not be completed");
    }
}
