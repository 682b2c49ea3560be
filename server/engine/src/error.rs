//! Errors in three rings. Ports have typed errors of their own; steps have [`StepError`](crate::steps::StepError); what the
//! portal's functions return is [`Error`], which becomes a [`Fault`] in one place, [`Error::into_fault`].

use crate::auth::password::HashError;
pub(crate) use host_tools::exec::chain;
use model::Fault;
use ports::hypervisor::HypervisorError;
use ports::image_builder::BuildError;
use std::error::Error as StdError;
use std::io::ErrorKind;
use std::path::PathBuf;
use uuid::Uuid;

/// `SQLITE_FULL` and `SQLITE_IOERR_SHMSIZE`: neither a page nor the index of the log can be written
/// (<https://sqlite.org/rescode.html>).
const SQLITE_DISK_FULL: [&str; 2] = ["13", "4874"];

/// How a query or change at the portal can fail.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The answer is a fault already: something the person can fix.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The database.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// The image builder.
    #[error("the image builder failed")]
    Build(#[from] BuildError),
    /// A host.
    #[error("a host failed")]
    Host(#[from] HypervisorError),
    /// The disk.
    #[error("{what}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The cause.
        source: std::io::Error,
    },
    /// Hashing a password.
    #[error("a password could not be hashed")]
    Hash(#[from] HashError),
    /// A value of ours that does not read back. Someone edited the database, or it was written by a version this one
    /// does not know.
    #[error("{what} in the database cannot be read")]
    Damaged {
        /// What.
        what: &'static str,
        /// Why.
        source: Box<dyn StdError + Send + Sync>,
    },
}

/// What functions behind the portal return.
pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// For `map_err` on a value that came out of the database.
    pub fn damaged<E: StdError + Send + Sync + 'static>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Error::Damaged { what, source: Box::new(source) }
    }

    /// Whether the file system of the state directory has no room left.
    fn is_disk_full(&self) -> bool {
        match self {
            Error::Database(sqlx::Error::Database(error)) => {
                error.code().is_some_and(|code| SQLITE_DISK_FULL.contains(&code.as_ref()))
            }
            Error::Database(sqlx::Error::Io(error)) | Error::Io { source: error, .. } => {
                matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
            }
            _ => false,
        }
    }

    /// What the browser is sent. Errors that are ours are logged here and nowhere else.
    pub fn into_fault(self, request: Uuid) -> Fault {
        match self {
            Error::Fault(fault) => fault,
            // Missing Nix or a flake that does not evaluate is for the person to know; the builder's message says what
            // to do.
            Error::Build(error) => {
                tracing::warn!(%request, error = chain(&error), "image builder failed");
                Fault::refused(format!("The image builder is unavailable: {error}."))
            }
            error if error.is_disk_full() => {
                tracing::error!(%request, error = chain(&error), "the disk is full");
                Fault::DiskFull
            }
            error => {
                tracing::error!(%request, error = chain(&error), "internal error");
                Fault::Internal { id: request.to_string() }
            }
        }
    }
}

/// Why the engine could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The state directory cannot be used.
    #[error("the state directory {} cannot be used", path.display())]
    State {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another portal uses the same state directory.
    #[error("another portal is running on {}; stop it, or choose another state directory", path.display())]
    InUse {
        /// Which.
        path: PathBuf,
    },
    /// The database cannot be opened.
    #[error("the database in {} cannot be opened", path.display())]
    Database {
        /// The state directory.
        path: PathBuf,
        /// Why.
        source: sqlx::Error,
    },
    /// The database's migrations failed: it comes from a newer version, or is damaged.
    #[error("the database in {} cannot be brought up to date; it may come from a newer version", path.display())]
    Migrate {
        /// The state directory.
        path: PathBuf,
        /// Why.
        source: sqlx::migrate::MigrateError,
    },
    /// The state read from the database makes no sense.
    #[error("the state in {} cannot be read", path.display())]
    Load {
        /// The state directory.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
