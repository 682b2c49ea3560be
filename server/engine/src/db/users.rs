//! Users.

use super::column::{Read as _, Text};
use super::{Conn, Tx};
use crate::error::Result;
use model::Time;
use model::account::{Role, SessionUser, UserId, UserName, UserView};

/// What login needs of a user. `Debug` is not derived: the hash is for the verifier alone.
pub(crate) struct Credentials {
    pub user: SessionUser,
    pub password: String,
    pub disabled: bool,
}

struct UserRow {
    id: Text<UserId>,
    name: Text<UserName>,
    role: Text<Role>,
    disabled: bool,
    created: i64,
    last_login: Option<i64>,
    machines: u32,
}

impl UserRow {
    fn view(self) -> Result<UserView> {
        Ok(UserView {
            id: self.id.read()?,
            name: self.name.read()?,
            role: self.role.read()?,
            disabled: self.disabled,
            created: Time(self.created),
            last_login: self.last_login.map(Time),
            machines: self.machines,
        })
    }
}

macro_rules! select_users {
    ($rest:literal $(, $argument:expr)?) => {
        sqlx::query_as!(
            UserRow,
            r#"select u.id as "id: Text<UserId>", u.name as "name: Text<UserName>", u.role as "role: Text<Role>",
            u.disabled as "disabled: bool", u.created, u.last_login,
            (select count(*) from machines m where m.owner_id = u.id) as "machines!: u32" from users u "# + $rest
            $(, $argument)?
        )
    };
}

/// All users by name.
pub(crate) async fn all(conn: &mut Conn) -> Result<Vec<UserView>> {
    let rows = select_users!("order by u.name").fetch_all(conn).await?;
    rows.into_iter().map(UserRow::view).collect()
}

/// The user of this name.
pub(crate) async fn by_name(conn: &mut Conn, name: &UserName) -> Result<Option<UserView>> {
    let name = name.as_str();
    let row = select_users!("where u.name = ?", name).fetch_optional(conn).await?;
    row.map(UserRow::view).transpose()
}

/// The user of this id.
pub(crate) async fn by_id(conn: &mut Conn, id: UserId) -> Result<Option<UserView>> {
    let id = id.to_string();
    let row = select_users!("where u.id = ?", id).fetch_optional(conn).await?;
    row.map(UserRow::view).transpose()
}

/// Whether there is no user yet.
pub(crate) async fn none(conn: &mut Conn) -> Result<bool> {
    let some = sqlx::query_scalar!(r#"select exists (select 1 from users) as "some!: bool""#);
    Ok(!some.fetch_one(conn).await?)
}

/// What login needs of the user of this name.
pub(crate) async fn credentials(conn: &mut Conn, name: &str) -> Result<Option<Credentials>> {
    let row = sqlx::query!(
        r#"select id as "id: Text<UserId>", name as "name: Text<UserName>", role as "role: Text<Role>", password,
        disabled as "disabled: bool" from users where name = ?"#,
        name,
    )
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        let user = SessionUser { id: row.id.read()?, name: row.name.read()?, role: row.role.read()? };
        Ok(Credentials { user, password: row.password, disabled: row.disabled })
    })
    .transpose()
}

/// Adds a user. Violates `UserName` when the name is taken.
pub(crate) async fn insert(tx: &mut Tx, user: &SessionUser, password: &str, now: Time) -> Result<()> {
    let id = user.id.to_string();
    let name = user.name.as_str();
    let role = user.role.as_str();
    sqlx::query!(
        "insert into users (id, name, role, password, created) values (?, ?, ?, ?, ?)",
        id,
        name,
        role,
        password,
        now.0,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Adds the first user, if there is still none; returns whether it did.
pub(crate) async fn insert_first(tx: &mut Tx, user: &SessionUser, password: &str, now: Time) -> Result<bool> {
    let id = user.id.to_string();
    let name = user.name.as_str();
    let role = user.role.as_str();
    let done = sqlx::query!(
        "insert into users (id, name, role, password, created) \
         select ?, ?, ?, ?, ? where not exists (select 1 from users)",
        id,
        name,
        role,
        password,
        now.0,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Gives a user another password hash.
pub(crate) async fn set_password(tx: &mut Tx, id: UserId, password: &str) -> Result<()> {
    let id = id.to_string();
    sqlx::query!("update users set password = ? where id = ?", password, id).execute(&mut **tx).await?;
    Ok(())
}

/// Gives a user another role. Violates `LastAdministrator` when none would be left. Returns whether there is such a user.
pub(crate) async fn set_role(tx: &mut Tx, id: UserId, role: Role) -> Result<bool> {
    let role = role.as_str();
    let id = id.to_string();
    let done = sqlx::query!("update users set role = ? where id = ?", role, id).execute(&mut **tx).await?;
    Ok(done.rows_affected() == 1)
}

/// Disables or enables a user. Violates `LastAdministrator` when none would be left. Returns whether there is such a user.
pub(crate) async fn set_disabled(tx: &mut Tx, id: UserId, disabled: bool) -> Result<bool> {
    let id = id.to_string();
    let done =
        sqlx::query!("update users set disabled = ? where id = ?", disabled, id).execute(&mut **tx).await?;
    Ok(done.rows_affected() == 1)
}

/// Notes that a user has logged in.
pub(crate) async fn logged_in(tx: &mut Tx, id: UserId, now: Time) -> Result<()> {
    let id = id.to_string();
    sqlx::query!("update users set last_login = ? where id = ?", now.0, id).execute(&mut **tx).await?;
    Ok(())
}
