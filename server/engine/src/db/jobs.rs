//! Jobs. Their steps are in `steps`, the lists of them in `list`, why they failed in `failed`.

mod failed;
mod list;
mod secrets;
mod steps;

pub(crate) use failed::{failed, failed_removals};
pub(crate) use list::{list, summary};
pub(super) use secrets::remove_secrets_of_finished;
pub(crate) use steps::{StepRow, run_steps, set_step, steps};

use super::column::{Json, Read as _, Text, Word, to_json};
use super::{Conn, Tx};
use crate::error::Result;
use crate::job::step::{After, Work};
use model::Time;
use model::account::UserId;
use model::job::{Failure, JobId, JobState};
use model::machine::{MachineId, MachineName};
use model::operation::Operation;
use model::plan::PlannedStep;

/// A job as the runner needs it.
#[derive(Clone, Debug)]
pub(crate) struct JobRecord {
    pub id: JobId,
    pub operation: Operation,
    /// Whether the operation had secrets that are no longer stored: it cannot be done again as it is.
    pub secrets_removed: bool,
    pub actor: UserId,
    pub actor_name: String,
    pub state: JobState,
    pub cancel: bool,
    pub work: Work,
    pub failure: Option<Failure>,
    /// Why undoing it has stopped, if it has.
    pub stuck: Option<Failure>,
    pub audit_seq: i64,
    pub created: Time,
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
    tx: &mut Tx,
    new: &New<'_>,
    steps: &[PlannedStep],
    marks: &[After],
    done: usize,
) -> Result<()> {
    let id = new.id.to_string();
    let kind = new.operation.kind().as_str();
    let operation = to_json(new.operation)?;
    let machine = new.operation.works_on().map(MachineName::as_str);
    let actor = new.actor.to_string();
    let owner = new.owner.map(|owner| owner.to_string());
    let work = to_json(new.work)?;
    let machine_id = new.work.machine.map(|id| id.to_string());
    let source_id = new.work.source.map(|id| id.to_string());
    sqlx::query!(
        "insert into jobs (id, kind, title, operation, machine, machine_id, source_id, actor_id, actor, owner_id, state, \
         work, build_key, audit_seq, created) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'queued', ?, ?, ?, ?)",
        id,
        kind,
        new.title,
        operation,
        machine,
        machine_id,
        source_id,
        actor,
        new.actor_name,
        owner,
        work,
        new.build_key,
        new.audit_seq,
        new.now.0,
    )
    .execute(&mut **tx)
    .await?;
    steps::insert(tx, new.id, new.now, steps, marks, done).await
}

/// One job.
pub(crate) async fn load(conn: &mut Conn, id: JobId) -> Result<Option<JobRecord>> {
    let id = id.to_string();
    let row = sqlx::query!(
        r#"select id as "id: Text<JobId>", operation as "operation: Json<Operation>",
        secrets = 'removed' as "secrets_removed!: bool", actor_id as "actor_id: Text<UserId>", actor,
        iif(stuck is null, state, 'needs_attention') as "state!: Word<JobState>", cancel as "cancel: bool",
        work as "work: Json<Work>", failure as "failure: Json<Failure>", stuck as "stuck: Json<Failure>", audit_seq,
        created from jobs where id = ?"#,
        id,
    )
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        Ok(JobRecord {
            id: row.id.read()?,
            operation: row.operation.read()?,
            secrets_removed: row.secrets_removed,
            actor: row.actor_id.read()?,
            actor_name: row.actor,
            state: row.state.read()?,
            cancel: row.cancel,
            work: row.work.read()?,
            failure: row.failure.read()?,
            stuck: row.stuck.read()?,
            audit_seq: row.audit_seq,
            created: Time(row.created),
        })
    })
    .transpose()
}

/// The audit entry of a job, also of one that [`load`] cannot read.
pub(crate) async fn audit_seq(conn: &mut Conn, id: JobId) -> Result<Option<i64>> {
    let id = id.to_string();
    let seq = sqlx::query_scalar!("select audit_seq from jobs where id = ?", id);
    Ok(seq.fetch_optional(conn).await?)
}

/// Who asked for a job and who owned its machine.
pub(crate) async fn owners(conn: &mut Conn, id: JobId) -> Result<Vec<UserId>> {
    let id = id.to_string();
    let rows = sqlx::query_scalar!(
        r#"select actor_id as "id!: Text<UserId>" from jobs where id = ?1
        union select owner_id from jobs where id = ?1 and owner_id is not null"#,
        id,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Text::read).collect()
}

/// Who joined the same build later.
pub(crate) async fn askers(conn: &mut Conn, id: JobId) -> Result<Vec<UserId>> {
    let id = id.to_string();
    let rows =
        sqlx::query_scalar!(r#"select user_id as "id: Text<UserId>" from job_askers where job_id = ?"#, id,)
            .fetch_all(conn)
            .await?;
    rows.into_iter().map(Text::read).collect()
}

/// Notes that someone else wants the same build.
pub(crate) async fn add_asker(tx: &mut Tx, id: JobId, user: UserId) -> Result<()> {
    let id = id.to_string();
    let user = user.to_string();
    sqlx::query!("insert or ignore into job_askers (job_id, user_id) values (?, ?)", id, user,)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// All jobs that are not over, oldest first.
pub(crate) async fn open(conn: &mut Conn) -> Result<Vec<JobId>> {
    let rows = sqlx::query_scalar!(
        r#"select id as "id: Text<JobId>" from jobs where state in ('queued', 'running', 'undoing') order by id"#
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Text::read).collect()
}

/// The machine that a job is about; it may be gone.
pub(crate) async fn machine(conn: &mut Conn, id: JobId) -> Result<Option<MachineId>> {
    let id = id.to_string();
    let row =
        sqlx::query_scalar!(r#"select machine_id as "machine: Text<MachineId>" from jobs where id = ?"#, id,);
    row.fetch_optional(conn).await?.flatten().read()
}

/// The open job that holds a machine.
pub(crate) async fn open_on(conn: &mut Conn, machine: MachineId) -> Result<Option<JobId>> {
    let machine = machine.to_string();
    sqlx::query_scalar!(
        r#"select id as "id: Text<JobId>" from jobs
        where state in ('queued', 'running', 'undoing') and machine_id = ?"#,
        machine,
    )
    .fetch_optional(conn)
    .await?
    .read()
}

/// An open job that copies a machine, and holds it with others that do.
pub(crate) async fn open_from(conn: &mut Conn, machine: MachineId) -> Result<Option<JobId>> {
    let machine = machine.to_string();
    sqlx::query_scalar!(
        r#"select id as "id: Text<JobId>" from jobs
        where state in ('queued', 'running', 'undoing') and source_id = ? limit 1"#,
        machine,
    )
    .fetch_optional(conn)
    .await?
    .read()
}

/// The open job that holds a name: its machine had it when the job was accepted, and may get it back.
pub(crate) async fn open_under(conn: &mut Conn, name: &MachineName) -> Result<Option<JobId>> {
    let name = name.as_str();
    sqlx::query_scalar!(
        r#"select id as "id: Text<JobId>" from jobs
        where state in ('queued', 'running', 'undoing') and machine = ?"#,
        name,
    )
    .fetch_optional(conn)
    .await?
    .read()
}

/// The job that builds this and that others may join: not one that is cancelled or being undone.
pub(crate) async fn open_build(conn: &mut Conn, key: &str) -> Result<Option<JobId>> {
    sqlx::query_scalar!(
        r#"select id as "id: Text<JobId>" from jobs
        where state in ('queued', 'running') and cancel = 0 and build_key = ?"#,
        key,
    )
    .fetch_optional(conn)
    .await?
    .read()
}

/// Moves a job to a state that is not an end; its first move is its beginning.
pub(crate) async fn set_state(tx: &mut Tx, id: JobId, state: JobState, now: Time) -> Result<()> {
    let state = state.as_str();
    let id = id.to_string();
    sqlx::query!("update jobs set state = ?, began = coalesce(began, ?) where id = ?", state, now.0, id,)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Notes why a job will not succeed.
pub(crate) async fn set_failure(tx: &mut Tx, id: JobId, failure: Option<&Failure>) -> Result<()> {
    let failure = failure.map(to_json).transpose()?;
    let id = id.to_string();
    sqlx::query!("update jobs set failure = ? where id = ?", failure, id).execute(&mut **tx).await?;
    Ok(())
}

/// Ends a job. From here on its operation is stored without secrets.
pub(crate) async fn finish(tx: &mut Tx, id: JobId, state: JobState, now: Time) -> Result<()> {
    let state = state.as_str();
    let id = id.to_string();
    sqlx::query!("update jobs set state = ?, ended = ? where id = ?", state, now.0, id)
        .execute(&mut **tx)
        .await?;
    secrets::remove(tx, &id).await
}

/// Saves what the steps share.
pub(crate) async fn save_work(tx: &mut Tx, id: JobId, work: &Work) -> Result<()> {
    let work = to_json(work)?;
    let id = id.to_string();
    sqlx::query!("update jobs set work = ? where id = ?", work, id).execute(&mut **tx).await?;
    Ok(())
}
