//! A machine's pages: a header that is always in view, and its tabs.

pub mod activity;
pub mod configuration;
pub mod console;
pub mod generations;
pub mod operate;
pub mod overview;
mod what_changes;

use super::{may, page};
use crate::cx::Cx;
use crate::islands::live_machine::LiveMachine;
use crate::parts::frame::Section;
use crate::parts::machine_head::{Region, head, notices};
use crate::parts::{actions, faults, job, title};
use crate::routes::{self, Tab};
use leptos::prelude::*;
use leptos_meta::Title;
use model::fault::Fault;
use model::machine::MachineName;
use model::operation::OperationKind;
use model::permission::Action;
use model::view::machine::MachineDetail;
use std::future::Future;

/// A tab of a machine's page: the header around what `body` makes of the machine.
fn tab<F, Body>(tab: Tab, body: F) -> AnyView
where
    F: FnOnce(Cx, MachineDetail) -> Body + Send + 'static,
    Body: Future<Output = Result<AnyView, Fault>> + Send + 'static,
{
    page(Section::Machines, move |cx| async move {
        let name: MachineName = cx.param("name", "machine")?;
        let machine = match cx.portal.machine(&cx.actor, &name).await {
            Err(fault @ Fault::Refused { .. }) => return Ok(unreadable(&cx, &name, &fault)),
            machine => machine?,
        };
        if leads_on(&cx, &name, &machine) {
            return Ok(().into_any());
        }
        let title = title::machine(&machine.row, (tab != Tab::Overview).then(|| tab.title()));
        let header = header(&cx, &machine, tab);
        let id = machine.row.id;
        let body = body(cx, machine).await?;
        Ok(view! {
            <Title text=title/>
            {header}
            <LiveMachine id=id/>
            {body}
        }
        .into_any())
    })
}

/// Instead of the page of a machine whose record cannot be read: why, and what an administrator can do.
fn unreadable(cx: &Cx, name: &MachineName, fault: &Fault) -> AnyView {
    cx.set_status(fault);
    let forget = may(cx, Action::Operate(OperationKind::Forget)).then(|| {
        let href = routes::operate(name, OperationKind::Forget);
        view! { <p><a class="button danger" href=href>"Forget "{name.to_string()}"…"</a></p> }
    });
    view! { {faults::page(fault)}{forget} }.into_any()
}

/// Leads from a former name of the machine to the same page under its current one. The result of a posted form is shown
/// where it was posted. Not permanent: another machine may get the name.
fn leads_on(cx: &Cx, name: &MachineName, machine: &MachineDetail) -> bool {
    let here = cx.here();
    let rest = here.strip_prefix(&routes::machine(name)).unwrap_or_default();
    let leads = machine.row.name != *name && cx.form.data.0.is_empty();
    if leads {
        cx.redirect(&format!("{}{rest}", routes::machine(&machine.row.name)));
    }
    leads
}

/// Name, state and address; the possible actions; the tabs. What is kept up to date has `data-live`. The console has its power
/// buttons beside the screen, and no second ones here.
fn header(cx: &Cx, machine: &MachineDetail, tab: Tab) -> AnyView {
    let row = &machine.row;
    view! {
        <nav class="crumbs" aria-label="Breadcrumb"><a href=routes::MACHINES>"Machines"</a></nav>
        <div class="page-head machine-head">
            <h1>{row.name.to_string()}</h1>
            <div class="machine-state" data-live=Region::Head.as_str()>{head(row)}</div>
            {(tab != Tab::Console).then(|| view! {
                <div data-live=Region::Actions.as_str()>
                    {actions::bar(&row.name, row.observed.state, &machine.actions)}
                </div>
            })}
        </div>
        <div class="notices" data-live=Region::Notices.as_str() aria-live="polite">{notices(row)}</div>
        <div class="notices" data-live=Region::Failed.as_str() aria-live="polite">{failed(machine)}</div>
        {faults::summary(&cx.form, &labels_of(tab))}
        {faults::confirmation(cx)}
        {tabs(&row.name, tab)}
    }
    .into_any()
}

/// The last operation, if it failed. While another one is under way, that is the news.
fn failed(machine: &MachineDetail) -> Option<AnyView> {
    let failed = machine.failed.as_ref().filter(|_| machine.row.job.is_none())?;
    Some(job::failed(failed).into_any())
}

/// The fields that a tab has.
fn labels_of(tab: Tab) -> Vec<(&'static str, &'static str)> {
    let form =
        if tab == Tab::Configuration { OperationKind::Reconfigure.row().form.labels() } else { Vec::new() };
    form.into_iter().chain([faults::CONFIRM]).collect()
}

fn tabs(name: &MachineName, now: Tab) -> AnyView {
    let links = Tab::ALL.map(|tab| {
        let current = (tab == now).then_some("page");
        view! { <a href=routes::machine_tab(name, tab) aria-current=current>{tab.title()}</a> }
    });
    view! { <nav class="tabs" aria-label="Parts of this machine's page">{links.into_iter().collect_view()}</nav> }
        .into_any()
}

/// A card of terms and their values.
fn facts(title: &'static str, rows: Vec<(&'static str, AnyView)>) -> AnyView {
    view! { <section class="card"><h2>{title}</h2>{terms(rows)}</section> }.into_any()
}

/// Terms and their values.
fn terms(rows: Vec<(&'static str, AnyView)>) -> AnyView {
    let rows = rows.into_iter().map(|(term, value)| view! { <div><dt>{term}</dt><dd>{value}</dd></div> });
    view! { <dl class="facts">{rows.collect_view()}</dl> }.into_any()
}
