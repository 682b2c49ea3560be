//! `/jobs/{id}`: one job, live.

use super::page;
use crate::islands::job_live::JobLive;
use crate::parts::frame::{Section, heading_with_title};
use crate::parts::job::{LOG_SECTION, NOW, regions};
use crate::parts::{address, faults, time, title};
use crate::routes;
use leptos::prelude::*;
use model::job::JobId;
use model::view::job::JobView;

#[component]
pub fn Job() -> impl IntoView {
    page(Section::Jobs, |cx| async move {
        let id: JobId = cx.param("id", "job")?;
        let job = cx.portal.job(&cx.actor, id).await?;
        Ok(view! {
            {heading_with_title(&title::job(&job.summary.badge), &job.summary.badge.title, ().into_any())}
            {faults::summary(&cx.form, &[])}
            <div class="job">
                {live(&job)}
                {reload(&job)}
                <JobLive id=id/>
                {log(id)}
            </div>
            {reproduce(&job)}
        }
        .into_any())
    })
}

/// The regions that `JobLive` keeps up to date.
fn live(job: &JobView) -> AnyView {
    let regions = regions(job, time::now()).map(|(name, view)| {
        // The list of steps shows the same to those who see it.
        let only_heard = name == NOW;
        view! {
            <div data-live=name class=only_heard.then_some("hidden") aria-live=only_heard.then_some("polite")>
                {view}
            </div>
        }
    });
    regions.into_iter().collect_view().into_any()
}

/// Without JavaScript nothing on the page moves.
fn reload(job: &JobView) -> Option<AnyView> {
    let is_over = job.summary.badge.state.is_over();
    let words = "Without JavaScript this page does not follow the job: load it again to see how far it is.";
    (!is_over).then(|| view! { <p class="no-js note">{words}</p> }.into_any())
}

/// The log without its lines, which are filled in where JavaScript runs.
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
            <p class="no-js">"Without JavaScript the log is not shown here; download it instead."</p>
        </section>
    }
    .into_any()
}

fn reproduce(job: &JobView) -> Option<AnyView> {
    let command = job.reproduce.clone()?;
    Some(
        view! {
            <section class="card">
                <h2>"Reproduce this build"</h2>
                <p class="help">"Runs the same build in a shell on the portal's server:"</p>
                {address::copyable(command, "command")}
            </section>
        }
        .into_any(),
    )
}
