//! The document around every page, and the table that leads from a path to its page.

use crate::parts::frame::theme_script;
use crate::parts::title;
use crate::parts::verbatim::escape;
use crate::routes::assets;
use crate::{AssetVersion, pages};
use leptos::nonce::use_nonce;
use leptos::prelude::*;
use leptos_meta::{MetaTags, Title, provide_meta_context};
use leptos_router::components::{FlatRoutes, Route, Router};
use leptos_router::{SsrMode, path};

/// The whole document. Scripts are few: one line that sets the theme before anything is painted, and a module that
/// loads the islands' wasm only on a page that has islands.
pub fn shell() -> impl IntoView {
    let version = use_context::<AssetVersion>().unwrap_or_default().0;
    let asset = |path| assets::versioned(path, &version);
    view! {
        <!DOCTYPE html>
        <html lang="en">
            <head>
                <meta charset="utf-8"/>
                <meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover"/>
                <meta name="color-scheme" content="light dark"/>
                <link rel="icon" href=asset(assets::ICON) type="image/svg+xml"/>
                <link rel="stylesheet" href=asset(assets::STYLE)/>
                <script nonce=use_nonce()>{theme_script()}</script>
                <script type="module" src=asset(assets::PAGE_SCRIPT) nonce=use_nonce()></script>
                <MetaTags/>
            </head>
            <body>
                <App/>
            </body>
        </html>
    }
}

/// The table of pages. Each is rendered to its end before the first byte is sent, so that the status is right and
/// nothing is missing without JavaScript.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    let ssr = SsrMode::Async;
    view! {
        <Title formatter=whole_title/>
        <Router>
            <FlatRoutes fallback=pages::errors::NotFound>
                <Route path=path!("/") view=pages::machines::Machines ssr=ssr.clone()/>
                <Route path=path!("/machines/new") view=pages::new_machine::NewMachine ssr=ssr.clone()/>
                <Route path=path!("/machines/new/batch") view=pages::new_batch::NewBatch ssr=ssr.clone()/>
                <Route path=path!("/machines/:name") view=pages::machine::overview::Overview ssr=ssr.clone()/>
                <Route path=path!("/machines/:name/console") view=pages::machine::console::Console ssr=ssr.clone()/>
                <Route
                    path=path!("/machines/:name/configuration")
                    view=pages::machine::configuration::Configuration
                    ssr=ssr.clone()
                />
                <Route
                    path=path!("/machines/:name/generations")
                    view=pages::machine::generations::Generations
                    ssr=ssr.clone()
                />
                <Route path=path!("/machines/:name/activity") view=pages::machine::activity::Activity ssr=ssr.clone()/>
                <Route path=path!("/machines/:name/do/:operation") view=pages::machine::operate::Operate ssr=ssr.clone()/>
                <Route path=path!("/images") view=pages::images::Images ssr=ssr.clone()/>
                <Route path=path!("/images/:id/remove") view=pages::remove_image::RemoveImage ssr=ssr.clone()/>
                <Route path=path!("/images/:id/diff/:to") view=pages::image_diff::ImageDiff ssr=ssr.clone()/>
                <Route path=path!("/jobs") view=pages::jobs::Jobs ssr=ssr.clone()/>
                <Route path=path!("/jobs/:id") view=pages::job::Job ssr=ssr.clone()/>
                <Route path=path!("/hosts") view=pages::hosts::Hosts ssr=ssr.clone()/>
                <Route path=path!("/audit") view=pages::audit::Audit ssr=ssr.clone()/>
                <Route path=path!("/users") view=pages::users::Users ssr=ssr.clone()/>
                <Route path=path!("/account") view=pages::account::Account ssr=ssr.clone()/>
                <Route path=path!("/login") view=pages::login::Login ssr=ssr.clone()/>
                <Route path=path!("/setup") view=pages::setup::Setup ssr=ssr/>
            </FlatRoutes>
        </Router>
    }
}

/// A page's title as it appears in the tab.
fn whole_title(title: String) -> String {
    title::whole(&escape(&title))
}
