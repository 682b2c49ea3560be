//! A job while it runs: state, steps, progress, log.

use super::status;
use crate::parts::{badge, job, time};
use crate::routes;
use leptos::prelude::*;
use model::job::{BuildProgress, JobView};

/// What the island knows, renewed by the socket.
#[derive(Clone, Copy)]
struct Live {
    job: RwSignal<JobView>,
    progress: RwSignal<Option<BuildProgress>>,
    status: RwSignal<status::Status>,
    now: RwSignal<model::time::Time>,
}

/// The job's live part. Without JavaScript it shows how things stood when the page was made, and the log is a link.
#[island]
pub fn JobLive(
    /// The job as the page shows it first.
    job: JobView,
) -> impl IntoView {
    let live = Live {
        progress: RwSignal::new(job.progress.clone()),
        job: RwSignal::new(job),
        status: RwSignal::new(status::Status::default()),
        now: RwSignal::new(time::now()),
    };
    let log = NodeRef::<leptos::html::Section>::new();
    #[cfg(feature = "hydrate")]
    client::follow(live, log);
    view! {
        <div class="job">
            <div class="job-head">
                {move || badge::job_state(live.job.with(|j| j.summary.badge.state))}
                <span class="job-now" aria-live="polite">{move || live.job.with(now_running)}</span>
                <span class="note">{move || live.job.with(|j| job::duration(&j.summary, live.now.get()))}</span>
                {move || live.job.with(buttons)}
            </div>
            {status::note(live.status)}
            {move || live.job.with(|j| j.failure.as_ref().map(job::failure))}
            {move || live.progress.with(|p| p.as_ref().map(job::build_progress))}
            {move || live.job.with(|j| job::steps(&j.steps, live.now.get()))}
            {log_section(live, log)}
        </div>
    }
}

/// The running step in words, for those who hear the page.
fn now_running(job: &JobView) -> String {
    if job.summary.badge.state.is_over() {
        return String::new();
    }
    job.summary.badge.step.clone().unwrap_or_default()
}

fn buttons(job: &JobView) -> AnyView {
    let button = |intent: &'static str, words: &'static str| {
        view! {
            <form method="post" class="inline">
                <input type="hidden" name="job" value=job.summary.badge.id.to_string()/>
                <button class="button" name="intent" value=intent>{words}</button>
            </form>
        }
    };
    let again = routes::new_machine_again(job.summary.badge.id);
    view! {
        <div class="buttons">
            {job.can_cancel.then(|| button("cancel", "Cancel"))}
            {job.can_retry.then(|| button("retry", "Try again"))}
            {job.form_again.then(|| view! { <a class="button" href=again>"Change the form and try again"</a> })}
        </div>
    }
    .into_any()
}

/// The frame of the log; its lines are put in by `log_view`.
fn log_section(live: Live, node: NodeRef<leptos::html::Section>) -> impl IntoView {
    let download = routes::job_log(live.job.with_untracked(|j| j.summary.badge.id));
    view! {
        <section class="log-section" node_ref=node aria-labelledby="log-title">
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
                <a class="button" href=download download="">"Download"</a>
            </div>
            <div class="log js-only" data-log="lines" tabindex="0" role="region" aria-label="Log lines"></div>
            <p class="no-js">"The log is live where JavaScript runs; the download has all of it."</p>
        </section>
    }
}

#[cfg(feature = "hydrate")]
mod client {
    use super::Live;
    use crate::islands::log_view::LogView;
    use crate::islands::socket::{Frame, Next, Socket};
    use crate::parts::time;
    use crate::routes::sockets;
    use leptos::html::Section;
    use leptos::prelude::*;
    use model::account::TicketPurpose;
    use model::job::JobFrame;
    use std::rc::Rc;
    use std::time::Duration;

    pub fn follow(live: Live, node: NodeRef<Section>) {
        Effect::new(move |_| {
            if let Some(section) = node.get()
                && let Some(log) = LogView::attach(&section)
            {
                connect(live, log);
            }
        });
        // Durations of what runs grow; what is over stands still.
        set_interval(
            move || {
                if !live.job.with_untracked(|j| j.summary.badge.state.is_over()) {
                    live.now.set(time::now());
                }
            },
            Duration::from_secs(1),
        );
    }

    fn connect(live: Live, log: Rc<LogView>) {
        let id = live.job.with_untracked(|j| j.summary.badge.id);
        let seen = Rc::clone(&log);
        Socket::open(
            live.status,
            move || TicketPurpose::Job { id },
            move || sockets::job(id, seen.last_seq()),
            move |frame| {
                let Frame::Text(text) = frame else { return Next::Stay };
                match serde_json::from_str::<JobFrame>(&text) {
                    Ok(frame) => take(live, &log, frame),
                    Err(_) => Next::Closing("The portal was renewed: load the page again.".to_owned()),
                }
            },
        );
    }

    fn take(live: Live, log: &Rc<LogView>, frame: JobFrame) -> Next {
        match frame {
            JobFrame::Job { view } => {
                live.now.set(time::now());
                live.progress.set(view.progress.clone());
                live.job.set(*view);
            }
            JobFrame::Lines { lines } => log.append(lines),
            JobFrame::Progress { progress } => live.progress.set(Some(progress)),
            JobFrame::End => return Next::Over,
            JobFrame::Closing { why } => return Next::Closing(why),
        }
        Next::Stay
    }
}
