//! Network facts about machines: addresses with their source, ports, static configuration.

use crate::newtype::Refused;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Where an address was learnt, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AddressSource {
    /// Set by us in the machine's configuration.
    Static,
    /// Reported by the guest agent.
    Agent,
    /// From the DHCP server's lease table.
    Lease,
    /// Seen in the host's neighbour table (ARP, NDP).
    Neighbour,
    /// From any of these sources, but before the host or the portal was restarted; not confirmed since.
    LastKnown,
}

/// One address of a machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Address {
    /// How it was learnt.
    pub source: AddressSource,
    /// The address itself.
    pub ip: IpAddr,
}

/// One port or an inclusive range of ports, written `80` or `8000:8010` as in iptables and the identity files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PortRange {
    from: u16,
    to: u16,
}

impl PortRange {
    /// True when `port` is in the range.
    pub fn contains(self, port: u16) -> bool {
        (self.from..=self.to).contains(&port)
    }
}

impl FromStr for PortRange {
    type Err = Refused;
    fn from_str(text: &str) -> Result<Self, Refused> {
        let refuse =
            || Refused(format!("“{}” is not a port (1–65535) or a range such as 8000:8010.", brief(text)));
        let port = |t: &str| match t.parse::<u16>() {
            Ok(n) if n > 0 && t.bytes().all(|b| b.is_ascii_digit()) => Ok(n),
            _ => Err(refuse()),
        };
        let (from, to) = match text.split_once([':', '-']) {
            Some((a, b)) => (port(a)?, port(b)?),
            None => (port(text)?, port(text)?),
        };
        if from > to { Err(refuse()) } else { Ok(Self { from, to }) }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.from == self.to { write!(f, "{}", self.from) } else { write!(f, "{}:{}", self.from, self.to) }
    }
}

impl TryFrom<String> for PortRange {
    type Error = Refused;
    fn try_from(text: String) -> Result<Self, Refused> {
        text.parse()
    }
}

impl From<PortRange> for String {
    fn from(range: PortRange) -> String {
        range.to_string()
    }
}

/// A fixed IPv4 or IPv6 address with its prefix length, and the router to use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaticAddress {
    /// Address and prefix, such as `192.168.1.20/24`.
    pub address: IpNet,
    /// Default router; none means that only the local network is reachable.
    pub gateway: Option<IpAddr>,
}

impl FromStr for StaticAddress {
    type Err = Refused;
    /// Reads `address/prefix` or `address/prefix,gateway`.
    fn from_str(text: &str) -> Result<Self, Refused> {
        let (address, gateway) = match text.split_once(',') {
            Some((a, g)) => (a.trim(), Some(g.trim())),
            None => (text.trim(), None),
        };
        let address: IpNet = address.parse().map_err(|_| {
            Refused::new("A static address looks like 192.168.1.20/24 or, with a gateway, 192.168.1.20/24,192.168.1.1.")
        })?;
        let gateway = match gateway {
            None => None,
            Some(g) => Some(
                g.parse::<IpAddr>()
                    .map_err(|_| Refused(format!("“{}” is not a gateway's address.", brief(g))))?,
            ),
        };
        if gateway.is_some_and(|g| g.is_ipv4() != address.addr().is_ipv4()) {
            return Err(Refused::new("The address and the gateway must both be IPv4 or both be IPv6."));
        }
        Ok(Self { address, gateway })
    }
}

impl fmt::Display for StaticAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        self.gateway.map_or(Ok(()), |g| write!(f, ",{g}"))
    }
}

/// One line of `/etc/hosts`: an address and its names (hosts(5)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostsEntry {
    address: IpAddr,
    names: Vec<String>,
}

impl FromStr for HostsEntry {
    type Err = Refused;
    fn from_str(text: &str) -> Result<Self, Refused> {
        let refuse = || Refused(format!("“{}” is not an address followed by host names.", brief(text)));
        let mut words = text.split_ascii_whitespace();
        let address = words.next().and_then(|w| w.parse().ok()).ok_or_else(refuse)?;
        let names: Vec<String> = words.map(str::to_owned).collect();
        if names.is_empty() || !names.iter().all(|n| is_host_name(n)) {
            return Err(refuse());
        }
        Ok(Self { address, names })
    }
}

impl fmt::Display for HostsEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.address, self.names.join(" "))
    }
}

impl TryFrom<String> for HostsEntry {
    type Error = Refused;
    fn try_from(text: String) -> Result<Self, Refused> {
        text.parse()
    }
}

impl From<HostsEntry> for String {
    fn from(entry: HostsEntry) -> String {
        entry.to_string()
    }
}

/// RFC 1123 host name of at most 253 bytes, in either case.
fn is_host_name(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(|part| {
            (1..=63).contains(&part.len())
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !part.starts_with('-')
                && !part.ends_with('-')
        })
}

/// A short, printable piece of someone's input, for quoting it back.
pub fn brief(text: &str) -> String {
    let shown: String = text.chars().filter(|c| !c.is_control()).take(40).collect();
    if shown.len() < text.len() { format!("{shown}…") } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ports_and_ranges() {
        assert_eq!("8000-8010".parse::<PortRange>().unwrap().to_string(), "8000:8010");
        for bad in ["", "0", "65536", "80:79", "+80", "80 ", "80;id", "a", "1:2:3"] {
            assert!(bad.parse::<PortRange>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_router_of_another_family_is_refused() {
        assert!("10.0.0.2/24,fe80::1".parse::<StaticAddress>().is_err());
        assert_eq!(
            "10.0.0.2/24, 10.0.0.1".parse::<StaticAddress>().unwrap().to_string(),
            "10.0.0.2/24,10.0.0.1"
        );
    }

    proptest! {
        #[test]
        fn any_text_is_answered_and_what_is_accepted_reads_back(text in "\\PC{0,60}|[0-9a-f.:/, -]{0,40}") {
            if let Ok(range) = text.parse::<PortRange>() {
                prop_assert_eq!(range.to_string().parse::<PortRange>().unwrap(), range);
            }
            if let Ok(fixed) = text.parse::<StaticAddress>() {
                prop_assert_eq!(fixed.to_string().parse::<StaticAddress>().unwrap(), fixed);
            }
            if let Ok(entry) = text.parse::<HostsEntry>() {
                prop_assert_eq!(entry.to_string().parse::<HostsEntry>().unwrap(), entry);
            }
        }
    }
}
