//! `/account`: the user's own password and sessions.

use super::page;
use crate::cx::Cx;
use crate::parts::fields::Plain;
use crate::parts::frame::{Section, heading};
use crate::parts::table::{Sorting, Table};
use crate::parts::{faults, time};
use leptos::prelude::*;
use model::account::{SessionUser, SessionView};
use model::fault::Fault;
use model::sort::{Column, Sort};

const PASSWORD_FIELDS: [(&str, &str); 3] = [
    ("old_password", "Current password"),
    ("new_password", "New password"),
    ("new_password_again", "Repeat new password"),
];
const SESSIONS: Table<'static, SessionView> = Table {
    caption: "Sessions",
    class: "sessions",
    columns: &[
        Column::sorted("Browser", "browser", |a, b| a.agent.cmp(&b.agent)),
        Column::sorted("From", "from", |a, b| a.from.cmp(&b.from)),
        Column::sorted("Started", "started", |a, b| a.began.cmp(&b.began)),
        Column::sorted("Last used", "used", |a, b| a.used.cmp(&b.used)),
        Column::plain("Action"),
    ],
};
const DONE: [(&str, &str); 2] = [
    ("change_password", "The password was changed and your other sessions have ended."),
    ("end_session", "The session was ended."),
];

#[component]
pub fn Account() -> impl IntoView {
    page(Section::Account, |cx| async move {
        let user = cx.actor.user.clone().ok_or(Fault::Unauthenticated)?;
        let token = cx.token.clone().ok_or(Fault::Unauthenticated)?;
        let sessions = cx.portal.sessions(&cx.actor, &token).await?;
        Ok(view! {
            {heading("Account", logout())}
            {faults::done(&cx, &DONE)}
            {faults::summary(&cx.form, &PASSWORD_FIELDS)}
            {identity(&user)}
            {list(&cx, sessions)}
            {password(&cx, user.name.as_str())}
        }
        .into_any())
    })
}

fn logout() -> AnyView {
    view! {
        <form method="post" class="inline">
            <button class="button" name="intent" value="logout">"Log out"</button>
        </form>
    }
    .into_any()
}

fn identity(user: &SessionUser) -> AnyView {
    view! {
        <p class="about">
            <strong>{user.name.to_string()}</strong>
            <span>{user.role.title()}</span>
        </p>
    }
    .into_any()
}

fn list(cx: &Cx, sessions: Vec<SessionView>) -> AnyView {
    let row = |session: &SessionView| {
        let browser = session.agent.as_deref().map_or_else(|| "Unknown browser".to_owned(), browser);
        let action = if session.current {
            view! { <span class="note">"This session"</span> }.into_any()
        } else {
            view! {
                <form method="post" class="inline">
                    <input type="hidden" name="handle" value=session.handle.clone()/>
                    <button class="button" name="intent" value="end_session">"End session"</button>
                </form>
            }
            .into_any()
        };
        view! {
            <tr>
                <th scope="row" title=session.agent.clone()>{browser}</th>
                <td data-label="From">{session.from.clone().unwrap_or_default()}</td>
                <td data-label="Started">{time::relative(session.began)}</td>
                <td data-label="Last used">{time::relative(session.used)}</td>
                <td class="row-action">{action}</td>
            </tr>
        }
        .into_any()
    };
    view! {
        <h2>"Sessions"</h2>
        {Sorting::whole(cx, &SESSIONS, Sort::by("used", true), sessions, row)}
    }
    .into_any()
}

/// Parts of a `User-Agent` and the browsers they stand for. In this order, because most browsers claim to be the later ones too.
const BROWSERS: [(&str, &str); 8] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
];
const SYSTEMS: [(&str, &str); 6] = [
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
];
/// How many characters of any other `User-Agent` are shown.
const AGENT_SHOWN: usize = 60;

/// The browser and system that a `User-Agent` names.
fn browser(agent: &str) -> String {
    let find =
        |marks: &[(&str, &'static str)]| marks.iter().find(|(m, _)| agent.contains(m)).map(|(_, n)| *n);
    match (find(&BROWSERS), find(&SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        (None, _) => agent.chars().take(AGENT_SHOWN).collect(),
    }
}

fn password(cx: &Cx, user: &str) -> AnyView {
    let state = cx.form.is("change_password").then_some(&cx.form);
    let [old, new, again] = PASSWORD_FIELDS;
    let field =
        |(name, label), complete| Plain { name, label, complete, help: "", first: false, state }.view();
    view! {
        <section class="card">
            <h2>"Change password"</h2>
            <form method="post" class="stack">
                // Tells password managers whose password this is.
                <input type="text" autocomplete="username" value=user.to_owned() aria-label="User name" hidden readonly/>
                {field(old, "current-password")}
                {field(new, "new-password")}
                {field(again, "new-password")}
                <button class="button primary" name="intent" value="change_password">"Change password"</button>
            </form>
        </section>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::browser;

    #[test]
    fn browsers_are_named_and_other_programs_are_cut_short() {
        let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36";
        assert_eq!(browser(chrome), "Chrome on Linux");
        assert_eq!(browser(&format!("{chrome} Edg/130.0")), "Edge on Linux");
        let phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 Version/18.0 Mobile Safari/604.1";
        assert_eq!(browser(phone), "Safari on iPhone");
        assert_eq!(browser("curl/8.9.1"), "curl");
        assert_eq!(browser(&"é".repeat(500)).chars().count(), 60);
    }
}
