//! Which of the things in a list someone sees, as a condition of its query.

use model::account::UserId;

/// Which of the things in a list someone sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Visible {
    /// All.
    All,
    /// This user's.
    Of(UserId),
}

impl Visible {
    /// True for a thing of this owner.
    pub fn includes(&self, owner: UserId) -> bool {
        match self {
            Visible::All => true,
            Visible::Of(user) => *user == owner,
        }
    }

    /// The owner to filter by in SQL, where null means everyone: `(?1 is null or owner_id = ?1)`.
    pub fn owner(&self) -> Option<String> {
        match self {
            Visible::All => None,
            Visible::Of(user) => Some(user.to_string()),
        }
    }
}
