//! Sessions. A session is valid while it was used within [`IDLE`] and began within [`ABSOLUTE`], and its user is
//! enabled.

use super::column::{Read as _, Text};
use super::{Conn, Tx};
use crate::error::Result;
use model::Time;
use model::account::{Role, SessionUser, SessionView, UserId, UserName};

/// How long an unused session is valid, in milliseconds: 7 days.
pub(crate) const IDLE: i64 = 7 * 24 * 60 * 60 * 1000;
/// How long any session is valid, in milliseconds: 30 days.
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
pub(crate) async fn insert(tx: &mut Tx, new: &New<'_>) -> Result<()> {
    let user = new.user.to_string();
    sqlx::query!(
        "insert into sessions (token_hash, handle, user_id, began, used, from_addr, agent) \
         values (?1, ?2, ?3, ?4, ?4, ?5, ?6)",
        new.token_hash,
        new.handle,
        user,
        new.now.0,
        new.from,
        new.agent,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The user of a valid session and when it was last used.
pub(crate) async fn find(
    conn: &mut Conn,
    token_hash: &str,
    now: Time,
) -> Result<Option<(SessionUser, Time)>> {
    let used_after = now.0 - IDLE;
    let began_after = now.0 - ABSOLUTE;
    let row = sqlx::query!(
        r#"select u.id as "id: Text<UserId>", u.name as "name: Text<UserName>", u.role as "role: Text<Role>", s.used
        from sessions s join users u on u.id = s.user_id
        where s.token_hash = ? and u.disabled = 0 and s.used > ? and s.began > ?"#,
        token_hash,
        used_after,
        began_after,
    )
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        let user = SessionUser { id: row.id.read()?, name: row.name.read()?, role: row.role.read()? };
        Ok((user, Time(row.used)))
    })
    .transpose()
}

/// The user as they are now, if enabled and logged in somewhere.
pub(crate) async fn user(conn: &mut Conn, id: UserId, now: Time) -> Result<Option<SessionUser>> {
    let id = id.to_string();
    let used_after = now.0 - IDLE;
    let began_after = now.0 - ABSOLUTE;
    let row = sqlx::query!(
        r#"select u.id as "id: Text<UserId>", u.name as "name: Text<UserName>", u.role as "role: Text<Role>"
        from users u where u.id = ? and u.disabled = 0 and exists
        (select 1 from sessions s where s.user_id = u.id and s.used > ? and s.began > ?)"#,
        id,
        used_after,
        began_after,
    )
    .fetch_optional(conn)
    .await?;
    row.map(|row| Ok(SessionUser { id: row.id.read()?, name: row.name.read()?, role: row.role.read()? }))
        .transpose()
}

/// Notes that a session was used.
pub(crate) async fn touch(tx: &mut Tx, token_hash: &str, now: Time) -> Result<()> {
    sqlx::query!("update sessions set used = ? where token_hash = ?", now.0, token_hash)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// A user's valid sessions, last used first; the one of `token_hash` is marked.
pub(crate) async fn of_user(
    conn: &mut Conn,
    user: UserId,
    token_hash: &str,
    now: Time,
) -> Result<Vec<SessionView>> {
    let user = user.to_string();
    let used_after = now.0 - IDLE;
    let began_after = now.0 - ABSOLUTE;
    let rows = sqlx::query!(
        r#"select handle, began, used, from_addr, agent, token_hash = ? as "current!: bool" from sessions
        where user_id = ? and used > ? and began > ? order by used desc, handle"#,
        token_hash,
        user,
        used_after,
        began_after,
    )
    .fetch_all(conn)
    .await?;
    let views = rows.into_iter().map(|row| SessionView {
        handle: row.handle,
        began: Time(row.began),
        used: Time(row.used),
        from: row.from_addr,
        agent: row.agent,
        current: row.current,
    });
    Ok(views.collect())
}

/// Ends one session; returns whether there was one.
pub(crate) async fn delete(tx: &mut Tx, token_hash: &str) -> Result<bool> {
    let done =
        sqlx::query!("delete from sessions where token_hash = ?", token_hash).execute(&mut **tx).await?;
    Ok(done.rows_affected() > 0)
}

/// Ends a user's session by its handle; returns whether there was one.
pub(crate) async fn delete_by_handle(tx: &mut Tx, user: UserId, handle: &str) -> Result<bool> {
    let user = user.to_string();
    let done = sqlx::query!("delete from sessions where user_id = ? and handle = ?", user, handle)
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Ends all sessions of a user but the one of `keep`.
pub(crate) async fn delete_others(tx: &mut Tx, user: UserId, keep: Option<&str>) -> Result<()> {
    let user = user.to_string();
    sqlx::query!("delete from sessions where user_id = ? and token_hash is not ?", user, keep)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Ends all of a user's sessions but the given number of most recently used ones.
pub(crate) async fn delete_beyond(tx: &mut Tx, user: UserId, most: u32) -> Result<()> {
    let user = user.to_string();
    sqlx::query!(
        "delete from sessions where user_id = ?1 and token_hash not in \
         (select token_hash from sessions where user_id = ?1 order by used desc, began desc, rowid desc limit ?2)",
        user,
        most,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Removes expired sessions.
pub(crate) async fn delete_expired(tx: &mut Tx, now: Time) -> Result<()> {
    let used_after = now.0 - IDLE;
    let began_after = now.0 - ABSOLUTE;
    sqlx::query!("delete from sessions where used <= ? or began <= ?", used_after, began_after)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
