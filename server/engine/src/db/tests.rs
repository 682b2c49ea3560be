//! Tests of the database below everything that uses it.

mod pages;
mod plans;
mod secrets;
mod writer;

use super::Db;
use tempfile::TempDir;

/// An empty database; it lives as long as its directory.
async fn database() -> (TempDir, Db) {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).await.unwrap();
    (dir, db)
}
