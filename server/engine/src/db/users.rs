//! Users.

use super::{Conn, parse};
use crate::error::Result;
use model::Time;
use model::account::{Role, SessionUser, UserId, UserName, UserView};
use sqlx::FromRow;

/// What login needs of a user. `Debug` is not derived: the hash is for the verifier alone.
pub(crate) struct Credentials {
    pub user: SessionUser,
    pub password: String,
    pub disabled: bool,
}

#[derive(FromRow)]
struct Row {
    id: String,
    name: String,
    role: String,
    disabled: bool,
    created: i64,
    last_login: Option<i64>,
    machines: u32,
}

impl Row {
    fn view(self) -> Result<UserView> {
        Ok(UserView {
            id: parse("a user's id", &self.id)?,
            name: parse("a user's name", &self.name)?,
            role: parse("a user's role", &self.role)?,
            disabled: self.disabled,
            created: Time(self.created),
            last_login: self.last_login.map(Time),
            machines: self.machines,
        })
    }
}

const VIEW: &str = "select u.id, u.name, u.role, u.disabled, u.created, u.last_login, \
    (select count(*) from machines m where m.owner_id = u.id) as machines from users u";

/// All users by name.
pub(crate) async fn all(conn: &mut Conn) -> Result<Vec<UserView>> {
    let rows: Vec<Row> = sqlx::query_as(&format!("{VIEW} order by u.name")).fetch_all(conn).await?;
    rows.into_iter().map(Row::view).collect()
}

/// The user of this name.
pub(crate) async fn by_name(conn: &mut Conn, name: &UserName) -> Result<Option<UserView>> {
    let row: Option<Row> =
        sqlx::query_as(&format!("{VIEW} where u.name = ?")).bind(name.as_str()).fetch_optional(conn).await?;
    row.map(Row::view).transpose()
}

/// The user of this id.
pub(crate) async fn by_id(conn: &mut Conn, id: UserId) -> Result<Option<UserView>> {
    let row: Option<Row> =
        sqlx::query_as(&format!("{VIEW} where u.id = ?")).bind(id.to_string()).fetch_optional(conn).await?;
    row.map(Row::view).transpose()
}

/// Whether there is no user yet.
pub(crate) async fn none(conn: &mut Conn) -> Result<bool> {
    let (some,): (bool,) = sqlx::query_as("select exists (select 1 from users)").fetch_one(conn).await?;
    Ok(!some)
}

/// What login needs of the user of this name.
pub(crate) async fn credentials(conn: &mut Conn, name: &str) -> Result<Option<Credentials>> {
    let row: Option<(String, String, String, String, bool)> =
        sqlx::query_as("select id, name, role, password, disabled from users where name = ?")
            .bind(name)
            .fetch_optional(conn)
            .await?;
    row.map(|(id, name, role, password, disabled)| {
        Ok(Credentials { user: session_user(&id, &name, &role)?, password, disabled })
    })
    .transpose()
}

/// A user from the three columns that make one.
pub(super) fn session_user(id: &str, name: &str, role: &str) -> Result<SessionUser> {
    Ok(SessionUser {
        id: parse("a user's id", id)?,
        name: parse("a user's name", name)?,
        role: parse("a user's role", role)?,
    })
}

/// Adds a user. Violates `UserName` when the name is taken.
pub(crate) async fn insert(conn: &mut Conn, user: &SessionUser, password: &str, now: Time) -> Result<()> {
    sqlx::query("insert into users (id, name, role, password, created) values (?, ?, ?, ?, ?)")
        .bind(user.id.to_string())
        .bind(user.name.as_str())
        .bind(user.role.as_str())
        .bind(password)
        .bind(now.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Adds the first user, if there is still none; says whether it did.
pub(crate) async fn insert_first(
    conn: &mut Conn,
    user: &SessionUser,
    password: &str,
    now: Time,
) -> Result<bool> {
    let done = sqlx::query(
        "insert into users (id, name, role, password, created) \
         select ?, ?, ?, ?, ? where not exists (select 1 from users)",
    )
    .bind(user.id.to_string())
    .bind(user.name.as_str())
    .bind(user.role.as_str())
    .bind(password)
    .bind(now.0)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Gives a user another password hash.
pub(crate) async fn set_password(conn: &mut Conn, id: UserId, password: &str) -> Result<()> {
    sqlx::query("update users set password = ? where id = ?")
        .bind(password)
        .bind(id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// Gives a user another role. Violates `LastAdministrator` when none would be left. Says whether there is such a user.
pub(crate) async fn set_role(conn: &mut Conn, id: UserId, role: Role) -> Result<bool> {
    let done = sqlx::query("update users set role = ? where id = ?")
        .bind(role.as_str())
        .bind(id.to_string())
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Disables or enables a user. Violates `LastAdministrator` when none would be left. Says whether there is such a user.
pub(crate) async fn set_disabled(conn: &mut Conn, id: UserId, disabled: bool) -> Result<bool> {
    let done = sqlx::query("update users set disabled = ? where id = ?")
        .bind(disabled)
        .bind(id.to_string())
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes that a user has logged in.
pub(crate) async fn logged_in(conn: &mut Conn, id: UserId, now: Time) -> Result<()> {
    sqlx::query("update users set last_login = ? where id = ?")
        .bind(now.0)
        .bind(id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}
