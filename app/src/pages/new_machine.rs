//! `/machines/new`: one page, four groups, the plan beside them.

use super::page;
use crate::cx::Cx;
use crate::islands::form_help::FormHelp;
use crate::parts::fields::FormView;
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

/// The form.
#[component]
pub fn NewMachine() -> impl IntoView {
    page(Section::Machines, |cx| async move {
        let choices = cx.portal.choices(&cx.actor).await?;
        if choices.hosts.is_empty() {
            return Ok(no_host());
        }
        let data = values(&cx, &choices).await?;
        let names = KIND.row().field_names();
        let form = FormView::new(&data, &cx.form, &choices, &names);
        let groups: Vec<AnyView> = (KIND.row().form)().iter().map(|group| form.group(group)).collect();
        Ok(view! {
            {heading("New machine", ().into_any())}
            {faults::summary(&cx.form, &names)}
            {again(&cx)}
            <form method="post" id=FORM class="with-aside" novalidate>
                <div class="form-body">{groups}</div>
                <aside class="form-aside" aria-label="Plan">
                    {plan_card(shown_plan(&cx))}
                    <div class="buttons">
                        <button class="button primary" name="intent" value=KIND.as_str()>{KIND.title()}</button>
                        <button class="button" name="intent" value=OperationKind::Configure.as_str()>
                            {OperationKind::Configure.title()}
                        </button>
                    </div>
                </aside>
            </form>
            <FormHelp form=FORM.to_owned() kind=KIND/>
        }
        .into_any())
    })
}

/// Told when the form opens with the values of a job.
fn again(cx: &Cx) -> Option<AnyView> {
    let job = cx.query_as::<JobId>("job").filter(|_| cx.form.data.0.is_empty())?;
    let words = " that came to nothing, but for passwords: type them again.";
    Some(
        view! {
            <p class="notice" data-tone="busy">
                "These are the values of "<a href=routes::job(job)>"the job"</a>{words}
            </p>
        }
        .into_any(),
    )
}

/// The plan beside the form. Without JavaScript a button shows it; with JavaScript it is there by itself, and its digest
/// makes sure that nothing else is done than what it shows.
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
            <button class="button no-js" name="intent" value="show_plan">"Show the plan"</button>
        </section>
    }
    .into_any()
}

/// What the fields hold: what was posted; or what led to the job that is being tried again; or what a new form holds.
async fn values(cx: &Cx, choices: &Choices) -> Result<FormData, Fault> {
    if !cx.form.data.0.is_empty() {
        return Ok(cx.form.data.clone().without_secrets());
    }
    let mut data = match cx.query_as::<JobId>("job") {
        Some(job) => cx.portal.form_of_job(&cx.actor, job).await?,
        None => form::defaults(KIND),
    };
    if data.get("host").is_empty()
        && let Some(host) = choices.hosts.iter().find(|h| h.reachable).or(choices.hosts.first())
    {
        data.set("host", host.name.as_str());
    }
    Ok(data)
}

/// The plan that was asked for by the button, or the new one when the situation changed.
fn shown_plan(cx: &Cx) -> Option<Plan> {
    match &cx.form.fault {
        Some(Fault::PlanChanged { plan }) => Some((**plan).clone()),
        _ => cx.form.plan.clone(),
    }
}

fn no_host() -> AnyView {
    view! {
        {heading("New machine", ().into_any())}
        {table::empty("No host is configured, so there is nowhere to put a machine.", Some((routes::HOSTS, "See the hosts")))}
    }
    .into_any()
}
