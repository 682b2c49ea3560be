//! Who may do what to which thing: a table of roles, and [`can`], the only query on it.
//!
//! Roles have no rank: each is a row of scopes. What a member may do to a machine is in the operation's row in the
//! catalog.

use crate::account::{Role, SessionUser, UserId};
use crate::operation::OperationKind;
use serde::{Deserialize, Serialize};

/// Everything that can be asked of the portal by someone who is logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Action {
    /// Submit an operation.
    Operate(OperationKind),
    /// See machines, their jobs and their figures.
    SeeMachine,
    /// Watch a machine's console.
    WatchConsole,
    /// Type in a machine's console.
    DriveConsole,
    /// See a job and its log.
    SeeJob,
    /// Cancel or retry a job.
    SteerJob,
    /// Give a job up, whatever it leaves behind.
    GiveUpJob,
    /// See images and profiles.
    SeeImages,
    /// See hosts and their findings.
    SeeHosts,
    /// Check a host again.
    CheckHost,
    /// Read the audit log.
    ReadAudit,
    /// See, add, disable users and change roles.
    ManageUsers,
    /// Change one's own password and end one's own sessions.
    ManageOwnAccount,
}

/// Over which things a role may do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// Over none.
    None,
    /// Over what the user owns: a machine, or a job that the user started or that works on an own machine.
    Own,
    /// Over that, and over what is shared with the user: a job whose build the user also asked for.
    Shared,
    /// Over all.
    All,
}

/// What an action is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject<'a> {
    /// Anything at all: whether a page has the link, or a form the button.
    Any,
    /// What belongs to the portal as a whole: users, the audit log, hosts, images.
    Portal,
    /// A thing that people own.
    Of {
        /// Who does.
        owners: &'a [UserId],
        /// Who may see it besides.
        shared_with: &'a [UserId],
    },
}

impl<'a> Subject<'a> {
    /// A thing of these owners that is shared with nobody.
    pub fn owned_by(owners: &'a [UserId]) -> Self {
        Subject::Of { owners, shared_with: &[] }
    }
}

/// A role and its rights.
struct RoleRow {
    role: Role,
    scope: fn(Action) -> Scope,
}

/// The table.
const ROLES: &[RoleRow] = &[
    RoleRow { role: Role::Member, scope: member },
    RoleRow { role: Role::Administrator, scope: |_| Scope::All },
];

fn member(action: Action) -> Scope {
    match action {
        Action::Operate(kind) => kind.row().member,
        Action::SeeMachine | Action::WatchConsole | Action::DriveConsole => Scope::Own,
        Action::SeeJob => Scope::Shared,
        Action::SteerJob => Scope::Own,
        Action::SeeImages | Action::SeeHosts => Scope::All,
        Action::GiveUpJob | Action::CheckHost | Action::ReadAudit | Action::ManageUsers => Scope::None,
        Action::ManageOwnAccount => Scope::Own,
    }
}

/// Over which things a role may do something; a role without a row may do nothing. For lists, which filter by it.
pub fn scope(role: Role, action: Action) -> Scope {
    ROLES.iter().find(|row| row.role == role).map_or(Scope::None, |row| (row.scope)(action))
}

/// Whether a user may do something to a thing.
pub fn can(user: &SessionUser, action: Action, subject: Subject<'_>) -> bool {
    match (scope(user.role, action), subject) {
        (Scope::None, _) => false,
        (Scope::All, _) | (_, Subject::Any) => true,
        (_, Subject::Portal) => false,
        (Scope::Own, Subject::Of { owners, .. }) => owners.contains(&user.id),
        (Scope::Shared, Subject::Of { owners, shared_with }) => {
            owners.contains(&user.id) || shared_with.contains(&user.id)
        }
    }
}

impl Action {
    /// The name in the audit log.
    pub fn name(self) -> &'static str {
        match self {
            Action::Operate(kind) => kind.as_str(),
            Action::SeeMachine => "see_machine",
            Action::WatchConsole => "watch_console",
            Action::DriveConsole => "drive_console",
            Action::SeeJob => "see_job",
            Action::SteerJob => "steer_job",
            Action::GiveUpJob => "give_up",
            Action::SeeImages => "see_images",
            Action::SeeHosts => "see_hosts",
            Action::CheckHost => "check_host",
            Action::ReadAudit => "read_audit",
            Action::ManageUsers => "manage_users",
            Action::ManageOwnAccount => "manage_own_account",
        }
    }

    /// Every action there is.
    pub fn all() -> impl Iterator<Item = Action> {
        let others = [
            Action::SeeMachine,
            Action::WatchConsole,
            Action::DriveConsole,
            Action::SeeJob,
            Action::SteerJob,
            Action::GiveUpJob,
            Action::SeeImages,
            Action::SeeHosts,
            Action::CheckHost,
            Action::ReadAudit,
            Action::ManageUsers,
            Action::ManageOwnAccount,
        ];
        OperationKind::ALL.iter().map(|kind| Action::Operate(*kind)).chain(others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn user(role: Role) -> SessionUser {
        SessionUser { id: UserId(Uuid::from_u128(1)), name: "ada".parse().unwrap(), role }
    }

    #[test]
    fn members_get_nothing_that_reaches_beyond_what_they_own() {
        let all_scope: Vec<Action> =
            Action::all().filter(|a| scope(Role::Member, *a) == Scope::All).collect();
        assert_eq!(all_scope, [Action::SeeImages, Action::SeeHosts]);
        assert!(Action::all().all(|a| scope(Role::Administrator, a) == Scope::All));
    }

    #[test]
    fn every_role_has_one_row() {
        for role in Role::ALL {
            assert_eq!(ROLES.iter().filter(|row| row.role == *role).count(), 1, "{role:?}");
        }
    }

    #[test]
    fn a_thing_is_somebodys_own_shared_or_nothing_to_them() {
        let (me, other) = ([UserId(Uuid::from_u128(1))], [UserId(Uuid::from_u128(2))]);
        let member = user(Role::Member);
        let mine = Subject::owned_by(&me);
        let shared = Subject::Of { owners: &other, shared_with: &me };
        let foreign = Subject::owned_by(&other);
        for (action, allowed) in [
            (Action::SteerJob, [true, false, false]),
            (Action::SeeJob, [true, true, false]),
            (Action::SeeImages, [true, true, true]),
            (Action::ManageUsers, [false, false, false]),
        ] {
            assert_eq!(
                [mine, shared, foreign].map(|subject| can(&member, action, subject)),
                allowed,
                "{action:?}"
            );
        }
        assert!(
            !can(&member, Action::SteerJob, Subject::Portal) && can(&member, Action::SteerJob, Subject::Any)
        );
        assert!(can(&user(Role::Administrator), Action::SteerJob, foreign));
    }
}
