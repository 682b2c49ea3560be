//! Keeps a job's page up to date: title, state, steps, progress; and fills its log.

use super::status;
use leptos::prelude::*;
use model::job::JobId;

/// Follows a job, patches the live regions of its page, and feeds the log. Without JavaScript the page shows the job as it was
/// when the page was loaded, and the log is a link.
#[island]
pub fn JobLive(
    /// The job.
    id: JobId,
) -> impl IntoView {
    #[cfg(feature = "hydrate")]
    client::follow(id);
    #[cfg(not(feature = "hydrate"))]
    let _ = id;
    status::note()
}

#[cfg(feature = "hydrate")]
mod client {
    use crate::islands::dom::{self, patch_region};
    use crate::islands::log_view::LogView;
    use crate::islands::socket::{Frame, Next, Socket};
    use crate::parts::job::{LOG_SECTION, PROGRESS, progress, regions};
    use crate::parts::{time, title};
    use crate::routes::sockets;
    use leptos::prelude::set_interval;
    use model::account::TicketPurpose;
    use model::job::JobId;
    use model::view::job::{JobFrame, JobView};
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::time::Duration;
    use wasm_bindgen::JsCast;

    /// The last state received.
    type Latest = Rc<RefCell<Option<JobView>>>;

    pub fn follow(id: JobId) {
        let section = dom::document().get_element_by_id(LOG_SECTION).and_then(|s| s.dyn_into().ok());
        let Some(log) = section.and_then(|section| LogView::attach(&section)) else { return };
        let latest = Latest::default();
        tick(Rc::clone(&latest));
        let shown = Rc::clone(&log);
        Socket::open(
            move || TicketPurpose::Job { id },
            move || sockets::job(id, shown.last_seq()),
            move |frame| {
                let Frame::Text(text) = frame else { return Next::Continue };
                match serde_json::from_slice::<JobFrame>(text.as_bytes()) {
                    Ok(frame) => receive(&latest, &log, frame),
                    Err(_) => Next::Unreadable,
                }
            },
        );
    }

    /// Durations grow while the job runs.
    fn tick(latest: Latest) {
        set_interval(
            move || {
                if let Some(job) = latest.borrow().as_ref().filter(|j| !j.summary.badge.state.is_over()) {
                    show(job);
                }
            },
            Duration::from_secs(1),
        );
    }

    fn receive(latest: &Latest, log: &LogView, frame: JobFrame) -> Next {
        match frame {
            JobFrame::Job { view } => {
                show(&view);
                latest.replace(Some(*view));
            }
            JobFrame::Lines { lines } => log.append(lines),
            JobFrame::Progress { progress: now } => {
                if let Some(job) = latest.borrow_mut().as_mut() {
                    job.progress = Some(now);
                    patch_region(PROGRESS, progress(job));
                }
            }
            JobFrame::End => return Next::Done,
            JobFrame::Closing { why } => return Next::Closing(why),
        }
        Next::Continue
    }

    fn show(job: &JobView) {
        dom::set_title(&title::whole(&title::job(&job.summary.badge)));
        for (name, view) in regions(job, time::now()) {
            patch_region(name, view);
        }
    }
}
