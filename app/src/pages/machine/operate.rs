//! `/machines/{name}/do/{operation}`: any operation on a machine that has fields or needs a confirmation. The fields, what will
//! happen, and what has to be confirmed all come from its row in the catalog and its plan.

use super::leads_on;
use crate::cx::Cx;
use crate::islands::form_help::FormHelp;
use crate::pages::page;
use crate::parts::fields;
use crate::parts::form::FormView;
use crate::parts::frame::{Section, heading};
use crate::parts::machine_form::{FORM, PLAN_DIGEST, PLAN_PLACE};
use crate::parts::{faults, plan};
use crate::routes;
use leptos::prelude::*;
use leptos_meta::Title;
use model::catalog::{On, OperationRow, Tone};
use model::fault::Fault;
use model::form;
use model::machine::MachineName;
use model::operation::OperationKind;
use model::plan::Plan;

#[component]
pub fn Operate() -> impl IntoView {
    page(Section::Machines, |cx| async move {
        let name: MachineName = cx.param("name", "machine")?;
        let kind: OperationKind = cx.param("operation", "operation")?;
        let row = kind.row();
        if row.on != On::Machine {
            return Err(Fault::not_found("operation"));
        }
        // Queried first, so that a machine that does not exist is “not found” and not a refusal.
        let machine = match cx.portal.machine(&cx.actor, &name).await {
            // Its record cannot be read: an operation that needs only its name still has a plan.
            Err(Fault::Refused { .. }) if form::on_machine(kind, &name).is_some() => None,
            machine => Some(machine?),
        };
        if machine.as_ref().is_some_and(|machine| leads_on(&cx, &name, machine)) {
            return Ok(().into_any());
        }
        let title = format!("{} {name}", row.title);
        let mut actions = machine.into_iter().flat_map(|machine| machine.actions);
        let refused = actions.find(|offered| offered.kind == kind).and_then(|offered| offered.refused);
        let body = match refused.filter(|_| row.form.has_fields()) {
            Some(why) => refusal(&why, &name),
            None => body(&cx, row, &name).await?,
        };
        Ok(view! {
            <Title text=title.clone()/>
            <nav class="crumbs" aria-label="Breadcrumb">
                <a href=routes::MACHINES>"Machines"</a>
                <a href=routes::machine(&name)>{name.to_string()}</a>
            </nav>
            {heading(&title, ().into_any())}
            {faults::summary(&cx.form, &row.form.names())}
            {body}
        }
        .into_any())
    })
}

/// The form, or why there is none now.
async fn body(cx: &Cx, row: &'static OperationRow, name: &MachineName) -> Result<AnyView, Fault> {
    let shown = match plan_of(cx, row, name).await {
        Ok(shown) => shown,
        Err(fault @ (Fault::Refused { .. } | Fault::Busy { .. } | Fault::Denied { .. })) => {
            return Ok(refusal(&fault.to_string(), name));
        }
        Err(fault) => return Err(fault),
    };
    let names = row.form.names();
    let choices = cx.portal.choices(&cx.actor).await?;
    let data = if cx.form.is(row.kind.as_str()) { cx.form.data.clone() } else { form::defaults(row.kind) };
    let view = FormView::new(&data, &cx.form, &choices, &names);
    let groups: Vec<AnyView> = row.form.groups().iter().map(|group| fields::group(&view, group)).collect();
    let helped = !names.is_empty();
    let class = if row.tone == Tone::Danger { "button danger" } else { "button primary" };
    let kind = row.kind;
    Ok(view! {
        <form method="post" id=FORM class="stack card" novalidate>
            <input type="hidden" name="machine" value=name.to_string()/>
            {groups}
            <div id=PLAN_PLACE aria-live="polite">{shown.as_ref().map(plan::plan)}</div>
            {digest(shown.as_ref())}
            {shown.as_ref().and_then(|plan| plan.confirm.as_ref()).map(|name| {
                faults::confirm_field(name.as_str(), "confirm", &cx.form)
            })}
            <div class="buttons">
                <button class=class name="intent" value=kind.as_str()>{row.title}</button>
                <a class="button" href=routes::machine(name)>"Cancel"</a>
            </div>
        </form>
        {helped.then(|| view! { <FormHelp form=FORM.to_owned() kind=kind/> })}
    }
    .into_any())
}

fn refusal(why: &str, name: &MachineName) -> AnyView {
    view! {
        <p class="notice" data-tone="warn">{why.to_owned()}</p>
        <p><a class="button" href=routes::machine(name)>"Back"</a></p>
    }
    .into_any()
}

/// The plan that was requested or has changed; otherwise the plan of an operation that needs only its machine.
async fn plan_of(cx: &Cx, row: &OperationRow, name: &MachineName) -> Result<Option<Plan>, Fault> {
    if let Some(plan) = &cx.form.plan {
        return Ok(Some(plan.clone()));
    }
    match form::on_machine(row.kind, name) {
        Some(operation) => cx.portal.plan(&cx.actor, &operation).await.map(Some),
        None => Ok(None),
    }
}

/// The digest of the plan that is agreed to. Disabled, and so not posted, until there is a plan; the island fills it in.
fn digest(shown: Option<&Plan>) -> impl IntoView + use<> {
    let value = shown.map(|plan| plan.digest().to_string());
    let disabled = value.is_none();
    view! { <input type="hidden" name="digest" id=PLAN_DIGEST value=value disabled=disabled/> }
}
