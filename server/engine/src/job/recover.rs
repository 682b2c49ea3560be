//! Takes up the jobs that a crash or a shutdown left open.

use super::runner;
use crate::core::Core;
use crate::db;
use crate::error::{Error, Result};
use std::sync::Arc;

/// Starts the runner of every open job, oldest first.
pub(crate) async fn open_jobs(core: &Arc<Core>) -> Result<()> {
    let open = db::jobs::open(&mut *core.db.read().await?).await?;
    for id in open {
        let live = core
            .jobs
            .open(id, &core.closing)
            .map_err(|source| Error::Io { what: "a job's log cannot be opened", source })?;
        tracing::info!(job.id = %id, "taking up a job that was left open");
        runner::start(core, live).await;
    }
    Ok(())
}
