//! `/hosts`: each host with the findings of its last check, and how to fix them.

use super::{may, page};
use crate::parts::frame::{Section, heading};
use crate::parts::{badge, faults, table, time};
use leptos::prelude::*;
use model::host::{Finding, HostView};
use model::permission::Action;

#[component]
pub fn Hosts() -> impl IntoView {
    page(Section::Hosts, |cx| async move {
        let hosts = cx.portal.hosts(&cx.actor).await?;
        let may_check = may(&cx, Action::CheckHost);
        let cards: Vec<AnyView> = hosts.iter().map(|host| card(host, may_check)).collect();
        let none = hosts
            .is_empty()
            .then(|| table::empty("No host is configured. Hosts are part of the server's settings.", None));
        Ok(view! {
            {heading("Hosts", ().into_any())}
            {faults::done(&cx, &[("check_host", "The host was tested.")])}
            {faults::summary(&cx.form, &[])}
            {none}
            {cards}
        }
        .into_any())
    })
}

fn card(host: &HostView, may_check: bool) -> AnyView {
    let state =
        if host.reachable { badge::badge("ok", "Reachable") } else { badge::badge("bad", "Unreachable") };
    let test = may_check.then(|| {
        let label = format!("Test {} again", host.name);
        view! {
            <form method="post" class="inline">
                <input type="hidden" name="host" value=host.name.to_string()/>
                <button class="button" name="intent" value="check_host" aria-label=label>"Test again"</button>
            </form>
        }
    });
    let machines =
        if host.machines == 1 { "1 machine".to_owned() } else { format!("{} machines", host.machines) };
    let bridges = if host.bridges.is_empty() { "none".to_owned() } else { host.bridges.join(", ") };
    let checked = host.checked.map(|at| view! { <span>"last tested "{time::relative(at)}</span> });
    view! {
        <section class="card host">
            <div class="card-head"><h2>{host.name.to_string()}</h2>{state}{test}</div>
            <p class="about">
                <code>{host.target.clone()}</code>
                <span>{machines}</span>
                <span>{format!("bridges: {bridges}")}</span>
                {checked}
            </p>
            <ul class="findings">{host.findings.iter().map(finding).collect_view()}</ul>
        </section>
    }
    .into_any()
}

fn finding(finding: &Finding) -> AnyView {
    let fix = finding.fix.clone().map(|fix| view! { <p class="fix">"Fix: "{fix}</p> });
    view! {
        <li>
            {badge::level(finding.level)}
            <div>
                <p><strong>{title(&finding.name)}</strong>" "{finding.what.clone()}</p>
                {fix}
            </div>
        </li>
    }
    .into_any()
}

/// A finding's name, capitalised as people write it.
fn title(name: &str) -> String {
    if name == "kvm" {
        return "KVM".to_owned();
    }
    let mut letters = name.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
