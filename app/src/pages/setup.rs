//! `/setup?token=…`: creates the first administrator, with the link that the server printed.

use super::page;
use crate::parts::faults;
use crate::parts::fields::Plain;
use crate::parts::frame::Section;
use crate::routes;
use leptos::prelude::*;
use leptos_meta::Title;
use model::account::{PASSWORD_MIN, Secret};

/// The token is posted in a hidden field; after an error it is taken from the URL again.
#[component]
pub fn Setup() -> impl IntoView {
    page(Section::Outside, |cx| async move {
        if !cx.portal.needs_setup().await? {
            return Ok(already_done());
        }
        let token = cx.query("token");
        if !cx.portal.is_setup_token(&Secret::new(token.clone())).await? {
            return Ok(outdated());
        }
        let state = cx.form.is("setup").then_some(&cx.form);
        let fields = [
            ("name", "Name", "username", "Lower-case letters, digits and “-”.", true),
            ("password", "Password", "new-password", "", false),
            ("password_again", "Repeat password", "new-password", "", false),
        ];
        let labels = fields.map(|(name, label, ..)| (name, label));
        let fields = fields.map(|(name, label, complete, help, first)| {
            Plain { name, label, complete, help, first, state }.view()
        });
        Ok(view! {
            <Title text="Set up"/>
            <section class="card gate">
                <h1>"Welcome to Snowglobe"</h1>
                <p>{format!("Create the first administrator. The password needs at least {PASSWORD_MIN} characters; four random words work well.")}</p>
                {faults::summary(&cx.form, &labels)}
                <form method="post" class="stack">
                    {fields.into_iter().collect_view()}
                    <input type="hidden" name="token" value=token/>
                    <button class="button primary" name="intent" value="setup">"Create administrator"</button>
                </form>
            </section>
        }
        .into_any())
    })
}

/// Nobody should fill in a form that cannot be accepted.
fn outdated() -> AnyView {
    view! {
        <Title text="Set up"/>
        <section class="card gate">
            <h1>"This link is not valid"</h1>
            <p>
                "It is not the one that the server printed when it last started, or it has expired. Look for the current \
                 link in the server's log, or restart the server: it prints a new one."
            </p>
        </section>
    }
    .into_any()
}

fn already_done() -> AnyView {
    view! {
        <Title text="Set up"/>
        <section class="card gate">
            <h1>"Already set up"</h1>
            <p>"There already is an administrator, so this link is no longer valid."</p>
            <p><a class="button primary" href=routes::LOGIN>"Log in"</a></p>
        </section>
    }
    .into_any()
}
