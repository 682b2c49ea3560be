//! All SQL, a file per resource. Nothing outside this folder writes a query.
//!
//! One connection writes and a few read: SQLite allows one writer at a time, and a queue in our pool is fairer and quicker
//! than its busy loop. Writers begin with [`Db::begin`] (`begin immediate`, so that what was read inside still holds at
//! the commit), readers with [`Db::read`]. Whoever holds a writer must not ask for a second one.

pub(crate) mod audit;
pub(crate) mod constraint;
pub(crate) mod hosts;
pub(crate) mod images;
pub(crate) mod jobs;
pub(crate) mod machines;
pub(crate) mod sessions;
pub(crate) mod users;
mod visible;

pub(crate) use visible::Visible;

use crate::error::{Error, OpenError, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::migrate::Migrator;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Sqlite, SqliteConnection, Transaction};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

/// The database's file in the state directory.
pub const FILE: &str = "snowglobe.db";
/// How many connections read at once.
const READERS: u32 = 4;
/// How long a reader waits for a lock, as while the write-ahead log is being checkpointed.
const BUSY: Duration = Duration::from_secs(10);

/// The migrations, embedded once.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// A connection, in a transaction or not.
pub(crate) type Conn = SqliteConnection;
/// A transaction that writes.
pub(crate) type Tx = Transaction<'static, Sqlite>;

/// The database.
#[derive(Clone, Debug)]
pub(crate) struct Db {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl Db {
    /// Opens or makes the database in this directory and brings it up to date.
    pub async fn open(state: &Path) -> std::result::Result<Self, OpenError> {
        let file = state.join(FILE);
        // SQLite gives its log files the permissions of the database; the password hashes are for nobody else.
        std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&file)
            .map_err(|source| OpenError::State { path: file.clone(), source })?;
        let options = SqliteConnectOptions::new()
            .filename(&file)
            .journal_mode(SqliteJournalMode::Wal)
            // A job that was accepted must be known after a power cut as well, or what its steps made would belong to nobody.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY);
        let fail = |source| OpenError::Database { path: state.to_owned(), source };
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .min_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options.clone())
            .await
            .map_err(fail)?;
        MIGRATIONS
            .run(&writer)
            .await
            .map_err(|source| OpenError::Migrate { path: state.to_owned(), source })?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(options.read_only(true));
        Ok(Self { writer, readers })
    }

    /// A connection for questions.
    pub async fn read(&self) -> Result<PoolConnection<Sqlite>> {
        Ok(self.readers.acquire().await?)
    }

    /// A transaction for changes. Dropped without a commit, it changes nothing.
    pub async fn begin(&self) -> Result<Tx> {
        Ok(self.writer.begin_with("begin immediate").await?)
    }

    /// Asks for nothing, to see whether there is an answer.
    pub async fn ping(&self) -> Result<()> {
        sqlx::query("select 1").execute(&mut *self.read().await?).await?;
        Ok(())
    }

    /// Writes the log back into the database and closes it.
    pub async fn close(&self) {
        self.readers.close().await;
        if let Err(error) = sqlx::query("pragma wal_checkpoint(truncate)").execute(&self.writer).await {
            tracing::warn!(error = crate::error::chain(&error), "the database could not be checkpointed");
        }
        self.writer.close().await;
    }
}

/// The rows that can be read. One that cannot, because a newer version wrote it or somebody edited it, must not hide the
/// others; it is told in the server's log.
pub(crate) fn readable<R, T>(rows: Vec<R>, read: impl Fn(R) -> Result<T>) -> Vec<T> {
    let told = |error: &Error| tracing::error!(error = crate::error::chain(error), "a row is left out");
    rows.into_iter().filter_map(|row| read(row).inspect_err(told).ok()).collect()
}

/// A text of ours as its type.
pub(crate) fn parse<T>(what: &'static str, text: &str) -> Result<T>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text.parse().map_err(Error::damaged(what))
}

/// A text of ours as its type, where there is one.
pub(crate) fn parse_some<T>(what: &'static str, text: Option<&str>) -> Result<Option<T>>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text.map(|t| parse(what, t)).transpose()
}

/// A JSON text of ours as its type.
pub(crate) fn from_json<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(Error::damaged(what))
}

/// A value as JSON for storing.
pub(crate) fn to_json<T: Serialize>(what: &'static str, value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(Error::damaged(what))
}

/// A size as SQLite has it. Sizes above 8 EiB do not exist.
pub(crate) fn integer(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A size as we have it.
pub(crate) fn natural(n: i64) -> u64 {
    n.max(0).unsigned_abs()
}
