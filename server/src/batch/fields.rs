//! From names and values to the form for a new machine: which field a name means, and how its value is posted.

use super::given::{Given, Record};
use model::FieldError;
use model::address::brief;
use model::form::{Entry, Field, FormData};
use model::machine::Mode;
use model::operation::OperationKind;
use std::collections::{BTreeMap, BTreeSet};

/// What the CLI calls our fields: its arguments, and the files of its machines.
const ALIASES: [(&str, &str); 11] = [
    ("hostname", "name"),
    ("profile", "profiles"),
    ("var_size", "disk"),
    ("disk_size", "disk"),
    ("static_ip", "static_address"),
    ("admin_authorized_keys", "admin_keys"),
    ("user_authorized_keys", "user_keys"),
    ("resolv.conf", "dns"),
    ("ca_cert", "certificates"),
    ("ca-cert.pem", "certificates"),
    ("samba_client_shares", "samba_shares"),
];

/// Fields of several lines that are one text, not a list.
const TEXTS: [&str; 2] = ["certificates", "notes"];

/// Modes that the CLI has as a file of the machine, or among its profiles.
const MODES: [&str; 2] = ["semi-mutable", "mutable"];

const YES_OR_NO: &str = "Write yes or no.";

/// How many names are repeated in a message.
const NAMES_MAX: usize = 5;

/// The fields of the form for a new machine.
pub struct Fields {
    list: Vec<Field>,
    /// The place of each by every name that it has.
    names: BTreeMap<String, usize>,
}

/// One machine as its text describes it.
#[derive(Clone, Default)]
pub struct Described {
    /// What the form for a new machine would post.
    pub data: FormData,
    /// The fields that the text gives a value.
    pub given: BTreeSet<&'static str>,
    /// What is wrong before anything is judged; without a field if it is about the machine as a whole.
    pub errors: Vec<FieldError>,
}

impl Fields {
    /// Those that there are.
    pub fn of_a_new_machine() -> Self {
        let groups = OperationKind::Create.row().form.groups();
        let list: Vec<Field> = groups.into_iter().flat_map(|group| group.fields).collect();
        let mut names = BTreeMap::new();
        for (place, field) in list.iter().enumerate() {
            let aliases = ALIASES.iter().filter(|(_, own)| *own == field.name).map(|(alias, _)| *alias);
            for name in aliases.chain([field.label, field.name]) {
                names.insert(plain(name), place);
            }
        }
        Self { list, names }
    }

    /// In the order of the form.
    pub fn iter(&self) -> impl Iterator<Item = &Field> {
        self.list.iter()
    }

    /// The field that a name means: its own, its label, or what the CLI calls it.
    fn find(&self, name: &str) -> Option<&Field> {
        self.names.get(&plain(name)).and_then(|place| self.list.get(*place))
    }

    /// Whether a name means something.
    pub fn knows(&self, name: &str) -> bool {
        mode_named(name).is_some() || self.find(name).is_some()
    }

    /// Whether a name means this field.
    pub fn is(&self, name: &str, field: &str) -> bool {
        self.find(name).is_some_and(|found| found.name == field)
    }

    /// That there are no such fields, and which there are.
    pub fn unknown(&self, names: &[&str]) -> String {
        let shown = names.iter().take(NAMES_MAX).map(|name| format!("“{}”", brief(name)));
        let shown: Vec<String> = shown.collect();
        let shown = shown.join(", ");
        let more = names.len().saturating_sub(NAMES_MAX);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let what = match names {
            [only] => match self.meant(only) {
                Some(meant) => format!("There is no field {shown}; did you mean “{meant}”?"),
                None => format!("There is no field {shown}."),
            },
            _ => format!("There are no fields {shown}{more}."),
        };
        let known: Vec<&str> = self.list.iter().map(|field| field.name).collect();
        format!("{what} The fields are: {}.", known.join(", "))
    }

    /// The known name that is most like this one.
    fn meant(&self, name: &str) -> Option<&'static str> {
        let name = brief(name).to_lowercase();
        let like = |known: &'static str| (strsim::jaro(&name, known), known);
        let best = self.list.iter().map(|field| like(field.name)).max_by(|a, b| a.0.total_cmp(&b.0))?;
        (best.0 > 0.8).then_some(best.1)
    }

    /// What to say if two of these names mean one field.
    pub fn twice<'a>(&self, names: impl Iterator<Item = &'a str>) -> Option<String> {
        let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
        for name in names {
            let Some(field) = self.find(name) else { continue };
            match seen.insert(field.name, name) {
                Some(before) if before == name => return Some(format!("“{}” stands twice.", brief(name))),
                Some(before) => {
                    return Some(format!(
                        "“{}” and “{}” are the same; keep one.",
                        brief(before),
                        brief(name)
                    ));
                }
                None => {}
            }
        }
        None
    }

    /// A machine that is like `base` but for what this says.
    pub fn describe(&self, base: &Described, record: Record) -> Described {
        let mut machine = base.clone();
        let names = || record.0.iter().map(|(name, _)| name.as_str());
        let unknown: Vec<&str> = names().filter(|name| !self.knows(name)).collect();
        let whole = (!unknown.is_empty()).then(|| self.unknown(&unknown)).or_else(|| self.twice(names()));
        machine.errors.extend(whole.map(|what| FieldError::new("", what)));
        let says_mode = names().any(|name| self.is(name, "mode"));
        for (name, given) in record.0 {
            match (mode_named(&name), self.find(&name)) {
                (Some(mode), _) => machine.give_mode(mode, &given),
                (None, Some(field)) => machine.give(field, given),
                (None, None) => {}
            }
        }
        if !says_mode {
            machine.take_mode_of_profiles();
        }
        machine
    }
}

impl Described {
    /// One with these values and nothing given.
    pub fn of(data: FormData) -> Self {
        Self { data, ..Self::default() }
    }

    fn set(&mut self, field: &'static str, values: Vec<String>) {
        self.given.insert(field);
        self.data.0.retain(|(name, _)| name != field);
        self.data.0.extend(values.into_iter().map(|value| (field.to_owned(), value)));
    }

    fn give(&mut self, field: &Field, given: Given) {
        let values = match (&field.entry, given) {
            (_, Given::Nothing) => return,
            (Entry::Tick, given) => match says(&given) {
                Some(true) => Ok(vec!["yes".to_owned()]),
                Some(false) => Ok(Vec::new()),
                None => Err(YES_OR_NO),
            },
            (Entry::Profiles, given) => Ok(items(given)),
            (Entry::Lines { .. }, Given::Text(text)) if TEXTS.contains(&field.name) => Ok(vec![text]),
            (Entry::Lines { .. }, given) => Ok(vec![lines(field.name, items(given))]),
            (_, Given::List(_)) => Err("One value is expected here, not a list."),
            (_, Given::Flag(flag)) => Ok(vec![flag.to_string()]),
            // Blanks at either end may belong to it.
            (Entry::Password, Given::Text(text)) => Ok(vec![text]),
            (_, Given::Text(text)) => Ok(vec![one(field.name, text)]),
        };
        match values {
            Ok(values) => self.set(field.name, values),
            Err(what) => self.refuse(field.name, what),
        }
    }

    fn refuse(&mut self, field: &'static str, what: &str) {
        self.given.insert(field);
        self.errors.push(FieldError::new(field, what));
    }

    /// The CLI has a file for a mode, which says whether it is this one.
    fn give_mode(&mut self, mode: &str, given: &Given) {
        match says(given) {
            Some(true) => self.set("mode", vec![mode.to_owned()]),
            Some(false) if self.data.get("mode") == mode => {
                self.set("mode", vec![Mode::default().as_str().to_owned()]);
            }
            Some(false) => {}
            None if *given == Given::Nothing => {}
            None => self.refuse("mode", YES_OR_NO),
        }
    }

    /// The CLI has the mode among the profiles.
    fn take_mode_of_profiles(&mut self) {
        let profiles: Vec<String> = self
            .data
            .all("profiles")
            .flat_map(|value| value.split(','))
            .map(|name| name.trim().to_owned())
            .collect();
        let Some(mode) = MODES.into_iter().find(|mode| profiles.iter().any(|name| name == mode)) else {
            return;
        };
        self.set("profiles", profiles.into_iter().filter(|name| !MODES.contains(&name.as_str())).collect());
        self.set("mode", vec![mode.to_owned()]);
    }
}

/// A name without what people write in different ways.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The mode that a name alone stands for.
fn mode_named(name: &str) -> Option<&'static str> {
    MODES.into_iter().find(|mode| plain(mode) == plain(name))
}

/// Whether a value means yes or no.
fn says(given: &Given) -> Option<bool> {
    match given {
        Given::Flag(flag) => Some(*flag),
        Given::Text(text) => match text.trim().to_lowercase().as_str() {
            "yes" | "true" | "on" | "1" | "x" => Some(true),
            "no" | "false" | "off" | "0" | "-" | "" => Some(false),
            _ => None,
        },
        Given::List(_) | Given::Nothing => None,
    }
}

/// The items of a list. In a text they are separated by semicolons or line ends, but for lines that are comments; “-” is a list
/// without any.
fn items(given: Given) -> Vec<String> {
    let text = match given {
        Given::List(items) => return items,
        Given::Text(text) => text,
        Given::Flag(flag) => flag.to_string(),
        Given::Nothing => String::new(),
    };
    if text.trim() == "-" {
        return Vec::new();
    }
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines
        .flat_map(|line| line.split(';'))
        .map(|item| item.trim().to_owned())
        .filter(|item| !item.is_empty())
        .collect()
}

/// The items of a field of several lines. Name servers may be as in `resolv.conf`.
fn lines(field: &str, items: Vec<String>) -> String {
    let plain = |item: String| match item.strip_prefix("nameserver ") {
        Some(address) if field == "dns" => address.trim().to_owned(),
        _ => item,
    };
    items.into_iter().map(plain).collect::<Vec<_>>().join("\n")
}

/// One value. Sizes may have a unit as the CLI takes it, and an address may be as in its file `static_ip`.
fn one(field: &str, text: String) -> String {
    let text = text.trim().to_owned();
    let changed = match field {
        "memory" => in_units(&text, 20),
        "disk" => in_units(&text, 30),
        "static_address" => static_ip(&text),
        _ => None,
    };
    changed.unwrap_or(text)
}

/// “30G” in units of so many bits, if it is a whole number of those. Letters as `numfmt --from=iec` has them, also before “iB”.
fn in_units(text: &str, bits: u32) -> Option<String> {
    let upper = text.to_uppercase();
    let upper = upper.strip_suffix("IB").unwrap_or(&upper);
    let (number, shift) = [('K', 10), ('M', 20), ('G', 30), ('T', 40)]
        .into_iter()
        .find_map(|(letter, shift)| Some((upper.strip_suffix(letter)?, shift)))?;
    let bytes = number.trim().parse::<u64>().ok()?.checked_mul(1 << shift)?;
    bytes.is_multiple_of(1 << bits).then(|| (bytes >> bits).to_string())
}

/// The CLI's file: a line `address=…` and perhaps a line `gateway=…`.
fn static_ip(text: &str) -> Option<String> {
    let value = |name: &str| text.lines().find_map(|line| line.trim().strip_prefix(name)).map(str::trim);
    let address = value("address=")?;
    Some(value("gateway=").map_or_else(|| address.to_owned(), |gateway| format!("{address},{gateway}")))
}
