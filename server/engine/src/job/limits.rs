//! How many unfinished jobs one user may have, so that nobody fills the queue for everyone.

use crate::core::Core;
use crate::db::{self, Conn};
use crate::error::Result;
use model::Fault;
use model::account::UserId;

/// Refuses one job more than a user may have; called in the transaction that would accept it.
pub(crate) async fn check(core: &Core, conn: &mut Conn, user: UserId, is_build: bool) -> Result<()> {
    let open = db::steering::open_of(conn, user).await?;
    let settings = &core.settings;
    let refuse = |most: u32, what: &str| {
        let why = format!(
            "You have {most} unfinished {what}, and one user may not have more. Wait until some have ended, or cancel them."
        );
        Err(Fault::refused(why).into())
    };
    if open.jobs >= settings.jobs_per_user {
        return refuse(settings.jobs_per_user, "jobs");
    }
    if is_build && open.builds >= settings.builds_per_user {
        return refuse(settings.builds_per_user, "builds");
    }
    Ok(())
}
