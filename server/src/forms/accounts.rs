//! Carries out what is asked about people, hosts and jobs: one call of the portal each.

use super::intent::Intent;
use super::post::{Done, Post};
use app::routes;
use model::Fault;
use model::account::Secret;
use model::portal::Browser;

impl Post<'_> {
    /// Everything but operations, which `operations.rs` has.
    pub(super) async fn ask(&self, intent: Intent) -> Result<Done, Fault> {
        let (portal, actor) = (&self.server.portal, &self.visitor.actor);
        match intent {
            Intent::Operate(_) | Intent::ShowPlan(_) => {
                return Err(Fault::refused("An operation is not asked for this way. Load the page again."));
            }
            Intent::Login { name, password, next } => return self.login(&name, &password, next).await,
            Intent::Setup { token, name, password } => {
                let session = portal.setup(actor, &token, &name, &password, &self.browser()).await?;
                return Ok(Done::LoggedIn(Box::new(session), routes::MACHINES.to_owned()));
            }
            Intent::Logout => {
                if let Some(token) = &self.visitor.token {
                    portal.logout(actor, token).await?;
                }
                return Ok(Done::LoggedOut);
            }
            Intent::Retry(job) => return Ok(Done::Go(routes::job(portal.retry(actor, job).await?.job))),
            Intent::ChangePassword { old, new } => {
                let token = self.visitor.token.as_ref().ok_or(Fault::Unauthenticated)?;
                portal.change_password(actor, token, &old, &new).await?;
            }
            Intent::EndSession(handle) => portal.end_session(actor, &handle).await?,
            Intent::AddUser { name, role, password } => {
                portal.add_user(actor, &name, role, &password).await?
            }
            Intent::SetRole(user, role) => portal.set_role(actor, user, role).await?,
            Intent::SetDisabled(user, disabled) => portal.set_disabled(actor, user, disabled).await?,
            Intent::CheckHost(host) => {
                portal.check_host(actor, &host).await?;
            }
            Intent::Cancel(job) => portal.cancel(actor, job).await?,
            Intent::CancelAll(user) => {
                portal.cancel_all(actor, user).await?;
            }
            Intent::GiveUp(job) => portal.give_up(actor, job).await?,
            // The page that confirms it is the one that verifies, and shows what came of it.
            Intent::VerifyAudit => {}
        }
        Ok(self.here())
    }

    fn browser(&self) -> Browser<'_> {
        Browser { agent: self.visitor.agent.as_deref(), device: self.device.as_ref() }
    }

    async fn login(&self, name: &str, password: &Secret, next: String) -> Result<Done, Fault> {
        let (portal, visitor) = (&self.server.portal, self.visitor);
        let session = portal.login(&visitor.actor, name, password, &self.browser()).await?;
        // Whoever logs in anew in this browser has left the session before.
        if let Some(token) = &visitor.token {
            portal.logout(&visitor.actor, token).await?;
        }
        Ok(Done::LoggedIn(Box::new(session), next))
    }
}
