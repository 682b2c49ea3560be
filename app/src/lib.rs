//! The user interface: pages rendered on the server, islands in the browser, and the two server functions between them.
//!
//! ```text
//! routes   every path there is, and the table of pages      cx     what a page works with: portal, actor, form, URL
//! pages    a file per page; on the server only              parts  pure pieces of pages, on both sides
//! islands  the only code that becomes wasm                  api    server functions, for islands only
//! js       what runs without wasm: theme, copying, times; and the terminal
//! ```
//!
//! Pages are plain HTML with plain forms, and work as such. The package `server` renders [`shell()`] for every route of
//! [`routes::PAGES`] with an `Arc<dyn Portal>`, an `Actor`, a [`RequestToken`], a [`FormState`] and an [`AssetVersion`]
//! in Leptos' context; `frontend` hydrates the islands.

// View types are deeply nested.
#![recursion_limit = "256"]

pub mod api;
#[cfg(feature = "ssr")]
mod cx;
pub mod islands;
#[cfg(feature = "ssr")]
mod pages;
pub mod parts;
pub mod routes;
#[cfg(feature = "ssr")]
mod shell;

#[cfg(feature = "ssr")]
pub use shell::{App, shell};

use model::account::Secret;
use model::audit::ChainState;
use model::fault::Fault;
use model::form::FormData;
use model::plan::Plan;
use model::view::batch::BatchView;

/// The outcome of a form that was posted to this page, if it did not lead to another page. Empty for a GET.
#[derive(Clone, Debug, Default)]
pub struct FormState {
    /// Everything that was posted, to be shown again.
    pub data: FormData,
    /// Why it was refused.
    pub fault: Option<Fault>,
    /// The requested plan.
    pub plan: Option<Plan>,
    /// What was accepted, when something else that was posted with it was not.
    pub accepted: Vec<String>,
    /// The machines of the posted text.
    pub batch: Option<Box<BatchView>>,
    /// The result of verifying the audit log's hash chain.
    pub chain: Option<ChainState>,
}

impl FormState {
    /// True if the posted form had this intent.
    pub fn is(&self, intent: &str) -> bool {
        self.data.get("intent") == intent
    }
}

/// The token of the request's session, for pages that show or end sessions.
#[derive(Clone, Debug, Default)]
pub struct RequestToken(pub Option<Secret>);

/// Differs with every build of the files for browsers; part of their URLs, so that they can be cached forever.
#[derive(Clone, Debug, Default)]
pub struct AssetVersion(pub String);
