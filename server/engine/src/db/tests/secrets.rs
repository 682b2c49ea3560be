//! What is over or gone leaves no secret in the database's files.

use super::database;
use crate::db::{Db, FILE};
use model::Time;
use model::job::{JobId, JobState};
use model::operation::Operation;
use std::path::Path;
use uuid::Uuid;

/// A crypt(5) hash as stored in a machine's specification and in the operation that made it.
const SECRET: &str = "$6$saltsaltsalt$TheHashThatNobodyMayFindHere0123456789abcdef";

/// Whether the secret is anywhere in the database or its log.
fn is_found(state: &Path) -> bool {
    let found = |file: String| {
        let bytes = std::fs::read(state.join(file)).unwrap_or_default();
        bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes())
    };
    found(FILE.to_owned()) || found(format!("{FILE}-wal"))
}

/// Writes a finished job like versions that kept secrets; one that cannot be read, too.
async fn write_old_jobs(db: &Db) -> JobId {
    let id = JobId(Uuid::now_v7());
    let readable = format!(
        r#"{{"operation":"configure","spec":{{"name":"web","host":"local","profiles":["core"],"mode":"immutable",
        "memory":512,"vcpus":1,"disk":2,"network":"nat","identity":{{"root_password":"{SECRET}"}}}}}}"#
    );
    let damaged = format!(r#"{{"operation":"of a later version","password":"{SECRET}"}}"#);
    let mut tx = db.begin().await.unwrap();
    let user = Uuid::now_v7().to_string();
    sqlx::query(
        "insert into users (id, name, role, password, created) values (?, 'ada', 'administrator', '', 0)",
    )
    .bind(&user)
    .execute(&mut *tx)
    .await
    .unwrap();
    for (id, operation) in [(id.to_string(), readable), (Uuid::now_v7().to_string(), damaged)] {
        sqlx::query(
            "insert into jobs (id, kind, title, operation, actor_id, actor, state, work, audit_seq, created) \
             values (?, 'configure', 'Save web', ?, ?, 'ada', 'failed', '{}', 1, 0)",
        )
        .bind(id)
        .bind(operation)
        .bind(&user)
        .execute(&mut *tx)
        .await
        .unwrap();
    }
    tx.commit().await.unwrap();
    id
}

#[tokio::test]
async fn jobs_that_ended_before_are_rewritten_at_the_start() {
    let (dir, db) = database().await;
    let id = write_old_jobs(&db).await;
    db.close().await;
    assert!(is_found(dir.path()), "the test looks in the wrong place");
    let db = Db::open(dir.path()).await.unwrap();
    let job = crate::db::jobs::load(&mut db.read().await.unwrap(), id).await.unwrap().unwrap();
    assert!(job.secrets_removed && matches!(job.operation, Operation::Configure { .. }));
    db.close().await;
    assert!(!is_found(dir.path()));
}

#[tokio::test]
async fn a_job_that_ends_keeps_no_secret() {
    let (dir, db) = database().await;
    let id = write_old_jobs(&db).await;
    let mut tx = db.begin().await.unwrap();
    for job in crate::db::jobs::list(&mut tx, &Default::default(), &crate::db::Visible::All).await.unwrap() {
        crate::db::jobs::finish(&mut tx, job.badge.id, JobState::Cancelled, Time(1)).await.unwrap();
    }
    tx.commit().await.unwrap();
    let job = crate::db::jobs::load(&mut db.read().await.unwrap(), id).await.unwrap().unwrap();
    assert!(job.secrets_removed && job.state == JobState::Cancelled);
    db.close().await;
    assert!(!is_found(dir.path()));
}
