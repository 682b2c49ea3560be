//! The pages, a file each, named after their path. Every page is a query to the portal and a view of its answer; a refusal is
//! shown as a page too, with the right HTTP status.

pub mod account;
pub mod audit;
pub mod errors;
pub mod hosts;
pub mod image_diff;
pub mod images;
pub mod job;
pub mod jobs;
pub mod login;
pub mod machine;
pub mod machines;
pub mod new_batch;
pub mod new_machine;
pub mod remove_image;
pub mod setup;
pub mod users;

use crate::cx::Cx;
use crate::parts::faults;
use crate::parts::frame::{Section, frame};
use crate::routes;
use leptos::prelude::*;
use model::fault::Fault;
use model::permission::{Action, Subject, can};
use std::future::Future;

/// A page: queries the portal, and puts the answer into the frame. Without a login it leads to the login page and back.
fn page<F, Answer>(section: Section, load: F) -> AnyView
where
    F: FnOnce(Cx) -> Answer + Send + 'static,
    Answer: Future<Output = Result<AnyView, Fault>> + Send + 'static,
{
    let cx = match Cx::take() {
        Ok(cx) => cx,
        Err(fault) => return frame(None, section, faults::page(&fault)),
    };
    Suspend::new(async move {
        let body = match load(cx.clone()).await {
            Ok(body) => body,
            Err(fault) => {
                if fault == Fault::Unauthenticated {
                    cx.redirect(&routes::login(&cx.here()));
                } else {
                    cx.set_status(&fault);
                }
                faults::page(&fault)
            }
        };
        frame(Some(&cx), section, body)
    })
    .into_any()
}

/// Whether the user may do this to anything; what would be refused is not shown.
fn may(cx: &Cx, action: Action) -> bool {
    cx.actor.user.as_ref().is_some_and(|user| can(user, action, Subject::Any))
}
