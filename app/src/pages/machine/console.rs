//! `/machines/{name}/console`: the serial console.

use super::tab;
use crate::AssetVersion;
use crate::islands::console::SerialConsole;
use crate::parts::console::{PEOPLE, POWER, ROLE, SCREEN, power};
use crate::routes::{Tab, assets};
use leptos::nonce::use_nonce;
use leptos::prelude::*;
use model::machine::MachineState;

/// The console. Its scripts and styles are loaded on this page only.
#[component]
pub fn Console() -> impl IntoView {
    let version = use_context::<AssetVersion>().unwrap_or_default().0;
    let nonce = use_nonce();
    tab(Tab::Console, move |_, machine| async move {
        let row = machine.row;
        let is_created = row.observed.state != MachineState::Configured;
        Ok(view! {
            <link rel="stylesheet" href=assets::versioned(assets::TERMINAL_STYLE, &version)/>
            // The terminal makes style sheets of its own; it finds here the nonce that the policy asks of them.
            <script
                type="module" src=assets::versioned(assets::TERMINAL_SCRIPT, &version) nonce=nonce
                id="terminal-script"
            ></script>
            <section class="console" aria-label="Serial console">
                <div class="console-bar">
                    <span class="console-people" role="status" data-live=PEOPLE></span>
                    <span data-live=ROLE></span>
                    <button type="button" class="button js-only" data-fullscreen=".console">"Full screen"</button>
                    <div data-live=POWER>{power(&row.name, row.observed.state.is_active(), is_created)}</div>
                </div>
                <SerialConsole machine=row.name.clone() is_created=is_created/>
                <p class="no-js notice" data-tone="warn">"The console needs JavaScript."</p>
                <div id=SCREEN class="screen js-only"></div>
            </section>
        }
        .into_any())
    })
}
