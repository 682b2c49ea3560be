//! `/login`: name and password. Leads back to the page that asked for the login.

use super::page;
use crate::parts::faults;
use crate::parts::fields::Plain;
use crate::parts::frame::Section;
use crate::routes;
use leptos::prelude::*;
use leptos_meta::Title;

#[component]
pub fn Login() -> impl IntoView {
    page(Section::Outside, |cx| async move {
        if cx.actor.user.is_some() {
            cx.redirect(routes::MACHINES);
        }
        if cx.portal.needs_setup().await? {
            return Ok(needs_setup());
        }
        let next = match cx.form.data.get("next") {
            "" => cx.query("next"),
            posted => posted.to_owned(),
        };
        let state = cx.form.is("login").then_some(&cx.form);
        let name = Plain { name: "name", label: "Name", complete: "username", help: "", first: true, state };
        let password = Plain {
            name: "password",
            label: "Password",

            complete: "current-password",
            help: "",
            first: false,
            state,
        };
        Ok(view! {
            <Title text="Log in"/>
            <section class="card gate">
                <h1>"Log in"</h1>
                {faults::summary(&cx.form, &[("name", ""), ("password", "")])}
                <form method="post" class="stack">
                    {name.view()}
                    {password.view()}
                    <input type="hidden" name="next" value=next/>
                    <button class="button primary" name="intent" value="login">"Log in"</button>
                </form>
            </section>
        }
        .into_any())
    })
}

fn needs_setup() -> AnyView {
    view! {
        <Title text="Log in"/>
        <section class="card gate">
            <h1>"Not set up yet"</h1>
            <p>
                "There are no users. When the server started, it printed a link for creating the first administrator; \
                 open that link."
            </p>
        </section>
    }
    .into_any()
}
