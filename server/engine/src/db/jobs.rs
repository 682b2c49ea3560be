//! Jobs and their steps.

use super::{Conn, from_json, parse, parse_some, readable, to_json};
use crate::db::Visible;
use crate::error::Result;
use crate::job::step::After;
use crate::job::step::Work;
use model::Time;
use model::account::UserId;
use model::job::{Failure, JobBadge, JobId, JobState, StepState};
use model::machine::MachineName;
use model::operation::Operation;
use model::plan::PlannedStep;
use model::view::job::{JOBS_PER_PAGE, JobFilter, JobSummary, StepView};
use sqlx::FromRow;

/// The states of a job that is not over.
const OPEN: &str = "('queued', 'running', 'undoing')";

/// A job as the runner needs it.
#[derive(Clone, Debug)]
pub(crate) struct JobRecord {
    pub id: JobId,
    pub operation: Operation,
    pub actor_name: String,
    pub state: JobState,
    pub cancel: bool,
    pub work: Work,
    pub failure: Option<Failure>,
    pub audit_seq: i64,
}

/// A job that is accepted.
pub(crate) struct New<'a> {
    pub id: JobId,
    pub title: &'a str,
    pub operation: &'a Operation,
    pub actor: UserId,
    pub actor_name: &'a str,
    pub owner: Option<UserId>,
    pub work: &'a Work,
    pub build_key: Option<String>,
    pub audit_seq: i64,
    pub now: Time,
}

/// Writes a job with its steps, of which the first `done` happened in this same transaction. Violates `OneJobPerMachine`
/// or `OneJobPerBuild`.
pub(crate) async fn insert(
    conn: &mut Conn,
    new: &New<'_>,
    steps: &[PlannedStep],
    marks: &[After],
    done: usize,
) -> Result<()> {
    sqlx::query(
        "insert into jobs (id, kind, title, operation, machine, actor_id, actor, owner_id, state, work, build_key, \
         audit_seq, created) values (?, ?, ?, ?, ?, ?, ?, ?, 'queued', ?, ?, ?, ?)",
    )
    .bind(new.id.to_string())
    .bind(new.operation.kind().as_str())
    .bind(new.title)
    .bind(to_json("an operation", new.operation)?)
    .bind(new.operation.machine().map(MachineName::as_str))
    .bind(new.actor.to_string())
    .bind(new.actor_name)
    .bind(new.owner.map(|o| o.to_string()))
    .bind(to_json("a job's work", new.work)?)
    .bind(&new.build_key)
    .bind(new.audit_seq)
    .bind(new.now.0)
    .execute(&mut *conn)
    .await?;
    for (idx, (step, after)) in steps.iter().zip(marks).enumerate() {
        let done = idx < done;
        sqlx::query(
            "insert into job_steps (job_id, idx, name, what, after, state, began, ended) \
             values (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(new.id.to_string())
        .bind(index(idx))
        .bind(&step.name)
        .bind(&step.what)
        .bind(after.as_str())
        .bind(if done { StepState::Done } else { StepState::Pending }.as_str())
        .bind(done.then_some(new.now.0))
        .bind(done.then_some(new.now.0))
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

#[derive(FromRow)]
struct Row {
    id: String,
    operation: String,

    actor: String,

    state: String,
    cancel: bool,
    work: String,
    failure: Option<String>,
    audit_seq: i64,
}

/// One job.
pub(crate) async fn load(conn: &mut Conn, id: JobId) -> Result<Option<JobRecord>> {
    let row: Option<Row> = sqlx::query_as(
        "select id, operation, actor, state, cancel, work, failure, audit_seq \
         from jobs where id = ?",
    )
    .bind(id.to_string())
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        Ok(JobRecord {
            id: parse("a job's id", &row.id)?,
            operation: from_json("an operation", &row.operation)?,
            actor_name: row.actor,
            state: state(&row.state)?,
            cancel: row.cancel,
            work: from_json("a job's work", &row.work)?,
            failure: row.failure.map(|f| from_json("a job's failure", &f)).transpose()?,
            audit_seq: row.audit_seq,
        })
    })
    .transpose()
}

/// The audit entry of a job, also of one that [`load`] cannot read.
pub(crate) async fn audit_seq(conn: &mut Conn, id: JobId) -> Result<Option<i64>> {
    let row: Option<(i64,)> = sqlx::query_as("select audit_seq from jobs where id = ?")
        .bind(id.to_string())
        .fetch_optional(conn)
        .await?;
    Ok(row.map(|(seq,)| seq))
}

/// Who asked for a job and who owned its machine.
pub(crate) async fn owners(conn: &mut Conn, id: JobId) -> Result<Vec<UserId>> {
    let rows: Vec<(String,)> = sqlx::query_as(
        "select actor_id from jobs where id = ?1 union \
         select owner_id from jobs where id = ?1 and owner_id is not null",
    )
    .bind(id.to_string())
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(|(id,)| parse("a user's id", &id)).collect()
}

/// Who asked for the same build later.
pub(crate) async fn askers(conn: &mut Conn, id: JobId) -> Result<Vec<UserId>> {
    let rows: Vec<(String,)> = sqlx::query_as("select user_id from job_askers where job_id = ?")
        .bind(id.to_string())
        .fetch_all(conn)
        .await?;
    rows.into_iter().map(|(id,)| parse("a user's id", &id)).collect()
}

/// Notes that somebody else wants the same build.
pub(crate) async fn add_asker(conn: &mut Conn, id: JobId, user: UserId) -> Result<()> {
    sqlx::query("insert or ignore into job_askers (job_id, user_id) values (?, ?)")
        .bind(id.to_string())
        .bind(user.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// All jobs that are not over, oldest first.
pub(crate) async fn open(conn: &mut Conn) -> Result<Vec<JobId>> {
    let rows: Vec<(String,)> =
        sqlx::query_as(&format!("select id from jobs where state in {OPEN} order by created, id"))
            .fetch_all(conn)
            .await?;
    rows.into_iter().map(|(id,)| parse("a job's id", &id)).collect()
}

/// The open job that holds a machine.
pub(crate) async fn open_on(conn: &mut Conn, machine: &MachineName) -> Result<Option<JobId>> {
    open_where(conn, "machine", machine.as_str()).await
}

/// The open job that builds this.
pub(crate) async fn open_build(conn: &mut Conn, key: &str) -> Result<Option<JobId>> {
    open_where(conn, "build_key", key).await
}

/// The open job that has this in a column which no two open jobs share.
async fn open_where(conn: &mut Conn, column: &'static str, value: &str) -> Result<Option<JobId>> {
    let row: Option<(String,)> =
        sqlx::query_as(&format!("select id from jobs where state in {OPEN} and {column} = ?"))
            .bind(value)
            .fetch_optional(conn)
            .await?;
    row.map(|(id,)| parse("a job's id", &id)).transpose()
}

#[derive(FromRow)]
struct Summary {
    id: String,
    kind: String,
    title: String,
    machine: Option<String>,
    machine_exists: bool,
    actor: String,
    state: String,
    created: i64,
    ended: Option<i64>,
    step: Option<String>,
    done: u32,
    total: u32,
}

impl Summary {
    fn view(self) -> Result<JobSummary> {
        Ok(JobSummary {
            badge: JobBadge {
                id: parse("a job's id", &self.id)?,
                title: self.title,
                state: state(&self.state)?,
                step: self.step,
                done: self.done,
                total: self.total,
            },
            kind: parse("an operation's kind", &self.kind)?,
            machine: parse_some("a machine's name", self.machine.as_deref())?,
            machine_exists: self.machine_exists,
            actor: self.actor,
            created: Time(self.created),
            ended: self.ended.map(Time),
        })
    }
}

const SUMMARY: &str = "select j.id, j.kind, j.title, j.machine, j.actor, j.state, j.created, j.ended, \
    exists (select 1 from machines m where m.name = j.machine) as machine_exists, \
    (select s.what from job_steps s where s.job_id = j.id and s.state = 'running' limit 1) as step, \
    (select count(*) from job_steps s where s.job_id = j.id and s.state = 'done') as done, \
    (select count(*) from job_steps s where s.job_id = j.id) as total from jobs j";

/// One job as lists show it.
pub(crate) async fn summary(conn: &mut Conn, id: JobId) -> Result<Option<JobSummary>> {
    let row: Option<Summary> = sqlx::query_as(&format!("{SUMMARY} where j.id = ?"))
        .bind(id.to_string())
        .fetch_optional(conn)
        .await?;
    row.map(Summary::view).transpose()
}

/// One page of jobs, newest first: what the filter asks for of what may be seen.
pub(crate) async fn list(conn: &mut Conn, filter: &JobFilter, sees: &Visible) -> Result<Vec<JobSummary>> {
    let rows: Vec<Summary> = sqlx::query_as(&format!(
        "{SUMMARY} where (?1 is null or j.actor_id = ?1 or j.owner_id = ?1 or exists \
         (select 1 from job_askers a where a.job_id = j.id and a.user_id = ?1)) \
         and (?2 is null or j.machine = ?2) and (?3 = 0 or j.state in {OPEN}) and (?4 is null or j.id < ?4) \
         order by j.id desc limit ?5"
    ))
    .bind(sees.owner())
    .bind(filter.machine.as_ref().map(MachineName::as_str))
    .bind(filter.open)
    .bind(filter.before.map(|id| id.to_string()))
    .bind(JOBS_PER_PAGE)
    .fetch_all(conn)
    .await?;
    Ok(readable(rows, Summary::view))
}

/// The steps of a job in order.
pub(crate) async fn steps(conn: &mut Conn, id: JobId) -> Result<Vec<StepView>> {
    type Row = (String, String, String, Option<i64>, Option<i64>);
    let rows: Vec<Row> =
        sqlx::query_as("select name, what, state, began, ended from job_steps where job_id = ? order by idx")
            .bind(id.to_string())
            .fetch_all(conn)
            .await?;
    rows.into_iter()
        .map(|(name, what, state, began, ended)| {
            Ok(StepView {
                name,
                what,
                state: from_json("a step's state", &format!("\"{state}\""))?,
                began: began.map(Time),
                ended: ended.map(Time),
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

/// The steps of a job as it was accepted, even if the table has other ones today.
pub(crate) async fn run_steps(conn: &mut Conn, id: JobId) -> Result<Vec<StepRow>> {
    let rows: Vec<(String, String, String)> =
        sqlx::query_as("select name, after, state from job_steps where job_id = ? order by idx")
            .bind(id.to_string())
            .fetch_all(conn)
            .await?;
    rows.into_iter()
        .map(|(name, after, state)| {
            Ok(StepRow {
                name,
                after: from_json("a step's mark", &format!("\"{after}\""))?,
                state: from_json("a step's state", &format!("\"{state}\""))?,
            })
        })
        .collect()
}

/// Moves a job to a state that is not an end; its first move is its beginning.
pub(crate) async fn set_state(conn: &mut Conn, id: JobId, state: JobState, now: Time) -> Result<()> {
    sqlx::query("update jobs set state = ?, began = coalesce(began, ?) where id = ?")
        .bind(state.as_str())
        .bind(now.0)
        .bind(id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// Notes why a job will not succeed.
pub(crate) async fn set_failure(conn: &mut Conn, id: JobId, failure: Option<&Failure>) -> Result<()> {
    let json = failure.map(|f| to_json("a job's failure", f)).transpose()?;
    sqlx::query("update jobs set failure = ? where id = ?")
        .bind(json)
        .bind(id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// Ends a job.
pub(crate) async fn finish(conn: &mut Conn, id: JobId, state: JobState, now: Time) -> Result<()> {
    sqlx::query("update jobs set state = ?, ended = ? where id = ?")
        .bind(state.as_str())
        .bind(now.0)
        .bind(id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// Moves a step; running is its beginning, everything else its end.
pub(crate) async fn set_step(
    conn: &mut Conn,
    id: JobId,
    idx: usize,
    state: StepState,
    now: Time,
) -> Result<()> {
    let times = match state {
        StepState::Running => "began = coalesce(began, ?2), ended = null",
        _ => "ended = ?2",
    };
    sqlx::query(&format!("update job_steps set state = ?1, {times} where job_id = ?3 and idx = ?4"))
        .bind(state.as_str())
        .bind(now.0)
        .bind(id.to_string())
        .bind(index(idx))
        .execute(conn)
        .await?;
    Ok(())
}

/// Saves what the steps share.
pub(crate) async fn save_work(conn: &mut Conn, id: JobId, work: &Work) -> Result<()> {
    sqlx::query("update jobs set work = ? where id = ?")
        .bind(to_json("a job's work", work)?)
        .bind(id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// Notes that somebody wants a job to stop; says whether it was still open.
pub(crate) async fn request_cancel(conn: &mut Conn, id: JobId) -> Result<bool> {
    let done = sqlx::query("update jobs set cancel = 1 where id = ? and state in ('queued', 'running')")
        .bind(id.to_string())
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

fn state(text: &str) -> Result<JobState> {
    from_json("a job's state", &format!("\"{text}\""))
}

/// A step's position as SQLite has it; there are never more than a few.
fn index(idx: usize) -> i64 {
    i64::try_from(idx).unwrap_or(i64::MAX)
}
