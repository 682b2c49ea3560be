//! Helps with the form of a new machine while it is filled in: judges each field by the rule that the server uses, tells
//! conflicts of profiles at once, and shows the plan. Without JavaScript, a button shows the plan.

use crate::parts::plan;
use leptos::prelude::*;
use model::image::Profiles;
use model::operation::OperationKind;
use model::plan::Plan;

/// What stands in the place of the plan.
#[derive(Clone, Debug, PartialEq)]
enum Preview {
    /// The form is not complete yet.
    Incomplete,
    /// What would happen.
    Ready(Box<Plan>),
    /// Why it could not be done.
    #[cfg_attr(not(feature = "hydrate"), expect(dead_code, reason = "only the island learns of a refusal"))]
    Refused(String),
}

/// The plan beside the form, and the hidden fields that go with it.
#[island]
pub fn FormHelp(
    /// The form's id.
    form: String,
    /// All profiles, to judge combinations by.
    profiles: Profiles,
    /// A plan that was asked for by the button.
    plan: Option<Plan>,
) -> impl IntoView {
    let preview = RwSignal::new(plan.map_or(Preview::Incomplete, |plan| Preview::Ready(Box::new(plan))));
    #[cfg(feature = "hydrate")]
    client::attach(&form, profiles, preview);
    #[cfg(not(feature = "hydrate"))]
    drop((form, profiles));
    view! {
        <section class="card plan-card" aria-live="polite">
            <h2>"What will happen"</h2>
            {move || preview.with(view_of)}
            // Filled in only by the island, which knows whether the plan still fits the fields.
            <input type="hidden" name="digest" id="plan-digest" disabled/>
            <input type="hidden" name="of" value=OperationKind::Create.as_str()/>
            <button class="button no-js" name="intent" value="show_plan">"Show the plan"</button>
        </section>
    }
}

fn view_of(preview: &Preview) -> AnyView {
    match preview {
        Preview::Incomplete => {
            view! { <p class="none">"The plan stands here when the form is filled in."</p> }.into_any()
        }
        Preview::Ready(shown) => plan::plan(shown).into_any(),
        Preview::Refused(why) => view! { <p class="notice" data-tone="bad">{why.clone()}</p> }.into_any(),
    }
}

#[cfg(feature = "hydrate")]
mod client {
    use super::Preview;
    use crate::api;
    use crate::islands::dom;
    use leptos::prelude::*;
    use leptos::task::spawn_local;
    use model::fault::{Fault, FieldError};
    use model::form::{FormData, operations};
    use model::image::{ProfileSet, Profiles, conflicts};
    use model::machine::Mode;
    use model::operation::OperationKind;
    use std::cell::{Cell, RefCell};
    use std::collections::BTreeSet;
    use std::rc::Rc;
    use std::time::Duration;
    use wasm_bindgen::prelude::*;
    use web_sys::{Element, Event, HtmlElement, HtmlFormElement, HtmlInputElement, SubmitEvent};

    /// How long somebody must pause before the server is asked for a plan.
    const PAUSE: Duration = Duration::from_millis(300);

    struct Help {
        form: HtmlFormElement,
        profiles: Profiles,
        preview: RwSignal<Preview>,
        /// Fields that somebody has left: only those are told what is wrong with them.
        left: RefCell<BTreeSet<String>>,
        /// What the server found wrong, until the form changes.
        found: RefCell<Vec<FieldError>>,
        /// Counts changes, so that a late answer to an early question is dropped.
        turn: Cell<u32>,
    }

    pub fn attach(form: &str, profiles: Profiles, preview: RwSignal<Preview>) {
        let found = dom::document().get_element_by_id(form);
        let Some(form) = found.and_then(|f| f.dyn_into::<HtmlFormElement>().ok()) else { return };
        let help = Rc::new(Help {
            form: form.clone(),
            profiles,
            preview,
            left: RefCell::default(),
            found: RefCell::default(),
            turn: Cell::new(0),
        });
        listen(&form, "input", &help, |help, _| help.changed());
        listen(&form, "change", &help, |help, event| {
            help.leave(event);
            help.changed();
        });
        listen(&form, "submit", &help, |help, event| help.submit(event));
        help.ask();
    }

    fn listen(form: &HtmlFormElement, event: &str, help: &Rc<Help>, act: fn(&Rc<Help>, &Event)) {
        let help = Rc::clone(help);
        let closure = Closure::<dyn FnMut(Event)>::new(move |event: Event| act(&help, &event));
        if form.add_event_listener_with_callback(event, closure.as_ref().unchecked_ref()).is_ok() {
            // Lives as long as the form, which lives as long as the page.
            closure.forget();
        }
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
            data.set("intent", OperationKind::Create.as_str());
            data
        }

        fn errors(&self) -> Vec<FieldError> {
            operations(&self.data(), &api::placeholder_hash).err().unwrap_or_default()
        }

        fn leave(&self, event: &Event) {
            let field = event.target().and_then(|t| t.dyn_into::<Element>().ok());
            if let Some(name) = field.and_then(|f| f.get_attribute("name")) {
                self.left.borrow_mut().insert(name);
            }
        }

        fn changed(self: &Rc<Self>) {
            self.found.borrow_mut().clear();
            self.turn.set(self.turn.get().wrapping_add(1));
            self.offer_digest(None);
            self.show_errors();
            self.show_composition();
            let (turn, this) = (self.turn.get(), Rc::clone(self));
            set_timeout(
                move || {
                    if this.turn.get() == turn {
                        this.ask();
                    }
                },
                PAUSE,
            );
        }

        /// Asks for the plan, if there can be one.
        fn ask(self: &Rc<Self>) {
            if !self.errors().is_empty() {
                return self.preview.set(Preview::Incomplete);
            }
            let (turn, this) = (self.turn.get(), Rc::clone(self));
            spawn_local(async move {
                let answer = api::plan(this.data().without_secrets()).await;
                if this.turn.get() != turn {
                    return;
                }
                match answer {
                    Ok(plan) => {
                        this.offer_digest(Some(plan.digest().as_str()));
                        this.preview.set(Preview::Ready(Box::new(plan)));
                    }
                    Err(api::ApiError(Fault::Invalid { fields })) => {
                        this.preview.set(Preview::Incomplete);
                        *this.found.borrow_mut() = fields;
                        this.show_errors();
                    }
                    Err(api::ApiError(fault)) => this.preview.set(Preview::Refused(fault.to_string())),
                }
            });
        }

        /// With a digest, the server does only what is shown here.
        fn offer_digest(&self, digest: Option<&str>) {
            let input = dom::document().get_element_by_id("plan-digest");
            if let Some(input) = input.and_then(|i| i.dyn_into::<HtmlInputElement>().ok()) {
                input.set_disabled(digest.is_none());
                input.set_value(digest.unwrap_or_default());
            }
        }

        /// A form with mistakes stays here; the first wrong field gets the focus.
        fn submit(&self, event: &Event) {
            let button = event.dyn_ref::<SubmitEvent>().and_then(SubmitEvent::submitter);
            let intent = button.and_then(|b| b.get_attribute("value")).unwrap_or_default();
            if intent != OperationKind::Create.as_str() {
                self.offer_digest(None);
            }
            let errors = self.errors();
            let Some(first) = errors.first() else { return };
            event.prevent_default();
            self.left.borrow_mut().extend(errors.iter().map(|e| e.field.clone()));
            self.show_errors();
            let field = dom::find(&format!("#field-{}", first.field));
            if let Some(field) = field.and_then(|f| f.dyn_into::<HtmlElement>().ok()) {
                let _ = field.focus();
            }
        }

        fn show_errors(&self) {
            let (left, found) = (self.left.borrow(), self.found.borrow());
            let errors = self.errors();
            let Ok(fields) = self.form.query_selector_all("[data-field]") else { return };
            for place in (0..fields.length()).filter_map(|i| fields.item(i)) {
                let Some(place) = place.dyn_ref::<Element>() else { continue };
                let name = place.get_attribute("data-field").unwrap_or_default();
                let local = errors.iter().filter(|_| left.contains(&name));
                let error = local.chain(found.iter()).find(|e| e.field == name);
                show_error(place, &name, error.map(|e| e.message.as_str()));
            }
        }

        fn show_composition(&self) {
            let data = self.data();
            let chosen: Vec<&str> = data.all("profiles").collect();
            let Ok(set) = chosen.join(",").parse::<ProfileSet>() else { return };
            if let Some(output) = dom::find("#composition") {
                output.set_text_content(Some(&set.to_string().replace(',', ", ")));
            }
            let told = match data.get("mode").parse::<Mode>() {
                Ok(mode) => conflicts(&self.profiles, &set, mode),
                Err(_) => Vec::new(),
            };
            if let Some(list) = dom::find("#conflicts").and_then(|l| l.dyn_into::<HtmlElement>().ok()) {
                list.set_hidden(told.is_empty());
                dom::patch(&list, told.into_iter().map(|text| view! { <li>{text}</li> }).collect_view());
            }
        }
    }

    /// Puts a message into a field's slot, or empties it.
    fn show_error(place: &Element, name: &str, message: Option<&str>) {
        let slot = place.query_selector(".field-error").ok().flatten();
        if let Some(slot) = slot.and_then(|s| s.dyn_into::<HtmlElement>().ok()) {
            slot.set_hidden(message.is_none());
            slot.set_text_content(message);
        }
        if let Some(control) = place.query_selector(&format!("[name=\"{name}\"]")).ok().flatten() {
            // Both fail only for names that are no attribute names.
            let _ = match message {
                Some(_) => control.set_attribute("aria-invalid", "true"),
                None => control.remove_attribute("aria-invalid"),
            };
        }
    }
}
