//! Addresses and other texts that people want in their clipboard.

use leptos::prelude::*;
use model::address::{Address, AddressSource};

/// A text with a button that copies it. `js/page.js` shows the button and does the copying; without JavaScript the text
/// can be selected as any other.
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

/// All addresses, each with how it was learnt.
pub fn all(addresses: &[Address]) -> AnyView {
    if addresses.is_empty() {
        return view! { <span class="none">"none known"</span> }.into_any();
    }
    let rows = addresses.iter().map(|address| {
        let copy = copyable(address.ip.to_string(), "address");
        view! { <li>{copy}" "<span class="note">{source(address.source)}</span></li> }
    });
    view! { <ul class="addresses">{rows.collect_view()}</ul> }.into_any()
}

fn source(source: AddressSource) -> &'static str {
    match source {
        AddressSource::Static => "fixed in its configuration",
        AddressSource::Agent => "told by the guest agent",
        AddressSource::Lease => "DHCP lease",
        AddressSource::Neighbour => "seen on the network",
    }
}
