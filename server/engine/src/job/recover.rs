//! Takes up the jobs that a crash or a shutdown left open.

use super::runner;
use crate::db;
use crate::engine::Engine;
use crate::error::{Error, Result};
use std::sync::Arc;

/// Starts the runner of every open job, oldest first.
pub(crate) async fn open_jobs(engine: &Arc<Engine>) -> Result<()> {
    let open = db::jobs::open(&mut *engine.db.read().await?).await?;
    for id in open {
        let live = engine
            .jobs
            .open(id, &engine.closing)
            .map_err(|source| Error::Io { what: "a job's log cannot be opened", source })?;
        tracing::info!(job.id = %id, "taking up a job that was left open");
        runner::start(engine, live).await;
    }
    Ok(())
}
