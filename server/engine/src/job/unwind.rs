//! The way back: undoes, in reverse order, what the steps of a job have done or begun.
//!
//! Undoing goes on until it is through. A host that does not answer is waited for: what a job has made there must not be
//! forgotten. What cannot be undone for another reason is said in the job's failure, and the rest is undone all the same.

use super::run::{Run, StepRow, pause};
use crate::error::Result;
use crate::job::step::After;
use crate::probe::{Verdict, When};
use crate::steps::StepError;
use model::job::{Failure, LogLevel, StepState};

/// How often undoing a step is tried when there is no hope that waiting helps.
const TRIES: u32 = 3;

/// How the way back ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unwound {
    /// Everything that could be undone has been.
    Done,
    /// The portal ends; undoing is taken up at the next start.
    Left,
}

/// Undoes what is marked so.
pub(super) async fn unwind(run: &mut Run<'_>) -> Result<Unwound> {
    for index in (0..run.steps.len()).rev() {
        let Some(row) = run.steps.get(index).copied().filter(needs_undoing) else { continue };
        match undo(run, index, row).await {
            Ok(()) => {
                run.say_in(row, LogLevel::Info, "Undone.");
                run.mark(index, StepState::Undone).await?;
            }
            Err(error) if error.stopped => return Ok(Unwound::Left),
            Err(error) => {
                let message = format!("Undoing {} did not work: {error}", row.step.name);
                tracing::error!(step = row.step.name, error = error.chain(), "not undone");
                run.say_in(row, LogLevel::Error, &message);
                run.mark(index, StepState::Failed).await?;
                add(&mut run.job.failure, row, &message);
            }
        }
    }
    Ok(Unwound::Done)
}

fn needs_undoing(row: &StepRow) -> bool {
    let begun = !matches!(row.state, StepState::Pending | StepState::Undone);
    row.after == After::Undo && begun
}

async fn undo(run: &mut Run<'_>, index: usize, row: StepRow) -> std::result::Result<(), StepError> {
    let mut tries = 0;
    loop {
        if run.core.closing.is_cancelled() {
            return Err(StepError::stopped());
        }
        let error = match undo_once(run, index, row).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        tries += 1;
        if !error.retriable && tries >= TRIES {
            return Err(error);
        }
        run.say_in(row, LogLevel::Warning, &format!("{error} Trying again to undo it."));
        if pause(tries, &run.core.closing).await.is_err() {
            return Err(StepError::stopped());
        }
    }
}

async fn undo_once(run: &mut Run<'_>, index: usize, row: StepRow) -> std::result::Result<(), StepError> {
    run.probe(index, row, When::BeforeUndo).await?;
    loop {
        let lease = run.lease;
        let closing = run.core.closing.clone();
        if let Some(undo) = row.step.undo {
            undo(&mut run.step_cx(row, &closing), lease).await?;
        }
        if run.probe(index, row, When::AfterUndo).await? != Verdict::Again {
            return Ok(());
        }
    }
}

/// Adds to why the job failed what is left behind.
fn add(failure: &mut Option<Failure>, row: StepRow, message: &str) {
    match failure {
        Some(failure) => failure.message = format!("{} {message}", failure.message),
        None => {
            *failure =
                Some(Failure { step: row.step.name.to_owned(), message: message.to_owned(), build: None });
        }
    }
}
