//! A posted form, before it is interpreted.

use serde::{Deserialize, Serialize};

/// The largest form body that is read, in bytes.
pub const BODY_MAX: usize = 256 * 1024;
/// The largest number of fields that is read.
const FIELDS_MAX: usize = 512;

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

    /// Sets a value, replacing what was there.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.retain(|(k, _)| k != name);
        self.0.push((name.to_owned(), value.into()));
    }
}
