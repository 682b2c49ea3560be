//! Jobs as people steer them: cancelled, stuck and undone again, given up, and how many one user has.

use super::column::{Read as _, Text, to_json};
use super::{Conn, Tx};
use crate::error::Result;
use model::account::UserId;
use model::job::{Failure, JobId};

/// Notes why undoing a job has stopped, which needs a person.
pub(crate) async fn set_stuck(tx: &mut Tx, id: JobId, why: &Failure) -> Result<()> {
    let (id, why) = (id.to_string(), to_json(why)?);
    sqlx::query!("update jobs set stuck = ? where id = ?", why, id).execute(&mut **tx).await?;
    Ok(())
}

/// A job that needed attention does not any more; returns whether it did.
pub(crate) async fn unstick(tx: &mut Tx, id: JobId) -> Result<bool> {
    let id = id.to_string();
    let done = sqlx::query!("update jobs set stuck = null where id = ? and stuck is not null", id);
    Ok(done.execute(&mut **tx).await?.rows_affected() == 1)
}

/// All jobs that need attention.
pub(crate) async fn stuck(conn: &mut Conn) -> Result<Vec<JobId>> {
    let rows = sqlx::query_scalar!(
        r#"select id as "id: Text<JobId>" from jobs
        where state in ('queued', 'running', 'undoing') and stuck is not null order by id"#
    );
    rows.fetch_all(conn).await?.into_iter().map(Text::read).collect()
}

/// Notes that someone wants a job to stop; returns whether it still can. One that has begun what only goes forward
/// cannot, and only the database knows whether it has at this moment.
pub(crate) async fn request_cancel(tx: &mut Tx, id: JobId) -> Result<bool> {
    let id = id.to_string();
    let done = sqlx::query!(
        "update jobs set cancel = 1 where id = ?1 and state in ('queued', 'running') and not exists \
         (select 1 from job_steps s where s.job_id = ?1 and s.after = 'forward' and s.state <> 'pending')",
        id,
    );
    Ok(done.execute(&mut **tx).await?.rows_affected() == 1)
}

/// How many unfinished jobs a user has asked for.
pub(crate) struct Open {
    pub jobs: u32,
    /// How many of them build images and nothing else.
    pub builds: u32,
}

/// How many unfinished jobs a user has asked for.
pub(crate) async fn open_of(conn: &mut Conn, user: UserId) -> Result<Open> {
    let user = user.to_string();
    let open = sqlx::query_as!(
        Open,
        r#"select count(*) as "jobs!: u32", count(build_key) as "builds!: u32" from jobs
        where actor_id = ? and state in ('queued', 'running', 'undoing')"#,
        user,
    );
    Ok(open.fetch_one(conn).await?)
}

/// The jobs of a user that wait or run, latest first: when they are stopped together, no waiting one begins meanwhile.
pub(crate) async fn stoppable_of(conn: &mut Conn, user: UserId) -> Result<Vec<JobId>> {
    let user = user.to_string();
    let rows = sqlx::query_scalar!(
        r#"select id as "id: Text<JobId>" from jobs
        where actor_id = ? and state in ('queued', 'running') and cancel = 0 order by id desc"#,
        user,
    );
    rows.fetch_all(conn).await?.into_iter().map(Text::read).collect()
}
