//! From the fields of a posted form to the struct of its action, by serde; the rules for fields are here.

use model::Fault;
use model::form::FormData;
use serde::de::value::{Error, MapDeserializer};
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error as _, IntoDeserializer as _};
use serde_path_to_error::Segment;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

/// The message for a field that only our own pages fill in: the page is from another version, or someone tampered with
/// it.
pub(super) const OUTDATED: &str = "This page is out of date. Reload it and try again.";

/// Reads the fields of an action. For a name that was posted twice the first value counts, as in [`FormData::get`].
///
/// [`Fault::Invalid`] for a field with an invalid value, [`Fault::Malformed`] if a field is missing, which no person
/// can cause on a page.
/// mistake that a person can make on a page.
pub(super) fn decode<T: DeserializeOwned>(data: &FormData) -> Result<T, Fault> {
    let fields: BTreeMap<&str, &str> = data.0.iter().rev().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let fields: MapDeserializer<'_, _, Error> = fields.into_deserializer();
    serde_path_to_error::deserialize(fields).map_err(|error| match error.path().iter().next() {
        Some(Segment::Map { key }) => Fault::invalid(key, error.inner().to_string()),
        _ => Fault::Malformed { why: error.inner().to_string() },
    })
}

/// A value that a person entered, without the blanks around it.
///
/// # Errors
/// The type's error.
pub(super) fn entered<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    String::deserialize(from)?.trim().parse().map_err(D::Error::custom)
}

/// A value that only our own pages fill in.
///
/// # Errors
/// [`OUTDATED`]
pub(super) fn hidden<'de, D: Deserializer<'de>, T: FromStr>(from: D) -> Result<T, D::Error> {
    String::deserialize(from)?.trim().parse().map_err(|_| D::Error::custom(OUTDATED))
}

/// The same, where the value may be empty; together with `#[serde(default)]`.
///
/// # Errors
/// [`OUTDATED`]
pub(super) fn hidden_or_empty<'de, D: Deserializer<'de>, T: FromStr>(from: D) -> Result<Option<T>, D::Error> {
    match String::deserialize(from)?.trim() {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| D::Error::custom(OUTDATED)),
    }
}

/// A value that may be left out altogether, but counts if it is empty; together with `#[serde(default)]`.
///
/// # Errors
/// The type's error.
pub(super) fn posted<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::account::{Role, Secret, UserId};
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    struct Fields {
        #[serde(deserialize_with = "hidden")]
        user: UserId,
        #[serde(deserialize_with = "entered")]
        role: Role,
        password: Secret,
        #[serde(default, deserialize_with = "posted")]
        again: Option<Secret>,
        #[serde(default, deserialize_with = "hidden_or_empty")]
        page: Option<u8>,
    }

    fn read(body: &str) -> Result<Fields, Fault> {
        decode(&FormData::from_urlencoded(body.as_bytes()))
    }

    const USER: &str = "user=018f2d2e-0000-7000-8000-000000000001";

    #[test]
    fn fields_are_read_as_their_kind_says() {
        let fields = read(&format!("{USER}&role=+member+&role=x&password=+x+&page=&unknown=1")).unwrap();
        assert_eq!((fields.role, fields.password.reveal()), (Role::Member, " x "));
        assert_eq!((fields.again.is_none(), fields.page), (true, None));
        let fields = read(&format!("{USER}&role=member&password=&again=&page=7")).unwrap();
        assert_eq!((fields.again.unwrap().reveal(), fields.page), ("", Some(7)));
        assert_eq!(fields.user.to_string(), USER.split_once('=').unwrap().1);
    }

    #[test]
    fn what_is_wrong_stands_beside_its_field() {
        let wrong = |body: &str, field: &str| {
            read(body).unwrap_err().of_field(field).map(str::to_owned).expect("a word about the field")
        };
        assert_eq!(wrong(&format!("{USER}&role=king&password=x"), "role"), "Choose member or administrator.");
        assert_eq!(wrong("user=1&role=member&password=x", "user"), OUTDATED);
        assert_eq!(wrong(&format!("{USER}&role=member&password=x&page=-1"), "page"), OUTDATED);
        let missing = read("role=member&password=x").unwrap_err();
        assert!(matches!(&missing, Fault::Malformed { why } if why.contains("user")), "{missing:?}");
    }
}
