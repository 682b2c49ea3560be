//! THE table of form actions: the value of the field `intent`, who may, and the function that carries it out.
//!
//! The operations' rows are made from `model::catalog`, which knows their fields too. Whether someone is logged in is
//! decided before a field is read; everything else about who may is decided by the portal alone, which also audits what it
//! denies. A test holds every row against the portal, for every role.

use super::post::{Done, Post, Reading};
use super::{accounts, audit, hosts, jobs, users};
use crate::access::Access;
use app::routes;
use model::operation::OperationKind;
use model::permission::Action;

/// Something a form can ask for.
#[derive(Clone, Copy)]
pub struct FormAction {
    /// The value of the field `intent`.
    pub word: &'static str,
    /// Who gets a proper answer.
    pub access: Access,
    /// Reads the fields; nothing is done before the result is awaited.
    pub(super) read: for<'a> fn(&'a Post<'a>) -> Reading<'a>,
}

const fn action(
    word: &'static str,
    access: Access,
    read: for<'a> fn(&'a Post<'a>) -> Reading<'a>,
) -> FormAction {
    FormAction { word, access, read }
}

const OWN_ACCOUNT: Access = Access::Can(Action::ManageOwnAccount);
const USERS: Access = Access::Can(Action::ManageUsers);
const CREATE: Access = Access::Can(Action::Operate(OperationKind::Create));
const CONFIGURE: Access = Access::Can(Action::Operate(OperationKind::Configure));
const STEER_JOB: Access = Access::Can(Action::SteerJob);

/// The table, but for operations.
pub const FORM_ACTIONS: &[FormAction] = &[
    action("login", Access::Anyone, |post| post.act(accounts::login, Post::log_in)),
    action("setup", Access::Anyone, |post| post.act(accounts::setup, Post::log_in)),
    action("logout", Access::Anyone, |post| post.act(accounts::logout, |_, ()| Done::LoggedOut)),
    action("change_password", OWN_ACCOUNT, |post| post.act(accounts::change_password, Post::here)),
    action("end_session", OWN_ACCOUNT, |post| post.act(accounts::end_session, Post::here)),
    action("add_user", USERS, |post| post.act(users::add_user, Post::here)),
    action("set_role", USERS, |post| post.act(users::set_role, Post::here)),
    action("disable", USERS, |post| post.act(users::disable, Post::here)),
    action("enable", USERS, |post| post.act(users::enable, Post::here)),
    action("check_host", Access::Can(Action::CheckHost), |post| post.act(hosts::check_host, Post::here)),
    action("cancel", STEER_JOB, |post| post.act(jobs::cancel, Post::here)),
    action("retry", STEER_JOB, |post| {
        post.act(jobs::retry, |_, submitted| Done::Go(routes::job(submitted.job)))
    }),
    action("cancel_all", STEER_JOB, |post| post.act(jobs::cancel_all, Post::cancelled)),
    action("give_up", Access::Can(Action::GiveUpJob), |post| post.act(jobs::give_up, Post::here)),
    action("verify_audit", Access::Can(Action::ReadAudit), |post| {
        post.act(audit::verify_audit, |_, chain| Done::chain(chain))
    }),
    action("check_batch", CREATE, |post| post.check_batch()),
    action("create_batch", CREATE, |post| post.submit_batch(OperationKind::Create)),
    action("configure_batch", CONFIGURE, |post| post.submit_batch(OperationKind::Configure)),
    // For whom depends on the operation, which one of the fields names.
    action("show_plan", Access::LoggedIn, |post| post.show_plan()),
];

impl FormAction {
    /// The one that submits an operation.
    pub fn submit(kind: OperationKind) -> Self {
        action(kind.as_str(), Access::Can(Action::Operate(kind)), |post| post.submit())
    }

    /// Every one, operations included.
    pub fn all() -> impl Iterator<Item = Self> {
        FORM_ACTIONS.iter().copied().chain(OperationKind::ALL.iter().map(|kind| Self::submit(*kind)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Visitor;
    use engine::testing::builder::MemoryBuilder;
    use engine::testing::clock::ManualClock;
    use engine::{Engine, Settings};
    use http::Uri;
    use model::account::Actor;
    use model::form::FormData;
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};
    use std::sync::Arc;

    #[test]
    fn no_two_actions_have_one_word() {
        let mut words: Vec<&str> = FormAction::all().map(|action| action.word).collect();
        let count = words.len();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), count);
    }

    /// Everything that a form can contain is read, and nothing is done.
    #[tokio::test(flavor = "multi_thread")]
    async fn any_bytes_are_answered() {
        let state = tempfile::tempdir().unwrap();
        let settings = Settings::new(state.path());
        let (builder, clock) = (Arc::new(MemoryBuilder::new()), Arc::new(ManualClock::new()));
        let engine = Engine::open(settings, vec![], builder, clock).await.unwrap();
        let visitor = Visitor { actor: Actor::anonymous(None), token: None, agent: None, device: None };
        let uri = Uri::from_static("/account");
        let actions: Vec<FormAction> = FormAction::all().collect();
        let bytes = prop::collection::vec(any::<u8>(), 0..200);
        let cases = (0..actions.len(), bytes, prop::collection::btree_set(0..8_usize, 0..8));
        let tried = TestRunner::new(Config::with_cases(10_000)).run(&cases, |(which, body, named)| {
            let mut data = FormData::from_urlencoded(&body);
            let text = String::from_utf8_lossy(&body).into_owned();
            // Almost no random text names a field.
            let names = ["user", "role", "host", "job", "of", "name", "password", "handle"];
            for name in named {
                data.set(names[name], text.clone());
            }
            data.set("intent", actions[which].word);
            let post = Post { portal: &*engine, visitor: &visitor, uri: &uri, data: &data };
            let read = (actions[which].read)(&post).map(drop);
            prop_assert!(read.map_or_else(|fault| [400, 422].contains(&fault.status()), |()| true));
            Ok(())
        });
        tried.unwrap();
    }
}
