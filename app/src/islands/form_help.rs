//! Helps with a form while it is filled in: asks the server for the plan after each pause, and shows the plan or what is wrong,
//! beside each field. The rules stay in one place, on the server, and the wasm
//! stays small. Without JavaScript, a button shows the plan.

use leptos::prelude::*;
use model::operation::OperationKind;

/// Attaches itself to a form and to the place for its plan. Renders nothing.
#[island]
pub fn FormHelp(
    /// The form's id.
    form: String,
    /// The operation that the form is for.
    kind: OperationKind,
) -> impl IntoView {
    #[cfg(feature = "hydrate")]
    client::attach(&form, kind);
    #[cfg(not(feature = "hydrate"))]
    let _ = (form, kind);
}

#[cfg(feature = "hydrate")]
mod client {
    use crate::api::{self, Judged};
    use crate::islands::dom;
    use crate::parts::machine_form::{PLAN_DIGEST, PLAN_PLACE};
    use crate::parts::plan;
    use leptos::prelude::*;
    use leptos::task::spawn_local;
    use model::fault::{Fault, FieldError};
    use model::form::FormData;
    use model::image::CORE;
    use model::operation::OperationKind;
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;
    use std::time::Duration;
    use wasm_bindgen::prelude::*;
    use web_sys::{Element, Event, HtmlElement, HtmlFormElement, HtmlInputElement, SubmitEvent};

    /// How long typing must pause before the server is asked for a plan.
    const PAUSE: Duration = Duration::from_millis(300);

    struct Help {
        form: HtmlFormElement,
        kind: OperationKind,
        /// Fields that have been edited: errors are shown for these only. An untouched field is empty, not wrong.
        edited: RefCell<Vec<String>>,
        /// The errors in the server's last answer; until the first answer the page's own errors stay.
        errors: RefCell<Option<Vec<FieldError>>>,
        /// Counts changes, so that a late answer to an early request is dropped.
        revision: Cell<u32>,
    }

    pub fn attach(form: &str, kind: OperationKind) {
        let found = dom::document().get_element_by_id(form);
        let Some(form) = found.and_then(|f| f.dyn_into::<HtmlFormElement>().ok()) else { return };
        let help = Rc::new(Help {
            form: form.clone(),
            kind,
            edited: RefCell::default(),
            errors: RefCell::default(),
            revision: Cell::new(0),
        });
        listen(&form, "input", &help, |help, event| {
            // A line is checked while it is typed, longer texts once they are complete.
            if target(event).is_some_and(|field| field.tag_name() == "INPUT") {
                help.mark_edited(event);
            }
            help.changed();
        });
        listen(&form, "change", &help, |help, event| {
            help.mark_edited(event);
            help.changed();
        });
        listen(&form, "submit", &help, |help, event| help.submit(event));
        // A form that opens with what is there has nothing to be planned yet.
        if form.query_selector("[name=base]").ok().flatten().is_none() {
            help.ask();
        }
    }

    fn listen(form: &HtmlFormElement, event: &str, help: &Rc<Help>, act: fn(&Rc<Help>, &Event)) {
        let help = Rc::clone(help);
        let closure = Closure::<dyn FnMut(Event)>::new(move |event: Event| act(&help, &event));
        if form.add_event_listener_with_callback(event, closure.as_ref().unchecked_ref()).is_ok() {
            // Needed for as long as the form, and so the page, exists.
            closure.forget();
        }
    }

    fn target(event: &Event) -> Option<Element> {
        event.target()?.dyn_into().ok()
    }

    impl Help {
        fn data(&self) -> FormData {
            let mut data = FormData::default();
            let posted = web_sys::FormData::new_with_form(&self.form).ok();
            for pair in posted.iter().filter_map(|p| js_sys::try_iter(p).ok().flatten()).flatten().flatten() {
                let pair: js_sys::Array = pair.unchecked_into();
                if let (Some(name), Some(value)) = (pair.get(0).as_string(), pair.get(1).as_string()) {
                    data.0.push((name, value));
                }
            }
            data.set("intent", self.kind.as_str());
            data
        }

        fn mark_edited(&self, event: &Event) {
            let name = target(event).and_then(|field| field.get_attribute("name"));
            if let Some(name) = name.filter(|name| !self.edited.borrow().contains(name)) {
                self.edited.borrow_mut().push(name);
            }
        }

        fn changed(self: &Rc<Self>) {
            self.revision.set(self.revision.get().wrapping_add(1));
            set_digest(None);
            self.show_errors();
            self.show_composition();
            let (revision, this) = (self.revision.get(), Rc::clone(self));
            set_timeout(
                move || {
                    if this.revision.get() == revision {
                        this.ask();
                    }
                },
                PAUSE,
            );
        }

        /// Asks the server for the plan; it is shown where the page has a place for it, what is wrong beside its field.
        fn ask(self: &Rc<Self>) {
            let (revision, this) = (self.revision.get(), Rc::clone(self));
            spawn_local(async move {
                let answer = api::plan(without_passwords(this.data())).await;
                if this.revision.get() != revision {
                    return;
                }
                let errors = match answer {
                    Ok(Judged::Planned { plan: shown, digest }) => {
                        set_digest(Some(digest.as_str()));
                        show_plan(plan::plan(&shown).into_any());
                        Vec::new()
                    }
                    Ok(Judged::Incomplete { fields }) => {
                        show_plan(plan::incomplete().into_any());
                        fields
                    }
                    Err(api::ApiError(Fault::Unchanged)) => {
                        show_plan(plan::unchanged().into_any());
                        Vec::new()
                    }
                    Err(api::ApiError(fault)) => {
                        show_plan(plan::refused(fault.to_string()).into_any());
                        Vec::new()
                    }
                };
                this.errors.replace(Some(errors));
                this.show_errors();
            });
        }

        /// The digest belongs to one operation; a form that is sent for another one goes without it.
        fn submit(&self, event: &Event) {
            let button = event.dyn_ref::<SubmitEvent>().and_then(SubmitEvent::submitter);
            let intent = button.and_then(|b| b.get_attribute("value")).unwrap_or_default();
            if intent != self.kind.as_str() {
                set_digest(None);
            }
        }

        fn show_errors(&self) {
            let (edited, errors) = (self.edited.borrow(), self.errors.borrow());
            let Some(errors) = errors.as_ref() else { return };
            let Ok(fields) = self.form.query_selector_all("[data-field]") else { return };
            let mut any = false;
            for place in (0..fields.length()).filter_map(|i| fields.item(i)) {
                let Some(place) = place.dyn_ref::<Element>() else { continue };
                let name = place.get_attribute("data-field").unwrap_or_default();
                // An error that the page came with stays until it is corrected.
                let error = errors.iter().find(|e| e.field == name);
                let error = error.filter(|_| edited.contains(&name) || shows_error(place));
                any |= error.is_some();
                show_error(place, &name, error.map(|e| e.message.as_str()));
            }
            // The summary that the page came with goes with the last error.
            if let Some(summary) = dom::find("[data-mistakes]").and_then(|s| s.dyn_into::<HtmlElement>().ok())
            {
                summary.set_hidden(!any);
            }
        }

        fn show_composition(&self) {
            let Some(output) = dom::find("#composition") else { return };
            let data = self.data();
            let mut chosen: Vec<&str> = data.all("profiles").chain([CORE]).collect();
            chosen.sort_unstable();
            output.set_text_content(Some(&chosen.join(", ")));
        }
    }

    /// The form with a placeholder for each password: a plan depends on whether there is one and how long it is, not on what it
    /// is.
    fn without_passwords(mut form: FormData) -> FormData {
        for (name, value) in &mut form.0 {
            if name.contains("password") && !value.is_empty() {
                *value = "x".repeat(value.chars().count());
            }
        }
        form
    }

    /// With a digest, the server does only what the shown plan says.
    fn set_digest(digest: Option<&str>) {
        let input = dom::document().get_element_by_id(PLAN_DIGEST);
        if let Some(input) = input.and_then(|i| i.dyn_into::<HtmlInputElement>().ok()) {
            input.set_disabled(digest.is_none());
            input.set_value(digest.unwrap_or_default());
        }
    }

    fn shows_error(place: &Element) -> bool {
        place.query_selector(".field-error:not([hidden])").ok().flatten().is_some()
    }

    fn plan_place() -> Option<Element> {
        dom::document().get_element_by_id(PLAN_PLACE)
    }

    fn show_plan(view: AnyView) {
        if let Some(place) = plan_place() {
            dom::patch(&place, view);
        }
    }

    /// Shows a message beside its field, or removes it.
    fn show_error(place: &Element, name: &str, message: Option<&str>) {
        let slot = place.query_selector(".field-error").ok().flatten();
        if let Some(slot) = slot.and_then(|s| s.dyn_into::<HtmlElement>().ok()) {
            slot.set_hidden(message.is_none());
            slot.set_text_content(message);
        }
        if let Some(control) = place.query_selector(&format!("[name=\"{name}\"]")).ok().flatten() {
            // Fails only for invalid attribute names.
            let _ = match message {
                Some(_) => control.set_attribute("aria-invalid", "true"),
                None => control.remove_attribute("aria-invalid"),
            };
        }
    }
}
