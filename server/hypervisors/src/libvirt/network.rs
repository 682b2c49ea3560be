//! The network behind the host's address translation, and the bridges that machines can be put on.

use super::domain_xml::NAT_NETWORK;
use super::error::{is, of_host};
use model::machine::BridgeName;
use ports::hypervisor::Result;
use std::path::Path;
use virt::connect::Connect;
use virt::error::{Error, ErrorDomain, ErrorNumber};
use virt::network::Network;

/// libvirt's usual network, for hosts whose packages do not include it. The bridge's name is left for libvirt to
/// choose.
const NAT_XML: &str = "<network><name>default</name><forward mode='nat'/><bridge stp='on' delay='0'/>\
    <ip address='192.168.122.1' netmask='255.255.255.0'>\
    <dhcp><range start='192.168.122.2' end='192.168.122.254'/></dhcp></ip></network>";

/// The network's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NatState {
    /// Machines can use it.
    Active,
    /// Defined but not started.
    Inactive,
    /// Missing.
    Missing,
}

/// Checks the network.
pub fn nat_state(connect: &Connect) -> Result<NatState> {
    match find(connect).map_err(of_host("Looking for the network"))? {
        None => Ok(NatState::Missing),
        Some(network) => match network.is_active().map_err(of_host("Checking the network"))? {
            true => Ok(NatState::Active),
            false => Ok(NatState::Inactive),
        },
    }
}

/// Makes sure that the network exists, runs, and starts with the host.
pub fn ensure_nat(connect: &Connect) -> Result<()> {
    let network = match find(connect).map_err(of_host("Looking for the network"))? {
        Some(network) => network,
        None => {
            tracing::info!("defining libvirt's network “{NAT_NETWORK}”");
            connect.define_network_xml(NAT_XML).map_err(of_host("Defining the network “default”"))?
        }
    };
    if !network.is_active().map_err(of_host("Checking the network"))? {
        // Two machines starting at once may both get here.
        match network.create() {
            Err(error) if !network.is_active().unwrap_or(false) => {
                return Err(of_host("Starting the network “default”")(error));
            }
            _ => {}
        }
    }
    if let Err(error) = network.set_autostart(true) {
        tracing::warn!(error = error.message(), "the network “{NAT_NETWORK}” will not start with the host");
    }
    Ok(())
}

/// True when a machine did not start because its network is missing or not active.
pub fn is_to_blame(error: &Error) -> bool {
    is(error, ErrorNumber::NoNetwork)
        || (error.domain().is(ErrorDomain::Network) && is(error, ErrorNumber::OperationInvalid))
}

fn find(connect: &Connect) -> std::result::Result<Option<Network>, Error> {
    match connect.lookup_network_by_name(NAT_NETWORK) {
        Ok(network) => Ok(Some(network)),
        Err(error) if is(&error, ErrorNumber::NoNetwork) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Bridges of this computer that machines can be put on, sorted.
pub fn local_bridges() -> Vec<String> {
    bridges_in(Path::new("/sys/class/net"))
}

fn bridges_in(class_net: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(class_net) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.path().join("bridge").is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| is_for_machines(name))
        .collect();
    names.sort();
    names
}

/// Bridges of another host, by libvirt's interface driver, sorted. Where that driver is missing there are none.
pub fn remote_bridges(connect: &Connect) -> Vec<String> {
    let Ok(interfaces) = connect.list_all_interfaces(virt_sys::VIR_CONNECT_LIST_INTERFACES_ACTIVE) else {
        return Vec::new();
    };
    let mut names: Vec<String> = interfaces
        .iter()
        .filter(|i| i.xml_desc(0).is_ok_and(|xml| xml.trim_start().starts_with("<interface type='bridge'")))
        .filter_map(|i| i.name().ok())
        .filter(|name| is_for_machines(name))
        .collect();
    names.sort();
    names
}

/// Leaves out what libvirt, container runtimes and firewalls made for themselves, and names that the port cannot
/// represent.
fn is_for_machines(name: &str) -> bool {
    const OTHERS: [&str; 11] =
        ["virbr", "docker", "podman", "cni", "br-", "fwbr", "lxcbr", "lxdbr", "incusbr", "veth", "vnet"];
    name != "lo" && name.parse::<BridgeName>().is_ok() && !OTHERS.iter().any(|other| name.starts_with(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_real_bridges_are_offered() {
        let dir = tempfile::tempdir().unwrap();
        for (name, is_bridge) in [
            ("br0", true),
            ("vmbr1", true),
            ("eth0", false),
            ("virbr0", true),
            ("docker0", true),
            ("br-9f3", true),
            ("podman1", true),
            ("cni0", true),
            ("lo", true),
            ("veth0a", true),
        ] {
            let path = dir.path().join(name);
            std::fs::create_dir(&path).unwrap();
            if is_bridge {
                std::fs::create_dir(path.join("bridge")).unwrap();
            }
        }
        assert_eq!(bridges_in(dir.path()), ["br0", "vmbr1"]);
        assert_eq!(bridges_in(&dir.path().join("gone")), Vec::<String>::new());
    }
}
