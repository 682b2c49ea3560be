//! Lines of the command `create-batch` of the CLI `nixos-vm-template`, as scripts and shell histories have them.

use super::given::{Given, Record, Records};
use super::mistake::Mistake;

/// What may stand before the command, and the command. Saving a configuration takes the same arguments as creating a machine.
const RUNNERS: [&str; 2] = ["just", "nixos-vm-template"];
const COMMANDS: [&str; 2] = ["create-batch", "config-batch"];

/// The arguments in their order.
const ARGUMENTS: [&str; 7] = ["name", "profiles", "memory", "vcpus", "disk", "network", "static_address"];

/// Whether a text that begins with this line is one of commands.
pub fn begins_with(line: &str) -> bool {
    line.split_whitespace().next().is_some_and(|word| RUNNERS.contains(&word) || COMMANDS.contains(&word))
}

/// Reads a machine of each line. An argument is in its place, or has its name before it: `memory=4096`.
///
/// # Errors
/// Which lines are something else.
pub fn read(text: &str) -> Result<Records, Vec<Mistake>> {
    let lines = commands(text);
    let read =
        lines.iter().map(|(number, line)| machine(line).map_err(|what| Mistake::on_line(*number, what)));
    let (machines, mistakes): (Vec<_>, Vec<_>) = read.partition(Result::is_ok);
    let mistakes: Vec<Mistake> = mistakes.into_iter().filter_map(Result::err).take(10).collect();
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    Ok(Records { machines: machines.into_iter().flatten().collect(), ..Records::default() })
}

/// The commands with the numbers of their lines: one goes on where a line ends with a backslash.
fn commands(text: &str) -> Vec<(u64, String)> {
    let mut found: Vec<(u64, String)> = Vec::new();
    let mut goes_on = false;
    for (number, line) in (1..).zip(text.lines()) {
        let (part, more) = line.strip_suffix('\\').map_or((line, false), |part| (part, true));
        match found.last_mut().filter(|_| goes_on) {
            Some((_, command)) => {
                command.push(' ');
                command.push_str(part);
            }
            None => found.push((number, part.to_owned())),
        }
        goes_on = more;
    }
    found.retain(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    found
}

fn machine(line: &str) -> Result<Record, String> {
    let words = shlex::split(line).ok_or("a quotation mark is not closed.")?;
    let mut words = words.iter().map(String::as_str).skip_while(|word| RUNNERS.contains(word));
    if !words.next().is_some_and(|word| COMMANDS.contains(&word)) {
        return Err("“create-batch” is expected here, then a name and what the machine has.".to_owned());
    }
    let mut places = ARGUMENTS.iter();
    let mut record = Record::default();
    for word in words {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, value),
            None => (*places.next().ok_or_else(too_many)?, word),
        };
        if !value.is_empty() {
            record.0.push((name.to_owned(), Given::Text(value.to_owned())));
        }
    }
    Ok(record)
}

fn too_many() -> String {
    format!("there are more than {} arguments: {}.", ARGUMENTS.len(), ARGUMENTS.join(", "))
}
