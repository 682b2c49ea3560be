//! Names that the form for a new machine shares with the island that helps with it.

/// The form's id.
pub const FORM: &str = "machine-form";
/// The id of the place where the plan stands.
pub const PLAN_PLACE: &str = "plan-place";
/// The id of the hidden field with the digest of the plan that is shown.
pub const PLAN_DIGEST: &str = "plan-digest";
