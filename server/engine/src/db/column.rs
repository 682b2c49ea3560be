//! Columns as our types. SQL names the type where it names the column (`select id as "id: Text<JobId>"`); [`Read`] gives the
//! value.
//!
//! A value that cannot be read fails when it is accessed and does not fail the whole query: one row that a newer
//! version wrote, or that someone edited, must not hide the others ([`readable`]).

use crate::error::{Error, Result};
use serde::Serialize;
use serde::de::value::{Error as WordError, StrDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer as _};
use sqlx::error::BoxDynError;
use sqlx::sqlite::{SqliteTypeInfo, SqliteValueRef};
use sqlx::{Decode, Sqlite, Type};
use std::str::FromStr;

/// What a column gives.
pub(crate) trait Read {
    /// Our type.
    type Value;

    /// The value, or an error if it is damaged.
    fn read(self) -> Result<Self::Value>;
}

impl<C: Read> Read for Option<C> {
    type Value = Option<C::Value>;

    fn read(self) -> Result<Self::Value> {
        self.map(C::read).transpose()
    }
}

macro_rules! text_columns {
    ($($(#[$doc:meta])* $column:ident<T> where [$($bound:tt)*] by $parse:expr;)*) => {$(
        $(#[$doc])*
        pub(crate) struct $column<T>(std::result::Result<T, BoxDynError>);

        impl<T> std::fmt::Debug for $column<T> {
            /// Without the value, which may be a secret.
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(stringify!($column))
            }
        }

        impl<T> Type<Sqlite> for $column<T> {
            fn type_info() -> SqliteTypeInfo {
                <str as Type<Sqlite>>::type_info()
            }
        }

        impl<'r, T: $($bound)*> Decode<'r, Sqlite> for $column<T> {
            fn decode(value: SqliteValueRef<'r>) -> std::result::Result<Self, BoxDynError> {
                let text = <&str as Decode<'r, Sqlite>>::decode(value)?;
                Ok(Self($parse(text)))
            }
        }

        impl<T> Read for $column<T> {
            type Value = T;

            fn read(self) -> Result<T> {
                self.0.map_err(|source| Error::Damaged { what: name_of::<T>(), source })
            }
        }
    )*};
}

text_columns! {
    /// A type with a text of its own: an id, a name.
    Text<T> where [FromStr<Err: Into<BoxDynError>>] by |text: &str| text.parse().map_err(Into::into);
    /// An enumeration by serde's name for it.
    Word<T> where [DeserializeOwned] by word;
    /// A structured value, stored as JSON.
    Json<T> where [DeserializeOwned] by |text| serde_json::from_str(text).map_err(BoxDynError::from);
}

fn word<T: DeserializeOwned>(text: &str) -> std::result::Result<T, BoxDynError> {
    let word: StrDeserializer<'_, WordError> = text.into_deserializer();
    Ok(T::deserialize(word)?)
}

/// A type's name without its path.
fn name_of<T>() -> &'static str {
    let path = std::any::type_name::<T>();
    path.rsplit("::").next().unwrap_or(path)
}

/// The rows that can be read. The ones left out are logged.
pub(crate) fn readable<R, T>(rows: Vec<R>, read: impl Fn(R) -> Result<T>) -> Vec<T> {
    let log = |error: &Error| tracing::error!(error = crate::error::chain(error), "a row is left out");
    rows.into_iter().filter_map(|row| read(row).inspect_err(log).ok()).collect()
}

/// A value as JSON for storing.
pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(Error::damaged(name_of::<T>()))
}

/// A size as SQLite has it. Sizes above 8 EiB do not exist.
pub(crate) fn integer(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A size as we have it.
pub(crate) fn natural(n: i64) -> u64 {
    n.max(0).unsigned_abs()
}
