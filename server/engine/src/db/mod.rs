//! All SQL, a file per resource. Nothing outside this folder writes a query.
//!
//! One connection writes and a few read: SQLite allows one writer at a time, and a queue of ours is fairer and quicker than
//! its busy loop. Writers begin with [`Db::begin`], readers with [`Db::read`]; what changes something takes `&mut Tx`.
//! A holder of a [`Tx`] must not ask for a second one.

pub(crate) mod audit;
pub(crate) mod constraint;
pub(crate) mod hosts;
pub(crate) mod images;
pub(crate) mod jobs;
pub(crate) mod machines;
pub(crate) mod sessions;
pub(crate) mod users;
mod visible;
mod writer;

#[cfg(test)]
mod tests;

pub(crate) use visible::Visible;
pub(crate) use writer::Tx;

use crate::error::{Error, OpenError, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::migrate::Migrator;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Connection as _, Sqlite, SqliteConnection};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;
use writer::Writer;

/// The database's file in the state directory.
pub const FILE: &str = "snowglobe.db";
/// How many connections read at once.
const READERS: u32 = 4;
/// How long a reader waits for a lock, as while the write-ahead log is being checkpointed.
const BUSY: Duration = Duration::from_secs(10);
/// How long [`Db::ping`] waits for those who are writing.
const PING: Duration = Duration::from_secs(5);

/// The migrations, embedded once.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// A connection, in a transaction or not.
pub(crate) type Conn = SqliteConnection;

/// The database.
#[derive(Clone, Debug)]
pub(crate) struct Db {
    writer: Writer,
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
        let mut sqlite = SqliteConnection::connect_with(&options).await.map_err(fail)?;
        MIGRATIONS
            .run(&mut sqlite)
            .await
            .map_err(|source| OpenError::Migrate { path: state.to_owned(), source })?;
        let writer = Writer::new(options.clone(), sqlite);
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

    /// A transaction for changes. Dropped without a commit, it changes nothing; dropped while it begins, it never was.
    pub async fn begin(&self) -> Result<Tx> {
        Ok(self.writer.begin().await?)
    }

    /// Tries whether the database can be written to, within [`PING`].
    pub async fn ping(&self) -> Result<()> {
        let ping = tokio::time::timeout(PING, self.try_to_write()).await;
        ping.unwrap_or(Err(sqlx::Error::PoolTimedOut.into()))
    }

    /// Writes and takes it back. After a transaction that did not reach the disk, as on a full one, it does not take it back:
    /// only a commit tells whether the next one will.
    async fn try_to_write(&self) -> Result<()> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "insert into settings (key, value) values ('health', '1') \
             on conflict (key) do update set value = value + 1",
        )
        .execute(&mut *tx)
        .await?;
        if tx.is_proven() { Ok(tx.rollback().await?) } else { tx.commit().await }
    }

    /// Writes the log back into the database and closes it.
    pub async fn close(&self) {
        self.readers.close().await;
        if let Err(error) = self.writer.close().await {
            tracing::warn!(
                error = crate::error::chain(&error),
                "the database could not be closed in good order"
            );
        }
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
