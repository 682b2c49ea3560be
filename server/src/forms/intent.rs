//! What a posted form asks for, read from its fields: a pure function from any bytes to a value or a fault.
//!
//! [`WORDS`] is the table of all that is no operation: the word in the field `intent`, for whom, and how it is read.
//! Operations are only named here; [`model::form::operations`] reads their fields, and `model::permission` says who may.

use crate::access::Access;
use app::routes;
use model::Fault;
use model::account::{Role, Secret, UserId, password_fault};
use model::form::FormData;
use model::host::HostName;
use model::job::JobId;
use model::operation::OperationKind;
use std::str::FromStr;

/// What a form asks for.
#[derive(Debug)]
pub enum Intent {
    /// Do it.
    Operate(OperationKind),
    /// Show what doing it would mean, and do nothing.
    ShowPlan(OperationKind),
    /// Begin a session.
    Login {
        /// User name as typed.
        name: String,
        /// Password.
        password: Secret,
        /// Where to go then: a path of this portal.
        next: String,
    },
    /// Make the first administrator.
    Setup {
        /// The token of the setup link.
        token: Secret,
        /// User name as typed.
        name: String,
        /// Password.
        password: Secret,
    },
    /// End the session.
    Logout,
    /// Change one's own password.
    ChangePassword {
        /// The present one.
        old: Secret,
        /// The one from now on.
        new: Secret,
    },
    /// End one of one's other sessions.
    EndSession(String),
    /// Add a user.
    AddUser {
        /// User name as typed.
        name: String,
        /// Role.
        role: Role,
        /// First password.
        password: Secret,
    },
    /// Change a user's role.
    SetRole(UserId, Role),
    /// Disable a user, or enable one.
    SetDisabled(UserId, bool),
    /// Look at a host again.
    CheckHost(HostName),
    /// Stop a job.
    Cancel(JobId),
    /// Stop all jobs of a user.
    CancelAll(UserId),
    /// Submit a job's operation again, or have one that needs attention undone further.
    Retry(JobId),
    /// End a job in whatever state it is.
    GiveUp(JobId),
    /// Recompute the audit log's hash chain.
    VerifyAudit,
}

/// An intent that is no operation.
pub struct Word {
    /// What stands in the field `intent`.
    pub word: &'static str,
    /// Who gets a proper answer. The portal decides; the test of this table holds it against the portal.
    pub access: Access,
    read: fn(&Fields<'_>) -> Result<Intent, Fault>,
}

const fn word(word: &'static str, access: Access, read: fn(&Fields<'_>) -> Result<Intent, Fault>) -> Word {
    Word { word, access, read }
}

/// The table.
pub const WORDS: &[Word] = &[
    word("login", Access::Anyone, |form| {
        let next = safe_next(&form.field_or_query("next")).unwrap_or_else(|| routes::MACHINES.to_owned());
        Ok(Intent::Login { name: form.text("name"), password: form.secret("password"), next })
    }),
    word("setup", Access::Anyone, |form| {
        Ok(Intent::Setup {
            token: Secret::new(form.field_or_query("token")),
            name: form.text("name"),
            password: form.secret_twice("password", "password_again")?,
        })
    }),
    word("logout", Access::Anyone, |_| Ok(Intent::Logout)),
    word("change_password", Access::Member, |form| {
        if let Some(why) = password_fault(form.data.raw("new_password")) {
            return Err(Fault::invalid("new_password", why));
        }
        Ok(Intent::ChangePassword {
            old: form.secret("old_password"),
            new: form.secret_twice("new_password", "new_password_again")?,
        })
    }),
    word("end_session", Access::Member, |form| Ok(Intent::EndSession(form.text("handle")))),
    word("add_user", Access::Administrator, |form| {
        let (name, role) = (form.text("name"), form.role()?);
        Ok(Intent::AddUser { name, role, password: form.secret("password") })
    }),
    word("set_role", Access::Administrator, |form| Ok(Intent::SetRole(form.hidden("user")?, form.role()?))),
    word("disable", Access::Administrator, |form| Ok(Intent::SetDisabled(form.hidden("user")?, true))),
    word("enable", Access::Administrator, |form| Ok(Intent::SetDisabled(form.hidden("user")?, false))),
    word("check_host", Access::Administrator, |form| Ok(Intent::CheckHost(form.hidden("host")?))),
    word("cancel", Access::Member, |form| Ok(Intent::Cancel(form.hidden("job")?))),
    word("cancel_all", Access::Member, |form| Ok(Intent::CancelAll(form.hidden("user")?))),
    word("give_up", Access::Administrator, |form| Ok(Intent::GiveUp(form.hidden("job")?))),
    word("retry", Access::Member, |form| Ok(Intent::Retry(form.hidden("job")?))),
    // Does nothing by itself: the page that it leads to verifies, for administrators.
    word("verify_audit", Access::Member, |_| Ok(Intent::VerifyAudit)),
    word("show_plan", Access::Member, |form| Ok(Intent::ShowPlan(form.hidden("of")?))),
];

impl Intent {
    /// Reads a form; `query` is that of the page it stands on, where a link may have put a token or the next page.
    ///
    /// # Errors
    /// [`Fault::Invalid`] for an unknown intent or a field that makes no sense.
    pub fn read(data: &FormData, query: &str) -> Result<Intent, Fault> {
        let form = Fields { data, query };
        match WORDS.iter().find(|row| row.word == data.get("intent")) {
            Some(row) => (row.read)(&form),
            None => Ok(Intent::Operate(form.hidden("intent")?)),
        }
    }
}

/// The fields of a form, one at a time.
struct Fields<'a> {
    data: &'a FormData,
    query: &'a str,
}

impl Fields<'_> {
    fn text(&self, name: &str) -> String {
        self.data.get(name).to_owned()
    }

    /// A password exactly as it was typed: blanks at its ends are part of it.
    fn secret(&self, name: &str) -> Secret {
        Secret::new(self.data.raw(name).to_owned())
    }

    fn secret_twice(&self, name: &str, again: &str) -> Result<Secret, Fault> {
        if self.data.has(again) && self.data.raw(name) != self.data.raw(again) {
            return Err(Fault::invalid(again, "The two passwords differ. Type the same one twice."));
        }
        Ok(self.secret(name))
    }

    fn role(&self) -> Result<Role, Fault> {
        self.data.get("role").parse().map_err(|e: model::newtype::Refused| Fault::invalid("role", e.0))
    }

    /// A value that only our own pages fill in.
    fn hidden<T: FromStr>(&self, name: &str) -> Result<T, Fault> {
        hidden(self.data, name)
    }

    /// A value that stands in the form, or else in the page's own address.
    fn field_or_query(&self, name: &str) -> String {
        let posted = self.text(name);
        if posted.is_empty() {
            FormData::from_urlencoded(self.query.as_bytes()).get(name).to_owned()
        } else {
            posted
        }
    }
}

/// A field that no person types. If it makes no sense, the page is from another version, or somebody plays.
pub(super) fn hidden<T: FromStr>(data: &FormData, name: &str) -> Result<T, Fault> {
    let outdated = "This page is out of date. Load it again and repeat what you did.";
    data.get(name).parse().map_err(|_| Fault::invalid(name, outdated))
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
    use proptest::prelude::*;

    #[test]
    fn after_login_nobody_is_sent_to_another_site() {
        for good in ["/", "/jobs?open=true", "/machines/web#x"] {
            assert_eq!(safe_next(good).as_deref(), Some(good));
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

    #[test]
    fn passwords_are_taken_as_typed_and_both_times_the_same() {
        let form = |body: &str| Intent::read(&FormData::from_urlencoded(body.as_bytes()), "token=t0");
        let Ok(Intent::Setup { token, password, .. }) =
            form("intent=setup&name=a&password=+x+&password_again=+x+")
        else {
            panic!("a setup form is read")
        };
        assert_eq!((token.reveal(), password.reveal()), ("t0", " x "));
        let fault = form("intent=setup&password=x&password_again=y").unwrap_err();
        assert!(fault.of_field("password_again").is_some());
        let fault = form("intent=change_password&new_password=short").unwrap_err();
        assert!(fault.of_field("new_password").is_some());
    }

    fn every_word() -> Vec<&'static str> {
        let operations = OperationKind::ALL.iter().map(|kind| kind.as_str());
        WORDS.iter().map(|row| row.word).chain(operations).collect()
    }

    #[test]
    fn no_two_things_have_one_word() {
        let mut words = every_word();
        let count = words.len();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), count);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]
        #[test]
        fn any_bytes_are_answered(
            intent in prop::sample::select(every_word()),
            body in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut data = FormData::from_urlencoded(&body);
            let query = String::from_utf8_lossy(&body).into_owned();
            prop_assert!(Intent::read(&data, &query).map_or_else(|f| f.status() == 422, |_| true));
            // Almost no random text names an intent; so that the fields are read too, name one.
            data.set("intent", intent);
            for name in ["user", "role", "host", "job", "of", "next"] {
                data.0.push((name.to_owned(), query.clone()));
            }
            prop_assert!(Intent::read(&data, &query).map_or_else(|f| f.status() == 422, |_| true));
        }
    }
}
