//! People: users, roles, sessions, and the actor of a request.

use crate::newtype::{Refused, label};
use crate::time::Time;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use strum::VariantArray as _;

crate::id!(
    /// Names a user.
    UserId
);

crate::validated_string!(
    /// A user's name: one label.
    UserName,
    |text| label("A user name", text)
);

/// What a user is in the portal.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    strum::EnumString,
    strum::VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", parse_err_ty = Refused, parse_err_fn = no_such_role)]
pub enum Role {
    /// Owns machines and works with them.
    Member,
    /// Sees and does everything.
    Administrator,
}

impl Role {
    /// Every role, the one with the fewest rights first.
    pub const ALL: &[Role] = Role::VARIANTS;

    /// The name in forms and in the database.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// The label for people.
    pub fn title(self) -> &'static str {
        match self {
            Role::Member => "Member",
            Role::Administrator => "Administrator",
        }
    }
}

fn no_such_role(_: &str) -> Refused {
    Refused::new("Choose member or administrator.")
}

/// A user who is logged in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionUser {
    /// Id.
    pub id: UserId,
    /// Name.
    pub name: UserName,
    /// Role at this moment.
    pub role: Role,
}

/// Who asks, from where. Made once per request from the session and the connection; never from what the client says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The user, if someone is logged in.
    pub user: Option<SessionUser>,
    /// The client's address, via a configured proxy if there is one.
    pub from: Option<IpAddr>,
}

impl Actor {
    /// Someone who is not logged in.
    pub fn anonymous(from: Option<IpAddr>) -> Self {
        Self { user: None, from }
    }
}

/// A text that must not be shown: `Debug` and logs see only that there is one, and it can be read from a form but not
/// written.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret, for the one place that uses it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The shortest password accepted, in characters (NIST SP 800-63B §3.1.1 requires 8 with further factors, else 15; 12
/// with throttling and Argon2id is our trade-off).
pub const PASSWORD_MIN: usize = 12;
/// The longest password accepted, in bytes: Argon2 would take more, at the expense of our processor.
pub const PASSWORD_MAX: usize = 1024;

/// Returns what is wrong with a new password, if anything.
pub fn password_fault(password: &str) -> Option<String> {
    if password.chars().count() < PASSWORD_MIN {
        return Some(format!("Use at least {PASSWORD_MIN} characters; four random words work well."));
    }
    (password.len() > PASSWORD_MAX).then(|| format!("Use at most {PASSWORD_MAX} bytes."))
}

/// A user as the users page shows one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserView {
    /// Id.
    pub id: UserId,
    /// Name.
    pub name: UserName,
    /// Role.
    pub role: Role,
    /// Disabled users cannot log in; their machines stay.
    pub disabled: bool,
    /// When the account was made.
    pub created: Time,
    /// The last login.
    pub last_login: Option<Time>,
    /// How many machines the user owns.
    pub machines: u32,
}

/// One session as its owner sees it on the account page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionView {
    /// A name for the session that is not its secret.
    pub handle: String,
    /// When it began.
    pub began: Time,
    /// When it was last used.
    pub used: Time,
    /// The address it began from.
    pub from: Option<String>,
    /// The browser's user agent, cut short.
    pub agent: Option<String>,
    /// True for the current session.
    pub current: bool,
}

/// What a socket ticket is valid for. One ticket opens one socket once, within [`TICKET_SECONDS`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "purpose", rename_all = "snake_case")]
pub enum TicketPurpose {
    /// `/ws/events`.
    Events,
    /// `/ws/jobs/{id}`.
    Job {
        /// The job.
        id: crate::job::JobId,
    },
    /// `/ws/console/{machine}`.
    Console {
        /// The machine.
        machine: crate::machine::MachineName,
        /// Whether the socket may type, or only watch.
        role: crate::console::ConsoleRole,
    },
}

/// How long a browser stays a known device after a login, in seconds: as long as browsers keep a cookie at most (RFC 6265bis
/// §5.5, 400 days).
pub const DEVICE_SECONDS: u64 = 400 * 24 * 3600;

/// The longest device cookie that is made or read, in bytes.
pub const DEVICE_COOKIE_MAX: usize = 512;

/// How long a ticket is valid, in seconds.
pub const TICKET_SECONDS: i64 = 60;
