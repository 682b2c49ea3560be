//! Forms as data: which fields an operation has, and how what was posted becomes operations.
//!
//! One renderer shows every form from the fields of its row in the catalog; one decoder, [`operations`], reads it back.
//! A decoder returns all errors at once, each beside its field, and never panics, whatever bytes come. It runs on the
//! server, which islands ask while someone types, so that a field is judged by one rule.

pub(crate) mod data;
#[cfg(any(feature = "portal", test))]
pub(crate) mod decode;
pub(crate) mod fields;
#[cfg_attr(not(any(feature = "portal", test)), expect(dead_code, reason = "only the server reads forms"))]
pub(crate) mod reader;

pub use data::{BODY_MAX, FIELDS_MAX, FormData, LEFT_EMPTY, RETYPE, TYPE_AGAIN, UPLOAD_MAX};
#[cfg(any(feature = "portal", test))]
pub use decode::{
    chosen, defaults, from_spec, on_machine, opened, operations, placeholder_hash, secrets, wrong_profiles,
};
pub use fields::{ACCOUNT, Entry, Field, Group};
pub use reader::{BUILDS_MAX, HashPassword, Reader};

#[cfg(test)]
mod tests;
