//! `/users`: who can log in, in which role; for administrators.

use super::page;
use crate::cx::Cx;
use crate::parts::fields::Plain;
use crate::parts::frame::{Section, heading};
use crate::parts::table::{Sorting, Table};
use crate::parts::{badge, faults, time};
use leptos::prelude::*;
use model::account::{Role, UserView};
use model::sort::{Column, Sort, missing_last};

const TABLE: Table<'static, UserView> = Table {
    caption: "Users",
    class: "users",
    columns: &[
        Column::sorted("Name", "name", |a, b| a.name.cmp(&b.name)),
        Column::sorted("Role", "role", |a, b| a.role.title().cmp(b.role.title())),
        Column::sorted("Account", "account", |a, b| a.disabled.cmp(&b.disabled)),
        Column::sorted("Machines", "machines", |a, b| a.machines.cmp(&b.machines)),
        Column::sorted("Last login", "login", |a, b| missing_last(a.last_login, b.last_login, Ord::cmp)),
        Column::plain("Action"),
    ],
};
const DONE: [(&str, &str); 6] = [
    ("cancel_none", "This user has no jobs that could be cancelled."),
    ("cancel_all", "The jobs are being cancelled."),
    ("add_user", "The user was added."),
    ("set_role", "The role was changed."),
    ("disable", "The account was disabled; its sessions have ended."),
    ("enable", "The account was enabled."),
];

#[component]
pub fn Users() -> impl IntoView {
    page(Section::Users, |cx| async move {
        let users = cx.portal.users(&cx.actor).await?;
        let own = cx.actor.user.as_ref().map(|u| u.id);
        let row = |user: &UserView| row(user, Some(user.id) == own);
        Ok(view! {
            {heading("Users", ().into_any())}
            {faults::done(&cx, &DONE)}
            {faults::summary(&cx.form, &[("name", "Name"), ("password", "Initial password")])}
            {Sorting::whole(&cx, &TABLE, Sort::by("name", false), users, row)}
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
            <th scope="row">{user.name.to_string()}{own.then(|| view! { <span class="note">"You"</span> })}</th>
            <td data-label="Role">{role(user)}</td>
            <td data-label="Account">{state}</td>
            <td data-label="Machines">{user.machines}</td>
            <td data-label="Last login">{last.unwrap_or_else(|| view! { <span class="none">"Never"</span> }.into_any())}</td>
            <td class="row-action">{enable_button(user, own)}" "{cancel_jobs(user)}</td>
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

fn enable_button(user: &UserView, own: bool) -> AnyView {
    if own {
        return view! { <span class="note">"You cannot disable yourself"</span> }.into_any();
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

fn cancel_jobs(user: &UserView) -> AnyView {
    let label = format!("Cancel all jobs of {}", user.name);
    view! {
        <form method="post" class="inline">
            <input type="hidden" name="user" value=user.id.to_string()/>
            <button class="button" name="intent" value="cancel_all" aria-label=label>"Cancel jobs"</button>
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
        label: "Initial password",
        complete: "new-password",
        help: "Pass it on to the user, who can change it.",
        first: false,
        state,
    };
    let chosen = state.map(|s| s.data.get("role")).unwrap_or_default();
    let roles = Role::ALL.iter().copied().map(|role| {
        view! { <option value=role.as_str() selected=chosen == role.as_str()>{role.title()}</option> }
    });
    view! {
        <section class="card">
            <h2>"Add user"</h2>
            <form method="post" class="stack">
                {name.view()}
                <div class="field">
                    <label for="field-role">"Role"</label>
                    <select id="field-role" name="role">{roles.collect_view()}</select>
                </div>
                {password.view()}
                <button class="button primary" name="intent" value="add_user">"Add user"</button>
            </form>
        </section>
    }
    .into_any()
}
