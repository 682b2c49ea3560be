//! How a string or an id from outside becomes a value that can be trusted: two macros and the rule for labels.

/// Why a text was refused; shown to the person next to the field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

impl Refused {
    /// A refusal with this sentence.
    pub fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

/// The longest label that DNS and `hostname(7)` allow, in bytes.
pub const LABEL_MAX: usize = 63;

/// Accepts `^[a-z][a-z0-9-]{0,62}$` without a trailing `-`: what RFC 1123 allows as one host label, so that the same
/// text is safe as a host name, a file name, a domain name and an argument. `what` begins the sentence of refusal.
pub fn label(what: &str, text: &str) -> Result<(), Refused> {
    let rest_is_fine = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let first_is_letter = text.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
    if text.is_empty() {
        return Err(Refused(format!("{what} is missing.")));
    }
    if text.len() > LABEL_MAX {
        return Err(Refused(format!("{what} is longer than {LABEL_MAX} characters.")));
    }
    if !rest_is_fine || !first_is_letter || text.ends_with('-') {
        return Err(Refused(format!(
            "{what} must start with a lower-case letter, contain only lower-case letters, digits and “-”, and not end \
             with “-”."
        )));
    }
    Ok(())
}

/// A string newtype that can only be made through its check.
///
/// Gives `TryFrom<String>`, `FromStr`, `Display`, `AsRef<str>`, serde through the check, and `as_str`.
#[macro_export]
macro_rules! validated_string {
    ($(#[$meta:meta])* $name:ident, $check:expr) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text as it was accepted.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl TryFrom<String> for $name {
            type Error = $crate::newtype::Refused;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                let check: fn(&str) -> Result<(), $crate::newtype::Refused> = $check;
                check(&text)?;
                Ok(Self(text))
            }
        }
        impl std::str::FromStr for $name {
            type Err = $crate::newtype::Refused;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::try_from(text.to_owned())
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// An identifier: a UUIDv7 made by the engine, opaque to everyone else.
#[macro_export]
macro_rules! id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub uuid::Uuid);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}
