//! `/users`: who may log in, as what; for administrators.

use super::page;
use crate::cx::Cx;
use crate::parts::fields::Plain;
use crate::parts::frame::{Section, heading};
use crate::parts::{badge, faults, table, time};
use leptos::prelude::*;
use model::account::{Role, UserView};

const DONE: [(&str, &str); 4] = [
    ("add_user", "The user was added."),
    ("set_role", "The role was changed."),
    ("disable", "The account is disabled; its sessions have ended."),
    ("enable", "The account is enabled again."),
];

/// The users.
#[component]
pub fn Users() -> impl IntoView {
    page(Section::Users, |cx| async move {
        let users = cx.portal.users(&cx.actor).await?;
        let own = cx.actor.user.as_ref().map(|u| u.id);
        let rows: Vec<AnyView> = users.iter().map(|user| row(user, Some(user.id) == own)).collect();
        let columns = ["Name", "Role", "Account", "Machines", "Last here", "Action"];
        Ok(view! {
            {heading("Users", ().into_any())}
            {faults::done(&cx, &DONE)}
            {faults::summary(&cx.form, &["name", "password"])}
            {table::table("Users", &columns, "users", rows.into_any())}
            {add(&cx)}
        }
        .into_any())
    })
}

fn row(user: &UserView, own: bool) -> AnyView {
    let state = if user.disabled { badge::badge("bad", "Disabled") } else { badge::badge("ok", "Enabled") };
    let last = user.last_login.map(|at| time::relative(at).into_any());
    view! {
        <tr>
            <th scope="row">{user.name.to_string()}{own.then(|| view! { <span class="note">"you"</span> })}</th>
            <td data-label="Role">{role(user)}</td>
            <td data-label="Account">{state}</td>
            <td data-label="Machines">{user.machines}</td>
            <td data-label="Last here">{last.unwrap_or_else(|| view! { <span class="none">"never"</span> }.into_any())}</td>
            <td class="row-action">{switch(user, own)}</td>
        </tr>
    }
    .into_any()
}

fn role(user: &UserView) -> AnyView {
    let options = Role::ALL.iter().copied().map(|role| {
        let selected = role == user.role;
        view! { <option value=role.as_str() selected=selected>{role.title()}</option> }
    });
    let label = format!("Role of {}", user.name);
    view! {
        <form method="post" class="inline">
            <input type="hidden" name="user" value=user.id.to_string()/>
            <select name="role" aria-label=label>{options.collect_view()}</select>
            <button class="button" name="intent" value="set_role">"Set"</button>
        </form>
    }
    .into_any()
}

fn switch(user: &UserView, own: bool) -> AnyView {
    if own {
        return view! { <span class="note">"you cannot disable yourself"</span> }.into_any();
    }
    let (intent, words) = if user.disabled { ("enable", "Enable") } else { ("disable", "Disable") };
    let label = format!("{words} {}", user.name);
    view! {
        <form method="post" class="inline">
            <input type="hidden" name="user" value=user.id.to_string()/>
            <button class="button" name="intent" value=intent aria-label=label>{words}</button>
        </form>
    }
    .into_any()
}

fn add(cx: &Cx) -> AnyView {
    let state = cx.form.is("add_user").then_some(&cx.form);
    let name = Plain {
        name: "name",
        label: "Name",
        complete: "off",
        help: "Lower-case letters, digits and “-”.",
        first: false,
        state,
    };
    let password = Plain {
        name: "password",
        label: "First password",

        complete: "new-password",
        help: "Tell it to the user, who can change it.",
        first: false,
        state,
    };
    let chosen = state.map(|s| s.data.get("role")).unwrap_or_default();
    let roles = Role::ALL.iter().copied().map(|role| {
        view! { <option value=role.as_str() selected=chosen == role.as_str()>{role.title()}</option> }
    });
    view! {
        <section class="card">
            <h2>"Add a user"</h2>
            <form method="post" class="stack">
                {name.view()}
                <div class="field">
                    <label for="field-role">"Role"</label>
                    <select id="field-role" name="role">{roles.collect_view()}</select>
                </div>
                {password.view()}
                <button class="button primary" name="intent" value="add_user">"Add the user"</button>
            </form>
        </section>
    }
    .into_any()
}
