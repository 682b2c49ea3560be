//! Secrets of operations: a job needs them while it is open, and nobody afterwards.

use crate::db::Conn;
use crate::db::column::to_json;
use crate::error::Result;
use model::operation::Operation;
use sqlx::Connection as _;

/// How many jobs are rewritten in one transaction.
const BATCH: i64 = 500;

/// Removes the secrets of one job's operation, in a transaction of the caller, and notes whether there were any.
pub(super) async fn remove(conn: &mut Conn, id: &str) -> Result<()> {
    let operation = sqlx::query_scalar!("select operation from jobs where id = ?", id);
    match operation.fetch_optional(&mut *conn).await? {
        Some(operation) => rewrite(conn, id, &operation).await,
        None => Ok(()),
    }
}

/// Removes the secrets of all finished jobs that still have them, from versions that kept them. Returns whether there
/// were such jobs.
pub(crate) async fn remove_secrets_of_finished(conn: &mut Conn) -> Result<bool> {
    let mut some = false;
    loop {
        let mut tx = conn.begin().await?;
        let jobs = sqlx::query!(
            "select id, operation from jobs \
             where secrets = 'kept' and state in ('succeeded', 'failed', 'cancelled') order by id limit ?",
            BATCH,
        )
        .fetch_all(&mut *tx)
        .await?;
        if jobs.is_empty() {
            return Ok(some);
        }
        some = true;
        for job in jobs {
            rewrite(&mut tx, &job.id, &job.operation).await?;
        }
        tx.commit().await?;
    }
}

async fn rewrite(conn: &mut Conn, id: &str, stored: &str) -> Result<()> {
    let (operation, secrets) = match serde_json::from_str::<Operation>(stored) {
        Ok(operation) => {
            let public = operation.clone().without_secrets();
            (to_json(&public)?, if public == operation { "none" } else { "removed" })
        }
        // What cannot be read may contain anything.
        Err(_) => ("null".to_owned(), "removed"),
    };
    sqlx::query!("update jobs set operation = ?, secrets = ? where id = ?", operation, secrets, id)
        .execute(conn)
        .await?;
    Ok(())
}
