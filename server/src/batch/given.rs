//! What a text says about machines: names and values, before anybody knows what they mean. TOML and JSON become this by serde.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// One value as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// A text or a number.
    Text(String),
    /// True or false.
    Flag(bool),
    /// A list of texts and numbers.
    List(Vec<String>),
    /// JSON's null: as if the name were not there.
    Nothing,
}

/// Names and values of one machine, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record(pub Vec<(String, Given)>);

/// Everything that a text says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// What holds for every machine that does not say otherwise.
    pub defaults: Record,
    /// The machines.
    pub machines: Vec<Record>,
}

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(GivenVisitor)
    }
}

struct GivenVisitor;

impl<'de> Visitor<'de> for GivenVisitor {
    type Value = Given;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, true, false, or a list of texts and numbers")
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Given, E> {
        Ok(Given::Flag(flag))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Given, E> {
        Ok(Given::Text(number.to_string()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Given, E> {
        Ok(Given::Text(number.to_string()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Given, E> {
        Ok(Given::Text(number.to_string()))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Given, E> {
        Ok(Given::Text(text.to_owned()))
    }

    fn visit_unit<E: Error>(self) -> Result<Given, E> {
        Ok(Given::Nothing)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Given, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            match item {
                Given::Text(text) => list.push(text),
                _ => return Err(A::Error::custom("a list holds texts and numbers only")),
            }
        }
        Ok(Given::List(list))
    }
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(RecordVisitor)
    }
}

struct RecordVisitor;

impl<'de> Visitor<'de> for RecordVisitor {
    type Value = Record;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("names with their values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Record, A::Error> {
        let mut record = Record::default();
        while let Some(entry) = entries.next_entry()? {
            record.0.push(entry);
        }
        Ok(record)
    }
}

/// The machines of a text; in TOML each is a table of an array.
struct Machines(Vec<Record>);

impl<'de> Deserialize<'de> for Machines {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(MachinesVisitor).map(Self)
    }
}

struct MachinesVisitor;

impl<'de> Visitor<'de> for MachinesVisitor {
    type Value = Vec<Record>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of machines: in TOML, each begins with [[machine]]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<Record>, A::Error> {
        let mut machines = Vec::new();
        while let Some(machine) = items.next_element()? {
            machines.push(machine);
        }
        Ok(machines)
    }
}

impl<'de> Deserialize<'de> for Records {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(RecordsVisitor)
    }
}

struct RecordsVisitor;

impl<'de> Visitor<'de> for RecordsVisitor {
    type Value = Records;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of machines, or “machines” and “defaults”")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Records, A::Error> {
        let machines = MachinesVisitor.visit_seq(items)?;
        Ok(Records { machines, ..Records::default() })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Records, A::Error> {
        let (mut defaults, mut machines) = (None, None);
        while let Some(name) = entries.next_key::<String>()? {
            let is_again = match name.as_str() {
                "defaults" => defaults.replace(entries.next_value()?).is_some(),
                "machine" | "machines" => machines.replace(entries.next_value::<Machines>()?).is_some(),
                other => return Err(A::Error::custom(stray(other))),
            };
            if is_again {
                return Err(A::Error::custom(format!("“{name}” stands here a second time")));
            }
        }
        let machines = machines.map(|Machines(machines)| machines).unwrap_or_default();
        Ok(Records { defaults: defaults.unwrap_or_default(), machines })
    }
}

fn stray(name: &str) -> String {
    let name = model::address::brief(name);
    format!(
        "“{name}” belongs to no machine. In TOML, each machine begins with [[machine]]; in JSON, it is an object in a list"
    )
}
