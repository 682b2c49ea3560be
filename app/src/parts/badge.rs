//! States: a coloured dot and a word, never the colour alone. The style sheet draws the dot.

use leptos::prelude::*;
use model::audit::Outcome;
use model::host::Level;
use model::job::JobState;
use model::machine::MachineState;

/// A dot and a word. `tone` names the colour: ok, busy, warn, bad, idle.
pub fn badge(tone: &'static str, word: &'static str) -> impl IntoView + use<> {
    view! { <span class="badge" data-tone=tone>{word}</span> }
}

/// A machine's state.
pub fn machine_state(state: MachineState) -> impl IntoView + use<> {
    let tone = match state {
        MachineState::Running => "ok",
        MachineState::ShuttingDown => "busy",
        MachineState::Paused | MachineState::Unknown => "warn",
        MachineState::Crashed => "bad",
        MachineState::Configured | MachineState::Off => "idle",
    };
    badge(tone, state.title())
}

/// A job's state.
pub fn job_state(state: JobState) -> impl IntoView + use<> {
    let tone = match state {
        JobState::Queued => "idle",
        JobState::Running => "busy",
        JobState::Undoing => "warn",
        JobState::Succeeded => "ok",
        JobState::Failed | JobState::NeedsAttention => "bad",
        JobState::Cancelled => "idle",
    };
    badge(tone, state.title())
}

/// The outcome of an audited action.
pub fn outcome(outcome: Outcome) -> impl IntoView + use<> {
    let tone = match outcome {
        Outcome::Pending => "busy",
        Outcome::Succeeded => "ok",
        Outcome::Failed | Outcome::Denied => "bad",
        Outcome::Cancelled => "idle",
    };
    badge(tone, outcome.title())
}

/// The level of a finding.
pub fn level(level: Level) -> impl IntoView + use<> {
    match level {
        Level::Ok => badge("ok", "OK"),
        Level::Warning => badge("warn", "Warning"),
        Level::Error => badge("bad", "Error"),
    }
}
