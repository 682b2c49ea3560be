//! The one renderer of forms: from the fields of `model::form::groups` to HTML, with the values that were posted and the
//! errors beside their fields. The island `FormHelp` finds fields and their error slots by the ids made here.

use crate::FormState;
use crate::parts::choices;
use crate::parts::faults::{field_id, first_wrong};
use crate::parts::verbatim::escape;
use leptos::prelude::*;
use model::form::{Entry, Field, FormData, Group};
use model::portal::Choices;
use model::size::Bytes;

/// A form while it is rendered.
pub struct FormView<'a> {
    /// What its fields hold.
    pub data: &'a FormData,
    /// What became of it when it was posted.
    pub state: &'a FormState,
    /// What it offers.
    pub choices: &'a Choices,
    focus: Option<&'a str>,
}

impl<'a> FormView<'a> {
    /// A form with these fields; the first wrong one gets the focus.
    pub fn new(data: &'a FormData, state: &'a FormState, choices: &'a Choices, names: &[&'a str]) -> Self {
        Self { data, state, choices, focus: first_wrong(state, names) }
    }

    /// What is wrong with a field.
    pub fn error(&self, name: &str) -> Option<&str> {
        self.state.fault.as_ref().and_then(|fault| fault.of_field(name))
    }

    /// A group of fields under its heading.
    pub fn group(&self, group: &Group) -> AnyView {
        let fields: Vec<AnyView> = group.fields.iter().map(|field| self.field(field)).collect();
        view! { <section class="card form-group"><h2>{group.title}</h2>{fields}</section> }.into_any()
    }

    fn field(&self, field: &Field) -> AnyView {
        match &field.entry {
            Entry::Profiles => choices::profiles(self, field),
            Entry::Mode => choices::mode(self, field),
            Entry::Host => self.labelled(field, choices::host(self, field)),
            Entry::Network => self.labelled(field, choices::network(self, field)),
            Entry::Line => self.labelled(field, self.input(field, "text", self.data.get(field.name))),
            Entry::Password => self.labelled(field, self.input(field, "password", "")),
            Entry::Number { unit, presets, .. } => self.labelled(field, self.number(field, unit, presets)),
            Entry::Lines { rows } => self.labelled(field, self.lines(field, *rows)),
        }
    }

    /// Label, control, help and the slot for an error.
    fn labelled(&self, field: &Field, control: AnyView) -> AnyView {
        let required = field.required.then(|| view! { <span class="note">" (required)"</span> });
        view! {
            <div class="field" data-field=field.name>
                <label for=field_id(field.name)>{field.label}{required}</label>
                {control}
                {self.help(field)}
                {self.slot(field.name)}
            </div>
        }
        .into_any()
    }

    /// The sentence below a field.
    pub fn help(&self, field: &Field) -> Option<impl IntoView + use<>> {
        let (id, help) = (format!("{}-help", field.name), field.help);
        (!help.is_empty()).then(|| view! { <p class="help" id=id>{help}</p> })
    }

    /// Where an error stands; there even while it is empty, for the island to fill.
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

    fn input(&self, field: &Field, kind: &'static str, value: &str) -> AnyView {
        let complete = if kind == "password" { "new-password" } else { "off" };
        view! {
            <input
                id=field_id(field.name) name=field.name type=kind value=value.to_owned() autocomplete=complete
                autocapitalize="none" spellcheck="false" aria-required=field.required.then_some("true")
                aria-invalid=self.invalid(field.name) aria-describedby=self.described_by(field)
                autofocus=self.focused(field.name)
            />
        }
        .into_any()
    }

    /// A number as text: a number field would hide from us what was typed wrong, and change under a scrolling finger.
    fn number(&self, field: &Field, unit: &str, presets: &[u64]) -> AnyView {
        let name = field.name;
        let buttons = presets.iter().map(|preset| {
            let words = preset_words(*preset, unit);
            view! {
                <button type="button" class="preset" data-set=name data-value=preset.to_string()>{words}</button>
            }
        });
        view! {
            <span class="number-field">
                <input
                    id=field_id(name) name=name type="text" inputmode="numeric" autocomplete="off"
                    value=self.data.get(name).to_owned() aria-invalid=self.invalid(name)
                    aria-describedby=self.described_by(field) autofocus=self.focused(name)
                />
                <span class="unit">{unit.to_owned()}</span>
                <span class="presets" role="group" aria-label=format!("{}: suggestions", field.label)>
                    {buttons.collect_view()}
                </span>
            </span>
        }
        .into_any()
    }

    fn lines(&self, field: &Field, rows: u8) -> AnyView {
        view! {
            <textarea
                id=field_id(field.name) name=field.name rows=rows.to_string() autocomplete="off" autocapitalize="none"
                spellcheck="false" aria-invalid=self.invalid(field.name) aria-describedby=self.described_by(field)
                autofocus=self.focused(field.name)
            >
                {escape(self.data.raw(field.name))}
            </textarea>
        }
        .into_any()
    }
}

fn preset_words(preset: u64, unit: &str) -> String {
    if unit == "MiB" { Bytes(preset << 20).to_string() } else { preset.to_string() }
}

/// One plain field outside operation forms: on the pages for accounts and users.
pub struct Plain<'a> {
    /// Its name in the posted body.
    pub name: &'static str,
    /// Its label.
    pub label: &'static str,
    /// What a password manager should put in (WHATWG HTML, autofill detail tokens).
    pub complete: &'static str,
    /// A sentence below it.
    pub help: &'static str,
    /// Whether it gets the focus on a page that opens without an error.
    pub first: bool,
    /// What became of the form; `None` when another form of the page was posted.
    pub state: Option<&'a FormState>,
}

impl Plain<'_> {
    /// The field with its label, what was typed, and its error.
    pub fn view(&self) -> AnyView {
        let error = self.state.and_then(|s| s.fault.as_ref()).and_then(|f| f.of_field(self.name));
        let error = error.map(ToOwned::to_owned);
        let is_secret = model::form::secrets().contains(&self.name);
        let (kind, value) = match self.state {
            _ if is_secret => ("password", String::new()),
            Some(state) => ("text", state.data.raw(self.name).to_owned()),
            None => ("text", String::new()),
        };
        let (id, help_id, error_id) =
            (field_id(self.name), format!("{}-help", self.name), format!("{}-error", self.name));
        let focus = error.is_some() || (self.first && self.state.is_none_or(|s| s.fault.is_none()));
        let (described_by, hidden) = (format!("{help_id} {error_id}"), error.is_none());
        view! {
            <div class="field">
                <label for=id.clone()>{self.label}</label>
                <input
                    id=id name=self.name type=kind value=value autocomplete=self.complete autocapitalize="none"
                    spellcheck="false" aria-required="true" aria-invalid=error.is_some().then_some("true")
                    aria-describedby=described_by autofocus=focus
                />
                <p class="help" id=help_id>{self.help}</p>
                <p class="field-error" id=error_id hidden=hidden>{error}</p>
            </div>
        }
        .into_any()
    }
}
