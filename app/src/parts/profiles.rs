//! Sets of profiles and images as text.

use model::image::ProfileSet;
use model::machine::Mode;

/// The chosen profiles. Every image has `core`, so it is named only if it is the only one.
pub fn composition(set: &ProfileSet) -> String {
    let chosen: Vec<&str> = set.chosen().map(|p| p.as_str()).collect();
    if chosen.is_empty() { "core".to_owned() } else { chosen.join(", ") }
}

/// The same with the mode, unless it is the default.
pub fn composition_and_mode(set: &ProfileSet, mode: Mode) -> String {
    let profiles = composition(set);
    if mode == Mode::default() { profiles } else { format!("{profiles} · {}", mode.as_str()) }
}
