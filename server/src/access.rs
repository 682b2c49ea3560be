//! Who a row of a table is for, in the tables of routes and of form actions.

use model::permission::Action;

/// Who gets a proper answer. No value includes another: what a user may do, only [`model::permission::can`] knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anyone.
    Anyone,
    /// Anyone who is logged in.
    LoggedIn,
    /// Users who may do this; which things is the portal's decision.
    Can(Action),
}

impl Access {
    /// Whether a login is required.
    pub fn needs_login(self) -> bool {
        self != Access::Anyone
    }
}
