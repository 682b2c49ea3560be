//! Shorthands for findings.

use model::host::{Finding, Level};

/// As it should be.
pub fn ok(name: &str, what: String) -> Finding {
    Finding { name: name.into(), level: Level::Ok, what, fix: None }
}

/// Works, but not well.
pub fn warning(name: &str, what: String, fix: String) -> Finding {
    Finding { name: name.into(), level: Level::Warning, what, fix: Some(fix) }
}

/// Some operations cannot work until it is fixed.
pub fn broken(name: &str, what: String, fix: String) -> Finding {
    Finding { name: name.into(), level: Level::Error, what, fix: Some(fix) }
}
