//! Jobs as lists show them. A page starts below the last job of the one before and follows an index, so that it costs the
//! same however many jobs there have been; hence one statement for each index.

use crate::db::column::{Read as _, Text, Word, readable};
use crate::db::{Conn, Visible, machines};
use crate::error::Result;
use model::Time;
use model::job::{JobBadge, JobId, JobState};
use model::machine::{MachineId, MachineName};
use model::operation::OperationKind;
use model::view::job::{JOBS_PER_PAGE, JobFilter, JobSummary};

struct SummaryRow {
    id: Text<JobId>,
    kind: Text<OperationKind>,
    title: String,
    machine: Option<Text<MachineName>>,
    machine_now: Option<Text<MachineName>>,
    actor: String,
    state: Word<JobState>,
    created: i64,
    began: Option<i64>,
    ended: Option<i64>,
    step: Option<String>,
    cancelling: bool,
    done: u32,
    total: u32,
}

impl SummaryRow {
    fn view(self) -> Result<JobSummary> {
        Ok(JobSummary {
            badge: JobBadge {
                id: self.id.read()?,
                title: self.title,
                state: self.state.read()?,
                step: self.step,
                cancelling: self.cancelling,
                done: self.done,
                total: self.total,
            },
            kind: self.kind.read()?,
            machine: self.machine.read()?,
            machine_now: self.machine_now.read()?,
            actor: self.actor,
            created: Time(self.created),
            began: self.began.map(Time),
            ended: self.ended.map(Time),
        })
    }
}

macro_rules! select_summaries {
    ($rest:literal $(, $argument:expr)*) => {
        sqlx::query_as!(
            SummaryRow,
            r#"select j.id as "id: Text<JobId>", j.kind as "kind: Text<OperationKind>", j.title,
            j.machine as "machine: Text<MachineName>", j.actor,
            iif(j.stuck is null, j.state, 'needs_attention') as "state!: Word<JobState>", j.created, j.began, j.ended,
            (select m.name from machines m where m.id = j.machine_id) as "machine_now?: Text<MachineName>",
            (select s.what from job_steps s where s.job_id = j.id and s.state = 'running' limit 1) as "step?",
            (j.cancel = 1 and j.state in ('queued', 'running')) as "cancelling!: bool",
            (select count(*) from job_steps s where s.job_id = j.id and s.state = 'done') as "done!: u32",
            (select count(*) from job_steps s where s.job_id = j.id) as "total!: u32" from jobs j "# + $rest
            $(, $argument)*
        )
    };
}

/// One job.
pub(crate) async fn summary(conn: &mut Conn, id: JobId) -> Result<Option<JobSummary>> {
    let id = id.to_string();
    let row = select_summaries!("where j.id = ?", id).fetch_optional(conn).await?;
    row.map(SummaryRow::view).transpose()
}

/// One page of jobs, newest first: what the filter asks for of what may be seen.
pub(crate) async fn list(conn: &mut Conn, filter: &JobFilter, sees: &Visible) -> Result<Vec<JobSummary>> {
    let user = sees.owner();
    // Above every id there is: those are hexadecimal.
    let before = filter.before.map_or_else(|| "~".to_owned(), |id| id.to_string());
    let rows = match (&filter.machine, user) {
        (Some(name), user) => match machines::called(conn, name).await? {
            Some(machine) => of_machine(conn, machine, filter.open, user, &before).await?,
            None => of_name(conn, name, filter.open, user, &before).await?,
        },
        (None, user) if filter.open => open(conn, user, &before).await?,
        (None, Some(user)) => of_user(conn, &user, &before).await?,
        (None, None) => all(conn, &before).await?,
    };
    Ok(readable(rows, SummaryRow::view))
}

async fn all(conn: &mut Conn, before: &str) -> sqlx::Result<Vec<SummaryRow>> {
    select_summaries!("where j.id < ? order by j.id desc limit ?", before, JOBS_PER_PAGE)
        .fetch_all(conn)
        .await
}

/// Jobs on a machine, whatever its name was at the time.
async fn of_machine(
    conn: &mut Conn,
    machine: MachineId,
    only_open: bool,
    user: Option<String>,
    before: &str,
) -> sqlx::Result<Vec<SummaryRow>> {
    let machine = machine.to_string();
    select_summaries!(
        "where j.machine_id = ?1 and (?2 = 0 or j.state in ('queued', 'running', 'undoing'))
        and (?3 is null or j.actor_id = ?3 or j.owner_id = ?3 or exists
        (select 1 from job_askers a where a.job_id = j.id and a.user_id = ?3))
        and j.id < ?4 order by j.id desc limit ?5",
        machine,
        only_open,
        user,
        before,
        JOBS_PER_PAGE
    )
    .fetch_all(conn)
    .await
}

/// Jobs on machines that had this name and are gone.
async fn of_name(
    conn: &mut Conn,
    machine: &MachineName,
    only_open: bool,
    user: Option<String>,
    before: &str,
) -> sqlx::Result<Vec<SummaryRow>> {
    let machine = machine.as_str();
    select_summaries!(
        "where j.machine = ?1 and (?2 = 0 or j.state in ('queued', 'running', 'undoing'))
        and (?3 is null or j.actor_id = ?3 or j.owner_id = ?3 or exists
        (select 1 from job_askers a where a.job_id = j.id and a.user_id = ?3))
        and j.id < ?4 order by j.id desc limit ?5",
        machine,
        only_open,
        user,
        before,
        JOBS_PER_PAGE
    )
    .fetch_all(conn)
    .await
}

async fn open(conn: &mut Conn, user: Option<String>, before: &str) -> sqlx::Result<Vec<SummaryRow>> {
    select_summaries!(
        "where j.state in ('queued', 'running', 'undoing')
        and (?1 is null or j.actor_id = ?1 or j.owner_id = ?1 or exists
        (select 1 from job_askers a where a.job_id = j.id and a.user_id = ?1))
        and j.id < ?2 order by j.id desc limit ?3",
        user,
        before,
        JOBS_PER_PAGE
    )
    .fetch_all(conn)
    .await
}

/// Three indexes in the same order, merged: jobs that the user asked for, jobs on the user's machines, builds joined.
async fn of_user(conn: &mut Conn, user: &str, before: &str) -> sqlx::Result<Vec<SummaryRow>> {
    select_summaries!(
        "where j.id in (select id from (
            select id from jobs where actor_id = ?1 and id < ?2
            union select id from jobs where owner_id = ?1 and id < ?2
            union select job_id from job_askers where user_id = ?1 and job_id < ?2
            order by 1 desc limit ?3))
        order by j.id desc",
        user,
        before,
        JOBS_PER_PAGE
    )
    .fetch_all(conn)
    .await
}
