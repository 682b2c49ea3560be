//! `/machines/{name}/do/{operation}`: any operation on a machine that has fields or needs a confirmation. The fields, what will
//! happen, and what has to be confirmed all come from its row in the catalog and its plan.

use super::leads_on;
use super::what_changes::what_changes;
use crate::cx::Cx;
use crate::islands::form_help::FormHelp;
use crate::pages::page;
use crate::parts::actions::{self, From};
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
use model::form::{self, FormData};
use model::machine::{GenerationNumber, MachineName};
use model::operation::OperationKind;
use model::plan::Plan;
use model::view::machine::MachineDetail;

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
        // In the operation's own words, where the machine is all that it needs.
        let named = form::on_machine(kind, &name).map(|operation| operation.title());
        let title = named.unwrap_or_else(|| format!("{} {name}", row.title));
        let refused = machine.as_ref().and_then(|machine| refused(machine, kind));
        let body = match refused.filter(|_| row.form.has_fields()) {
            Some(why) => refusal(&why, kind, &name, machine.as_ref()),
            None => form_of(&cx, row, &name, machine.as_ref()).await?,
        };
        Ok(view! {
            <Title text=title.clone()/>
            <nav class="crumbs" aria-label="Breadcrumb">
                <a href=routes::MACHINES>"Machines"</a>
                <a href=routes::machine(&name)>{name.to_string()}</a>
            </nav>
            {heading(&title, ().into_any())}
            {faults::summary(&cx.form, &labels_of(row))}
            {body}
        }
        .into_any())
    })
}

fn labels_of(row: &OperationRow) -> Vec<(&'static str, &'static str)> {
    row.form.labels().into_iter().chain([faults::CONFIRM]).collect()
}

/// The form of an operation on a machine, or why there is none now. Without the machine where its record cannot be read.
pub(super) async fn form_of(
    cx: &Cx,
    row: &'static OperationRow,
    name: &MachineName,
    machine: Option<&MachineDetail>,
) -> Result<AnyView, Fault> {
    let data = values(cx, row, name, machine);
    let shown = match plan_of(cx, row, &data).await {
        Ok(shown) => shown,
        Err(fault @ (Fault::Refused { .. } | Fault::Busy { .. } | Fault::Denied { .. })) => {
            return Ok(refusal(&fault.to_string(), row.kind, name, machine));
        }
        Err(fault) => return Err(fault),
    };
    let packages = match machine {
        Some(machine) if shown.is_some() => what_changes(cx, row.kind, machine).await?,
        _ => None,
    };
    let labels = labels_of(row);
    let mut choices = cx.portal.choices(&cx.actor).await?;
    choices.generations = machine.map(|machine| machine.generations.clone()).unwrap_or_default();
    let view = FormView::new(&data, &cx.form, &choices, &labels);
    let groups: Vec<AnyView> = row.form.groups().iter().map(|group| fields::group(&view, group)).collect();
    let class = if row.tone == Tone::Danger { "button danger" } else { "button primary" };
    let kind = row.kind;
    let plan = view! {
        <div id=PLAN_PLACE aria-live="polite">
            {match &shown {
                Some(shown) => plan::plan(shown).into_any(),
                None => plan::unchanged().into_any(),
            }}
        </div>
        {packages}
        {digest(shown.as_ref())}
        {shown.as_ref().and_then(|plan| plan.confirm.as_ref()).map(|name| {
            faults::confirm_field(name.as_str(), "confirm", &cx.form)
        })}
    };
    let buttons = view! {
        <button class=class name="intent" value=kind.as_str()>{row.title}</button>
        <a class="button" href=routes::machine(name)>"Cancel"</a>
    };
    if groups.is_empty() {
        return Ok(view! {
            <form method="post" id=FORM class="stack card" novalidate>
                <input type="hidden" name="machine" value=name.to_string()/>
                {plan}
                <div class="buttons">{buttons}</div>
            </form>
        }
        .into_any());
    }
    Ok(view! {
        <form method="post" id=FORM class="with-aside" novalidate>
            <input type="hidden" name="machine" value=name.to_string()/>
            <div class="form-body">{groups}</div>
            <aside class="form-aside" aria-label="Plan">
                <section class="card plan-card">
                    <h2>"What will happen"</h2>
                    {plan}
                    <input type="hidden" name="of" value=kind.as_str()/>
                </section>
                <div class="buttons">{buttons}{plan::button()}</div>
            </aside>
        </form>
        <FormHelp form=FORM.to_owned() kind=kind/>
    }
    .into_any())
}

/// What the fields hold: what was posted, or what the machine has. Whoever was told that somebody else has changed it meanwhile
/// saves over what is there now.
fn values(cx: &Cx, row: &OperationRow, name: &MachineName, machine: Option<&MachineDetail>) -> FormData {
    let mut opened =
        machine.map_or_else(|| form::defaults(row.kind), |machine| form::opened(row.kind, &machine.spec));
    opened.set("machine", name.as_str());
    if row.kind == OperationKind::RollBack {
        opened.set("generation", generation(cx, machine));
    }
    if !cx.form.is(row.kind.as_str()) && cx.form.plan.is_none() {
        return opened;
    }
    let mut data = cx.form.data.clone().without_secrets();
    if cx.form.fault.as_ref().is_some_and(|fault| fault.of_field("base").is_some()) {
        data.set("base", opened.raw("base"));
    }
    data
}

/// What the page that led here chose, or the newest one that the machine does not boot.
fn generation(cx: &Cx, machine: Option<&MachineDetail>) -> String {
    let mut others = machine.into_iter().flat_map(|machine| &machine.generations).filter(|g| !g.is_current);
    let chosen = cx.query_as::<GenerationNumber>("generation");
    chosen
        .or_else(|| others.next().map(|other| other.number))
        .map(|number| number.to_string())
        .unwrap_or_default()
}

/// Why the operation cannot be asked for now.
fn refused(machine: &MachineDetail, kind: OperationKind) -> Option<String> {
    machine.actions.iter().find(|offered| offered.kind == kind)?.refused.clone()
}

/// Why there is no form, and the way back; for a machine that has to be shut down first, also the button for that.
fn refusal(why: &str, kind: OperationKind, name: &MachineName, machine: Option<&MachineDetail>) -> AnyView {
    let can_shut_down = |machine: &&MachineDetail| {
        let offered = machine.actions.iter().find(|offered| offered.kind == OperationKind::ShutDown);
        kind == OperationKind::Rename && offered.is_some_and(|offered| offered.refused.is_none())
    };
    let shut_down = machine
        .filter(can_shut_down)
        .map(|_| actions::operate(name, OperationKind::ShutDown, From::Page, "button primary"));
    view! {
        <p class="notice" data-tone="warn">{why.to_owned()}</p>
        <div class="buttons">{shut_down}<a class="button" href=routes::machine(name)>"Back"</a></div>
    }
    .into_any()
}

/// The plan that was requested or has changed; otherwise that of an operation whose form says what it is before anything is
/// entered.
async fn plan_of(cx: &Cx, row: &OperationRow, data: &FormData) -> Result<Option<Plan>, Fault> {
    if let Some(plan) = &cx.form.plan {
        return Ok(Some(plan.clone()));
    }
    match form::chosen(row.kind, data) {
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
