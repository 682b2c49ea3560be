//! A running machine's addresses, from every source: the guest's agent, the DHCP server's leases, the host's neighbour
//! table. A source that does not answer is left out; a guest unknown to all has no addresses.

use super::connect::Link;
use super::error::of_machine;
use super::power::find;
use super::sys::{Card, interface_addresses, limit_agent};
use model::address::{Address, AddressSource};
use ports::hypervisor::{HypervisorError, MachineRef, Result};
use std::net::IpAddr;

/// Most addresses accepted from one machine; a guest may claim any number.
const MOST: usize = 64;
/// Interfaces of a guest that lead nowhere outside: loopback, container runtimes, bridges between them.
const INNER: [&str; 10] = ["lo", "docker", "podman", "veth", "br-", "virbr", "cni", "flannel", "tunl", "lxc"];

/// Every address of a machine, best source first, each address once.
pub async fn of(link: &Link, machine: &MachineRef) -> Result<Vec<Address>> {
    let (agent, host) = tokio::join!(
        ask(
            link,
            machine,
            true,
            &[(AddressSource::Agent, virt_sys::VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT)]
        ),
        ask(
            link,
            machine,
            false,
            &[
                (AddressSource::Lease, virt_sys::VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE),
                (AddressSource::Neighbour, virt_sys::VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP),
            ],
        ),
    );
    let mut cards = agent?;
    cards.extend(host?);
    Ok(select(cards))
}

type CardsBySource = Vec<(AddressSource, Vec<Card>)>;

async fn ask(
    link: &Link,
    machine: &MachineRef,
    by_agent: bool,
    sources: &'static [(AddressSource, u32)],
) -> Result<CardsBySource> {
    let machine = machine.clone();
    let work = move |live: &super::connect::Live| {
        let domain = find(&live.connect, &machine)?;
        if by_agent && let Err(error) = limit_agent(&domain, super::agent::ANSWER_SECONDS) {
            tracing::trace!(machine.name = %machine.name, error = error.message(), "no agent to limit");
        }
        let mut cards = Vec::new();
        for (source, number) in sources {
            match interface_addresses(&domain, *number) {
                Ok(found) => cards.push((*source, found)),
                Err(error) => match of_machine("Asking for addresses", &machine)(error) {
                    lost @ HypervisorError::Unreachable { .. } => return Err(lost),
                    silent => {
                        tracing::trace!(machine.name = %machine.name, ?source, error = %silent, "no addresses")
                    }
                },
            }
        }
        Ok(cards)
    };
    if by_agent { link.agent_call(work).await } else { link.call(work).await }
}

fn select(cards: CardsBySource) -> Vec<Address> {
    let mut found: Vec<Address> = Vec::new();
    for (source, cards) in cards {
        let inner = |card: &Card| {
            source == AddressSource::Agent && INNER.iter().any(|name| card.name.starts_with(name))
        };
        for text in cards.iter().filter(|card| !inner(card)).flat_map(|card| &card.addresses) {
            let Ok(ip) = text.parse::<IpAddr>() else { continue };
            if found.len() < MOST && is_useful(ip) && !found.iter().any(|known| known.ip == ip) {
                found.push(Address { source, ip });
            }
        }
    }
    // People and programs that use the first one want IPv4 from the best source.
    found.sort_by_key(|address| (address.source, address.ip.is_ipv6()));
    found
}

fn is_useful(ip: IpAddr) -> bool {
    let link_local = match ip {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !(link_local || ip.is_loopback() || ip.is_unspecified() || ip.is_multicast())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(name: &str, addresses: &[&str]) -> Card {
        Card { name: name.into(), addresses: addresses.iter().map(|a| (*a).to_owned()).collect() }
    }

    #[test]
    fn inner_interfaces_and_useless_addresses_are_left_out() {
        let cards = vec![
            (
                AddressSource::Agent,
                vec![
                    card("lo", &["127.0.0.1", "10.9.9.9"]),
                    card("docker0", &["172.17.0.1"]),
                    card("enp1s0", &["fe80::1", "fd00::5", "192.168.122.20", "169.254.3.3", "<script>", ""]),
                ],
            ),
            (AddressSource::Lease, vec![card("vnet0", &["192.168.122.20", "192.168.122.21"])]),
        ];
        let found: Vec<String> =
            select(cards).into_iter().map(|a| format!("{:?} {}", a.source, a.ip)).collect();
        assert_eq!(found, ["Agent 192.168.122.20", "Agent fd00::5", "Lease 192.168.122.21"]);
    }

    #[test]
    fn a_guest_that_claims_thousands_gets_a_few() {
        let many: Vec<String> =
            (0..5000_u32).map(|n| std::net::Ipv4Addr::from(0x0a00_0001 + n).to_string()).collect();
        let cards = vec![(AddressSource::Agent, vec![Card { name: "eth0".into(), addresses: many }])];
        assert_eq!(select(cards).len(), MOST);
    }
}
