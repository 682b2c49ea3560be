//! What a page shows of a text with many machines.

use super::checked::{Checked, Machine};
use crate::batch::fields::Fields;
use model::address::brief;
use model::fault::FieldError;
use model::form::{Entry, Field, FormData};
use model::operation::Operation;
use model::size::{Bytes, DiskGib, MemoryMib, Vcpus};
use model::ssh_key::SshKey;
use model::view::batch::{BatchCell, BatchRow, BatchView};
use std::collections::BTreeSet;

/// What the table has a column for.
const COLUMNS: [&str; 7] = ["name", "profiles", "mode", "memory", "vcpus", "disk", "network"];

/// How many errors of one cell are shown, and how many items of a list.
const SHOWN_MAX: usize = 3;

/// The whole text.
pub(super) fn view(checked: &Checked) -> BatchView {
    let fields = Fields::of_a_new_machine();
    let given: BTreeSet<&str> =
        checked.machines.iter().flat_map(|machine| &machine.described.given).copied().collect();
    let mut rows: Vec<BatchRow> =
        checked.machines.iter().map(|machine| row(machine, &fields, &given)).collect();
    let warnings = common_warnings(&rows);
    for row in &mut rows {
        row.warnings.retain(|warning| !warnings.contains(warning));
    }
    let total = rows.iter().all(|row| !row.is_wrong()).then(|| total(checked)).flatten();
    BatchView { format: checked.format.title(), digest: checked.digest.clone(), rows, warnings, total }
}

fn row(machine: &Machine, fields: &Fields, given: &BTreeSet<&str>) -> BatchRow {
    let described = &machine.described;
    let errors = |name: &str| limited(described.errors.iter().filter(|error| error.field == name));
    let cell = |field: &Field| BatchCell {
        field: field.name,
        label: field.label,
        text: shown(field, &described.data),
        errors: errors(field.name),
    };
    let is_other = |field: &&Field| !COLUMNS.contains(&field.name);
    let is_told = |field: &&Field| given.contains(field.name) || !errors(field.name).is_empty();
    let of_no_field = |error: &&FieldError| !fields.iter().any(|field| field.name == error.field);
    let mut plan = machine.plan.clone();
    let warnings = plan.as_mut().map(|plan| std::mem::take(&mut plan.warnings)).unwrap_or_default();
    BatchRow {
        name: described.data.get("name").to_owned(),
        cells: COLUMNS
            .iter()
            .filter_map(|name| fields.iter().find(|field| field.name == *name))
            .map(cell)
            .collect(),
        others: fields.iter().filter(is_other).filter(is_told).map(cell).collect(),
        errors: limited(described.errors.iter().filter(of_no_field)),
        warnings,
        plan: plan.filter(|_| described.errors.is_empty()),
        progress: machine.progress,
    }
}

/// Each message once, and not more than a cell can hold.
fn limited<'a>(errors: impl Iterator<Item = &'a FieldError>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let all: Vec<&str> =
        errors.map(|error| error.message.as_str()).filter(|message| seen.insert(*message)).collect();
    let more = all.len().saturating_sub(SHOWN_MAX);
    let more = (more > 0).then(|| format!("And {more} more."));
    all.into_iter().take(SHOWN_MAX).map(ToOwned::to_owned).chain(more).collect()
}

/// A value for people: what can be read as it is meant is shown so, anything else as it was written.
fn shown(field: &Field, data: &FormData) -> String {
    let value = data.get(field.name);
    match &field.entry {
        Entry::Password if value.is_empty() => String::new(),
        Entry::Password => "set".to_owned(),
        Entry::Tick => if data.has(field.name) { "yes" } else { "no" }.to_owned(),
        Entry::Profiles => {
            let names = list(data.all(field.name).flat_map(|value| value.split(',')).map(str::trim));
            if names.is_empty() { model::image::CORE.to_owned() } else { names }
        }
        Entry::Mode => {
            value.parse().map_or_else(|_| brief(value), |mode: model::machine::Mode| mode.title().to_owned())
        }
        Entry::Network => {
            value.parse().map_or_else(|_| brief(value), |network: model::machine::Network| network.title())
        }
        Entry::Number { .. } => size(field.name, value).unwrap_or_else(|| brief(value)),
        Entry::Lines { .. } if field.name.ends_with("_keys") => list(
            value
                .lines()
                .map(|line| line.parse().map_or_else(|_| line.to_owned(), |key: SshKey| key.label())),
        ),
        Entry::Lines { .. } => list(value.lines()),
        _ => brief(value),
    }
}

fn size(field: &str, value: &str) -> Option<String> {
    match field {
        "memory" => value.parse().ok().map(|memory: MemoryMib| memory.to_string()),
        "vcpus" => value.parse().ok().map(|vcpus: Vcpus| vcpus.to_string()),
        "disk" => value.parse().ok().map(|disk: DiskGib| disk.to_string()),
        _ => None,
    }
}

fn list<T: AsRef<str>>(items: impl Iterator<Item = T>) -> String {
    let items: Vec<String> = items.map(|item| brief(item.as_ref())).filter(|item| !item.is_empty()).collect();
    let more = items.len().saturating_sub(SHOWN_MAX);
    let shown = items.iter().take(SHOWN_MAX).cloned().collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

/// What would otherwise stand at every machine that has a plan.
fn common_warnings(rows: &[BatchRow]) -> Vec<String> {
    let planned: Vec<&BatchRow> = rows.iter().filter(|row| row.plan.is_some()).collect();
    let [first, others @ ..] = planned.as_slice() else { return Vec::new() };
    if others.is_empty() {
        return Vec::new();
    }
    let in_all = |warning: &&String| others.iter().all(|row| row.warnings.contains(warning));
    first.warnings.iter().filter(in_all).cloned().collect()
}

/// What the machines take together that are still to be submitted.
fn total(checked: &Checked) -> Option<String> {
    let specs: Vec<_> = checked
        .machines
        .iter()
        .filter_map(|m| m.operation.as_ref().and_then(Operation::new_machine))
        .collect();
    if specs.len() < 2 {
        return None;
    }
    let memory: u64 = specs.iter().map(|spec| spec.memory.bytes()).sum();
    let disk: u64 = specs.iter().map(|spec| spec.disk.bytes()).sum();
    let vcpus: u64 = specs.iter().map(|spec| u64::from(spec.vcpus)).sum();
    Some(format!("Together {} of memory, {vcpus} processors and {} of disk.", Bytes(memory), Bytes(disk)))
}
