//! Titles of pages as shown in the browser's tab. What matters most comes first, because a tab shows little.

use model::job::JobBadge;
use model::machine::MachineState;
use model::view::machine::MachineRow;

/// The title with the portal's name.
pub fn whole(title: &str) -> String {
    if title.is_empty() { "Snowglobe".to_owned() } else { format!("{title} · Snowglobe") }
}

/// A machine by its state and name; a tab of its page also by its own name.
pub fn machine(row: &MachineRow, tab: Option<&str>) -> String {
    let mark = match row.observed.state {
        _ if row.job.is_some() => "◐",
        MachineState::Running => "●",
        MachineState::ShuttingDown => "◐",
        MachineState::Paused => "⏸",
        MachineState::Off | MachineState::Configured => "○",
        MachineState::Crashed => "✕",
        MachineState::Unknown => "?",
    };
    match tab {
        Some(tab) => format!("{mark} {} · {tab}", row.name),
        None => format!("{mark} {}", row.name),
    }
}

/// A job by its state and what it does.
pub fn job(job: &JobBadge) -> String {
    format!("{} · {}", job.state.title(), job.title)
}

/// A list of jobs by how many of them are not over.
pub fn jobs<'a>(heading: &str, jobs: impl Iterator<Item = &'a JobBadge>) -> String {
    match jobs.filter(|job| !job.state.is_over()).count() {
        0 => heading.to_owned(),
        running => format!("{running} running · {heading}"),
    }
}
