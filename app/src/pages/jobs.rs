//! `/jobs`: newest first, as a log is. The list is paged by job, so in another order there would be no next page.

use super::page;
use crate::cx::Cx;
use crate::islands::live_jobs::LiveJobs;
use crate::parts::frame::{Section, heading_with_title};
use crate::parts::machine_head::Region;
use crate::parts::table::Table;
use crate::parts::{badge, faults, job, table, time, title};
use crate::routes;
use leptos::prelude::*;
use model::sort::Column;
use model::time::Time;
use model::view::job::{JOBS_PER_PAGE, JobFilter, JobSummary};

const TABLE: Table<'static, JobSummary> = Table {
    caption: "Jobs",
    class: "jobs",
    columns: &[
        Column::plain("Job"),
        Column::plain("State"),
        Column::plain("User"),
        Column::plain("Started"),
        Column::plain("Duration"),
    ],
};

const DONE: [(&str, &str); 1] = [("cancel_all", "The jobs are being cancelled.")];

#[component]
pub fn Jobs() -> impl IntoView {
    page(Section::Jobs, |cx| async move {
        let filter = filter(&cx);
        let jobs = cx.portal.jobs(&cx.actor, &filter).await?;
        let title = match &filter.machine {
            Some(machine) => format!("Jobs for {machine}"),
            None => "Jobs".to_owned(),
        };
        let in_tab = title::jobs(&title, jobs.iter().map(|job| &job.badge));
        let older = jobs.last().filter(|_| jobs.len() >= JOBS_PER_PAGE as usize).map(|last| {
            (routes::jobs(&JobFilter { before: Some(last.badge.id), ..filter.clone() }), "Older")
        });
        let newest =
            filter.before.map(|_| (routes::jobs(&JobFilter { before: None, ..filter.clone() }), "Newest"));
        Ok(view! {
            {heading_with_title(&in_tab, &title, toggle(&filter))}
            {faults::done(&cx, &DONE)}
            {faults::summary(&cx.form, &[])}
            {cancel_all(&cx, &filter)}
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

/// A button that stops all of the user's jobs, where the unfinished ones are listed.
fn cancel_all(cx: &Cx, filter: &JobFilter) -> Option<AnyView> {
    let user = cx.actor.user.as_ref().filter(|_| filter.open)?.id.to_string();
    Some(
        view! {
            <form method="post" class="inline">
                <input type="hidden" name="user" value=user/>
                <button class="button" name="intent" value="cancel_all">"Cancel all of my jobs"</button>
            </form>
        }
        .into_any(),
    )
}

/// Switches between all jobs and those that are not over.
fn toggle(filter: &JobFilter) -> AnyView {
    let to = |open| routes::jobs(&JobFilter { open, before: None, ..filter.clone() });
    let link = |open: bool, words: &'static str| {
        view! { <a class="button" href=to(open) aria-current=(filter.open == open).then_some("true")>{words}</a> }
    };
    view! { <div class="toggle">{link(false, "All")}{link(true, "Unfinished")}</div> }.into_any()
}

/// How long a job took; for one that is not over, how far it is, which unlike its duration stays right while the page is open.
fn took(job: &JobSummary, now: Time) -> AnyView {
    if job.ended.is_some() {
        return job::duration(job, now).into_any();
    }
    let badge = &job.badge;
    if badge.cancelling {
        return view! { <span class="note">"Cancelling"</span> }.into_any();
    }
    let words = badge.step.clone().unwrap_or_else(|| format!("{} of {} steps", badge.done, badge.total));
    view! { <span class="note">{words}</span> }.into_any()
}

/// Jobs as a table, here and on a machine's page.
pub fn list(jobs: &[JobSummary]) -> AnyView {
    if jobs.is_empty() {
        return table::empty("No jobs yet.", None);
    }
    let now = time::now();
    let rows = jobs.iter().map(|summary| {
        view! {
            <tr data-key=summary.badge.id.to_string()>
                <th scope="row"><a href=routes::job(summary.badge.id)>{summary.badge.title.clone()}</a></th>
                <td data-label="State">{badge::job_state(summary.badge.state)}</td>
                <td data-label="User">{summary.actor.clone()}</td>
                <td data-label="Started">{time::relative(summary.created)}</td>
                <td data-label="Duration">{took(summary, now)}</td>
            </tr>
        }
    });
    TABLE.view(None, rows.collect_view().into_any())
}
