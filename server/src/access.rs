//! For whom things are, in the tables of routes and of forms.

/// Who gets a proper answer: this kind of person and every one further down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Anybody.
    Anyone,
    /// Whoever is logged in.
    Member,
    /// Administrators.
    Administrator,
}
