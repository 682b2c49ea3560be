//! `/jobs/{id}`: one job, live.

use super::page;
use crate::islands::job_live::JobLive;
use crate::parts::frame::{Section, heading};
use crate::parts::{address, faults, time};
use crate::routes;
use leptos::prelude::*;
use model::job::{JobId, JobView};

/// The job's page.
#[component]
pub fn Job() -> impl IntoView {
    page(Section::Jobs, |cx| async move {
        let id: JobId = cx.param("id", "job")?;
        let job = cx.portal.job(&cx.actor, id).await?;
        Ok(view! {
            {heading(&job.summary.badge.title, ().into_any())}
            {faults::summary(&cx.form, &[])}
            {about(&job)}
            <JobLive job=job.clone()/>
            {reproduce(&job)}
        }
        .into_any())
    })
}

fn about(job: &JobView) -> AnyView {
    let machine = job.summary.machine.as_ref().map(|name| {
        view! { <span><a href=routes::machine(name)>{name.to_string()}</a></span> }
    });
    view! {
        <p class="about">
            {machine}
            <span>{format!("asked by {}", job.summary.actor)}</span>
            <span>{time::relative(job.summary.created)}</span>
        </p>
    }
    .into_any()
}

fn reproduce(job: &JobView) -> Option<AnyView> {
    let command = job.reproduce.clone()?;
    Some(
        view! {
            <section class="card">
                <h2>"Build it yourself"</h2>
                <p class="help">"The same build in a shell on the portal's computer:"</p>
                {address::copyable(command, "command")}
            </section>
        }
        .into_any(),
    )
}
