//! The page for unknown paths.

use super::page;
use crate::parts::frame::Section;
use leptos::prelude::*;
use model::fault::Fault;

#[component]
pub fn NotFound() -> impl IntoView {
    page(Section::Outside, |_| async { Err(Fault::not_found("page")) })
}
