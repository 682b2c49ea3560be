//! Many new machines that were described in one text: what was read, what is wrong, what would happen.

use crate::job::JobId;
use crate::plan::Plan;

/// The machines of a text, in its order.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchView {
    /// What the text was recognised as: “CSV”.
    pub format: &'static str,
    /// The fingerprint of the text, which the buttons that create something post back: what was not shown is not done.
    pub digest: String,
    /// The machines.
    pub rows: Vec<BatchRow>,
    /// What should be known before any of them is created, as it is so for each.
    pub warnings: Vec<String>,
    /// What all of them take together; none while something is wrong.
    pub total: Option<String>,
}

/// One machine of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchRow {
    /// Its name as it was written.
    pub name: String,
    /// What every machine has, in the order of the form.
    pub cells: Vec<BatchCell>,
    /// What else was written about machines of this text, or is wrong.
    pub others: Vec<BatchCell>,
    /// What is wrong with it as a whole.
    pub errors: Vec<String>,
    /// What should be known before it is created.
    pub warnings: Vec<String>,
    /// What would happen; none while something is wrong.
    pub plan: Option<Plan>,
    /// How far it is.
    pub progress: BatchProgress,
}

/// How far a machine of a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchProgress {
    /// Not submitted yet, or refused.
    Open,
    /// Accepted just now, as this job.
    Accepted(JobId),
    /// Accepted when the text was submitted before: left out.
    Before,
}

/// One field of one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchCell {
    /// The field's name.
    pub field: &'static str,
    /// The field's label.
    pub label: &'static str,
    /// Its value, for people: short, and nothing of a secret.
    pub text: String,
    /// What is wrong with it.
    pub errors: Vec<String>,
}

impl BatchRow {
    /// Whether something is wrong with it.
    pub fn is_wrong(&self) -> bool {
        !self.errors.is_empty() || self.cells.iter().chain(&self.others).any(|cell| !cell.errors.is_empty())
    }

    /// Whether it is still to be created.
    pub fn is_open(&self) -> bool {
        self.progress == BatchProgress::Open
    }
}

impl BatchView {
    /// How many machines something is wrong with.
    pub fn wrong(&self) -> usize {
        self.rows.iter().filter(|row| row.is_wrong()).count()
    }

    /// How many machines are still to be created.
    pub fn open(&self) -> usize {
        self.rows.iter().filter(|row| row.is_open()).count()
    }
}
