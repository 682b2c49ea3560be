//! `/jobs/{id}`: one job, live.

use super::page;
use crate::islands::job_live::JobLive;
use crate::parts::frame::{Section, heading};
use crate::parts::job::{LOG_SECTION, NOW, regions};
use crate::parts::{address, faults, time};
use crate::routes;
use leptos::prelude::*;
use model::job::JobId;
use model::view::job::JobView;

/// The job's page.
#[component]
pub fn Job() -> impl IntoView {
    page(Section::Jobs, |cx| async move {
        let id: JobId = cx.param("id", "job")?;
        let job = cx.portal.job(&cx.actor, id).await?;
        Ok(view! {
            {heading(&job.summary.badge.title, ().into_any())}
            {faults::summary(&cx.form, &[])}
            <div class="job">
                {live(&job)}
                <JobLive id=id/>
                {log(id)}
            </div>
            {reproduce(&job)}
        }
        .into_any())
    })
}

/// The regions that `JobLive` keeps fresh.
fn live(job: &JobView) -> AnyView {
    let regions = regions(job, time::now()).map(|(name, view)| {
        // The steps show it to those who see them.
        let only_heard = name == NOW;
        view! {
            <div data-live=name class=only_heard.then_some("hidden") aria-live=only_heard.then_some("polite")>
                {view}
            </div>
        }
    });
    regions.into_iter().collect_view().into_any()
}

/// The frame of the log; its lines are put in where JavaScript runs.
fn log(id: JobId) -> AnyView {
    view! {
        <section class="log-section" id=LOG_SECTION aria-labelledby="log-title">
            <div class="log-tools">
                <h2 id="log-title">"Log"</h2>
                <span class="log-search js-only">
                    <input type="search" data-log="search" placeholder="Search the log" aria-label="Search the log"/>
                    <span data-log="found" role="status"></span>
                    <button type="button" class="button" data-log="previous" aria-label="Previous match">"↑"</button>
                    <button type="button" class="button" data-log="next" aria-label="Next match">"↓"</button>
                </span>
                <label class="tick js-only"><input type="checkbox" data-log="follow" checked/>"Follow"</label>
                <label class="tick js-only"><input type="checkbox" data-log="wrap"/>"Wrap"</label>
                <button type="button" class="button js-only" data-log="copy">"Copy"</button>
                <a class="button" href=routes::job_log(id) download="">"Download"</a>
            </div>
            <div class="log js-only" data-log="lines" tabindex="0" role="region" aria-label="Log lines"></div>
            <p class="no-js">"The log is live where JavaScript runs; the download has all of it."</p>
        </section>
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
