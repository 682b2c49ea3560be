//! `/machines/{name}/console`: the serial console, and its logs.

use super::tab;
use crate::AssetVersion;
use crate::cx::Cx;
use crate::islands::console::SerialConsole;
use crate::parts::console::{POWER, ROLE, SCREEN, VIEWERS, power};
use crate::parts::table::{Sorting, Table};
use crate::parts::time;
use crate::routes::{self, Tab, assets};
use leptos::nonce::use_nonce;
use leptos::prelude::*;
use model::console::Boot;
use model::machine::{MachineName, MachineState};
use model::size::Bytes;
use model::sort::{Column, Sort};
use model::view::machine::MachineDetail;

/// The terminal's scripts and styles are loaded on this page only.
#[component]
pub fn Console() -> impl IntoView {
    let version = use_context::<AssetVersion>().unwrap_or_default().0;
    let nonce = use_nonce();
    tab(Tab::Console, move |cx, machine| async move {
        let boots = cx.portal.boots(&cx.actor, &machine.row.name).await?;
        Ok(view! {
            <link rel="stylesheet" href=assets::versioned(assets::TERMINAL_STYLE, &version)/>
            // The terminal creates style sheets; here it finds the nonce that the page's policy requires for them.
            <script
                type="module" src=assets::versioned(assets::TERMINAL_SCRIPT, &version) nonce=nonce
                id="terminal-script"
            ></script>
            <section class="console" aria-label="Serial console">
                <div class="console-bar">
                    <span class="console-people" role="status" data-live=VIEWERS></span>
                    <span data-live=ROLE></span>
                    <button type="button" class="button js-only" data-fullscreen=".console">"Full screen"</button>
                    <div data-live=POWER>{power(&machine)}</div>
                </div>
                {screen(&machine)}
            </section>
            {logs(&cx, &machine.row.name, boots)}
        }
        .into_any())
    })
}

/// The terminal. There is none for a mere configuration; while a job creates the machine, it waits for it.
fn screen(machine: &MachineDetail) -> AnyView {
    let row = &machine.row;
    if row.observed.state == MachineState::Configured && row.job.is_none() {
        return view! { <p class="none">"The machine has a console once it has been created."</p> }
            .into_any();
    }
    view! {
        <SerialConsole machine=row.name.clone()/>
        <p class="no-js notice" data-tone="warn">"The console needs JavaScript."</p>
        <div id=SCREEN class="screen js-only"></div>
        <p class="console-keys js-only">
            <button type="button" class="button" data-focus="serial-terminal">"Go to the terminal"</button>
            <span><kbd>"Ctrl"</kbd>" + "<kbd>"Shift"</kbd>" + "<kbd>"Enter"</kbd>" leaves it."</span>
        </p>
    }
    .into_any()
}

const LOGS: Table<'static, Boot> = Table {
    caption: "Console log",
    class: "boots",
    columns: &[
        Column::sorted("Boot", "boot", |a, b| a.began.cmp(&b.began)),
        Column::sorted("Size", "size", |a, b| a.bytes.cmp(&b.bytes)),
        Column::plain("Action"),
    ],
};

/// The console output that is kept, a file for each boot.
fn logs(cx: &Cx, machine: &MachineName, boots: Vec<Boot>) -> Option<AnyView> {
    let row = |boot: &Boot| {
        let label = format!("Download the console log of the boot at {}", time::exact(boot.began));
        view! {
            <tr>
                <th scope="row">{time::relative(boot.began)}</th>
                <td data-label="Size">{Bytes(boot.bytes).to_string()}</td>
                <td class="row-action">
                    <a class="button" href=routes::transcript(machine, boot.began) download="" aria-label=label>
                        "Download"
                    </a>
                </td>
            </tr>
        }
        .into_any()
    };
    (!boots.is_empty()).then(|| {
        view! {
            <h2>"Console log"</h2>
            {Sorting::whole(cx, &LOGS, Sort::by("boot", true), boots, row)}
        }
        .into_any()
    })
}
