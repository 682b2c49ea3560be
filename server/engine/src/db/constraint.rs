//! Constraints of the database by name, so that a violated one becomes a fault. SQLite names columns in its message,
//! not constraints; this is the one place that knows its messages (`src/insert.c`, `sqlite3UniqueConstraint`).

use crate::error::Error;

/// A rule that the database enforces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Constraint {
    /// Two machines of one name.
    MachineName,
    /// Two machines with one network address or one domain identifier: chance, to be drawn again.
    HardwareId,
    /// Two open jobs on one machine, or one on a machine that is being copied.
    OneJobPerMachine,
    /// Two open builds of one image.
    OneJobPerBuild,
    /// Two users of one name.
    UserName,
    /// No enabled administrator left.
    LastAdministrator,
    /// A row that others refer to, or a reference to a missing row.
    Reference,
}

/// Message of SQLite or of a trigger, and the rule behind it.
const TABLE: &[(&str, Constraint)] = &[
    ("machines.name", Constraint::MachineName),
    ("machines.mac", Constraint::HardwareId),
    ("machines.uuid", Constraint::HardwareId),
    ("jobs.machine", Constraint::OneJobPerMachine),
    ("jobs.machine_id", Constraint::OneJobPerMachine),
    ("constraint one_job_per_machine", Constraint::OneJobPerMachine),
    ("jobs.build_key", Constraint::OneJobPerBuild),
    ("users.name", Constraint::UserName),
    ("constraint last_administrator", Constraint::LastAdministrator),
    ("FOREIGN KEY constraint failed", Constraint::Reference),
];

/// The rule that an error is about, if it is about one.
pub(crate) fn violated(error: &Error) -> Option<Constraint> {
    let Error::Database(sqlx::Error::Database(database)) = error else { return None };
    let message = database.message();
    TABLE.iter().find(|(words, _)| message.ends_with(words)).map(|(_, constraint)| *constraint)
}
