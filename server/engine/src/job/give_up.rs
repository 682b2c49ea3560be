//! Ways out for people: trying again to undo a job that needs attention, and giving a job up.

use super::run::show;
use super::runner;
use super::step::After;
use crate::core::Core;
use crate::cx::Cx;
use crate::db::{self, jobs::StepRow};
use crate::error::Result;
use crate::steps;
use model::Fault;
use model::audit::Outcome;
use model::job::{Failure, JobId, JobState, StepState};
use std::sync::Arc;

/// Continues undoing a job that needs attention. The caller has the rights.
pub(crate) async fn undo_again(core: &Arc<Core>, cx: &Cx, id: JobId) -> Result<()> {
    let mut tx = core.db.begin().await?;
    // Decided by the row: if two ask at once, one starts the runner.
    if !db::steering::unstick(&mut tx, id).await? {
        return Err(Fault::refused("The job is being undone already.").into());
    }
    let job = db::jobs::load(&mut tx, id).await?.ok_or_else(|| Fault::not_found("job"))?;
    let subject = job.operation.machine().map(ToString::to_string);
    let title = job.operation.title();
    core.audit.done(&mut tx, cx, "undo_again", subject.as_deref(), Some(&title)).await?;
    tx.commit().await?;
    runner::start(core, core.jobs.open(id, &core.closing)).await;
    Ok(())
}

/// Ends a job in whatever state it is, and returns what it may leave behind. The caller has the rights.
pub(crate) async fn give_up(core: &Core, cx: &Cx, id: JobId) -> Result<()> {
    // The runner lets go first, so that it writes nothing after the end. If the rest fails, the job has no runner until
    // someone gives it up again or the portal restarts.
    if let Some(live) = core.jobs.get(id) {
        live.give_up().await;
    }
    let mut tx = core.db.begin().await?;
    let job = db::jobs::load(&mut tx, id).await?.ok_or_else(|| Fault::not_found("job"))?;
    if job.state.is_over() {
        return Err(Fault::refused("The job is over already.").into());
    }
    let left = left_behind(&db::jobs::run_steps(&mut tx, id).await?);
    let who = cx.user()?.name.to_string();
    let failure = given_up(&who, &left, job.stuck.or(job.failure));
    let (now, subject) = (cx.now, job.operation.machine().map(ToString::to_string));
    db::steering::unstick(&mut tx, id).await?;
    db::jobs::set_failure(&mut tx, id, Some(&failure)).await?;
    db::jobs::finish(&mut tx, id, JobState::Failed, now).await?;
    let detail = Some(failure.message.as_str());
    core.audit.complete_job(&mut tx, id, job.audit_seq, Outcome::Failed, detail).await?;
    let detail = format!("{}. {}", job.operation.title(), may_be_left(&left));
    core.audit.done(&mut tx, cx, "give_up", subject.as_deref(), Some(&detail)).await?;
    tx.commit().await?;
    core.counts.job_ended(job.operation.kind(), JobState::Failed);
    show(core, id).await;
    core.jobs.close(id);
    Ok(())
}

/// What a job that ends now may leave behind, in the order of its steps.
pub(crate) fn left_behind(steps: &[StepRow]) -> Vec<&'static str> {
    let left = |row: &StepRow| {
        let step = steps::named(&row.name)?;
        match row.after {
            After::Undo => {
                step.leaves.filter(|_| !matches!(row.state, StepState::Pending | StepState::Undone))
            }
            After::Forward => step.removes.filter(|_| row.state != StepState::Done),
            After::Nothing => None,
        }
    };
    steps.iter().filter_map(left).collect()
}

/// The sentence about it.
pub(crate) fn may_be_left(left: &[&str]) -> String {
    match left {
        [] => "It leaves nothing behind.".to_owned(),
        [one] => format!("It may leave behind: {one}."),
        [first @ .., last] => format!("It may leave behind: {} and {last}.", first.join(", ")),
    }
}

fn given_up(who: &str, left: &[&str], before: Option<Failure>) -> Failure {
    let step = before.as_ref().map_or_else(|| "job".to_owned(), |failure| failure.step.clone());
    let why = before.map(|failure| format!("{} ", failure.message)).unwrap_or_default();
    Failure { step, message: format!("{why}{who} gave this job up. {}", may_be_left(left)), build: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_and_not_undone_is_left_and_what_was_not_removed_is_too() {
        let row = |name: &str, after, state| StepRow { name: name.to_owned(), after, state };
        let create = [
            row("record.new", After::Undo, StepState::Done),
            row("host.reserve", After::Undo, StepState::Done),
            row("image.build", After::Nothing, StepState::Done),
            row("disks.create", After::Undo, StepState::Failed),
            row("definition.put", After::Undo, StepState::Undone),
            row("power.start", After::Undo, StepState::Pending),
        ];
        let disks = "its disks, with the root that keeps their image";
        let left = ["its configuration, in the portal", "its place on the host", disks];
        assert_eq!(left_behind(&create), left);
        let destroy = [
            row("power.kill", After::Forward, StepState::Done),
            row("definition.remove", After::Forward, StepState::Running),
            row("disks.retire", After::Forward, StepState::Pending),
            row("host.release", After::Forward, StepState::Pending),
        ];
        assert_eq!(left_behind(&destroy), ["its definition", disks, "its place on the host"]);
        assert_eq!(
            may_be_left(&["its definition", disks]),
            format!("It may leave behind: its definition and {disks}.")
        );
        assert_eq!(may_be_left(&[]), "It leaves nothing behind.");
    }
}
