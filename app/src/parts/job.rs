//! A job's steps, failure and progress; rendered by the page first and by the island `JobLive` after each change.

use crate::parts::{badge, time};
use crate::routes;
use leptos::prelude::*;
use model::job::{BuildProgress, Failure, JobId, JobState, StepState};
use model::operation::OperationKind;
use model::size::Bytes;
use model::time::Time;
use model::view::job::{FailedJob, JobSummary, JobView, StepView};

/// The region with a build's progress.
pub const PROGRESS: &str = "job-progress";
/// The region that announces the running step to screen readers.
pub const NOW: &str = "job-now";
/// The id of the log's section.
pub const LOG_SECTION: &str = "log-section";
/// The step whose progress is shown.
const BUILD_STEP: &str = "image.build";
/// The message of a job that was asked to stop.
pub const CANCELLING: &str = "Cancelling; the current step has to finish first.";

/// The live regions of a job's page in order, by the value of their `data-live`.
pub fn regions(job: &JobView, now: Time) -> [(&'static str, AnyView); 6] {
    [
        ("job-about", about(job).into_any()),
        ("job-head", head(job, now).into_any()),
        (NOW, running_step(job).into_any()),
        ("job-failure", what_is_wrong(job).into_any()),
        (PROGRESS, progress(job).into_any()),
        ("job-steps", steps(job, now).into_any()),
    ]
}

/// The machine, who started the job, when, and how long it was in the queue. Without a link once the machine is gone; with
/// both names if it has another one since.
fn about(job: &JobView) -> impl IntoView + use<> {
    let machine = job.summary.machine.as_ref().map(|name| {
        let words = name.to_string();
        match &job.summary.machine_now {
            Some(now) if now == name => view! { <a href=routes::machine(now)>{words}</a>" " }.into_any(),
            Some(now) => {
                view! { <span>{words}", now "<a href=routes::machine(now)>{now.to_string()}</a></span>" " }
                    .into_any()
            }
            None => view! { <span>{words}</span>" " }.into_any(),
        }
    });
    view! {
        <p class="about">
            {machine}
            <span>{format!("started by {}", job.summary.actor)}</span>
            " "
            <span>{time::relative(job.summary.created)}</span>
            {waited(&job.summary).map(|waited| view! { " "<span>{format!("waited {waited} for its turn")}</span> })}
        </p>
    }
}

fn head(job: &JobView, now: Time) -> impl IntoView + use<> {
    let id = job.summary.badge.id;
    view! {
        {badge::job_state(job.summary.badge.state)}
        " "
        <span class="note">{duration(&job.summary, now)}</span>
        {job.summary.badge.cancelling.then(|| view! { <span role="status" data-key="cancelling">{CANCELLING}</span> })}
        <div class="buttons">
            {job.can_cancel.then(|| button(id, "cancel", "Cancel"))}
            {job.can_retry.then(|| button(id, "retry", retry_words(job)))}
            {form_again(job).map(|href| {
                view! { <a class="button" data-key="form" href=href>"Edit and try again"</a> }
            })}
        </div>
    }
}

/// The form with the values of a job that failed or was cancelled.
fn form_again(job: &JobView) -> Option<String> {
    let id = job.summary.badge.id;
    if job.form_again {
        return Some(routes::new_machine_again(id));
    }
    (job.can_retry && job.summary.kind == OperationKind::Build).then(|| routes::images_again(id))
}

/// A button that steers a job.
pub fn button(id: JobId, intent: &'static str, words: &'static str) -> impl IntoView + use<> {
    view! {
        <form method="post" class="inline" data-key=intent>
            <input type="hidden" name="job" value=id.to_string()/>
            <button class="button" name="intent" value=intent>{words}</button>
        </form>
    }
}

fn running_step(job: &JobView) -> String {
    if job.summary.badge.state.is_over() {
        return String::new();
    }
    job.summary.badge.step.clone().unwrap_or_default()
}

/// The steps in order, each with its state and duration. Folded once all are done: then nobody needs them.
fn steps(job: &JobView, now: Time) -> impl IntoView + use<> {
    let is_over = job.summary.badge.state.is_over();
    let items = job.steps.iter().map(|step| {
        let took = took(step, now);
        view! {
            <li data-state=step.state.as_str()>
                <span class="step-what">{step.what.clone()}</span>
                " "
                <span class="step-state">{step_state(step.state, is_over)}</span>
                " "
                <span class="step-time">{took}</span>
            </li>
        }
    });
    let (badge, succeeded) = (&job.summary.badge, job.summary.badge.state == JobState::Succeeded);
    let summary = match badge.state {
        JobState::Failed | JobState::Cancelled => "Steps".to_owned(),
        _ => format!("Steps: {} of {} done", badge.done, badge.total),
    };
    // Another key, so that steps that were open while they ran fold as well.
    let key = if succeeded { "steps-done" } else { "steps" };
    view! {
        <details class="fold" data-key=key open=!succeeded>
            <summary>{summary}</summary>
            <ol class="steps">{items.collect_view()}</ol>
        </details>
    }
}

fn step_state(state: StepState, is_over: bool) -> &'static str {
    match state {
        StepState::Pending if is_over => "skipped",
        StepState::Pending => "pending",
        StepState::Running => "running",
        StepState::Done => "done",
        StepState::Failed => "failed",
        StepState::Cancelled => "cancelled",
        StepState::Undone => "rolled back",
    }
}

fn took(step: &StepView, now: Time) -> String {
    match (step.began, step.ended) {
        (Some(began), Some(ended)) => time::span(began.millis_until(ended)),
        (Some(began), None) if step.state == StepState::Running => time::span(began.millis_until(now)),
        _ => String::new(),
    }
}

/// How long a job took or has taken, without its time in the queue; until it begins, how long it has been there.
pub fn duration(job: &JobSummary, now: Time) -> String {
    time::span(job.began.unwrap_or(job.created).millis_until(job.ended.unwrap_or(now)))
}

/// How long a job that has begun was in the queue, if long enough to make one wonder.
fn waited(job: &JobSummary) -> Option<String> {
    const UNNOTICED: u64 = 1_000;
    let millis = job.created.millis_until(job.began?);
    (millis >= UNNOTICED).then(|| time::span(millis))
}

/// Why a job failed: the message first, then the last lines of the failing derivation.
fn failure(failure: &Failure) -> impl IntoView + use<> {
    let build = failure.build.as_ref().map(|build| {
        let lines = build.last_lines.join("\n");
        let label = format!("Last lines of {}", build.derivation);
        view! { <pre class="extract" tabindex="0" role="region" aria-label=label>{lines}</pre> }
    });
    view! {
        <div class="notice" data-tone="bad" role="alert">
            <p><strong>{failure.message.clone()}</strong></p>
            {build}
        </div>
    }
}

/// A failed job on the page that it was asked for on.
pub fn failed(job: &FailedJob) -> impl IntoView + use<> {
    view! {
        <div class="notice" data-tone="bad">
            <p><strong>{job.title.clone()}" failed"</strong>" "{time::relative(job.ended)}</p>
            <p>{job.why.clone()}" "<a href=routes::job(job.id)>"Details"</a></p>
        </div>
    }
}

/// Why the job failed, and why it needs attention; then an administrator sees what giving it up leaves behind.
fn what_is_wrong(job: &JobView) -> impl IntoView + use<> {
    let is_stuck = job.summary.badge.state == JobState::NeedsAttention;
    let give_up = job.give_up.clone().filter(|_| is_stuck).map(|left| {
        view! {
            <div class="notice" data-tone="warn">
                <p>{format!("If rolling back cannot work, give up the job. {left}")}</p>
                {button(job.summary.badge.id, "give_up", "Give up this job")}
            </div>
        }
    });
    view! {
        {job.failure.as_ref().map(failure)}
        {job.stuck.as_ref().map(failure)}
        {give_up}
    }
}

fn retry_words(job: &JobView) -> &'static str {
    match job.summary.badge.state {
        JobState::NeedsAttention => "Try to roll back again",
        _ => "Try again",
    }
}

/// The build's progress, only while it runs: the progress of an ended build would be misleading.
pub fn progress(job: &JobView) -> Option<AnyView> {
    let runs = job.steps.iter().any(|step| step.name == BUILD_STEP && step.state == StepState::Running);
    let progress = job.progress.as_ref().filter(|_| runs)?;
    Some(build_progress(progress).into_any())
}

fn build_progress(progress: &BuildProgress) -> impl IntoView + use<> {
    let running = progress.running.iter().map(|(name, phase)| {
        let text = phase.as_ref().map_or_else(|| name.clone(), |phase| format!("{name} · {phase}"));
        view! { <li>{text}</li> }
    });
    view! {
        <div class="build-progress">
            {counted("Built", progress.built, progress.to_build, None)}
            {counted("Fetched", progress.fetched, progress.to_fetch, Some((progress.bytes_fetched, progress.bytes_to_fetch)))}
            <ul class="running">{running.collect_view()}</ul>
        </div>
    }
}

fn counted(
    label: &'static str,
    done: u32,
    all: u32,
    bytes: Option<(u64, u64)>,
) -> Option<impl IntoView + use<>> {
    let bytes = bytes.filter(|(_, all)| *all > 0);
    let bytes = bytes.map(|(done, all)| format!(", {} of {}", Bytes(done), Bytes(all))).unwrap_or_default();
    (all > 0).then(|| {
        view! {
            <p>
                <progress max=all.to_string() value=done.to_string() aria-label=label></progress>
                <span>{format!("{label} {done} of {all}{bytes}")}</span>
            </p>
        }
    })
}
