//! Why a text cannot be read at all, and where in it; and the text as its readers take it.

use model::size::Bytes;
use std::fmt;

/// The longest text that is read, in bytes.
pub const TEXT_MAX: usize = 256 * 1024;

/// Why a text cannot be read, for the person who wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake(String);

impl Mistake {
    /// One that has no place.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }

    /// One that is somewhere on this line.
    pub fn on_line(line: u64, what: impl fmt::Display) -> Self {
        Self(format!("Line {line}: {what}"))
    }

    /// One at this byte of the text.
    pub fn at(text: &str, offset: usize, what: impl fmt::Display) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        Self(format!("Line {line}, column {column}: {what}"))
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text without a byte order mark, its lines ended by line feeds alone. What is no text is refused here, once for all formats.
///
/// # Errors
/// If it is too long, or has control characters.
pub fn clean(text: &str) -> Result<String, Mistake> {
    if text.len() > TEXT_MAX {
        let (has, most) = (Bytes(text.len() as u64), Bytes(TEXT_MAX as u64));
        return Err(Mistake::new(format!("This text has {has}; at most {most} are read. Split it.")));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n").replace('\r', "\n");
    match text.char_indices().find(|(_, c)| is_no_text(*c)) {
        None => Ok(text),
        Some((at, char::REPLACEMENT_CHARACTER)) => {
            Err(Mistake::at(&text, at, "a character cannot be read. Save the file as UTF-8."))
        }
        Some((at, c)) => {
            let what = format!("there is a control character (U+{:04X}). Remove it.", u32::from(c));
            Err(Mistake::at(&text, at, what))
        }
    }
}

fn is_no_text(c: char) -> bool {
    c == char::REPLACEMENT_CHARACTER || (c.is_control() && !matches!(c, '\n' | '\t'))
}
