//! The live regions of a machine's page, rendered by the server first and by the island `LiveMachine` after each change.

use crate::parts::{address, badge, figures};
use crate::routes;
use leptos::prelude::*;
use model::job::JobBadge;
use model::machine::MachineRow;

/// A part of a machine's page that changes while one looks at it, marked by `data-live`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    /// State and address in the header.
    Head,
    /// What may be done; only the server knows, so that the page is asked again.
    Actions,
    /// What is not as it should be, and the job that holds the machine.
    Notices,
    /// Figures.
    Usage,
    /// All addresses.
    Addresses,
    /// The latest jobs; from the server as well.
    Jobs,
}

impl Region {
    /// The value of `data-live`.
    pub fn as_str(self) -> &'static str {
        match self {
            Region::Head => "head",
            Region::Actions => "actions",
            Region::Notices => "notices",
            Region::Usage => "usage",
            Region::Addresses => "addresses",
            Region::Jobs => "jobs",
        }
    }
}

/// State and best address.
pub fn head(row: &MachineRow) -> impl IntoView + use<> {
    let update = row.update_available.then(|| view! { <span class="tag">"Update available"</span> });
    view! {
        {badge::machine_state(row.observed.state)}
        {address::best(&row.observed.addresses)}
        {update}
    }
}

/// What is not as it should be, and the job that holds the machine; nothing when there is neither.
pub fn notices(row: &MachineRow) -> impl IntoView + use<> {
    let warning = row.observed.warning.clone();
    view! {
        {warning.map(|text| view! { <p class="notice" data-tone="warn">{text}</p> })}
        {row.job.as_ref().map(job)}
    }
}

fn job(job: &JobBadge) -> impl IntoView + use<> {
    let step = job.step.clone().unwrap_or_else(|| job.state.title().to_owned());
    view! {
        <div class="notice job-notice" data-tone="busy">
            <p>
                <a href=routes::job(job.id)>{job.title.clone()}</a>
                <span>{step}</span>
            </p>
            <progress max=job.total.to_string() value=job.done.to_string() aria-label=job.title.clone()></progress>
            <p class="note">"Until it has ended, other operations on this machine wait."</p>
        </div>
    }
}

/// Processor, memory, disks, and what goes in and out.
pub fn usage(row: &MachineRow) -> impl IntoView + use<> {
    let f = &row.observed.figures;
    let disk_rates = figures::rates(f.disk_read_rate, f.disk_write_rate, ("read", "written"));
    let net_rates = figures::rates(f.net_rx_rate, f.net_tx_rate, ("in", "out"));
    let rate = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    view! {
        <dl class="facts">
            <div><dt>"Processor"</dt><dd>{figures::cpu(f)}</dd></div>
            <div><dt>"Memory"</dt><dd>{figures::memory(row)}</dd></div>
            <div><dt>"Disks"</dt><dd>{figures::disk(f)}</dd></div>
            <div><dt>"Disk traffic"</dt><dd>{rate(disk_rates)}</dd></div>
            <div><dt>"Network traffic"</dt><dd>{rate(net_rates)}</dd></div>
        </dl>
    }
}
