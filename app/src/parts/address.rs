//! Addresses and other texts that people copy.

use leptos::prelude::*;
use model::address::{Address, AddressSource};

/// A text with a button that copies it. `js/page.js` shows the button and copies; without JavaScript the text can be selected
/// like any other.
pub fn copyable(text: String, what: &str) -> impl IntoView + use<> {
    let label = format!("Copy {what} {text}");
    view! {
        <span class="copyable">
            <code>{text.clone()}</code>
            <button type="button" class="copy" data-copy=text aria-label=label title="Copy"></button>
        </span>
    }
}

/// The best address of a machine, if any is known.
pub fn best(addresses: &[Address]) -> Option<impl IntoView + use<>> {
    addresses.first().map(|address| copyable(address.ip.to_string(), "address"))
}

/// All addresses, each with its source.
pub fn all(addresses: &[Address]) -> AnyView {
    if addresses.is_empty() {
        return view! { <span class="none">"None known"</span> }.into_any();
    }
    let rows = addresses.iter().map(|address| {
        let copy = copyable(address.ip.to_string(), "address");
        view! { <li>{copy}" "<span class="note">{source(address.source)}</span></li> }
    });
    view! { <ul class="addresses">{rows.collect_view()}</ul> }.into_any()
}

/// The command that logs in as `admin` at the best address.
pub fn ssh(addresses: &[Address]) -> AnyView {
    match addresses.first() {
        Some(address) => copyable(format!("ssh admin@{}", address.ip), "command").into_any(),
        None => view! { <span class="none">"No address known"</span> }.into_any(),
    }
}

fn source(source: AddressSource) -> &'static str {
    match source {
        AddressSource::Static => "static",
        AddressSource::Agent => "from the guest agent",
        AddressSource::Lease => "from DHCP",
        AddressSource::Neighbour => "seen on the network",
        AddressSource::LastKnown => "last known",
    }
}
