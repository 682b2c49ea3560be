//! The one renderer of operations' forms: from the fields of `model::form::groups` to HTML. And plain fields for other forms.

use crate::FormState;
use crate::parts::choices;
use crate::parts::faults::field_id;
use crate::parts::form::FormView;
use crate::parts::verbatim::escape;
use leptos::prelude::*;
use model::form::{Entry, Field, Group, LEFT_EMPTY, RETYPE};
use model::size::Bytes;

/// A group of fields under its heading.
pub fn group(form: &FormView<'_>, group: &Group) -> AnyView {
    let fields: Vec<AnyView> = group.fields.iter().map(|one| field(form, one)).collect();
    view! { <section class="card form-group"><h2>{group.title}</h2>{fields}</section> }.into_any()
}

fn field(form: &FormView<'_>, field: &Field) -> AnyView {
    let control = match &field.entry {
        // These are groups of controls, with a legend instead of a label.
        Entry::Profiles => return choices::profiles(form, field),
        Entry::Mode => return choices::mode(form, field),
        Entry::Generation => choices::generation(form, field),
        Entry::Host => choices::host(form, field),
        Entry::Network => choices::network(form, field),
        Entry::Line => input(form, field, "text", form.data.get(field.name)),
        Entry::Password => view! { {input(form, field, "password", "")} {retype(form, field)} }.into_any(),
        Entry::Number { unit, presets, .. } => number(form, field, unit, presets),
        Entry::Lines { rows } => lines(form, field, *rows),
        Entry::Tick => return tick(form, field),
        Entry::Base => return base(form, field),
    };
    labelled(form, field, control)
}

/// Label, control, help and the slot for an error.
fn labelled(form: &FormView<'_>, field: &Field, control: AnyView) -> AnyView {
    let required = field.required.then(|| view! { <span class="note">" (required)"</span> });
    view! {
        <div class="field" data-field=field.name>
            <label for=field_id(field.name)>{field.label}{required}</label>
            {control}
            {form.help(field)}
            {form.slot(field.name)}
        </div>
    }
    .into_any()
}

fn input(form: &FormView<'_>, field: &Field, kind: &'static str, value: &str) -> AnyView {
    let complete = if kind == "password" { "new-password" } else { "off" };
    view! {
        <input
            id=field_id(field.name) name=field.name type=kind value=value.to_owned() autocomplete=complete
            autocapitalize="none" spellcheck="false" aria-required=field.required.then_some("true")
            aria-invalid=form.invalid(field.name) aria-describedby=form.described_by(field)
            autofocus=form.focused(field.name)
        />
    }
    .into_any()
}

/// Below a secret that had been typed when the form was posted: whether it is meant to be missing now.
fn retype(form: &FormView<'_>, field: &Field) -> Option<impl IntoView + use<>> {
    form.data.lists(RETYPE, field.name).then(|| {
        view! {
            <input type="hidden" name=RETYPE value=field.name/>
            <label class="tick">
                <input
                    type="checkbox" name=LEFT_EMPTY value=field.name
                    checked=form.data.lists(LEFT_EMPTY, field.name)
                />
                "Leave it empty"
            </label>
        }
    })
}

/// A checkbox with its label behind it.
fn tick(form: &FormView<'_>, field: &Field) -> AnyView {
    view! {
        <div class="field tick" data-field=field.name>
            <label for=field_id(field.name)>
                <input
                    id=field_id(field.name) name=field.name type="checkbox" value="yes"
                    checked=form.data.has(field.name) aria-describedby=form.described_by(field)
                />
                {field.label}
            </label>
            {form.help(field)}
            {form.slot(field.name)}
        </div>
    }
    .into_any()
}

/// What the page was made from. Its error is about the form as a whole, and stands above it.
fn base(form: &FormView<'_>, field: &Field) -> AnyView {
    let made_from = form.data.raw(field.name).to_owned();
    view! { <input type="hidden" name=field.name value=made_from/> }.into_any()
}

/// A number as text: a number field would not post invalid input, and would change under a scrolling finger.
fn number(form: &FormView<'_>, field: &Field, unit: &str, presets: &[u64]) -> AnyView {
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
                value=form.data.get(name).to_owned() aria-invalid=form.invalid(name)
                aria-describedby=form.described_by(field) autofocus=form.focused(name)
            />
            <span class="unit">{unit.to_owned()}</span>
            <span class="presets" role="group" aria-label=format!("{}: suggestions", field.label)>
                {buttons.collect_view()}
            </span>
        </span>
    }
    .into_any()
}

fn lines(form: &FormView<'_>, field: &Field, rows: u8) -> AnyView {
    view! {
        <textarea
            id=field_id(field.name) name=field.name rows=rows.to_string() autocomplete="off" autocapitalize="none"
            spellcheck="false" aria-invalid=form.invalid(field.name) aria-describedby=form.described_by(field)
            autofocus=form.focused(field.name)
        >
            {escape(form.data.raw(field.name))}
        </textarea>
    }
    .into_any()
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
    /// What a password manager should fill in (WHATWG HTML, autofill detail tokens).
    pub complete: &'static str,
    /// A sentence below it.
    pub help: &'static str,
    /// Whether it gets the focus on a page that opens without an error.
    pub first: bool,
    /// The outcome of posting the form; `None` when another form of the page was posted.
    pub state: Option<&'a FormState>,
}

impl Plain<'_> {
    /// The field with its label, its input, and its error.
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
