//! A posted form on its way, and its possible results.

use super::decode::decode;
use crate::session::Visitor;
use app::routes;
use futures::future::BoxFuture;
use http::Uri;
use model::Fault;
use model::audit::ChainState;
use model::form::FormData;
use model::plan::Plan;
use model::portal::{LoggedIn, Portal};
use model::view::batch::BatchView;
use serde::de::DeserializeOwned;
use std::future::Future;

/// One form on its way.
pub(super) struct Post<'a> {
    pub(super) portal: &'a dyn Portal,
    pub(super) visitor: &'a Visitor,
    pub(super) uri: &'a Uri,
    pub(super) data: &'a FormData,
}

/// An action whose fields have been read, to be carried out; or what is wrong with them.
pub(super) type Reading<'a> = Result<BoxFuture<'a, Result<Done, Fault>>, Fault>;

/// What the browser is answered.
pub(super) enum Done {
    /// To this page.
    Go(String),
    /// To this page, with a new session.
    LoggedIn(Box<LoggedIn>, String),
    /// To the login page, without a session.
    LoggedOut,
    /// The same page again.
    Rerender(Rerender),
}

/// What the same page shows besides the input.
#[derive(Debug, Default)]
pub(super) struct Rerender {
    pub(super) fault: Option<Fault>,
    pub(super) plan: Option<Box<Plan>>,
    pub(super) chain: Option<ChainState>,
    /// What was accepted, when something else that was posted with it was not.
    pub(super) accepted: Vec<String>,
    /// The machines of a text.
    pub(super) batch: Option<Box<BatchView>>,
}

impl From<Fault> for Rerender {
    fn from(fault: Fault) -> Self {
        let plan = match &fault {
            Fault::PlanChanged { plan } | Fault::NeedsConfirmation { plan } => Some(plan.clone()),
            _ => None,
        };
        Self { fault: Some(fault), plan, ..Self::default() }
    }
}

impl Done {
    /// The same page with the state of the audit log's hash chain. Not a redirect: no link may be able to claim it.
    pub(super) fn chain(state: ChainState) -> Self {
        Done::Rerender(Rerender { chain: Some(state), ..Rerender::default() })
    }
}

impl<'a> Post<'a> {
    /// Reads the fields for an action, and determines where the browser goes once it has been carried out.
    pub(super) fn act<T, R, F>(
        &'a self,
        action: impl FnOnce(&'a dyn Portal, &'a Visitor, T) -> F + Send + 'a,
        then: fn(&Self, R) -> Done,
    ) -> Reading<'a>
    where
        T: DeserializeOwned + Send + 'a,
        F: Future<Output = Result<R, Fault>> + Send + 'a,
        R: 'a,
    {
        let fields = decode(self.data)?;
        Ok(Box::pin(async move { Ok(then(self, action(self.portal, self.visitor, fields).await?)) }))
    }

    /// Back to the form's page, which confirms what was done.
    pub(super) fn here<R>(&self, _: R) -> Done {
        Done::Go(routes::done(self.uri.path(), self.data.get("intent")))
    }

    /// Back to the form's page, which says whether there were any jobs to cancel.
    pub(super) fn cancelled(&self, count: usize) -> Done {
        let done = if count == 0 { "cancel_none" } else { "cancel_all" };
        Done::Go(routes::done(self.uri.path(), done))
    }

    /// To where the visitor wanted to go before logging in.
    pub(super) fn log_in(&self, begun: LoggedIn) -> Done {
        let next = safe_next(self.data.get("next")).unwrap_or(routes::MACHINES);
        Done::LoggedIn(Box::new(begun), next.to_owned())
    }
}

/// A path of this portal to go to, never another site. Browsers read `//host` and `/\host` as one.
fn safe_next(text: &str) -> Option<&str> {
    let rest = text.strip_prefix('/')?;
    let local = !rest.starts_with(['/', '\\']) && text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    let leads_back = text.split(['?', '#']).next().is_some_and(|p| p == routes::LOGIN || p == routes::SETUP);
    (local && !leads_back && text.len() <= 1024).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_login_nobody_is_sent_to_another_site() {
        for good in ["/", "/jobs?open=true", "/machines/web#x"] {
            assert_eq!(safe_next(good), Some(good));
        }
        for bad in [
            "",
            "https://evil.test",
            "//evil.test",
            "/\\evil.test",
            "/\t/evil.test",
            "/a\r\nX: y",
            "javascript:alert(1)",
            "/login?next=/",
            "/ü",
        ] {
            assert_eq!(safe_next(bad), None, "{bad}");
        }
    }
}
