//! Sessions: a random token in the browser, its hash in the database.

use super::{digest, random_handle, random_session_token};
use crate::core::Core;
use crate::cx::Cx;
use crate::db::{self, Tx};
use crate::error::{Result, chain};
use model::Time;
use model::account::{Secret, SessionUser, UserId};

/// A session's use is written down at most this often, in milliseconds: pages are read much more often than that.
const TOUCH_EVERY: u64 = 60_000;
/// How many sessions one user has at most. Logging in again and again, as a script does, ends the least recently used
/// one.
const MOST: u32 = 50;
/// How much is kept of a browser's user agent, in characters.
const AGENT_MAX: usize = 200;

/// Begins a session for a user who has proved who they are; answers its token. Every login makes a new one.
pub(crate) async fn begin(tx: &mut Tx, cx: &Cx, user: &SessionUser, agent: Option<&str>) -> Result<Secret> {
    let token = random_session_token();
    let agent = agent.map(|a| a.chars().filter(|c| !c.is_control()).take(AGENT_MAX).collect());
    let new = db::sessions::New {
        token_hash: &digest(&token),
        handle: &random_handle(),
        user: user.id,
        now: cx.now,
        from: cx.actor.from.map(|ip| ip.to_string()),
        agent,
    };
    db::sessions::delete_expired(tx, cx.now).await?;
    db::sessions::delete_beyond(tx, user.id, MOST - 1).await?;
    db::sessions::insert(tx, &new).await?;
    db::users::logged_in(tx, user.id, cx.now).await?;
    Ok(token)
}

/// The user of a valid session.
pub(crate) async fn find(core: &Core, token: &Secret, now: Time) -> Result<Option<SessionUser>> {
    let hash = digest(token);
    let found = db::sessions::find(&mut *core.db.read().await?, &hash, now).await?;
    let Some((user, used)) = found else { return Ok(None) };
    if used.millis_until(now) >= TOUCH_EVERY
        && let Err(error) = touch(core, &hash, now).await
    {
        // A full disk must not keep anyone from finding out what fills it.
        tracing::warn!(error = chain(&error), "a session's use could not be written down");
    }
    Ok(Some(user))
}

async fn touch(core: &Core, hash: &str, now: Time) -> Result<()> {
    let mut tx = core.db.begin().await?;
    db::sessions::touch(&mut tx, hash, now).await?;
    tx.commit().await?;
    Ok(())
}

/// Notifies open sockets to check a user's rights again. Nobody may be listening, which is fine.
pub(crate) fn rights_changed(core: &Core, user: UserId) {
    let _ = core.rights.send(user);
}
