//! Takes up the jobs that a crash or a shutdown left open.

use super::run::show;
use super::runner;
use crate::core::Core;
use crate::db;
use crate::error::Result;
use std::sync::Arc;

/// Starts the runner of every open job, oldest first. One that needs attention is only shown: what could not be undone
/// is for a person to look at.
pub(crate) async fn open_jobs(core: &Arc<Core>) -> Result<()> {
    let open = db::jobs::open(&mut *core.db.read().await?).await?;
    let stuck = db::steering::stuck(&mut *core.db.read().await?).await?;
    for id in open {
        if stuck.contains(&id) {
            show(core, id).await;
            continue;
        }
        tracing::info!(job.id = %id, "taking up a job that was left open");
        runner::start(core, core.jobs.open(id, &core.closing)).await;
    }
    Ok(())
}
