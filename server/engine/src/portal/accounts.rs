//! Accounts, sessions, tickets and the audit log.

use crate::auth::{digest, login, sessions as auth_sessions};
use crate::authorize::authorize;
use crate::core::Core;
use crate::cx::Cx;
use crate::db;
use crate::db::constraint::{Constraint, violated};
use crate::error::{Error, Result};
use crate::live::may_open;
use model::Fault;
use model::account::{Role, Secret, SessionView, TicketPurpose, UserId, UserName, UserView};
use model::audit::{AuditFilter, AuditPage, ChainState};
use model::permission::{Action, Subject};

/// Ends the session of this token.
pub(super) async fn logout(core: &Core, cx: &Cx, token: &Secret) -> Result<()> {
    let mut tx = core.db.begin().await?;
    if db::sessions::delete(&mut tx, &digest(token)).await? {
        let subject = cx.actor.user.as_ref().map(|u| u.name.as_str());
        core.audit.done(&mut tx, cx, "logout", subject, None).await?;
    }
    tx.commit().await?;
    if let Some(user) = &cx.actor.user {
        auth_sessions::rights_changed(core, user.id);
    }
    Ok(())
}

/// The actor's own sessions.
pub(super) async fn sessions(core: &Core, cx: &Cx, token: &Secret) -> Result<Vec<SessionView>> {
    let me = own_account(core, cx).await?;
    db::sessions::of_user(&mut *core.db.read().await?, me, &digest(token), cx.now).await
}

/// Ends one of the actor's own sessions.
pub(super) async fn end_session(core: &Core, cx: &Cx, handle: &str) -> Result<()> {
    let me = own_account(core, cx).await?;
    let mut tx = core.db.begin().await?;
    if !db::sessions::delete_by_handle(&mut tx, me, handle).await? {
        return Err(Fault::not_found("session").into());
    }
    let subject = cx.user()?.name.to_string();
    core.audit.done(&mut tx, cx, "end_session", Some(&subject), None).await?;
    tx.commit().await?;
    auth_sessions::rights_changed(core, me);
    Ok(())
}

/// A ticket for one socket, if the actor could open it now.
pub(super) async fn ticket(core: &Core, cx: &Cx, purpose: TicketPurpose) -> Result<Secret> {
    may_open(core, cx, &purpose).await?;
    Ok(core.tickets.issue(cx.user_id()?, purpose))
}

/// All users.
pub(super) async fn users(core: &Core, cx: &Cx) -> Result<Vec<UserView>> {
    authorize(core, cx, Action::ManageUsers, Subject::Portal, None).await?;
    db::users::all(&mut *core.db.read().await?).await
}

/// A user by name.
pub(super) async fn user(core: &Core, cx: &Cx, name: &UserName) -> Result<UserView> {
    authorize(core, cx, Action::ManageUsers, Subject::Portal, Some(name.as_str())).await?;
    let user = db::users::by_name(&mut *core.db.read().await?, name).await?;
    Ok(user.ok_or_else(|| Fault::not_found("user"))?)
}

/// Adds a user with a first password.
pub(super) async fn add_user(core: &Core, cx: &Cx, name: &str, role: Role, password: &Secret) -> Result<()> {
    let subject = model::address::brief(name);
    authorize(core, cx, Action::ManageUsers, Subject::Portal, Some(&subject)).await?;
    login::add_user(core, cx, name, role, password).await
}

/// Changes a role; the user's open sockets are checked again.
pub(super) async fn set_role(core: &Core, cx: &Cx, id: UserId, role: Role) -> Result<()> {
    let user = managed(core, cx, id).await?;
    let mut tx = core.db.begin().await?;
    db::users::set_role(&mut tx, id, role).await.map_err(last_administrator)?;
    core.audit.done(&mut tx, cx, "set_role", Some(user.name.as_str()), Some(role.as_str())).await?;
    tx.commit().await?;
    auth_sessions::rights_changed(core, id);
    Ok(())
}

/// Disables or enables an account; disabling ends its sessions and sockets at once.
pub(super) async fn set_disabled(core: &Core, cx: &Cx, id: UserId, disabled: bool) -> Result<()> {
    let user = managed(core, cx, id).await?;
    let mut tx = core.db.begin().await?;
    db::users::set_disabled(&mut tx, id, disabled).await.map_err(last_administrator)?;
    if disabled {
        db::sessions::delete_others(&mut tx, id, None).await?;
    }
    let action = if disabled { "disable_user" } else { "enable_user" };
    core.audit.done(&mut tx, cx, action, Some(user.name.as_str()), None).await?;
    tx.commit().await?;
    auth_sessions::rights_changed(core, id);
    Ok(())
}

/// One page of the audit log.
pub(super) async fn audit(core: &Core, cx: &Cx, filter: &AuditFilter) -> Result<AuditPage> {
    authorize(core, cx, Action::ReadAudit, Subject::Portal, None).await?;
    core.audit.page(filter).await
}

/// Recomputes the hash chain.
pub(super) async fn verify_audit(core: &Core, cx: &Cx) -> Result<ChainState> {
    authorize(core, cx, Action::ReadAudit, Subject::Portal, None).await?;
    core.audit.verify().await
}

/// The user of this id, if the actor may manage users.
async fn managed(core: &Core, cx: &Cx, id: UserId) -> Result<UserView> {
    authorize(core, cx, Action::ManageUsers, Subject::Portal, Some(&id.to_string())).await?;
    let user = db::users::by_id(&mut *core.db.read().await?, id).await?;
    Ok(user.ok_or_else(|| Fault::not_found("user"))?)
}

/// The actor's own id, if they may manage their own account.
async fn own_account(core: &Core, cx: &Cx) -> Result<UserId> {
    let me = cx.user_id()?;
    authorize(core, cx, Action::ManageOwnAccount, Subject::owned_by(&[me]), None).await?;
    Ok(me)
}

fn last_administrator(error: Error) -> Error {
    match violated(&error) {
        Some(Constraint::LastAdministrator) => Fault::refused(
            "This is the last administrator who can log in. Make someone else an administrator first.",
        )
        .into(),
        _ => error,
    }
}
