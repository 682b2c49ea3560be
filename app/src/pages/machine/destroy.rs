//! `/machines/{name}/destroy`: what goes and what stays, the machine's name to be typed; purging as a choice of its own.

use crate::cx::Cx;
use crate::pages::page;
use crate::parts::frame::{Section, heading};
use crate::parts::{faults, plan};
use crate::routes;
use leptos::prelude::*;
use model::fault::Fault;
use model::machine::MachineName;
use model::operation::{Operation, OperationKind};
use model::plan::Plan;

/// The page.
#[component]
pub fn Destroy() -> impl IntoView {
    page(Section::Machines, |cx| async move {
        let name: MachineName = cx.param("name", "machine")?;
        // Asked first, so that a machine that is not there is “not found” and not two refusals.
        cx.portal.machine(&cx.actor, &name).await?;
        let destroy =
            choice(&cx, OperationKind::Destroy, Operation::Destroy { machine: name.clone() }).await?;
        let purge = choice(&cx, OperationKind::Purge, Operation::Purge { machine: name.clone() }).await?;
        Ok(view! {
            <nav class="crumbs" aria-label="Breadcrumb">
                <a href=routes::MACHINES>"Machines"</a>
                <a href=routes::machine(&name)>{name.to_string()}</a>
            </nav>
            {heading(&format!("Destroy {name}"), ().into_any())}
            {faults::summary(&cx.form, &[])}
            <div class="columns">{destroy}{purge}</div>
        }
        .into_any())
    })
}

/// One of the two choices: its plan and its form, or why it cannot be chosen now.
async fn choice(cx: &Cx, kind: OperationKind, operation: Operation) -> Result<AnyView, Fault> {
    let title = match kind {
        OperationKind::Purge => "Purge: the machine and its configuration",
        _ => "Destroy: the machine, not its configuration",
    };
    let body = match cx.portal.plan(&cx.actor, &operation).await {
        Ok(plan) => form(cx, kind, &operation, &plan),
        Err(fault @ (Fault::Refused { .. } | Fault::Busy { .. } | Fault::Denied { .. })) => {
            view! { <p class="notice" data-tone="warn">{fault.to_string()}</p> }.into_any()
        }
        Err(fault) => return Err(fault),
    };
    Ok(view! { <section class="card"><h2>{title}</h2>{body}</section> }.into_any())
}

fn form(cx: &Cx, kind: OperationKind, operation: &Operation, shown: &Plan) -> AnyView {
    let machine = operation.machine().map(ToString::to_string).unwrap_or_default();
    let posted = if cx.form.is(kind.as_str()) { cx.form.clone() } else { crate::FormState::default() };
    let confirm =
        shown.confirm.as_ref().map(|name| faults::confirm_field(name.as_str(), kind.as_str(), &posted));
    view! {
        {plan::plan(shown)}
        <form method="post" class="stack">
            <input type="hidden" name="machine" value=machine/>
            <input type="hidden" name="digest" value=shown.digest().to_string()/>
            {confirm}
            <button class="button danger" name="intent" value=kind.as_str()>{kind.title()}</button>
        </form>
    }
    .into_any()
}
