//! A step as a value: its name, a sentence about what it does, and the two functions that do and undo it.

use super::cx::StepCx;
use super::error::StepError;
use crate::job::lease::Lease;
use futures::future::BoxFuture;
use model::change::Part;

/// What does or undoes a step.
pub(crate) type Act =
    for<'a, 'b, 'c> fn(&'a mut StepCx<'b>, &'a Lease) -> BoxFuture<'a, Result<(), StepError>>;

/// One step. Its name is the same in code, database, log and on pages.
pub(crate) struct Step {
    /// `family.verb`.
    pub name: &'static str,
    /// What it will do, in a short sentence, where its operation has no better one.
    pub what: &'static str,
    /// Whether it mostly waits for something. Such a step takes no slot from working jobs: builds have their own slots.
    pub only_waits: bool,
    /// Makes it so.
    pub run: Act,
    /// Makes it as it was before; none for steps that are never undone.
    pub undo: Option<Act>,
    /// What it leaves if done and not undone, in a few words.
    pub leaves: Option<&'static str>,
    /// What is still there until it is done.
    pub removes: Option<&'static str>,
    /// The part of the configuration that it makes true on the host.
    pub makes: Option<Part>,
}

impl Step {
    /// A step that works and is not undone.
    pub const fn new(name: &'static str, what: &'static str, run: Act) -> Self {
        Self { name, what, only_waits: false, run, undo: None, leaves: None, removes: None, makes: None }
    }

    /// The same, undone by this.
    pub const fn undone_by(self, undo: Act) -> Self {
        Self { undo: Some(undo), ..self }
    }

    /// The same, which leaves this.
    pub const fn leaving(self, what: &'static str) -> Self {
        Self { leaves: Some(what), ..self }
    }

    /// The same, which removes this.
    pub const fn removing(self, what: &'static str) -> Self {
        Self { removes: Some(what), ..self }
    }

    /// The same, which makes this part of the configuration true.
    pub const fn making(self, part: Part) -> Self {
        Self { makes: Some(part), ..self }
    }

    /// The same, which mostly waits.
    pub const fn waiting(self) -> Self {
        Self { only_waits: true, ..self }
    }
}

impl PartialEq for Step {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}
