//! `/machines/new`: one form, with the plan beside it.

use super::page;
use crate::cx::Cx;
use crate::islands::form_help::FormHelp;
use crate::parts::fields;
use crate::parts::form::FormView;
use crate::parts::frame::{Section, heading};
use crate::parts::machine_form::{FORM, PLAN_DIGEST, PLAN_PLACE};
use crate::parts::{faults, plan, table};
use crate::routes;
use leptos::prelude::*;
use model::fault::Fault;
use model::form::{self, FormData};
use model::job::JobId;
use model::operation::OperationKind;
use model::plan::Plan;
use model::portal::Choices;

const KIND: OperationKind = OperationKind::Create;

#[component]
pub fn NewMachine() -> impl IntoView {
    page(Section::Machines, |cx| async move {
        let choices = cx.portal.choices(&cx.actor).await?;
        if choices.hosts.is_empty() {
            return Ok(no_host());
        }
        let data = values(&cx, &choices).await?;
        let labels = KIND.row().form.labels();
        let form = FormView::new(&data, &cx.form, &choices, &labels);
        let groups: Vec<AnyView> =
            KIND.row().form.groups().iter().map(|group| fields::group(&form, group)).collect();
        Ok(view! {
            {heading("New machine", batch())}
            {faults::summary(&cx.form, &labels)}
            {reopened(&cx)}
            <form method="post" id=FORM class="with-aside" novalidate>
                <div class="form-body">{groups}</div>
                <aside class="form-aside" aria-label="Plan">
                    {plan_card(shown_plan(&cx))}
                    <div class="buttons">
                        <button class="button primary" name="intent" value=KIND.as_str()>{KIND.title()}</button>
                        <button class="button" name="intent" value=OperationKind::Configure.as_str()>
                            {OperationKind::Configure.title()}
                        </button>
                        {plan::button()}
                    </div>
                </aside>
            </form>
            <FormHelp form=FORM.to_owned() kind=KIND/>
        }
        .into_any())
    })
}

fn batch() -> AnyView {
    view! { <a class="button" href=routes::NEW_BATCH>"Several at once"</a> }.into_any()
}

/// A note that the form has the values of a job.
fn reopened(cx: &Cx) -> Option<AnyView> {
    let job = cx.query_as::<JobId>("job").filter(|_| cx.form.data.0.is_empty())?;
    let words = ", except passwords: enter them again.";
    Some(
        view! {
            <p class="notice" data-tone="busy">
                "These are the values of "<a href=routes::job(job)>"an earlier job"</a>{words}
            </p>
        }
        .into_any(),
    )
}

/// The plan beside the form. Without JavaScript a button shows it; with JavaScript it is kept up to date, and its digest
/// ensures that exactly what it shows is done.
fn plan_card(shown: Option<Plan>) -> AnyView {
    let content = match shown {
        Some(shown) => plan::plan(&shown).into_any(),
        None => plan::incomplete().into_any(),
    };
    view! {
        <section class="card plan-card">
            <h2>"What will happen"</h2>
            <div id=PLAN_PLACE aria-live="polite">{content}</div>
            <input type="hidden" name="digest" id=PLAN_DIGEST disabled/>
            <input type="hidden" name="of" value=KIND.as_str()/>
        </section>
    }
    .into_any()
}

/// The form's values: those posted, those of the job to try again, or the defaults.
async fn values(cx: &Cx, choices: &Choices) -> Result<FormData, Fault> {
    if !cx.form.data.0.is_empty() {
        return Ok(cx.form.data.clone().without_secrets());
    }
    let mut data = match cx.query_as::<JobId>("job") {
        Some(job) => cx.portal.form_of_job(&cx.actor, job).await?,
        None => form::defaults(KIND),
    };
    if data.get("host").is_empty()
        && let Some(host) = choices.default_host()
    {
        data.set("host", host.name.as_str());
    }
    Ok(data)
}

/// The plan that the button asked for, or the new one if it has changed.
fn shown_plan(cx: &Cx) -> Option<Plan> {
    match &cx.form.fault {
        Some(Fault::PlanChanged { plan }) => Some((**plan).clone()),
        _ => cx.form.plan.clone(),
    }
}

fn no_host() -> AnyView {
    view! {
        {heading("New machine", ().into_any())}
        {table::empty("No host is configured, so there is nowhere to create a machine.", Some((routes::HOSTS, "View hosts")))}
    }
    .into_any()
}
