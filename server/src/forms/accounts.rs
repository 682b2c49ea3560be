//! The first administrator, login and logout, one's own password and sessions.

use super::decode::{entered, posted};
use crate::session::Visitor;
use model::account::{Secret, UserName, password_fault};
use model::portal::{LoggedIn, Portal};
use model::{Fault, FieldError};
use serde::Deserialize;

/// The fields of [`login`].
#[derive(Debug, Deserialize)]
pub struct Login {
    /// The user's name as it was typed.
    #[serde(deserialize_with = "entered")]
    pub name: String,
    /// The password.
    pub password: Secret,
}

/// Begins a session; the one that this browser had before ends.
///
/// # Errors
/// [`Portal::login`]'s
pub async fn login(portal: &dyn Portal, visitor: &Visitor, form: Login) -> Result<LoggedIn, Fault> {
    let begun = portal.login(&visitor.actor, &form.name, &form.password, &visitor.browser()).await?;
    if let Some(token) = &visitor.token {
        portal.logout(&visitor.actor, token).await?;
    }
    Ok(begun)
}

/// The fields of [`setup`].
#[derive(Debug, Deserialize)]
pub struct Setup {
    /// The token of the setup link.
    pub token: Secret,
    /// The first administrator's name as it was typed.
    #[serde(deserialize_with = "entered")]
    pub name: String,
    /// The password.
    pub password: Secret,
    /// The password again, if its input was hidden.
    #[serde(default, deserialize_with = "posted")]
    pub password_again: Option<Secret>,
}

/// Makes the first administrator and begins their session.
///
/// # Errors
/// [`Portal::setup`]'s, and [`Fault::Invalid`] if the two passwords differ.
pub async fn setup(portal: &dyn Portal, visitor: &Visitor, form: Setup) -> Result<LoggedIn, Fault> {
    if let Err(differ) = same(&form.password, form.password_again.as_ref(), "password_again") {
        return Err(new_user_fault(&form.name, &form.password, differ));
    }
    portal.setup(&visitor.actor, &form.token, &form.name, &form.password, &visitor.browser()).await
}

/// [`logout`] has no fields.
#[derive(Debug, Deserialize)]
pub struct Logout {}

/// Ends the session, if there is one.
///
/// # Errors
/// [`Portal::logout`]'s
pub async fn logout(portal: &dyn Portal, visitor: &Visitor, _: Logout) -> Result<(), Fault> {
    match &visitor.token {
        Some(token) => portal.logout(&visitor.actor, token).await,
        None => Ok(()),
    }
}

/// The fields of [`change_password`].
#[derive(Debug, Deserialize)]
pub struct ChangePassword {
    /// The current password.
    pub old_password: Secret,
    /// The new password.
    pub new_password: Secret,
    /// The new one again, if its input was hidden.
    #[serde(default, deserialize_with = "posted")]
    pub new_password_again: Option<Secret>,
}

/// Changes the user's password and ends the user's other sessions.
///
/// # Errors
/// [`Portal::change_password`]'s, and [`Fault::Invalid`] for an unacceptable new password: that is reported before the
/// current one is verified, and so does not count as a try.
pub async fn change_password(
    portal: &dyn Portal,
    visitor: &Visitor,
    form: ChangePassword,
) -> Result<(), Fault> {
    if let Some(why) = password_fault(form.new_password.reveal()) {
        return Err(Fault::invalid("new_password", why));
    }
    same(&form.new_password, form.new_password_again.as_ref(), "new_password_again")?;
    let token = visitor.token.as_ref().ok_or(Fault::Unauthenticated)?;
    portal.change_password(&visitor.actor, token, &form.old_password, &form.new_password).await
}

/// The fields of [`end_session`].
#[derive(Debug, Deserialize)]
pub struct EndSession {
    /// Which of the user's sessions.
    #[serde(deserialize_with = "entered")]
    pub handle: String,
}

/// Ends one of the user's own sessions.
///
/// # Errors
/// [`Portal::end_session`]'s
pub async fn end_session(portal: &dyn Portal, visitor: &Visitor, form: EndSession) -> Result<(), Fault> {
    portal.end_session(&visitor.actor, &form.handle).await
}

/// What else is wrong with a new user whose two passwords differ.
fn new_user_fault(name: &str, password: &Secret, differ: Fault) -> Fault {
    let Fault::Invalid { fields: differ } = differ else { return differ };
    let name = name.parse::<UserName>().err().map(|refused| FieldError::new("name", refused.0));
    let weak = password_fault(password.reveal()).map(|why| FieldError::new("password", why));
    Fault::invalid_fields(name.into_iter().chain(weak).chain(Vec::from(differ)).collect())
}

fn same(password: &Secret, again: Option<&Secret>, field: &str) -> Result<(), Fault> {
    if again.is_some_and(|again| again != password) {
        return Err(Fault::invalid(field, "The two passwords differ. Type the same one twice."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forms::decode::decode;
    use crate::forms::users::AddUser;
    use model::form::FormData;
    use std::fmt::Debug;

    #[test]
    fn no_form_shows_its_secrets() {
        fn shown<T: serde::de::DeserializeOwned + Debug>() -> String {
            let secrets = ["token", "password", "password_again", "old_password", "new_password"];
            let mut data = FormData::from_urlencoded(b"name=ada&role=member");
            for name in secrets {
                data.set(name, "hunter2");
            }
            format!("{:?}", decode::<T>(&data).unwrap())
        }
        for text in [shown::<Login>(), shown::<Setup>(), shown::<ChangePassword>(), shown::<AddUser>()] {
            assert!(text.contains("Secret(…)") && !text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn a_password_that_is_typed_twice_is_the_same_both_times() {
        let secret = |text: &str| Secret::new(text.to_owned());
        for (again, fits) in [(Some("x"), true), (None, true), (Some(""), false), (Some(" x"), false)] {
            let again = again.map(secret);
            let judged = same(&secret("x"), again.as_ref(), "password_again");
            assert_eq!(judged.is_ok(), fits, "{again:?}");
            assert!(fits || judged.unwrap_err().of_field("password_again").is_some());
        }
    }
}
