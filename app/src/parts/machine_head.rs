//! The live regions of a machine's page, rendered by the server first and by the island `LiveMachine` after each change.

use crate::parts::job::{CANCELLING, button};
use crate::parts::profiles::composition_and_mode;
use crate::parts::{address, badge, figures};
use crate::routes;
use leptos::prelude::*;
use model::job::JobBadge;
use model::view::machine::MachineRow;

/// How many characters of a revision are shown; all of them on hover.
const REVISION_SHOWN: usize = 12;

/// A part of a machine's page that is kept up to date, marked by `data-live`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    /// State and address in the header.
    Head,
    /// The possible actions; fetched from the server.
    Actions,
    /// Warnings, and the job that holds the machine.
    Notices,
    /// The last operation, if it failed; fetched from the server.
    Failed,
    /// Processor, memory, disks, traffic.
    Usage,
    /// All addresses.
    Addresses,
    /// The command that logs in.
    Ssh,
    /// What the guest reports about itself.
    Guest,
    /// The image that it boots; fetched from the server.
    Image,
    /// What of the configuration is not yet true; fetched from the server.
    Pending,
    /// What it boots and can go back to; fetched from the server as well.
    Generations,
    /// The latest jobs; fetched from the server as well.
    Jobs,
}

impl Region {
    /// The value of `data-live`.
    pub fn as_str(self) -> &'static str {
        match self {
            Region::Head => "head",
            Region::Actions => "actions",
            Region::Notices => "notices",
            Region::Failed => "failed",
            Region::Usage => "usage",
            Region::Addresses => "addresses",
            Region::Ssh => "ssh",
            Region::Guest => "guest",
            Region::Image => "image",
            Region::Pending => "pending",
            Region::Generations => "generations",
            Region::Jobs => "jobs",
        }
    }
}

/// State and best address.
pub fn head(row: &MachineRow) -> impl IntoView + use<> {
    let update = row.update_available.then(|| {
        let upgrade = routes::machine_tab(&row.name, routes::Tab::Generations);
        view! { <a class="tag" href=upgrade>"Update available"</a> }
    });
    let pending = row.pending.then(|| {
        let configuration = routes::machine_tab(&row.name, routes::Tab::Configuration);
        view! { <a class="tag" href=configuration>"Changes pending"</a> }
    });
    view! {
        {badge::machine_state(row.observed.state)}
        " "
        {address::best(&row.observed.addresses)}
        " "
        {update}
        " "
        {pending}
    }
}

/// Warnings, and the job that holds the machine; nothing if there is neither.
pub fn notices(row: &MachineRow) -> impl IntoView + use<> {
    let warning = row.observed.warning.clone();
    view! {
        {warning.map(|text| view! { <p class="notice" data-tone="warn">{text}</p> })}
        {row.job.as_ref().map(job)}
    }
}

fn job(job: &JobBadge) -> impl IntoView + use<> {
    let step = if job.cancelling { Some(CANCELLING.to_owned()) } else { job.step.clone() };
    let step = step.unwrap_or_else(|| job.state.title().to_owned());
    view! {
        <div class="notice job-notice" data-tone="busy">
            <p>
                <a href=routes::job(job.id)>{job.title.clone()}</a>
                " "
                <span>{step}</span>
            </p>
            <progress max=job.total.to_string() value=job.done.to_string() aria-label=job.title.clone()></progress>
            <p class="note">"Other operations on this machine have to wait until it is done."</p>
            {(!job.cancelling).then(|| button(job.id, "cancel", "Cancel"))}
        </div>
    }
}

/// Which image the running guest reports, and whether its boot is complete; nothing for one that is off or reports nothing.
pub fn guest(row: &MachineRow) -> Option<impl IntoView + use<>> {
    let guest = row.observed.guest.as_ref()?;
    let image = guest.image.as_ref().map(|image| {
        let source = image.revision.as_ref().map(|revision| {
            let short: String = revision.chars().take(REVISION_SHOWN).collect();
            view! { <code title=revision.clone()>{short}</code> }
        });
        let date = image.date.as_ref().map(|date| format!(" of {date}"));
        let has_source = source.is_some() || date.is_some();
        view! {
            <div><dt>"Booted image"</dt><dd>{composition_and_mode(&image.profiles, image.mode)}</dd></div>
            {has_source.then(|| view! { <div><dt>"Source"</dt><dd>{source}{date}</dd></div> })}
        }
    });
    let boot = if guest.booted { "complete" } else { "not reported as complete" };
    Some(view! { <dl class="facts">{image}<div><dt>"Boot"</dt><dd>{boot}</dd></div></dl> })
}

/// Processor, memory, disks and traffic, as far as known.
pub fn usage(row: &MachineRow) -> AnyView {
    let f = &row.observed.figures;
    let rates = [
        ("Disk traffic", figures::rates(f.disk_read_rate, f.disk_write_rate, ("read", "written"))),
        ("Network traffic", figures::rates(f.net_rx_rate, f.net_tx_rate, ("in", "out"))),
    ];
    let meters =
        [("Processor", figures::cpu(f)), ("Memory", figures::memory(row)), ("Disks", figures::disk(f))];
    let rates = rates.map(|(term, text)| (term, text.map(IntoAny::into_any)));
    let known: Vec<AnyView> = meters
        .into_iter()
        .chain(rates)
        .filter_map(|(term, value)| Some((term, value?)))
        .map(|(term, value)| view! { <div data-key=term><dt>{term}</dt><dd>{value}</dd></div> }.into_any())
        .collect();
    if known.is_empty() {
        return view! { <p class="none">"Shown while the machine is running."</p> }.into_any();
    }
    view! { <dl class="facts">{known}</dl> }.into_any()
}
