//! `/machines/{name}/console`: the serial console.

use super::tab;
use crate::AssetVersion;
use crate::islands::console::SerialConsole;
use crate::parts::console::{PEOPLE, POWER, ROLE, SCREEN, power};
use crate::parts::{table, time};
use crate::routes::{self, Tab, assets};
use leptos::nonce::use_nonce;
use leptos::prelude::*;
use model::console::Boot;
use model::machine::{MachineName, MachineState};
use model::size::Bytes;

/// The console. Its scripts and styles are loaded on this page only.
#[component]
pub fn Console() -> impl IntoView {
    let version = use_context::<AssetVersion>().unwrap_or_default().0;
    let nonce = use_nonce();
    tab(Tab::Console, move |cx, machine| async move {
        let row = machine.row;
        let boots = cx.portal.boots(&cx.actor, &row.name).await?;
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
            {kept(&row.name, &boots)}
        }
        .into_any())
    })
}

/// What is kept of the machine's output, a file for each boot.
fn kept(machine: &MachineName, boots: &[Boot]) -> Option<AnyView> {
    let rows = boots.iter().map(|boot| {
        let label = format!("Download the output of the boot of {}", time::exact(boot.began));
        view! {
            <tr>
                <th scope="row">{time::relative(boot.began)}</th>
                <td data-label="Output">{Bytes(boot.bytes).to_string()}</td>
                <td class="row-action">
                    <a class="button" href=routes::transcript(machine, boot.began) download="" aria-label=label>
                        "Download"
                    </a>
                </td>
            </tr>
        }
    });
    let rows = rows.collect_view().into_any();
    (!boots.is_empty()).then(|| {
        view! {
            <h2>"Kept output"</h2>
            {table::table("Kept output", &["Boot", "Output", "Action"], "boots", rows)}
        }
        .into_any()
    })
}
