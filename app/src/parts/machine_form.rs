//! Ids that the form for a new machine shares with the island `FormHelp`.

/// The form's id.
pub const FORM: &str = "machine-form";
/// The id of the plan's place.
pub const PLAN_PLACE: &str = "plan-place";
/// The id of the hidden field with the shown plan's digest.
pub const PLAN_DIGEST: &str = "plan-digest";
