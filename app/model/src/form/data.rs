//! A posted form, before it is interpreted.

use serde::{Deserialize, Serialize};

/// The largest form body that is read, in bytes.
pub const BODY_MAX: usize = 256 * 1024;
/// The largest body of the page that takes files, in bytes: the largest text beside itself in a file.
pub const UPLOAD_MAX: usize = 4 * BODY_MAX;
/// The largest number of fields that is read.
pub const FIELDS_MAX: usize = 512;

/// Posted by a form that had secrets typed into it before, with the name of each: a page never shows them again, and one that
/// is missing now was more likely overlooked than meant.
pub const RETYPE: &str = "retype";
/// Posted with the name of each of those that is meant to be missing.
pub const LEFT_EMPTY: &str = "left_empty";
/// What is said beside such a field.
pub const TYPE_AGAIN: &str = "Enter this again: it is not kept in the form. Or tick “Leave it empty”.";
/// Secrets of a machine, each with the box that removes it.
const REMOVALS: [(&str, &str); 2] =
    [("root_password", "remove_root_password"), ("samba_password", "remove_samba")];

/// What was posted: names and values in order, repeated names included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormData(pub Vec<(String, String)>);

impl FormData {
    /// Reads `application/x-www-form-urlencoded` (WHATWG URL §5.1); any bytes are read as something.
    pub fn from_urlencoded(body: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(body).take(FIELDS_MAX);
        Self(pairs.map(|(k, v)| (k.into_owned(), v.into_owned())).collect())
    }

    /// The first value of this name, without blanks around it; empty if there is none.
    pub fn get(&self, name: &str) -> &str {
        self.raw(name).trim()
    }

    /// The first value of this name exactly as it was posted.
    pub fn raw(&self, name: &str) -> &str {
        self.0.iter().find(|(k, _)| k == name).map_or("", |(_, v)| v)
    }

    /// All values of this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(k, _)| k == name).map(|(_, v)| v.as_str())
    }

    /// True when the name was posted at all, as a ticked checkbox is.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(k, _)| k == name)
    }

    /// True when the value is one of those posted under this name.
    pub fn lists(&self, name: &str, value: &str) -> bool {
        self.all(name).any(|listed| listed == value)
    }

    /// True when a secret was typed into this field before, is missing now, and nobody has said that this is meant.
    pub fn must_retype(&self, name: &str) -> bool {
        let is_removed = REMOVALS.iter().any(|(secret, removal)| *secret == name && self.has(removal));
        self.lists(RETYPE, name) && self.raw(name).is_empty() && !is_removed && !self.lists(LEFT_EMPTY, name)
    }

    /// Sets a value, replacing what was there.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.retain(|(k, _)| k != name);
        self.0.push((name.to_owned(), value.into()));
    }
}
