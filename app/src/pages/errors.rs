//! What stands where there is no page.

use super::page;
use crate::parts::frame::Section;
use leptos::prelude::*;
use model::fault::Fault;

/// A path that leads nowhere.
#[component]
pub fn NotFound() -> impl IntoView {
    page(Section::Outside, |_| async { Err(Fault::not_found("page")) })
}
