//! All SQL, a file per resource. Nothing outside this folder writes a query.
//!
//! One connection writes and a few read: SQLite allows one writer at a time, and our own queue is fairer and quicker
//! than its busy loop. Writers begin with [`Db::begin`], readers with [`Db::read`]; what changes something takes
//! `&mut Tx`. A holder of a [`Tx`] must not ask for a second one.

pub(crate) mod audit;
mod column;
pub(crate) mod constraint;
pub(crate) mod generations;
pub(crate) mod hosts;
pub(crate) mod images;
pub(crate) mod jobs;
pub(crate) mod machines;
pub(crate) mod sessions;
pub(crate) mod steering;
pub(crate) mod users;
mod visible;
mod writer;

#[cfg(test)]
mod tests;

pub(crate) use visible::Visible;
pub(crate) use writer::{Conn, Tx};

use crate::error::{Error, OpenError, Result};
use sqlx::migrate::Migrator;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Connection as _, Executor as _, Sqlite, SqliteConnection};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;
use writer::Writer;

/// The database's file in the state directory.
pub const FILE: &str = "snowglobe.db";
/// How many connections read at once.
const READERS: u32 = 4;
/// How long a reader waits for a lock, as while the write-ahead log is being checkpointed.
const BUSY: Duration = Duration::from_secs(10);
/// How long [`Db::ping`] waits for current writers.
const PING: Duration = Duration::from_secs(5);

/// The migrations, embedded once.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

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
            // An accepted job must survive a power cut, or what its steps made would belong to nobody.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY)
            // What is deleted or replaced is overwritten: it may have been a password.
            .pragma("secure_delete", "on")
            // KiB for each connection, instead of 2,000: the system's own cache holds the file.
            .pragma("cache_size", "-512");
        let fail = |source| OpenError::Database { path: state.to_owned(), source };
        let mut sqlite = SqliteConnection::connect_with(&options).await.map_err(fail)?;
        MIGRATIONS
            .run(&mut sqlite)
            .await
            .map_err(|source| OpenError::Migrate { path: state.to_owned(), source })?;
        let load = |source: Error| OpenError::Load { path: state.to_owned(), source: source.into() };
        if jobs::remove_secrets_of_finished(&mut sqlite).await.map_err(load)? {
            // What versions before this one deleted was not overwritten.
            sqlite.execute("vacuum").await.map_err(fail)?;
        }
        let writer = Writer::new(options.clone(), sqlite);
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(options.read_only(true));
        Ok(Self { writer, readers })
    }

    /// A connection for reading.
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

    /// Writes and takes it back. After a transaction that did not reach the disk, as on a full one, it does not take it
    /// back: only a commit shows whether the next one will.
    async fn try_to_write(&self) -> Result<()> {
        let mut tx = self.begin().await?;
        sqlx::query!(
            "insert into settings (key, value) values ('health', '1') \
             on conflict (key) do update set value = value + 1"
        )
        .execute(&mut *tx)
        .await?;
        if tx.is_proven() { Ok(tx.rollback().await?) } else { tx.commit().await }
    }

    /// Writes the log back into the database and closes it.
    pub async fn close(&self) {
        self.readers.close().await;
        if let Err(error) = self.writer.close().await {
            tracing::warn!(error = crate::error::chain(&error), "the database could not be closed cleanly");
        }
    }
}
