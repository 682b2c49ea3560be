//! Keeps a job's page fresh: state, steps, progress; and fills its log.

use super::status;
use leptos::prelude::*;
use model::job::JobId;

/// Follows a job, patches the live regions of its page, and feeds the log. Without JavaScript the page shows how things
/// stood when it was made, and the log is a link.
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
    use crate::parts::time;
    use crate::routes::sockets;
    use leptos::prelude::set_interval;
    use model::account::TicketPurpose;
    use model::job::JobId;
    use model::view::job::{JobFrame, JobView};
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::time::Duration;
    use wasm_bindgen::JsCast;

    /// The job as it was last told.
    type Known = Rc<RefCell<Option<JobView>>>;

    pub fn follow(id: JobId) {
        let section = dom::document().get_element_by_id(LOG_SECTION).and_then(|s| s.dyn_into().ok());
        let Some(log) = section.and_then(|section| LogView::attach(&section)) else { return };
        let known = Known::default();
        tick(Rc::clone(&known));
        let seen = Rc::clone(&log);
        Socket::open(
            move || TicketPurpose::Job { id },
            move || sockets::job(id, seen.last_seq()),
            move |frame| {
                let Frame::Text(text) = frame else { return Next::Stay };
                match serde_json::from_slice::<JobFrame>(text.as_bytes()) {
                    Ok(frame) => take(&known, &log, frame),
                    Err(_) => Next::Closing("The portal was renewed: load the page again.".to_owned()),
                }
            },
        );
    }

    /// Durations of what runs grow; what is over stands still.
    fn tick(known: Known) {
        set_interval(
            move || {
                if let Some(job) = known.borrow().as_ref().filter(|j| !j.summary.badge.state.is_over()) {
                    show(job);
                }
            },
            Duration::from_secs(1),
        );
    }

    fn take(known: &Known, log: &LogView, frame: JobFrame) -> Next {
        match frame {
            JobFrame::Job { view } => {
                show(&view);
                known.replace(Some(*view));
            }
            JobFrame::Lines { lines } => log.append(lines),
            JobFrame::Progress { progress: now } => {
                if let Some(job) = known.borrow_mut().as_mut() {
                    job.progress = Some(now);
                    patch_region(PROGRESS, progress(job));
                }
            }
            JobFrame::End => return Next::Over,
            JobFrame::Closing { why } => return Next::Closing(why),
        }
        Next::Stay
    }

    fn show(job: &JobView) {
        for (name, view) in regions(job, time::now()) {
            patch_region(name, view);
        }
    }
}
