//! `/machines/{name}/console`: the serial console.

use super::tab;
use crate::AssetVersion;
use crate::islands::console::SerialConsole;
use crate::routes::{Tab, assets};
use leptos::nonce::use_nonce;
use leptos::prelude::*;

/// The console. Its scripts and styles are loaded on this page only.
#[component]
pub fn Console() -> impl IntoView {
    let version = use_context::<AssetVersion>().unwrap_or_default().0;
    let nonce = use_nonce();
    let page_nonce = nonce.as_ref().map(ToString::to_string).unwrap_or_default();
    tab(Tab::Console, move |_, machine| async move {
        let row = machine.row;
        Ok(view! {
            <link rel="stylesheet" href=assets::versioned(assets::TERMINAL_STYLE, &version)/>
            // The terminal makes style sheets of its own; it gives them this nonce, because the policy asks for one.
            <script
                type="module" src=assets::versioned(assets::TERMINAL_SCRIPT, &version) nonce=nonce
                data-style-nonce=page_nonce id="terminal-script"
            ></script>
            <SerialConsole machine=row.name.clone() state=row.observed.state/>
        }
        .into_any())
    })
}
