//! Administrators' actions on accounts.

use super::decode::{entered, hidden};
use crate::session::Visitor;
use model::Fault;
use model::account::{Role, Secret, UserId};
use model::portal::Portal;
use serde::Deserialize;

/// The fields of [`add_user`].
#[derive(Debug, Deserialize)]
pub struct AddUser {
    /// The name as it was typed.
    #[serde(deserialize_with = "entered")]
    pub name: String,
    /// The role.
    #[serde(deserialize_with = "entered")]
    pub role: Role,
    /// The first password.
    pub password: Secret,
}

/// Adds a user.
///
/// # Errors
/// [`Portal::add_user`]'s
pub async fn add_user(portal: &dyn Portal, visitor: &Visitor, form: AddUser) -> Result<(), Fault> {
    portal.add_user(&visitor.actor, &form.name, form.role, &form.password).await
}

/// The fields of [`set_role`].
#[derive(Debug, Deserialize)]
pub struct SetRole {
    /// Whose.
    #[serde(deserialize_with = "hidden")]
    pub user: UserId,
    /// The new role.
    #[serde(deserialize_with = "entered")]
    pub role: Role,
}

/// Changes a user's role.
///
/// # Errors
/// [`Portal::set_role`]'s
pub async fn set_role(portal: &dyn Portal, visitor: &Visitor, form: SetRole) -> Result<(), Fault> {
    portal.set_role(&visitor.actor, form.user, form.role).await
}

/// The fields of an action on one user.
#[derive(Debug, Deserialize)]
pub struct UserForm {
    /// Who.
    #[serde(deserialize_with = "hidden")]
    pub user: UserId,
}

/// Disables an account; its sessions end.
///
/// # Errors
/// [`Portal::set_disabled`]'s
pub async fn disable(portal: &dyn Portal, visitor: &Visitor, form: UserForm) -> Result<(), Fault> {
    portal.set_disabled(&visitor.actor, form.user, true).await
}

/// Enables an account.
///
/// # Errors
/// [`Portal::set_disabled`]'s
pub async fn enable(portal: &dyn Portal, visitor: &Visitor, form: UserForm) -> Result<(), Fault> {
    portal.set_disabled(&visitor.actor, form.user, false).await
}
