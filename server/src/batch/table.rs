//! CSV (RFC 4180), and what comes out of a spreadsheet: cells may be separated by commas, tabs or semicolons.

use super::fields::Fields;
use super::given::{Given, Record, Records};
use super::mistake::Mistake;
use csv::{ReaderBuilder, StringRecord};

/// How many lines are said to be wrong.
const MISTAKES_MAX: usize = 10;

/// Reads a table whose first line names the columns. An empty cell is as if its column were not there.
///
/// # Errors
/// What is wrong with the first line, or which lines do not fit it.
pub fn read(text: &str, fields: &Fields) -> Result<Records, Vec<Mistake>> {
    let separator = separator(text);
    if let Some(at) = unclosed_quote(text, separator) {
        let what = "this quotation mark is not closed. A quoted value ends with another one.";
        return Err(vec![Mistake::at(text, at, what)]);
    }
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .comment(Some(b'#'))
        .delimiter(separator)
        .from_reader(text.as_bytes());
    let mut lines = reader.records().filter(|line| !line.as_ref().is_ok_and(is_blank));
    let header = match lines.next() {
        Some(header) => {
            let mut header = header.map_err(|error| vec![unreadable(&error)])?;
            header.trim();
            header
        }
        None => return Ok(Records::default()),
    };
    if let Some(what) = wrong_header(&header, fields) {
        return Err(vec![Mistake::on_line(line_of(text, &header), what)]);
    }
    let (mut machines, mut mistakes) = (Vec::new(), Vec::new());
    for line in lines {
        match line.map_err(|error| unreadable(&error)).and_then(|line| record(text, &header, &line)) {
            Ok(machine) => machines.push(machine),
            Err(mistake) => mistakes.push(mistake),
        }
        if mistakes.len() == MISTAKES_MAX {
            break;
        }
    }
    if mistakes.is_empty() { Ok(Records { machines, ..Records::default() }) } else { Err(mistakes) }
}

/// What separates the cells of the first line.
fn separator(text: &str) -> u8 {
    let first = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with('#')).unwrap_or("");
    [(b'\t', '\t'), (b',', ','), (b';', ';')]
        .into_iter()
        .find(|(_, separator)| first.contains(*separator))
        .map_or(b',', |(byte, _)| byte)
}

/// Where a quoted value begins that does not end: it would swallow the rest of the text.
fn unclosed_quote(text: &str, separator: u8) -> Option<usize> {
    let (mut open, mut at_start) = (None, true);
    let mut bytes = text.bytes().enumerate().peekable();
    while let Some((at, byte)) = bytes.next() {
        match (open, byte) {
            (None, b'"') if at_start => open = Some(at),
            (Some(_), b'"') if bytes.peek().is_some_and(|(_, next)| *next == b'"') => drop(bytes.next()),
            (Some(_), b'"') => open = None,
            _ => {}
        }
        at_start = byte == separator || byte == b'\n';
    }
    open
}

fn wrong_header(header: &StringRecord, fields: &Fields) -> Option<String> {
    let unknown: Vec<&str> = header.iter().filter(|name| !fields.knows(name)).collect();
    if !unknown.is_empty() {
        return Some(format!("the first line names the columns. {}", fields.unknown(&unknown)));
    }
    if !header.iter().any(|name| fields.is(name, "name")) {
        return Some("the first line names the columns, and one of them has to be “name”.".to_owned());
    }
    fields.twice(header.iter())
}

/// A machine. A line with a cell too many or too few has most likely lost its separator, and all its cells their meaning.
fn record(text: &str, header: &StringRecord, line: &StringRecord) -> Result<Record, Mistake> {
    let has = line.len().max(header.len());
    let too_many = line.iter().skip(header.len()).any(|cell| !cell.trim().is_empty());
    if too_many || line.len() < header.len() {
        let has = if too_many { has } else { line.len() };
        let (values, columns) = (count(has, "value"), count(header.len(), "column"));
        let what =
            format!("this line has {values} for {columns}. Put a value with a separator in it into quotes.");
        return Err(Mistake::on_line(line_of(text, line), what));
    }
    let cells = header.iter().zip(line.iter()).filter(|(_, cell)| !cell.trim().is_empty());
    Ok(Record(cells.map(|(name, cell)| (name.to_owned(), Given::Text(cell.to_owned()))).collect()))
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn is_blank(line: &StringRecord) -> bool {
    line.iter().all(|cell| cell.trim().is_empty())
}

/// The number of a line. The reader begins a record before the blank lines and comments that it skips.
fn line_of(text: &str, line: &StringRecord) -> u64 {
    let start = line.position().map_or(0, csv::Position::byte);
    let (before, rest) =
        usize::try_from(start).ok().and_then(|at| text.split_at_checked(at)).unwrap_or((text, ""));
    let skipped = rest.lines().take_while(|line| line.is_empty() || line.starts_with('#')).count();
    (before.matches('\n').count() + skipped + 1) as u64
}

fn unreadable(error: &csv::Error) -> Mistake {
    let line = error.position().map_or(1, csv::Position::line);
    Mistake::on_line(line, "this line cannot be read as CSV.")
}
