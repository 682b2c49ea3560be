//! `/machines/{name}`: usage, facts, the image, the latest jobs.

use super::{facts, tab, terms};
use crate::pages::jobs;
use crate::parts::faults::field_id;
use crate::parts::machine_head::{Region, guest, usage};
use crate::parts::profiles::composition;
use crate::parts::{address, time};
use crate::routes::{self, Tab};
use leptos::prelude::*;
use model::machine::MachineName;
use model::size::Bytes;
use model::view::image::ImageSummary;
use model::view::job::JobFilter;
use model::view::machine::MachineDetail;

/// How many of the latest jobs are shown.
const JOBS_SHOWN: usize = 5;

#[component]
pub fn Overview() -> impl IntoView {
    tab(Tab::Overview, |_, machine| async move {
        let row = &machine.row;
        let latest = machine.jobs.get(..JOBS_SHOWN).unwrap_or(&machine.jobs);
        let all = routes::jobs(&JobFilter { machine: Some(row.name.clone()), ..JobFilter::default() });
        Ok(view! {
            <div class="columns">
                <section class="card">
                    <h2>"Usage"</h2>
                    <div data-live=Region::Usage.as_str()>{usage(row)}</div>
                </section>
                {summary(&machine)}
                {image(&machine)}
            </div>
            {notes(&machine)}
            <div data-live=Region::Jobs.as_str()>
                <h2>"Latest jobs"</h2>
                {jobs::list(latest)}
            </div>
            <p><a class="button" href=all>"All jobs for this machine"</a></p>
        }
        .into_any())
    })
}

fn summary(machine: &MachineDetail) -> AnyView {
    let (spec, name) = (&machine.applied, &machine.row.name);
    let addresses = address::all(&machine.row.observed.addresses);
    let ssh = address::ssh(&machine.row.observed.addresses);
    let has_admin = !spec.identity.admin_keys.is_empty();
    let ssh =
        has_admin.then(|| ("Log in", view! { <div data-live=Region::Ssh.as_str()>{ssh}</div> }.into_any()));
    let addresses = view! { <div data-live=Region::Addresses.as_str()>{addresses}</div> }.into_any();
    let network_facts = std::iter::once(("Addresses", addresses)).chain(ssh);
    let with_change = |value: String, field, words: &'static str| {
        view! { {value}" "<a href=field_of(name, field)>{words}</a> }.into_any()
    };
    let password = if machine.has_root_password { "set" } else { "not set" };
    let rows = network_facts.chain([
        ("Profiles", composition(&spec.profiles).into_any()),
        ("Mode", spec.mode.title().into_any()),
        (
            "Size",
            with_change(format!("{} · {} · {} disk", spec.memory, spec.vcpus, spec.disk), "memory", "Resize"),
        ),
        ("Network", with_change(spec.network.title(), "network", "Change network")),
        ("Console password", with_change(password.to_owned(), "root_password", "Change password")),
        ("Host", spec.host.to_string().into_any()),
        ("Owner", machine.row.owner.clone().into_any()),
        ("Created", time::relative(machine.created).into_any()),
        ("Autostart", if spec.autostart { "when the host boots" } else { "off" }.into_any()),
        ("Delete protection", if spec.delete_protection { "on" } else { "off" }.into_any()),
    ]);
    facts("Machine", rows.collect())
}

/// What people wrote down, as plain text in its own lines.
fn notes(machine: &MachineDetail) -> Option<AnyView> {
    let notes = &machine.spec.notes;
    let text = notes.to_string();
    (!notes.is_empty()).then(|| {
        view! {
            <section class="card">
                <h2>"Notes"</h2>
                <p class="notes">{text}</p>
                <p><a class="button" href=field_of(&machine.spec.name, "notes")>"Edit notes"</a></p>
            </section>
        }
        .into_any()
    })
}

/// The field of the configuration that changes something.
fn field_of(machine: &MachineName, field: &str) -> String {
    format!("{}#{}", routes::machine_tab(machine, Tab::Configuration), field_id(field))
}

/// The image that the disks were made from, and below it what the running guest reports.
fn image(machine: &MachineDetail) -> AnyView {
    let about = match &machine.image {
        Some(image) => about_image(machine, image),
        None => {
            let words = match machine.row.is_being_created() {
                true => {
                    "None yet. The job that creates the machine builds it, if there is none of its profiles."
                }
                false => "None yet. It is built when the machine is created.",
            };
            view! { <p class="none">{words}</p> }.into_any()
        }
    };
    view! {
        <section class="card">
            <h2>"Image"</h2>
            <div data-live=Region::Image.as_str()>{about}</div>
            <div data-live=Region::Guest.as_str()>{guest(&machine.row)}</div>
        </section>
    }
    .into_any()
}

fn about_image(machine: &MachineDetail, image: &ImageSummary) -> AnyView {
    let current = if machine.row.update_available { "no, there is a newer build" } else { "yes" };
    let built = match image.job {
        Some(job) => view! { <a href=routes::job(job)>{time::relative(image.built)}</a> }.into_any(),
        None => time::relative(image.built).into_any(),
    };
    terms(vec![
        ("Built", built),
        ("Size", Bytes(image.size).to_string().into_any()),
        ("Up to date", current.into_any()),
        ("Store path", address::copyable(image.store_path.clone(), "path").into_any()),
    ])
}
