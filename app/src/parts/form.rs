//! A form while it is rendered: its values, its errors, its choices. Fields and their error slots have the ids made here, by which
//! the island `FormHelp` finds them.

use crate::FormState;
use crate::parts::faults::first_wrong;
use leptos::prelude::*;
use model::form::{Field, FormData, TYPE_AGAIN};
use model::portal::Choices;

/// A form while it is rendered.
pub struct FormView<'a> {
    /// What its fields hold.
    pub data: &'a FormData,
    /// The outcome of posting it.
    pub state: &'a FormState,
    /// What its fields offer.
    pub choices: &'a Choices,
    focus: Option<&'a str>,
}

impl<'a> FormView<'a> {
    /// A form with these fields; the first wrong one gets the focus.
    pub fn new(
        data: &'a FormData,
        state: &'a FormState,
        choices: &'a Choices,
        labels: &[(&'a str, &'a str)],
    ) -> Self {
        Self { data, state, choices, focus: first_wrong(state, labels) }
    }

    /// What is wrong with a field.
    pub fn error(&self, name: &str) -> Option<&str> {
        let told = self.state.fault.as_ref().and_then(|fault| fault.of_field(name));
        told.or_else(|| self.data.must_retype(name).then_some(TYPE_AGAIN))
    }

    /// The sentence below a field.
    pub fn help(&self, field: &Field) -> Option<impl IntoView + use<>> {
        let (id, help) = (format!("{}-help", field.name), field.help);
        (!help.is_empty()).then(|| view! { <p class="help" id=id>{help}</p> })
    }

    /// The place of an error; there even while it is empty, for the island to fill.
    pub fn slot(&self, name: &str) -> impl IntoView + use<> {
        let error = self.error(name).map(ToOwned::to_owned);
        let (id, hidden) = (format!("{name}-error"), error.is_none());
        view! { <p class="field-error" id=id hidden=hidden>{error}</p> }
    }

    /// The ids of help and error, for `aria-describedby`.
    pub fn described_by(&self, field: &Field) -> String {
        let name = field.name;
        if field.help.is_empty() { format!("{name}-error") } else { format!("{name}-help {name}-error") }
    }

    /// `true` for `aria-invalid`, or no attribute.
    pub fn invalid(&self, name: &str) -> Option<&'static str> {
        self.error(name).map(|_| "true")
    }

    /// Whether this field gets the focus when the page opens.
    pub fn focused(&self, name: &str) -> bool {
        self.focus == Some(name)
    }
}
