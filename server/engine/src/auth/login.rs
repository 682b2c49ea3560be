//! Proving identity: login, the first administrator, changing a password.

use super::throttle::Attempt;
use super::{digest, sessions};
use crate::core::Core;
use crate::cx::Cx;
use crate::db::constraint::{Constraint, violated};
use crate::db::{self, Tx};
use crate::error::Result;
use model::Fault;
use model::account::{Role, Secret, SessionUser, UserId, UserName, UserView, password_fault};
use model::portal::{Browser, LoggedIn};
use uuid::Uuid;

/// Logs in. An unknown name, a wrong password and a disabled account cost the same and give the same message.
pub(crate) async fn login(
    core: &Core,
    cx: &Cx,
    name: &str,
    password: &Secret,
    browser: &Browser<'_>,
) -> Result<LoggedIn> {
    let attempt = match core.devices.recognise(browser.device, name, cx.now) {
        Some(device) => Attempt::Device(device),
        None => Attempt::Stranger { account: name, from: cx.actor.from },
    };
    throttle(core, &attempt)?;
    let (proof, is_known) = prove(core, name, password).await?;
    let logged_in = match &proof {
        Some(proof) => enter(core, cx, proof, browser).await?,
        None => None,
    };
    let Some(logged_in) = logged_in else {
        // An unknown name is arbitrary input, perhaps a password typed in the wrong field: the log, which never
        // forgets, must not record it.
        core.counts.login_refused();
        let subject = is_known.then_some(name);
        let detail = if is_known { None } else { Some("an unknown user name") };
        core.audit.denied(cx, "login", subject, detail).await?;
        return Err(Fault::invalid("password", "The name or the password is wrong.").into());
    };
    core.throttle.succeeded(&attempt);
    Ok(logged_in)
}

/// Someone has given the password of an enabled account. Verifying takes long enough for either to change meanwhile,
/// so whatever relies on it checks again in its own transaction ([`Proof::user`]).
struct Proof {
    user: SessionUser,
    /// The hash that the password matched.
    hash: String,
}

impl Proof {
    /// The user as they are now, if the account is still enabled and has the same password.
    async fn user(&self, tx: &mut Tx) -> Result<Option<SessionUser>> {
        let now = db::users::credentials(tx, self.user.name.as_str()).await?;
        let same = now.filter(|c| c.user.id == self.user.id && !c.disabled && c.password == self.hash);
        Ok(same.map(|c| c.user))
    }
}

/// Verifies a password, and returns whether there is a user of this name at all.
async fn prove(core: &Core, name: &str, password: &Secret) -> Result<(Option<Proof>, bool)> {
    let found = db::users::credentials(&mut *core.db.read().await?, name).await?;
    let is_known = found.is_some();
    let enabled = found.filter(|c| !c.disabled).map(|c| Proof { user: c.user, hash: c.password });
    let stored = enabled.as_ref().map(|proof| proof.hash.clone());
    let fits = core.passwords.verify(&cut(password), stored).await?;
    Ok((enabled.filter(|_| fits), is_known))
}

/// Begins a session; `None` if the proof no longer holds.
async fn enter(core: &Core, cx: &Cx, proof: &Proof, browser: &Browser<'_>) -> Result<Option<LoggedIn>> {
    let mut tx = core.db.begin().await?;
    let Some(user) = proof.user(&mut tx).await? else { return Ok(None) };
    let logged_in = begin(core, &mut tx, cx, user, browser).await?;
    let by = acting_as(cx, &logged_in.user);
    core.audit.done(&mut tx, &by, "login", Some(logged_in.user.name.as_str()), None).await?;
    tx.commit().await?;
    Ok(Some(logged_in))
}

/// Makes the first administrator by the setup link, and logs in.
pub(crate) async fn setup(
    core: &Core,
    cx: &Cx,
    token: &Secret,
    name: &str,
    password: &Secret,
    browser: &Browser<'_>,
) -> Result<LoggedIn> {
    let attempt = Attempt::Setup { from: cx.actor.from };
    throttle(core, &attempt)?;
    if !core.setup.accepts(token) {
        core.audit.denied(cx, "setup", None, None).await?;
        let why = "This setup link is invalid or has expired. The server prints a new one when it starts.";
        return Err(Fault::Denied { why: why.to_owned() }.into());
    }
    let (user, hash) = new_user(core, name, Role::Administrator, password).await?;
    let mut tx = core.db.begin().await?;
    if !db::users::insert_first(&mut tx, &user, &hash, cx.now).await? {
        return Err(Fault::refused("There already is an administrator. Log in instead.").into());
    }
    let by = acting_as(cx, &user);
    core.audit.done(&mut tx, &by, "setup", Some(user.name.as_str()), None).await?;
    let logged_in = begin(core, &mut tx, cx, user, browser).await?;
    tx.commit().await?;
    core.setup.close();
    core.throttle.succeeded(&attempt);
    Ok(logged_in)
}

/// Makes an administrator from the command line; an existing user becomes one and gets the new password.
pub(crate) async fn create_administrator(core: &Core, cx: &Cx, name: &str, password: &Secret) -> Result<()> {
    let (user, hash) = new_user(core, name, Role::Administrator, password).await?;
    let mut tx = core.db.begin().await?;
    match db::users::by_name(&mut tx, &user.name).await? {
        None => db::users::insert(&mut tx, &user, &hash, cx.now).await?,
        Some(known) => {
            db::users::set_role(&mut tx, known.id, Role::Administrator).await?;
            db::users::set_disabled(&mut tx, known.id, false).await?;
            db::users::set_password(&mut tx, known.id, &hash).await?;
            db::sessions::delete_others(&mut tx, known.id, None).await?;
        }
    }
    let detail = Some("from the command line");
    core.audit.done(&mut tx, cx, "create_administrator", Some(user.name.as_str()), detail).await?;
    tx.commit().await?;
    core.setup.close();
    Ok(())
}

/// Adds a user with a first password.
pub(crate) async fn add_user(core: &Core, cx: &Cx, name: &str, role: Role, password: &Secret) -> Result<()> {
    let (user, hash) = new_user(core, name, role, password).await?;
    let mut tx = core.db.begin().await?;
    db::users::insert(&mut tx, &user, &hash, cx.now).await.map_err(|e| match violated(&e) {
        Some(Constraint::UserName) => {
            Fault::invalid("name", "There already is a user with this name.").into()
        }
        _ => e,
    })?;
    let detail = Some(role.as_str());
    core.audit.done(&mut tx, cx, "add_user", Some(user.name.as_str()), detail).await?;
    tx.commit().await?;
    Ok(())
}

/// Changes one's own password; the user's other sessions end.
pub(crate) async fn change_password(
    core: &Core,
    cx: &Cx,
    token: &Secret,
    old: &Secret,
    new: &Secret,
) -> Result<()> {
    let user = cx.user()?;
    let name = user.name.as_str();
    let attempt = Attempt::Session(user.id);
    throttle(core, &attempt)?;
    let Some(proof) = prove(core, name, old).await?.0 else { return not_present(core, cx, name).await };
    core.throttle.succeeded(&attempt);
    if let Some(fault) = password_fault(new.reveal()) {
        return Err(Fault::invalid("new_password", fault).into());
    }
    let hash = core.passwords.hash(new).await?;
    if !replace(core, cx, token, &proof, &hash).await? {
        return not_present(core, cx, name).await;
    }
    sessions::rights_changed(core, user.id);
    Ok(())
}

/// Writes another password's hash, unless the proof no longer holds.
async fn replace(core: &Core, cx: &Cx, token: &Secret, proof: &Proof, hash: &str) -> Result<bool> {
    let mut tx = core.db.begin().await?;
    let Some(user) = proof.user(&mut tx).await? else { return Ok(false) };
    db::users::set_password(&mut tx, user.id, hash).await?;
    db::sessions::delete_others(&mut tx, user.id, Some(&digest(token))).await?;
    core.audit.done(&mut tx, cx, "change_password", Some(user.name.as_str()), None).await?;
    tx.commit().await?;
    Ok(true)
}

async fn not_present(core: &Core, cx: &Cx, name: &str) -> Result<()> {
    core.audit.denied(cx, "change_password", Some(name), None).await?;
    Err(Fault::invalid("old_password", "That is not your current password.").into())
}

/// Whether there is no user yet.
pub(crate) async fn needs_setup(core: &Core) -> Result<bool> {
    db::users::none(&mut *core.db.read().await?).await
}

/// A user by name.
pub(crate) async fn user_by_name(core: &Core, name: &UserName) -> Result<Option<UserView>> {
    db::users::by_name(&mut *core.db.read().await?, name).await
}

/// A user to be created and the hash of the password; everything wrong with either at once.
async fn new_user(core: &Core, name: &str, role: Role, password: &Secret) -> Result<(SessionUser, String)> {
    let mut fields = Vec::new();
    let name: Option<UserName> = name
        .parse()
        .map_err(|e: model::newtype::Refused| fields.push(model::FieldError::new("name", e.0)))
        .ok();
    if let Some(fault) = password_fault(password.reveal()) {
        fields.push(model::FieldError::new("password", fault));
    }
    match name {
        Some(name) if fields.is_empty() => {
            let hash = core.passwords.hash(password).await?;
            Ok((SessionUser { id: UserId(Uuid::now_v7()), name, role }, hash))
        }
        _ => Err(Fault::invalid_fields(fields).into()),
    }
}

fn throttle(core: &Core, attempt: &Attempt<'_>) -> Result<()> {
    core.throttle.attempt(attempt).map_err(|seconds| Fault::Throttled { seconds }.into())
}

/// Begins a session, and makes the browser a known device.
async fn begin(
    core: &Core,
    tx: &mut Tx,
    cx: &Cx,
    user: SessionUser,
    browser: &Browser<'_>,
) -> Result<LoggedIn> {
    let device = core.devices.remember(browser.device, user.name.as_str(), cx.now);
    let token = sessions::begin(tx, cx, &user, browser.agent).await?;
    Ok(LoggedIn { user, token, device })
}

/// A password as it is verified: longer ones than there can be are cut, so that a megabyte costs no more than a password.
fn cut(password: &Secret) -> Secret {
    let text = password.reveal();
    let max = model::account::PASSWORD_MAX + 1;
    if text.len() <= max {
        return password.clone();
    }
    Secret::new(text.chars().take(max).collect())
}

/// The context of the same request, by the user it turned out to be from.
fn acting_as(cx: &Cx, user: &SessionUser) -> Cx {
    let mut by = cx.clone();
    by.actor.user = Some(user.clone());
    by
}

#[cfg(test)]
mod tests;
