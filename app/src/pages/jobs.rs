//! `/jobs`: what was asked for, newest first.

use super::page;
use crate::cx::Cx;
use crate::islands::live_jobs::LiveJobs;
use crate::parts::frame::{Section, heading};
use crate::parts::machine_head::Region;
use crate::parts::{badge, faults, job, table, time};
use crate::routes;
use leptos::prelude::*;
use model::time::Time;
use model::view::job::{JOBS_PER_PAGE, JobFilter, JobSummary};

/// The list.
#[component]
pub fn Jobs() -> impl IntoView {
    page(Section::Jobs, |cx| async move {
        let filter = filter(&cx);
        let jobs = cx.portal.jobs(&cx.actor, &filter).await?;
        let title = match &filter.machine {
            Some(machine) => format!("Jobs of {machine}"),
            None => "Jobs".to_owned(),
        };
        let older = jobs.last().filter(|_| jobs.len() >= JOBS_PER_PAGE as usize).map(|last| {
            (routes::jobs(&JobFilter { before: Some(last.badge.id), ..filter.clone() }), "Older")
        });
        let newest =
            filter.before.map(|_| (routes::jobs(&JobFilter { before: None, ..filter.clone() }), "Newest"));
        Ok(view! {
            {heading(&title, toggle(&filter))}
            {faults::summary(&cx.form, &[])}
            <div data-live=Region::Jobs.as_str()>{list(&jobs)}</div>
            <LiveJobs/>
            {table::pager(newest, older)}
        }
        .into_any())
    })
}

fn filter(cx: &Cx) -> JobFilter {
    JobFilter {
        machine: cx.query_as("machine"),
        open: cx.query("open") == "true",
        before: cx.query_as("before"),
    }
}

/// All jobs, or only those that are not over.
fn toggle(filter: &JobFilter) -> AnyView {
    let to = |open| routes::jobs(&JobFilter { open, before: None, ..filter.clone() });
    let link = |open: bool, words: &'static str| {
        view! { <a class="button" href=to(open) aria-current=(filter.open == open).then_some("true")>{words}</a> }
    };
    view! { <div class="toggle">{link(false, "All")}{link(true, "Unfinished")}</div> }.into_any()
}

/// How long a job took; one that is not over says how far it is, which does not grow old while one looks at it.
fn took(job: &JobSummary, now: Time) -> AnyView {
    if job.ended.is_some() {
        return job::duration(job, now).into_any();
    }
    let badge = &job.badge;
    let words = badge.step.clone().unwrap_or_else(|| format!("{} of {} steps", badge.done, badge.total));
    view! { <span class="note">{words}</span> }.into_any()
}

/// The jobs as a table, here and on a machine's page.
pub fn list(jobs: &[JobSummary]) -> AnyView {
    if jobs.is_empty() {
        return table::empty("There is no job here. Everything that you start will be.", None);
    }
    let now = time::now();
    let rows = jobs.iter().map(|summary| {
        view! {
            <tr data-key=summary.badge.id.to_string()>
                <th scope="row"><a href=routes::job(summary.badge.id)>{summary.badge.title.clone()}</a></th>
                <td data-label="State">{badge::job_state(summary.badge.state)}</td>
                <td data-label="Asked by">{summary.actor.clone()}</td>
                <td data-label="Started">{time::relative(summary.created)}</td>
                <td data-label="Took">{took(summary, now)}</td>
            </tr>
        }
    });
    table::table(
        "Jobs",
        &["Job", "State", "Asked by", "Started", "Took"],
        "jobs",
        rows.collect_view().into_any(),
    )
}
