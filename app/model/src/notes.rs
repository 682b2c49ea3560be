//! What people write down about a machine.

use crate::newtype::Refused;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The longest text, in bytes.
const MAX: usize = 4 * 1024;

/// Free text about a machine, in several lines; empty if there is none. It is shown as it is, never as markup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Notes(String);

impl Notes {
    /// The text, its lines ended by line feeds.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromStr for Notes {
    type Err = Refused;

    /// Takes line ends as browsers post them (CR LF), and leaves out white space at both ends.
    fn from_str(text: &str) -> Result<Self, Refused> {
        let text = text.replace("\r\n", "\n");
        let text = text.trim();
        if text.len() > MAX {
            let more = text.len() - MAX;
            return Err(Refused(format!("Notes can have at most {} KiB: remove {more} bytes.", MAX / 1024)));
        }
        let is_control = |line: &str| line.chars().any(|c| c.is_control() && c != '\t');
        if let Some(at) = text.split('\n').position(is_control) {
            return Err(Refused(format!(
                "Notes are plain text, and line {} has a control character: remove it.",
                at + 1
            )));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Notes {
    type Error = Refused;
    fn try_from(text: String) -> Result<Self, Refused> {
        text.parse()
    }
}

impl From<Notes> for String {
    fn from(notes: Notes) -> String {
        notes.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stay_lines_and_what_is_too_long_or_no_text_is_refused() {
        let read = |text: &str| text.parse::<Notes>().map(String::from).map_err(|refused| refused.0);
        assert_eq!(read(" Ask Ada.\r\n\r\n\tRack 4 \r\n"), Ok("Ask Ada.\n\n\tRack 4".to_owned()));
        assert_eq!(read("<b>“&”</b>"), Ok("<b>“&”</b>".to_owned()));
        assert_eq!(read("\r\n "), Ok(String::new()));
        assert!(read(&"x".repeat(MAX)).is_ok());
        assert!(read(&"ü".repeat(MAX / 2 + 3)).unwrap_err().contains("remove 6 bytes"));
        for evil in ["one\nred \x1b[31m", "one\nback\rwards", "one\n\0"] {
            assert!(read(evil).unwrap_err().contains("line 2"), "{evil:?}");
        }
    }
}
