//! Forms about people, hosts and jobs: everything that is asked for and is no operation.

use super::{Done, Post};
use app::routes;
use model::Fault;
use model::account::{Role, Secret, password_fault};
use model::host::HostName;
use model::job::JobId;

impl Post<'_> {
    pub(super) async fn account(&self, intent: &str) -> Result<Done, Fault> {
        let (portal, actor) = (&self.server.portal, &self.visitor.actor);
        match intent {
            "login" => return self.login().await,
            "setup" => return self.setup().await,
            "logout" => return self.logout().await,
            "change_password" => self.change_password().await?,
            "end_session" => portal.end_session(actor, self.data.get("handle")).await?,
            "add_user" => {
                let role: Role = self.data.get("role").parse().map_err(|e| refused("role", e))?;
                portal.add_user(actor, self.data.get("name"), role, &self.secret("password")).await?;
            }
            "set_role" => {
                let role: Role = self.data.get("role").parse().map_err(|e| refused("role", e))?;
                portal.set_role(actor, self.hidden("user")?, role).await?;
            }
            "disable" => portal.set_disabled(actor, self.hidden("user")?, true).await?,
            "enable" => portal.set_disabled(actor, self.hidden("user")?, false).await?,
            "check_host" => {
                let host: HostName = self.hidden("host")?;
                portal.check_host(actor, &host).await?;
            }
            "cancel" => {
                let job: JobId = self.hidden("job")?;
                portal.cancel(actor, job).await?;
            }
            "retry" => {
                let job: JobId = self.hidden("job")?;
                return Ok(Done::Go(routes::job(portal.retry(actor, job).await?.job)));
            }
            "verify_audit" => {
                portal.verify_audit(actor).await?;
            }
            _ => return Err(Fault::invalid("intent", "This page cannot do that. Load it again.")),
        }
        Ok(self.here(intent))
    }

    async fn login(&self) -> Result<Done, Fault> {
        let (portal, visitor) = (&self.server.portal, self.visitor);
        let (name, password) = (self.data.get("name"), self.secret("password"));
        let session = portal.login(&visitor.actor, name, &password, visitor.agent.as_deref()).await?;
        // Whoever logs in anew in this browser has left the session before.
        if let Some(token) = &visitor.token {
            portal.logout(&visitor.actor, token).await?;
        }
        let next = safe_next(&self.field_or_query("next")).unwrap_or(routes::MACHINES.to_owned());
        Ok(Done::LoggedIn(Box::new(session), next))
    }

    async fn setup(&self) -> Result<Done, Fault> {
        self.same_twice("password", "password_again")?;
        let (portal, visitor) = (&self.server.portal, self.visitor);
        let token = Secret::new(self.field_or_query("token"));
        let (name, password) = (self.data.get("name"), self.secret("password"));
        let session = portal.setup(&visitor.actor, &token, name, &password, visitor.agent.as_deref()).await?;
        Ok(Done::LoggedIn(Box::new(session), routes::MACHINES.to_owned()))
    }

    async fn logout(&self) -> Result<Done, Fault> {
        if let Some(token) = &self.visitor.token {
            self.server.portal.logout(&self.visitor.actor, token).await?;
        }
        Ok(Done::LoggedOut)
    }

    async fn change_password(&self) -> Result<(), Fault> {
        let token = self.visitor.token.as_ref().ok_or(Fault::Unauthenticated)?;
        if let Some(why) = password_fault(self.data.raw("new_password")) {
            return Err(Fault::invalid("new_password", why));
        }
        self.same_twice("new_password", "new_password_again")?;
        let (old, new) = (self.secret("old_password"), self.secret("new_password"));
        self.server.portal.change_password(&self.visitor.actor, token, &old, &new).await
    }

    /// A password exactly as it was typed: blanks at its ends are part of it.
    fn secret(&self, name: &str) -> Secret {
        Secret::new(self.data.raw(name).to_owned())
    }

    fn same_twice(&self, first: &str, again: &str) -> Result<(), Fault> {
        if self.data.has(again) && self.data.raw(first) != self.data.raw(again) {
            return Err(Fault::invalid(again, "The two passwords differ. Type the same one twice."));
        }
        Ok(())
    }

    /// A value that stands in the form, or else in the page's own address.
    fn field_or_query(&self, name: &str) -> String {
        let posted = self.data.get(name);
        if !posted.is_empty() {
            return posted.to_owned();
        }
        let query = self.uri.query().unwrap_or("").as_bytes();
        model::form::FormData::from_urlencoded(query).get(name).to_owned()
    }
}

fn refused(field: &str, why: model::newtype::Refused) -> Fault {
    Fault::invalid(field, why.0)
}

/// Where to go after logging in: a path of this portal, never another site. Browsers read `//host` and `/\host` as one.
fn safe_next(text: &str) -> Option<String> {
    let rest = text.strip_prefix('/')?;
    let local = !rest.starts_with(['/', '\\']) && text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    let leads_back = text.split(['?', '#']).next().is_some_and(|p| p == routes::LOGIN || p == routes::SETUP);
    (local && !leads_back && text.len() <= 1024).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_login_nobody_is_sent_to_another_site() {
        for good in ["/", "/jobs?open=true", "/machines/web#x"] {
            assert_eq!(safe_next(good).as_deref(), Some(good));
        }
        for bad in ["", "https://evil.test", "//evil.test", "/\\evil.test", "/\t/evil.test", "/a\r\nX: y", "javascript:alert(1)", "/login?next=/", "/ü"] {
            assert_eq!(safe_next(bad), None, "{bad}");
        }
    }
}
