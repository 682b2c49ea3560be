//! Errors for people: what happened, why, what to do. As a page, or above the form that it is about.

use crate::FormState;
use crate::cx::Cx;
use crate::parts::plan;
use crate::routes;
use leptos::prelude::*;
use leptos_meta::Title;
use model::fault::{Fault, FieldError};
use model::form::TYPE_AGAIN;
use model::operation::OperationKind;
use std::collections::BTreeSet;

/// An error instead of a page.
pub fn page(fault: &Fault) -> AnyView {
    let title = match fault {
        Fault::Unauthenticated => "Log in first",
        Fault::NotFound { .. } => "Not found",
        Fault::Denied { .. } => "Not allowed",
        Fault::Malformed { .. } | Fault::Invalid { .. } => "Invalid input",
        Fault::Refused { .. }
        | Fault::Busy { .. }
        | Fault::Unchanged
        | Fault::PlanChanged { .. }
        | Fault::NeedsConfirmation { .. } => "Not possible now",
        Fault::Throttled { .. } => "Too many attempts",
        Fault::Unavailable { .. } => "The host is unreachable",
        Fault::DiskFull => "The disk is full",
        Fault::Internal { .. } => "Something went wrong",
    };
    view! {
        <Title text=title/>
        <div class="empty">
            <h1>{title}</h1>
            <p>{fault.to_string()}</p>
            {next_step(fault)}
        </div>
    }
    .into_any()
}

fn next_step(fault: &Fault) -> AnyView {
    let (href, words) = match fault {
        Fault::Unauthenticated => (routes::LOGIN.to_owned(), "Log in"),
        Fault::Busy { job } => (routes::job(*job), "View that job"),
        Fault::Unavailable { .. } => (routes::HOSTS.to_owned(), "View hosts"),
        _ => (routes::MACHINES.to_owned(), "View machines"),
    };
    view! { <p><a class="button" href=href>{words}</a></p> }.into_any()
}

/// The field in which a machine's name is typed; its messages say so themselves.
pub const CONFIRM: (&str, &str) = ("confirm", "");

/// A form's fields: the name and the label of each. A label may be empty where the message says what it is about.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// What was wrong with the posted form, at the top of the page, with links to the fields. Empty if nothing was wrong. A single
/// mistake is its own title.
pub fn summary(form: &FormState, labels: Labels<'_>) -> AnyView {
    let Some(fault) = &form.fault else { return ().into_any() };
    let mistakes = mistakes(form, labels);
    let title = match (fault, mistakes.as_slice()) {
        (_, [only]) if form.accepted.is_empty() => mistake(only, labels),
        (Fault::Invalid { .. }, several) => title_of(several).into_any(),
        (Fault::PlanChanged { .. }, _) => "The plan has changed".into_any(),
        (Fault::NeedsConfirmation { .. }, _) => "Not confirmed yet".into_any(),
        (Fault::Unchanged, _) => "Nothing to save".into_any(),
        _ => "That failed".into_any(),
    };
    let detail = match fault {
        Fault::Invalid { .. } if mistakes.len() < 2 && form.accepted.is_empty() => ().into_any(),
        Fault::Invalid { .. } => {
            let items = mistakes.iter().map(|one| view! { <li>{mistake(one, labels)}</li> });
            view! { <ul>{items.collect_view()}</ul>{accepted(&form.accepted)} }.into_any()
        }
        Fault::Busy { job } => {
            let href = routes::job(*job);
            view! { <p>{fault.to_string()}" "<a href=href>"View that job"</a></p> }.into_any()
        }
        other => view! { <p>{other.to_string()}</p> }.into_any(),
    };
    // Focus goes to the first wrong field where there is one; otherwise here.
    let focus = first_wrong(form, labels).is_none();
    let tone = if matches!(fault, Fault::Unchanged) { "busy" } else { "bad" };
    let corrigible = (!focus).then_some("");
    view! {
        <div class="notice" data-tone=tone role="alert" tabindex="-1" autofocus=focus data-mistakes=corrigible>
            <p><strong>{title}</strong></p>
            {detail}
        </div>
    }
    .into_any()
}

/// Everything that is wrong with the form, in its order.
fn mistakes(form: &FormState, labels: Labels<'_>) -> Vec<FieldError> {
    let Some(Fault::Invalid { fields }) = &form.fault else { return Vec::new() };
    let told = |name: &str| fields.iter().any(|error| error.field == name);
    let again = labels.iter().filter(|(name, _)| form.data.must_retype(name) && !told(name));
    let again = again.map(|(name, _)| FieldError::new(name, TYPE_AGAIN));
    let mut all: Vec<FieldError> = fields.iter().cloned().chain(again).collect();
    all.sort_by_key(|error| labels.iter().position(|(name, _)| *name == error.field).unwrap_or(labels.len()));
    all
}

fn title_of(mistakes: &[FieldError]) -> String {
    let names: BTreeSet<&str> = mistakes.iter().map(|error| error.field.as_str()).collect();
    match names.len() {
        1 if names.contains("machine") => {
            format!("Refused for {} of the selected machines", mistakes.len())
        }
        1 => "One field needs to be corrected".to_owned(),
        several => format!("{several} fields need to be corrected"),
    }
}

fn accepted(titles: &[String]) -> Option<impl IntoView + use<>> {
    (!titles.is_empty()).then(|| view! { <p>{format!("Accepted: {}.", titles.join(", "))}</p> })
}

/// A mistake with its field's label, which leads there.
fn mistake(error: &FieldError, labels: Labels<'_>) -> AnyView {
    let message = error.message.clone();
    let Some((name, label)) = labels.iter().find(|(name, _)| *name == error.field) else {
        return message.into_any();
    };
    let words = if label.is_empty() { message } else { format!("{label}: {message}") };
    view! { <a href=format!("#{}", field_id(name))>{words}</a> }.into_any()
}

/// The id of a field's control, which its label and errors point to.
pub fn field_id(name: &str) -> String {
    format!("field-{name}")
}

/// The form's first invalid field.
pub fn first_wrong<'a>(form: &FormState, labels: &[(&'a str, &'a str)]) -> Option<&'a str> {
    let fault = form.fault.as_ref()?;
    labels.iter().map(|(name, _)| *name).find(|name| fault.of_field(name).is_some())
}

/// A plan to be confirmed: that of the operation posted to this page, if it has changed or needs confirmation. Everything that was
/// posted is posted again, with the digest of the plan shown here. `None` if there is nothing to confirm.
pub fn confirmation(cx: &Cx) -> Option<AnyView> {
    let form = &cx.form;
    let intent: OperationKind = form.data.get("intent").parse().ok()?;
    let shown = match &form.fault {
        Some(Fault::PlanChanged { plan } | Fault::NeedsConfirmation { plan }) => plan,
        _ => form.plan.as_ref()?,
    };
    let kept =
        form.data.0.iter().filter(|(name, _)| !matches!(name.as_str(), "intent" | "digest" | "confirm"));
    let kept = kept.map(|(name, value)| {
        view! { <input type="hidden" name=name.clone() value=value.clone()/> }
    });
    Some(
        view! {
            <section class="card confirmation" aria-labelledby="confirmation-title">
                <h2 id="confirmation-title">{shown.title.clone()}</h2>
                {plan::plan(shown)}
                <form method="post" class="stack">
                    {kept.collect_view()}
                    <input type="hidden" name="digest" value=shown.digest().to_string()/>
                    {shown.confirm.as_ref().map(|name| confirm_field(name.as_str(), "confirm", form))}
                    <div class="buttons">
                        <button class="button danger" name="intent" value=intent.as_str()>{intent.title()}</button>
                        <a class="button" href=cx.here()>"Cancel"</a>
                    </div>
                </form>
            </section>
        }
        .into_any(),
    )
}

/// The field for typing a machine's name. `id` distinguishes two of them on one page.
pub fn confirm_field(name: &str, id: &str, form: &FormState) -> impl IntoView + use<> {
    let error = form.fault.as_ref().and_then(|f| f.of_field("confirm")).map(ToOwned::to_owned);
    let (id, error_id) = (field_id(id), format!("{id}-error"));
    let describedby = error.as_ref().map(|_| error_id.clone());
    view! {
        <div class="field">
            <label for=id.clone()>"Type "<code>{name.to_owned()}</code>" to confirm"</label>
            <input
                id=id name="confirm" type="text" autocomplete="off" autocapitalize="none" spellcheck="false"
                aria-required="true" aria-invalid=error.is_some().then_some("true") aria-describedby=describedby
                autofocus=error.is_some()
            />
            {error.map(|error| view! { <p class="field-error" id=error_id>{error}</p> })}
        </div>
    }
}

/// Confirms what was just done on this page.
pub fn done(cx: &Cx, words: &[(&str, &'static str)]) -> AnyView {
    let done = cx.done();
    match words.iter().find(|(intent, _)| *intent == done) {
        Some((_, words)) => view! { <p class="notice" data-tone="ok" role="status">{*words}</p> }.into_any(),
        None => ().into_any(),
    }
}
