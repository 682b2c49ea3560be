//! Who may do what: one table, read by one function.

use crate::account::Role;
use crate::operation::OperationKind as Op;
use serde::{Deserialize, Serialize};

/// Everything that can be asked of the portal by somebody who is logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Action {
    /// Submit an operation.
    Operate(Op),
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
    /// See images and profiles.
    SeeImages,
    /// See hosts and their findings.
    SeeHosts,
    /// Look at a host again.
    CheckHost,
    /// Read the audit log.
    ReadAudit,
    /// See, add, disable users and change roles.
    ManageUsers,
    /// Change one's own password, end one's own sessions.
    ManageOwnAccount,
}

/// Over which things a role may do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// Over none.
    None,
    /// Over what the user owns: a machine, or a job that the user started or that works on an own machine.
    Own,
    /// Over all.
    All,
}

/// The table. Administrators may do everything; the row says what members may.
pub fn scope(role: Role, action: Action) -> Scope {
    if role == Role::Administrator {
        return Scope::All;
    }
    match action {
        Action::Operate(Op::Build | Op::Create | Op::Configure) => Scope::Own,
        Action::Operate(Op::Provision | Op::Start | Op::ShutDown | Op::Reboot | Op::ForceOff) => Scope::Own,
        Action::Operate(Op::Suspend | Op::Resume | Op::Destroy | Op::Purge) => Scope::Own,
        Action::Operate(Op::RemoveImage) => Scope::None,
        Action::SeeMachine | Action::WatchConsole | Action::DriveConsole => Scope::Own,
        Action::SeeJob | Action::SteerJob => Scope::Own,
        Action::SeeImages | Action::SeeHosts => Scope::All,
        Action::CheckHost | Action::ReadAudit | Action::ManageUsers => Scope::None,
        Action::ManageOwnAccount => Scope::Own,
    }
}

impl Action {
    /// The word in the audit log.
    pub fn name(self) -> String {
        match self {
            Action::Operate(kind) => kind.as_str().to_owned(),
            Action::SeeMachine => "see_machine".to_owned(),
            Action::WatchConsole => "watch_console".to_owned(),
            Action::DriveConsole => "drive_console".to_owned(),
            Action::SeeJob => "see_job".to_owned(),
            Action::SteerJob => "steer_job".to_owned(),
            Action::SeeImages => "see_images".to_owned(),
            Action::SeeHosts => "see_hosts".to_owned(),
            Action::CheckHost => "check_host".to_owned(),
            Action::ReadAudit => "read_audit".to_owned(),
            Action::ManageUsers => "manage_users".to_owned(),
            Action::ManageOwnAccount => "manage_own_account".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_get_nothing_that_reaches_beyond_what_they_own() {
        let all_scope: Vec<Action> =
            every_action().filter(|a| scope(Role::Member, *a) == Scope::All).collect();
        assert_eq!(all_scope, [Action::SeeImages, Action::SeeHosts]);
        assert!(every_action().all(|a| scope(Role::Administrator, a) == Scope::All));
    }

    fn every_action() -> impl Iterator<Item = Action> {
        let others = [
            Action::SeeMachine,
            Action::WatchConsole,
            Action::DriveConsole,
            Action::SeeJob,
            Action::SteerJob,
            Action::SeeImages,
            Action::SeeHosts,
            Action::CheckHost,
            Action::ReadAudit,
            Action::ManageUsers,
            Action::ManageOwnAccount,
        ];
        Op::ALL.iter().map(|k| Action::Operate(*k)).chain(others)
    }
}
