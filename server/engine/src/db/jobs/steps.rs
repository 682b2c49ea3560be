//! The steps of jobs.

use crate::db::column::{Read as _, Word};
use crate::db::{Conn, Tx};
use crate::error::Result;
use crate::job::step::After;
use model::Time;
use model::job::{JobId, StepState};
use model::plan::PlannedStep;
use model::view::job::StepView;

/// Writes the steps of a new job, of which the first `done` have happened already.
pub(super) async fn insert(
    tx: &mut Tx,
    id: JobId,
    now: Time,
    steps: &[PlannedStep],
    marks: &[After],
    done: usize,
) -> Result<()> {
    let id = id.to_string();
    for (idx, (step, after)) in steps.iter().zip(marks).enumerate() {
        let happened = (idx < done).then_some(now.0);
        let state = if happened.is_some() { StepState::Done } else { StepState::Pending };
        let idx = index(idx);
        let after = after.as_str();
        let state = state.as_str();
        sqlx::query!(
            "insert into job_steps (job_id, idx, name, what, after, state, began, ended) \
             values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)",
            id,
            idx,
            step.name,
            step.what,
            after,
            state,
            happened,
        )
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

/// The steps of a job in order.
pub(crate) async fn steps(conn: &mut Conn, id: JobId) -> Result<Vec<StepView>> {
    let id = id.to_string();
    let rows = sqlx::query!(
        r#"select name, what, state as "state: Word<StepState>", began, ended from job_steps
        where job_id = ? order by idx"#,
        id,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(StepView {
                name: row.name,
                what: row.what,
                state: row.state.read()?,
                began: row.began.map(Time),
                ended: row.ended.map(Time),
            })
        })
        .collect()
}

/// A step as the runner needs it.
#[derive(Clone, Debug)]
pub(crate) struct StepRow {
    pub name: String,
    pub after: After,
    pub state: StepState,
}

/// The steps of a job as it was accepted, even if the table has changed since.
pub(crate) async fn run_steps(conn: &mut Conn, id: JobId) -> Result<Vec<StepRow>> {
    let id = id.to_string();
    let rows = sqlx::query!(
        r#"select name, after as "after: Word<After>", state as "state: Word<StepState>" from job_steps
        where job_id = ? order by idx"#,
        id,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| Ok(StepRow { name: row.name, after: row.after.read()?, state: row.state.read()? }))
        .collect()
}

/// Moves a step; running is its beginning, everything else its end.
pub(crate) async fn set_step(tx: &mut Tx, id: JobId, idx: usize, state: StepState, now: Time) -> Result<()> {
    let state = state.as_str();
    let id = id.to_string();
    let idx = index(idx);
    sqlx::query!(
        "update job_steps set state = ?1, \
         began = case ?1 when 'running' then coalesce(began, ?2) else began end, \
         ended = case ?1 when 'running' then null else ?2 end \
         where job_id = ?3 and idx = ?4",
        state,
        now.0,
        id,
        idx,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A step's position as SQLite has it; there are never more than a few.
fn index(idx: usize) -> i64 {
    i64::try_from(idx).unwrap_or(i64::MAX)
}
