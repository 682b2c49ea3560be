//! A plan, shown before its button is pressed.

use leptos::prelude::*;
use model::plan::Plan;

/// Warnings, what changes, steps in order, downtime, what is lost, what is kept.
pub fn plan(plan: &Plan) -> impl IntoView + use<> {
    let steps = plan.steps.iter().map(|step| view! { <li>{step.what.clone()}</li> }).collect_view();
    view! {
        <div class="plan">
            {warnings(&plan.warnings)}
            {list("Changes", "changes", &plan.changes)}
            <ol class="plan-steps">{steps}</ol>
            {plan.downtime.clone().map(|text| view! { <p class="plan-downtime">{format!("Downtime: {text}")}</p> })}
            {list("Lost", "goes", &plan.loses)}
            {list("Kept", "stays", &plan.keeps)}
        </div>
    }
}

/// Shown before anything was filled in or changed.
pub fn unchanged() -> impl IntoView + use<> {
    view! { <p class="none">"What a change needs appears here."</p> }
}

/// Shown while a form is incomplete.
pub fn incomplete() -> impl IntoView + use<> {
    view! { <p class="none">"The plan appears here once the form is complete."</p> }
}

/// The button that shows the plan where no script does. Behind the others of its form: Enter in a field presses the first one.
#[cfg(feature = "ssr")]
pub fn button() -> impl IntoView + use<> {
    view! { <button class="button no-js" name="intent" value="show_plan">"Show plan"</button> }
}

/// Why the form's operation is not possible.
pub fn refused(why: String) -> impl IntoView + use<> {
    view! { <p class="notice" data-tone="bad">{why}</p> }
}

fn warnings(texts: &[String]) -> Option<impl IntoView + use<>> {
    let items = texts.iter().map(|text| view! { <li>{text.clone()}</li> }).collect_view();
    (!texts.is_empty()).then(|| view! { <ul class="notice" data-tone="warn">{items}</ul> })
}

fn list(title: &'static str, class: &'static str, items: &[String]) -> Option<impl IntoView + use<>> {
    let rows = items.iter().map(|item| view! { <li>{item.clone()}</li> }).collect_view();
    (!items.is_empty()).then(|| {
        view! {
            <div class=class>
                <h3>{title}</h3>
                <ul>{rows}</ul>
            </div>
        }
    })
}
