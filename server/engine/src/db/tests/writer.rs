//! The writer, whose callers go away at any moment and whose disk is full.

use super::database;
use crate::db::{Db, Tx};
use crate::error::Result;
use model::Fault;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use uuid::Uuid;

/// How often each moment is tried: the thread of SQLite answers now before and now after the caller looks.
const TRIES: usize = 10;

/// Runs a future until it has waited so many times, then drops it; returns whether it completed before.
async fn dropped_at(waits: usize, future: impl Future) -> bool {
    let mut future = pin!(future);
    let mut waited = 0;
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(_) => Poll::Ready(true),
        Poll::Pending if waited == waits => Poll::Ready(false),
        Poll::Pending => {
            waited += 1;
            Poll::Pending
        }
    })
    .await
}

/// Writes two rows that must both be there or none.
async fn write_pair(db: &Db, value: &str) -> Result<()> {
    let mut tx = db.begin().await?;
    put(&mut tx, "left", value).await?;
    put(&mut tx, "right", value).await?;
    tx.commit().await
}

async fn put(tx: &mut Tx, key: &str, value: &str) -> Result<()> {
    let sql = "insert or replace into settings (key, value) values (?, ?)";
    sqlx::query(sql).bind(key).bind(value).execute(&mut **tx).await?;
    Ok(())
}

async fn value(db: &Db, key: &str) -> Option<String> {
    let sql = "select value from settings where key = ?";
    let mut conn = db.read().await.unwrap();
    sqlx::query_scalar(sql).bind(key).fetch_optional(&mut *conn).await.unwrap()
}

/// Asserts that the next transaction is carried out, and that the one before left both rows or none.
async fn assert_fit(db: &Db, moment: &str) {
    // In one question: what was dropped may be committed meanwhile.
    let pair = "select (select value from settings where key = 'left') is (select value from settings where key = 'right')";
    let mut conn = db.read().await.unwrap();
    let whole: bool = sqlx::query_scalar(pair).fetch_one(&mut *conn).await.unwrap();
    drop(conn);
    assert!(whole, "half a transaction: {moment}");
    let next = tokio::time::timeout(Duration::from_secs(30), write_pair(db, "next")).await;
    next.unwrap_or_else(|_| panic!("stuck: {moment}")).unwrap_or_else(|error| panic!("{moment}: {error:?}"));
    assert_eq!(value(db, "left").await.as_deref(), Some("next"), "{moment}");
}

#[tokio::test]
async fn a_begin_that_is_dropped_at_any_moment_leaves_a_fit_writer() {
    let (_dir, db) = database().await;
    for waits in 0.. {
        let mut over = true;
        for _ in 0..TRIES {
            over &= dropped_at(waits, db.begin()).await;
            assert_fit(&db, &format!("begin, dropped at wait {waits}")).await;
        }
        if over {
            break;
        }
    }
    db.close().await;
}

#[tokio::test]
async fn a_transaction_that_is_dropped_at_any_moment_is_done_wholly_or_not_at_all() {
    let (_dir, db) = database().await;
    for waits in 0.. {
        let mut over = true;
        for _ in 0..TRIES {
            over &= dropped_at(waits, write_pair(&db, "dropped")).await;
            assert_fit(&db, &format!("transaction, dropped at wait {waits}")).await;
        }
        if over {
            break;
        }
    }
    db.close().await;
}

#[tokio::test]
async fn a_commit_that_has_begun_is_carried_through() {
    let (_dir, db) = database().await;
    let mut tx = db.begin().await.unwrap();
    put(&mut tx, "left", "kept").await.unwrap();
    assert!(!dropped_at(0, tx.commit()).await);
    // Its turn comes when the commit is over.
    drop(db.begin().await.unwrap());
    assert_eq!(value(&db, "left").await.as_deref(), Some("kept"));
    db.close().await;
}

#[tokio::test]
async fn one_who_goes_away_while_waiting_keeps_nobody_waiting() {
    let (_dir, db) = database().await;
    let tx = db.begin().await.unwrap();
    assert!(!dropped_at(0, db.begin()).await);
    tx.commit().await.unwrap();
    assert_fit(&db, "waiting for the writer").await;
    db.close().await;
}

#[tokio::test]
async fn a_transaction_that_nobody_follows_lets_go_of_its_locks() {
    let (dir, db) = database().await;
    let mut tx = db.begin().await.unwrap();
    put(&mut tx, "left", "dropped").await.unwrap();
    drop(tx);
    // Another process, which waits for SQLite's own lock.
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(dir.path().join(crate::db::FILE));
    let mut other =
        sqlx::ConnectOptions::connect(&options.busy_timeout(Duration::from_secs(30))).await.unwrap();
    sqlx::query("insert into settings (key, value) values ('other', '1')").execute(&mut other).await.unwrap();
    assert_eq!(value(&db, "left").await, None);
    db.close().await;
}

/// Lets the database grow by at most so many pages, until changed again.
async fn limit_growth(tx: &mut Tx, pages: i64) {
    let now: i64 = sqlx::query_scalar("pragma page_count").fetch_one(&mut **tx).await.unwrap();
    let pragma = format!("pragma max_page_count = {}", now + pages);
    sqlx::query(&pragma).execute(&mut **tx).await.unwrap();
}

#[tokio::test]
async fn after_a_full_disk_the_next_write_succeeds_without_a_restart() {
    let (_dir, db) = database().await;
    let big = "x".repeat(1 << 20);
    let mut tx = db.begin().await.unwrap();
    limit_growth(&mut tx, 4).await;
    tx.commit().await.unwrap();
    for _ in 0..3 {
        let mut tx = db.begin().await.unwrap();
        let full = put(&mut tx, "big", &big).await.unwrap_err();
        drop(tx);
        assert_eq!(full.into_fault(Uuid::nil()), Fault::DiskFull);
        // What fits is still written.
        assert_fit(&db, "on a full disk").await;
        let mut tx = db.begin().await.unwrap();
        limit_growth(&mut tx, 4).await;
        tx.commit().await.unwrap();
    }
    let mut tx = db.begin().await.unwrap();
    limit_growth(&mut tx, 4096).await;
    put(&mut tx, "big", &big).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(value(&db, "big").await.as_deref(), Some(big.as_str()));
    db.close().await;
}

#[tokio::test]
async fn a_connection_in_an_unknown_state_is_replaced() {
    let (_dir, db) = database().await;
    let mut tx = db.begin().await.unwrap();
    put(&mut tx, "left", "lost").await.unwrap();
    // As SQLite itself does after some errors.
    sqlx::query("rollback").execute(&mut *tx).await.unwrap();
    sqlx::query("create temp table of_this_connection (x)").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap_err();
    let mut tx = db.begin().await.unwrap();
    sqlx::query("select * from of_this_connection").execute(&mut *tx).await.unwrap_err();
    drop(tx);
    assert_fit(&db, "after a failed commit").await;
    db.close().await;
}

#[tokio::test]
async fn health_is_tried_by_writing_and_does_not_wait_for_ever() {
    let (_dir, db) = database().await;
    write_pair(&db, "next").await.unwrap();
    db.ping().await.unwrap();
    assert_eq!(value(&db, "health").await, None, "what was tried is taken back");
    let stuck = db.begin().await.unwrap();
    tokio::time::pause();
    db.ping().await.unwrap_err();
    tokio::time::resume();
    drop(stuck);
    // Only a commit shows whether what follows a failure reaches the disk.
    db.ping().await.unwrap();
    assert_eq!(value(&db, "health").await.as_deref(), Some("1"));
    db.close().await;
    db.ping().await.unwrap_err();
}
