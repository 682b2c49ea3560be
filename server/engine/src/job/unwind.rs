//! The way back: undoes, in reverse order, what the steps of a job have done or begun.
//!
//! An unreachable host is waited for. Undoing stops at the first step that cannot be undone: what lies below it may be
//! in use by what is still there, as disks are by a machine that cannot be switched off. Then a person has to check.

use super::run::{Run, StepRow, Tries, carry_out};
use crate::error::Result;
use crate::job::step::After;
use crate::probe::{Verdict, When};
use crate::steps::StepError;
use model::job::{Failure, LogLevel, StepState};

/// How often undoing a step is tried when waiting is unlikely to help.
const TRIES: u32 = 3;

/// How the way back ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unwound {
    /// Everything is undone.
    Done,
    /// The portal is shutting down, and undoing is taken up at the next start; or the job is given up.
    Left,
    /// A step could not be undone, and why.
    Stuck(Failure),
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
                let message = format!("Undoing {} failed: {error}", row.step.name);
                tracing::error!(step = row.step.name, error = error.chain(), "not undone");
                run.say_in(row, LogLevel::Error, &message);
                run.mark(index, StepState::Failed).await?;
                let step = row.step.name.to_owned();
                return Ok(Unwound::Stuck(Failure { step, message, build: None }));
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
    let mut tries = Tries::new(run.core);
    loop {
        if run.live.leave.is_cancelled() {
            return Err(StepError::stopped());
        }
        let error = match undo_once(run, index, row).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        if error.stopped || !tries.may_go_on(&error, TRIES) {
            return Err(error);
        }
        run.say_in(row, LogLevel::Warning, &format!("{error} Trying again to undo it."));
        tries.pause(&run.live.leave).await?;
    }
}

async fn undo_once(run: &mut Run<'_>, index: usize, row: StepRow) -> std::result::Result<(), StepError> {
    run.probe(index, row, When::BeforeUndo).await?;
    loop {
        let Some(undo) = row.step.undo else { return Ok(()) };
        let (core, live, lease, leave) = (run.core, run.live, run.lease, run.live.leave.clone());
        let mut cx = run.step_cx(row, &leave);
        let at = (index, row, When::BeforeUndo);
        carry_out(core, live, at, undo(&mut cx, lease)).await?;
        if run.probe(index, row, When::AfterUndo).await? != Verdict::Again {
            return Ok(());
        }
    }
}
