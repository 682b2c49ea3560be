//! The one connection that writes, lent to one [`Tx`] after another in the order of their requests.
//!
//! A future can be dropped at any of its awaits, and a full disk can end a transaction halfway. The next writer must
//! still find a usable connection:
//! - `begin`, `commit` and `rollback` run in separate tasks, so that a caller who goes away cannot cut them short. What
//!   a caller has begun and does not take is rolled back; a commit that has begun is carried through.
//! - A transaction that is dropped is rolled back before the next one begins.
//! - A connection on which one of the three failed is in an unknown state. It is closed, which makes SQLite roll back,
//!   and another one is opened.

use crate::error::chain;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, Error, Executor as _, SqliteConnection};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, OwnedMappedMutexGuard, OwnedMutexGuard};

/// How long a transaction may wait for the ones before it.
const WAIT: Duration = Duration::from_secs(30);

/// A connection, in a transaction or not.
pub(crate) type Conn = SqliteConnection;

type Result<T> = std::result::Result<T, Error>;

/// Lends the connection that writes.
#[derive(Clone, Debug)]
pub(super) struct Writer(Arc<Mutex<Slot>>);

/// Where the connection is while nobody has it.
#[derive(Debug)]
struct Slot {
    options: SqliteConnectOptions,
    /// None while another one could not be opened yet, and when closed.
    connection: Option<Connection>,
    closed: bool,
}

#[derive(Debug)]
struct Connection {
    sqlite: SqliteConnection,
    state: State,
    /// Whether its last transaction reached the disk. If not, only another one can show whether the next will.
    proven: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    InTransaction,
    Unknown,
}

/// A transaction that writes. Dropped without a commit, it changes nothing.
#[derive(Debug)]
pub(crate) struct Tx {
    connection: OwnedMappedMutexGuard<Slot, Connection>,
    writer: Writer,
}

impl Writer {
    /// Lends this connection, or if it is lost another one with the same options.
    pub fn new(options: SqliteConnectOptions, sqlite: SqliteConnection) -> Self {
        let connection = Some(Connection::new(sqlite));
        Self(Arc::new(Mutex::new(Slot { options, connection, closed: false })))
    }

    /// Begins a transaction once those before it are over. `PoolTimedOut` after [`WAIT`], `PoolClosed` after [`Writer::close`].
    pub async fn begin(&self) -> Result<Tx> {
        let lock = self.0.clone().lock_owned();
        let slot = tokio::time::timeout(WAIT, lock).await.map_err(|_| Error::PoolTimedOut)?;
        let writer = self.clone();
        uncut(writer.begin_on(slot)).await
    }

    async fn begin_on(self, mut slot: OwnedMutexGuard<Slot>) -> Result<Tx> {
        slot.make_ready().await?;
        let connection = OwnedMutexGuard::try_map(slot, |slot| slot.connection.as_mut());
        let connection = connection.map_err(|_| Error::PoolClosed)?;
        let mut tx = Tx { connection, writer: self };
        // Immediate, so that what is read inside still holds at the commit.
        tx.run("begin immediate", State::InTransaction).await?;
        Ok(tx)
    }

    /// Makes the connection usable again, unless someone who waited for it already has.
    async fn make_ready(self) {
        let mut slot = self.0.lock().await;
        if let Err(error) = slot.make_ready().await
            && !slot.closed
        {
            tracing::warn!(error = chain(&error), "the database cannot be written to at present");
        }
    }

    /// Writes the log back into the database and closes the connection.
    pub async fn close(&self) -> Result<()> {
        let mut slot = self.0.lock().await;
        let ready = slot.make_ready().await;
        slot.closed = true;
        let Some(mut connection) = slot.connection.take() else { return ready };
        let checkpoint = connection.sqlite.execute("pragma wal_checkpoint(truncate)").await;
        connection.sqlite.close().await?;
        checkpoint.map(|_| ())
    }
}

impl Slot {
    /// Leaves a connection that is in no transaction, or an error.
    async fn make_ready(&mut self) -> Result<()> {
        if self.closed {
            return Err(Error::PoolClosed);
        }
        if let Some(connection) = &mut self.connection
            && connection.clean().await
        {
            return Ok(());
        }
        if let Some(old) = self.connection.take() {
            tracing::warn!("the connection that writes to the database is replaced");
            if let Err(error) = old.sqlite.close().await {
                tracing::warn!(error = chain(&error), "a connection to the database could not be closed");
            }
        }
        self.connection = Some(Connection::new(SqliteConnection::connect_with(&self.options).await?));
        Ok(())
    }
}

impl Connection {
    fn new(sqlite: SqliteConnection) -> Self {
        Self { sqlite, state: State::Idle, proven: false }
    }

    /// Rolls back what someone left; returns whether the connection can be used.
    async fn clean(&mut self) -> bool {
        match self.state {
            State::Idle => true,
            State::Unknown => false,
            State::InTransaction => {
                self.proven = false;
                self.run("rollback", State::Idle).await.is_ok()
            }
        }
    }

    /// Runs one of the statements that lead from one state to another.
    async fn run(&mut self, statement: &'static str, to: State) -> Result<()> {
        self.state = State::Unknown;
        self.sqlite.execute(statement).await?;
        self.state = to;
        Ok(())
    }
}

impl Tx {
    /// Makes the changes last. Carried through even if the caller goes away.
    pub async fn commit(mut self) -> crate::error::Result<()> {
        let commit = async move {
            self.run("commit", State::Idle).await?;
            self.connection.proven = true;
            Ok(())
        };
        Ok(uncut(commit).await?)
    }

    /// Undoes the changes at once instead of before the next transaction.
    pub(super) async fn rollback(mut self) -> Result<()> {
        uncut(async move { self.run("rollback", State::Idle).await }).await
    }

    /// Whether the last transaction on this connection reached the disk.
    pub(super) fn is_proven(&self) -> bool {
        self.connection.proven
    }

    async fn run(&mut self, statement: &'static str, to: State) -> Result<()> {
        self.connection.run(statement, to).await
    }
}

impl Deref for Tx {
    type Target = SqliteConnection;
    fn deref(&self) -> &SqliteConnection {
        &self.connection.sqlite
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.connection.sqlite
    }
}

impl Drop for Tx {
    /// Whoever has the connection next makes it usable again; this is for when nobody asks for it soon, while an open
    /// transaction holds locks.
    fn drop(&mut self) {
        if self.connection.state != State::Idle
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(self.writer.clone().make_ready());
        }
    }
}

/// Runs something to completion even if the caller goes away.
async fn uncut<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    // There is no answer only when the runtime ends in between.
    tokio::spawn(work).await.unwrap_or(Err(Error::WorkerCrashed))
}
