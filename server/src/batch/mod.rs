//! Many new machines from one text: CSV, TOML, JSON, or lines of the CLI's command `create-batch`.
//!
//! ```text
//! mistake   why and where a text cannot be read      given     names and values, before they mean anything
//! table     CSV            records  TOML and JSON    command   lines of `create-batch`
//! fields    names and values → the form for a new machine
//! ```
//!
//! [`read`] makes of each machine what the form for a new machine posts, so that it is judged by that form's reader and by nothing else;
//! `forms::batch` does. Such a text may hold passwords: nothing here logs or keeps any of it.

pub mod command;
pub mod fields;
pub mod given;
pub mod mistake;
pub mod records;
pub mod table;

use fields::{Described, Fields};
use given::Records;
use mistake::Mistake;
use model::FieldError;
use model::form::FormData;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;

/// The most machines that one text describes.
pub const MACHINES_MAX: usize = 100;

/// What a text can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A table.
    Csv,
    /// Tables `[[machine]]`.
    Toml,
    /// A list of objects.
    Json,
    /// Lines of `create-batch`.
    Commands,
}

/// The machines of a text.
pub struct Batch {
    /// What it was recognised as.
    pub format: Format,
    /// Its fingerprint, the same however its lines end.
    pub digest: String,
    /// The machines, in its order.
    pub machines: Vec<Described>,
}

impl Format {
    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Format::Csv => "CSV",
            Format::Toml => "TOML",
            Format::Json => "JSON",
            Format::Commands => "create-batch commands",
        }
    }

    /// What a text is, by its first line that is neither blank nor a comment. None if there is no such line.
    fn of(text: &str) -> Option<Self> {
        let mut rest = text;
        let line = loop {
            let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
            if !line.trim().is_empty() && !line.trim_start().starts_with('#') {
                break line.trim();
            }
            if after.is_empty() {
                return None;
            }
            rest = after;
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        Some(if line.starts_with('{') {
            Format::Json
        } else if line.starts_with('[') {
            let inside = rest.trim_start_matches(|c: char| c == '[' || c.is_whitespace());
            if inside.starts_with(|c: char| c.is_ascii_alphabetic()) { Format::Toml } else { Format::Json }
        } else if command::begins_with(line) {
            Format::Commands
        } else if line.split_once('=').is_some_and(|(name, _)| name.trim().chars().all(is_name)) {
            Format::Toml
        } else {
            Format::Csv
        })
    }
}

/// Reads a text; each machine is like `base` but for what the text says.
///
/// # Errors
/// Why nothing can be made of it, and where.
pub fn read(text: &str, base: FormData) -> Result<Batch, Vec<Mistake>> {
    let text = mistake::clean(text).map_err(|mistake| vec![mistake])?;
    let nothing = || vec![Mistake::new("Paste the machines here, or choose a file.")];
    let format = Format::of(&text).ok_or_else(nothing)?;
    let fields = Fields::of_a_new_machine();
    let Records { defaults, machines } = match format {
        Format::Csv => table::read(&text, &fields)?,
        Format::Toml => records::toml(&text).map_err(|mistake| vec![mistake])?,
        Format::Json => records::json(&text).map_err(|mistake| vec![mistake])?,
        Format::Commands => command::read(&text)?,
    };
    count(machines.len(), format).map_err(|mistake| vec![mistake])?;
    let base = fields.describe(&Described::of(base), defaults);
    if !base.errors.is_empty() {
        let about = |error: &FieldError| match error.field.as_str() {
            "" => format!("In the defaults: {}", error.message),
            field => format!("In the defaults, {field}: {}", error.message),
        };
        return Err(base.errors.iter().map(|error| Mistake::new(about(error))).collect());
    }
    let mut machines: Vec<Described> =
        machines.into_iter().map(|record| fields.describe(&base, record)).collect();
    find_namesakes(&mut machines);
    Ok(Batch { format, digest: hex::encode(Sha256::digest(&text)), machines })
}

fn count(machines: usize, format: Format) -> Result<(), Mistake> {
    match machines {
        0 => Err(Mistake::new(format!(
            "There is no machine in this text, which looks like {}.",
            format.title()
        ))),
        1..=MACHINES_MAX => Ok(()),
        _ => Err(Mistake::new(format!(
            "There are {machines} machines in this text; at most {MACHINES_MAX} are created at a time. Split it."
        ))),
    }
}

/// Says beside the second of two machines of one name that there is a first.
fn find_namesakes(machines: &mut [Described]) {
    let mut names = BTreeSet::new();
    for machine in machines {
        let name = machine.data.get("name").to_owned();
        if !name.is_empty() && !names.insert(name.clone()) {
            let name = model::address::brief(&name);
            let what = format!("Another machine of this text has the name {name}; choose another one.");
            machine.errors.push(FieldError::new("name", what));
        }
    }
}

#[cfg(test)]
mod tests;
