//! `/machines/{name}/configuration`: the machine's specification.

use super::overview::network;
use super::{facts, tab};
use crate::parts::address;
use crate::parts::profiles::composition;
use crate::routes::Tab;
use leptos::prelude::*;
use model::certificates::Certificates;
use model::ssh_key::SshKey;
use model::view::machine::MachineDetail;

#[component]
pub fn Configuration() -> impl IntoView {
    tab(Tab::Configuration, |_, machine| async move {
        Ok(view! { <div class="columns">{size(&machine)}{access(&machine)}{net(&machine)}</div> }.into_any())
    })
}

fn size(machine: &MachineDetail) -> AnyView {
    let spec = &machine.spec;
    facts(
        "Machine",
        vec![
            ("Profiles", composition(&spec.profiles).into_any()),
            ("Mode", spec.mode.title().into_any()),
            ("Meaning", spec.mode.summary().into_any()),
            ("Memory", spec.memory.to_string().into_any()),
            ("Processors", spec.vcpus.to_string().into_any()),
            ("Disk", spec.disk.to_string().into_any()),
            ("Host", spec.host.to_string().into_any()),
        ],
    )
}

fn access(machine: &MachineDetail) -> AnyView {
    let identity = &machine.spec.identity;
    let authorities = match identity.certificates.as_ref().map_or(0, Certificates::count) {
        0 => view! { <span class="none">"none"</span> }.into_any(),
        1 => "1 certificate".into_any(),
        n => format!("{n} certificates").into_any(),
    };
    let password = if machine.has_root_password { "set" } else { "not set; root cannot log in" };
    facts(
        "Access",
        vec![
            ("SSH keys for admin", keys(&identity.admin_keys)),
            ("SSH keys for user", keys(&identity.user_keys)),
            ("Console password for root", password.into_any()),
            ("Additional authorities", authorities),
            ("Samba shares", listed(&identity.samba_shares, "none")),
        ],
    )
}

fn net(machine: &MachineDetail) -> AnyView {
    let identity = &machine.spec.identity;
    let fixed = identity.static_address.as_ref().map_or_else(|| "from DHCP".to_owned(), ToString::to_string);
    facts(
        "Network",
        vec![
            ("Network", network(&machine.spec.network).into_any()),
            ("MAC address", address::copyable(machine.hardware.mac.to_string(), "address").into_any()),
            ("Address", fixed.into_any()),
            ("Name servers", listed(&identity.dns, "from DHCP")),
            ("Open TCP ports", listed(&identity.tcp_ports, "none")),
            ("Open UDP ports", listed(&identity.udp_ports, "none")),
            ("Extra /etc/hosts entries", listed(&identity.hosts, "none")),
        ],
    )
}

fn listed<T: ToString>(items: &[T], none: &'static str) -> AnyView {
    if items.is_empty() {
        return view! { <span class="none">{none}</span> }.into_any();
    }
    let items = items.iter().map(|item| view! { <li>{item.to_string()}</li> });
    view! { <ul class="plain">{items.collect_view()}</ul> }.into_any()
}

/// Keys by their comment or their last characters; the whole key on hover.
fn keys(keys: &[SshKey]) -> AnyView {
    if keys.is_empty() {
        return view! { <span class="none">"none"</span> }.into_any();
    }
    let items = keys.iter().map(|key| {
        let mut words = key.as_str().split(' ');
        let (kind, blob) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let tail: String = blob.chars().skip(blob.chars().count().saturating_sub(12)).collect();
        let name = key.comment().map_or(format!("…{tail}"), ToOwned::to_owned);
        view! { <li title=key.to_string()>{name}" "<span class="note">{kind.to_owned()}</span></li> }
    });
    view! { <ul class="plain">{items.collect_view()}</ul> }.into_any()
}
