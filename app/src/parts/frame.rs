//! What surrounds every page: the skip link, the header with the navigation, the main region.

use crate::cx::Cx;
use crate::routes;
use leptos::prelude::*;
use leptos_meta::Title;
use model::permission::{Action, Subject, can};

/// An entry of the navigation, or another part of the portal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Machines and the form for a new one.
    Machines,
    /// Images and the forms that build them.
    Images,
    /// Jobs and their logs.
    Jobs,
    /// Hosts and their findings.
    Hosts,
    /// The audit log.
    Audit,
    /// Users and their roles.
    Users,
    /// The user's own account.
    Account,
    /// Pages before the login.
    Outside,
}

struct Destination {
    section: Section,
    title: &'static str,
    path: &'static str,
    /// An outline on a grid of 24 by 24.
    icon: &'static str,
    /// What the user must be allowed to do for it to be useful.
    needs: Action,
}

const NAVIGATION: [Destination; 6] = [
    Destination {
        section: Section::Machines,
        title: "Machines",
        path: routes::MACHINES,
        icon: "M4 5h16v10H4zM9 19h6M12 15v4",
        needs: Action::SeeMachine,
    },
    Destination {
        section: Section::Images,
        title: "Images",
        path: routes::IMAGES,
        icon: "M12 3l8 4.5v9L12 21l-8-4.5v-9zM4 7.5l8 4.5 8-4.5M12 12v9",
        needs: Action::SeeImages,
    },
    Destination {
        section: Section::Jobs,
        title: "Jobs",
        path: routes::JOBS,
        icon: "M4 6h2M10 6h10M4 12h2M10 12h10M4 18h2M10 18h10",
        needs: Action::SeeJob,
    },
    Destination {
        section: Section::Hosts,
        title: "Hosts",
        path: routes::HOSTS,
        icon: "M4 4h16v7H4zM4 13h16v7H4zM8 7.5h.01M8 16.5h.01",
        needs: Action::SeeHosts,
    },
    Destination {
        section: Section::Audit,
        title: "Audit",
        path: routes::AUDIT,
        icon: "M12 3l8 3v6c0 5-3.5 8-8 9-4.5-1-8-4-8-9V6zM9 12l2 2 4-4",
        needs: Action::ReadAudit,
    },
    Destination {
        section: Section::Users,
        title: "Users",
        path: routes::USERS,
        icon: "M9 11a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM2 21c0-4 3-6 7-6s7 2 7 6M16 3a4 4 0 0 1 0 8M18 15c3 .7 4 3 4 6",
        needs: Action::ManageUsers,
    },
];

/// Sets the chosen theme before anything is painted, and marks the document as one where scripts run.
pub fn theme_script() -> &'static str {
    "(()=>{const d=document.documentElement;d.classList.add('js');\
     try{const t=localStorage.getItem('theme');if(t==='dark'||t==='light')d.dataset.theme=t}catch{}})()"
}

/// A page's body in the frame.
pub fn frame(cx: Option<&Cx>, section: Section, body: AnyView) -> AnyView {
    let user = cx.and_then(|cx| cx.actor.user.as_ref());
    let navigation = user.map(|user| {
        let destinations = NAVIGATION.iter().filter(|place| can(user, place.needs, Subject::Any));
        let links = destinations.map(|place| {
            view! {
                <a href=place.path aria-current=(place.section == section).then_some("page")>
                    {icon(place.icon)}
                    <span>{place.title}</span>
                </a>
            }
        });
        view! { <nav class="places" aria-label="Main">{links.collect_view()}</nav> }
    });
    let account = user.map(|user| {
        let current = (section == Section::Account).then_some("page");
        let name = user.name.to_string();
        view! {
            <a class="account-link" href=routes::ACCOUNT aria-current=current>
                {icon("M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4 21c0-4 3.5-6 8-6s8 2 8 6")}
                <span>{name}</span>
            </a>
        }
    });
    view! {
        <a class="skip" href="#main">"Skip to content"</a>
        <header class="top">
            <a class="brand" href=routes::MACHINES>{logo()}<span>"Snowglobe"</span></a>
            {navigation}
            <div class="top-end">
                <button type="button" class="theme" data-theme-switch="" aria-label="Theme: automatic" title="Theme">
                    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
                        <circle class="whole" cx="12" cy="12" r="9"/>
                        <path class="half" d="M12 3a9 9 0 0 0 0 18z"/>
                    </svg>
                </button>
                {account}
            </div>
        </header>
        <main id="main" tabindex="-1">{body}</main>
        // Announcements of `js/page.js` for screen readers.
        <p class="hidden" role="status" id="announcement"></p>
    }
    .into_any()
}

/// A page's title, in the browser's tab and as the first heading, with what goes beside it.
pub fn heading(title: &str, beside: AnyView) -> impl IntoView + use<> {
    heading_with_title(title, title, beside)
}

/// The same with another title in the browser's tab.
pub fn heading_with_title(tab: &str, title: &str, beside: AnyView) -> impl IntoView + use<> {
    view! {
        <Title text=tab.to_owned()/>
        <div class="page-head">
            <h1>{title.to_owned()}</h1>
            {beside}
        </div>
    }
}

/// An outline icon; hidden from screen readers, because there is a label beside it.
pub fn icon(path: &'static str) -> impl IntoView + use<> {
    view! { <svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d=path/></svg> }
}

fn logo() -> impl IntoView + use<> {
    view! {
        <svg class="globe" viewBox="0 0 32 32" aria-hidden="true">
            <circle cx="16" cy="13" r="11"/>
            <path class="snow" d="M5.8 17.2c3-2.200 6.200-2.600 10.200-1.400s7 .6 10.200-1a11 11 0 0 1-20.400 2.400z"/>
            <path class="base" d="M8 25h16l2 5H6z"/>
            <path class="flakes" d="M12 7h.01M18 5.5h.01M21 10h.01M14.5 11.5h.01M9 11h.01"/>
        </svg>
    }
}
