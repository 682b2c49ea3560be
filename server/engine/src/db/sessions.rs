//! Sessions. A session stands while it was used within [`IDLE`] and began within [`ABSOLUTE`], and its user is enabled.

use super::Conn;
use super::users::session_user;
use crate::error::Result;
use model::Time;
use model::account::{SessionUser, SessionView, UserId};

/// How long an unused session stands, in milliseconds: 7 days.
pub(crate) const IDLE: i64 = 7 * 24 * 60 * 60 * 1000;
/// How long any session stands, in milliseconds: 30 days.
pub(crate) const ABSOLUTE: i64 = 30 * 24 * 60 * 60 * 1000;

/// A session that begins.
pub(crate) struct New<'a> {
    pub token_hash: &'a str,
    pub handle: &'a str,
    pub user: UserId,
    pub now: Time,
    pub from: Option<String>,
    pub agent: Option<String>,
}

/// Begins a session.
pub(crate) async fn insert(conn: &mut Conn, new: &New<'_>) -> Result<()> {
    sqlx::query(
        "insert into sessions (token_hash, handle, user_id, began, used, from_addr, agent) \
         values (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(new.token_hash)
    .bind(new.handle)
    .bind(new.user.to_string())
    .bind(new.now.0)
    .bind(new.now.0)
    .bind(&new.from)
    .bind(&new.agent)
    .execute(conn)
    .await?;
    Ok(())
}

/// The user of a standing session and when it was last used.
pub(crate) async fn find(
    conn: &mut Conn,
    token_hash: &str,
    now: Time,
) -> Result<Option<(SessionUser, Time)>> {
    let row: Option<(String, String, String, i64)> = sqlx::query_as(
        "select u.id, u.name, u.role, s.used from sessions s join users u on u.id = s.user_id \
         where s.token_hash = ? and u.disabled = 0 and s.used > ? and s.began > ?",
    )
    .bind(token_hash)
    .bind(now.0 - IDLE)
    .bind(now.0 - ABSOLUTE)
    .fetch_optional(conn)
    .await?;
    row.map(|(id, name, role, used)| Ok((session_user(&id, &name, &role)?, Time(used)))).transpose()
}

/// The user as they are now, if enabled and logged in somewhere.
pub(crate) async fn user(conn: &mut Conn, id: UserId, now: Time) -> Result<Option<SessionUser>> {
    let row: Option<(String, String, String)> = sqlx::query_as(
        "select u.id, u.name, u.role from users u where u.id = ? and u.disabled = 0 and exists \
         (select 1 from sessions s where s.user_id = u.id and s.used > ? and s.began > ?)",
    )
    .bind(id.to_string())
    .bind(now.0 - IDLE)
    .bind(now.0 - ABSOLUTE)
    .fetch_optional(conn)
    .await?;
    row.map(|(id, name, role)| session_user(&id, &name, &role)).transpose()
}

/// Notes that a session was used.
pub(crate) async fn touch(conn: &mut Conn, token_hash: &str, now: Time) -> Result<()> {
    sqlx::query("update sessions set used = ? where token_hash = ?")
        .bind(now.0)
        .bind(token_hash)
        .execute(conn)
        .await?;
    Ok(())
}

/// A user's standing sessions, the latest used first; the one of `token_hash` is marked.
pub(crate) async fn of_user(
    conn: &mut Conn,
    user: UserId,
    token_hash: &str,
    now: Time,
) -> Result<Vec<SessionView>> {
    type Row = (String, i64, i64, Option<String>, Option<String>, bool);
    let rows: Vec<Row> = sqlx::query_as(
        "select handle, began, used, from_addr, agent, token_hash = ? from sessions \
         where user_id = ? and used > ? and began > ? order by used desc, handle",
    )
    .bind(token_hash)
    .bind(user.to_string())
    .bind(now.0 - IDLE)
    .bind(now.0 - ABSOLUTE)
    .fetch_all(conn)
    .await?;
    let view = |(handle, began, used, from, agent, current)| SessionView {
        handle,
        began: Time(began),
        used: Time(used),
        from,
        agent,
        current,
    };
    Ok(rows.into_iter().map(view).collect())
}

/// Ends one session; says whether there was one.
pub(crate) async fn delete(conn: &mut Conn, token_hash: &str) -> Result<bool> {
    let done =
        sqlx::query("delete from sessions where token_hash = ?").bind(token_hash).execute(conn).await?;
    Ok(done.rows_affected() > 0)
}

/// Ends a user's session by its handle; says whether there was one.
pub(crate) async fn delete_by_handle(conn: &mut Conn, user: UserId, handle: &str) -> Result<bool> {
    let done = sqlx::query("delete from sessions where user_id = ? and handle = ?")
        .bind(user.to_string())
        .bind(handle)
        .execute(conn)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Ends all sessions of a user but the one of `keep`.
pub(crate) async fn delete_others(conn: &mut Conn, user: UserId, keep: Option<&str>) -> Result<()> {
    sqlx::query("delete from sessions where user_id = ? and token_hash is not ?")
        .bind(user.to_string())
        .bind(keep)
        .execute(conn)
        .await?;
    Ok(())
}

/// Removes what no longer stands.
pub(crate) async fn delete_expired(conn: &mut Conn, now: Time) -> Result<()> {
    sqlx::query("delete from sessions where used <= ? or began <= ?")
        .bind(now.0 - IDLE)
        .bind(now.0 - ABSOLUTE)
        .execute(conn)
        .await?;
    Ok(())
}
