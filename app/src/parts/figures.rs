//! Figures of a running machine: meters with their numbers.

use leptos::prelude::*;
use model::size::Bytes;
use model::view::machine::{Figures, MachineRow};

/// Processor time in percent.
pub fn cpu(figures: &Figures) -> Option<AnyView> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0–100")]
    let percent = figures.cpu_percent?.clamp(0.0, 100.0).round() as u64;
    Some(meter("Processor", percent, format!("{percent} %")).into_any())
}

/// Memory used, of the machine's memory.
pub fn memory(row: &MachineRow) -> Option<AnyView> {
    share("Memory", row.observed.figures.memory_used, Some(row.memory.bytes()))
}

/// Disk space used, of what the disks can grow to.
pub fn disk(figures: &Figures) -> Option<AnyView> {
    share("Disks", figures.disk_used, figures.disk_size)
}

/// Bytes per second in both directions.
pub fn rates(inward: Option<u64>, outward: Option<u64>, verbs: (&str, &str)) -> Option<String> {
    let (inward, outward) = (inward?, outward?);
    Some(format!("{}/s {} · {}/s {}", Bytes(inward), verbs.0, Bytes(outward), verbs.1))
}

fn share(label: &'static str, used: Option<u64>, size: Option<u64>) -> Option<AnyView> {
    let used = used?;
    let Some(size) = size.filter(|s| *s > 0) else {
        return Some(view! { <span class="figure">{Bytes(used).to_string()}</span> }.into_any());
    };
    let text = format!("{} of {}", Bytes(used), Bytes(size));
    // Divided first: a hundred times what is used could overflow.
    Some(meter(label, used / (size / 100).max(1), text).into_any())
}

fn meter(label: &'static str, percent: u64, text: String) -> impl IntoView + use<> {
    let value = percent.min(100).to_string();
    view! {
        <span class="figure">
            <meter min="0" max="100" high="90" value=value aria-label=label></meter>
            <span>{text}</span>
        </span>
    }
}

/// A figure in a list, or a dash.
pub fn or_dash(figure: Option<AnyView>) -> AnyView {
    figure.unwrap_or_else(|| view! { <span class="none">"–"</span> }.into_any())
}
