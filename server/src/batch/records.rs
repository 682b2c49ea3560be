//! TOML and JSON.

use super::given::Records;
use super::mistake::Mistake;

/// Reads JSON (RFC 8259): a list of objects, or an object with `machines` and `defaults`.
///
/// # Errors
/// Where it is not JSON, or says something else.
pub fn json(text: &str) -> Result<Records, Mistake> {
    serde_json::from_str(text).map_err(|error| {
        // Its text ends with a line and a column in bytes; ours are in characters.
        let what = error.to_string();
        let what = what.rsplit_once(" at line ").map_or(what.as_str(), |(what, _)| what);
        Mistake::at(text, offset(text, error.line(), error.column()), format!("{what}."))
    })
}

/// Reads TOML 1.0: tables `[[machine]]`, and `[defaults]`.
///
/// # Errors
/// Where it is not TOML, or says something else.
pub fn toml(text: &str) -> Result<Records, Mistake> {
    toml::from_str(text).map_err(|error| {
        let what = format!("{}.", error.message().trim_end_matches('.').replace('\n', "; "));
        match error.span() {
            Some(span) => Mistake::at(text, span.start, what),
            None => Mistake::new(what),
        }
    })
}

/// The byte of a line and a column that both begin with 1.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let mut at = (before + column.saturating_sub(1)).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
