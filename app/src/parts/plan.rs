//! A plan as it is shown before the button is pressed.

use leptos::prelude::*;
use model::plan::Plan;

/// Steps in order, what stays, what goes, what to know.
pub fn plan(plan: &Plan) -> impl IntoView + use<> {
    let steps = plan.steps.iter().map(|step| view! { <li>{step.what.clone()}</li> }).collect_view();
    view! {
        <div class="plan">
            {warnings(&plan.warnings)}
            <ol class="plan-steps">{steps}</ol>
            {plan.downtime.clone().map(|text| view! { <p class="plan-downtime">{format!("Downtime: {text}")}</p> })}
            {list("What goes", "goes", &plan.loses)}
            {list("What stays", "stays", &plan.keeps)}
        </div>
    }
}

/// What stands there while a form is not complete.
pub fn incomplete() -> impl IntoView + use<> {
    view! { <p class="none">"The plan stands here when the form is filled in."</p> }
}

/// Why what the form asks for could not be done.
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
