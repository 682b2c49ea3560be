//! Starting and stopping, and what state a domain is in.
//!
//! libvirt refuses what is already done (“domain is already running”), and its check and act are one call where ours
//! would be two. So the act comes first, and the state is checked only if it is refused.

use super::domain_xml::NAT_NETWORK;
use super::error::{failed, is, of_machine};
use super::network;
use model::machine::MachineState;
use model::size::DiskGib;
use ports::hypervisor::{HypervisorError, MachineRef, Power, Result, Volume};
use quick_xml::escape::escape;
use std::path::PathBuf;
use uuid::Uuid;
use virt::connect::Connect;
use virt::domain::{Domain, DomainShutoffReason, DomainStateReason};
use virt::enumutil::Enum;
use virt::error::{Error, ErrorNumber};

/// The domain's identifier, which is a machine's place here.
pub fn uuid_of(machine: &MachineRef) -> Result<Uuid> {
    let text = &machine.host_ref.0;
    text.parse().map_err(|_| failed("Looking for the machine", format!("“{text}” is no place on this host")))
}

/// The domain of a machine.
pub fn find(connect: &Connect, machine: &MachineRef) -> Result<Domain> {
    connect.lookup_domain_by_uuid(uuid_of(machine)?).map_err(of_machine("Looking for the machine", machine))
}

/// Refuses while the machine runs from one of these disks: QEMU would go on with a file that has no name any more.
pub fn refuse_if_running_from(connect: &Connect, machine: &MachineRef, disks: &[PathBuf]) -> Result<()> {
    const WHAT: &str = "Removing a disk";
    let domain = match find(connect, machine) {
        Err(HypervisorError::NoSuchMachine { .. }) => return Ok(()),
        domain => domain?,
    };
    if !domain.is_active().map_err(of_machine(WHAT, machine))? {
        return Ok(());
    }
    let xml = domain.xml_desc(0).map_err(of_machine(WHAT, machine))?;
    let runs_from = |disk: &PathBuf| {
        let path = disk.to_string_lossy();
        ['\'', '"'].into_iter().any(|quote| xml.contains(&format!("{quote}{}{quote}", escape(&*path))))
    };
    match disks.iter().find(|disk| runs_from(disk)) {
        Some(disk) => Err(failed(WHAT, format!("the machine runs from {}", disk.display()))),
        None => Ok(()),
    }
}

/// The state of a machine; configured only if there is no domain.
pub fn state(connect: &Connect, machine: &MachineRef) -> Result<MachineState> {
    let domain = match find(connect, machine) {
        Err(HypervisorError::NoSuchMachine { .. }) => return Ok(MachineState::Configured),
        found => found?,
    };
    match state_of(&domain).map_err(of_machine("Reading the state", machine)) {
        // Undefined between the two calls.
        Err(HypervisorError::NoSuchMachine { .. }) => Ok(MachineState::Configured),
        state => state,
    }
}

fn state_of(domain: &Domain) -> std::result::Result<MachineState, Error> {
    let (state, reason) = domain.state()?;
    // The wrapper lets a failed call through as state -1.
    if state.to_raw() == u32::MAX {
        return Err(Error::last_error());
    }
    let crashed = matches!(reason, Enum::Known(DomainStateReason::Shutoff(why)) if why.is(DomainShutoffReason::Crashed));
    Ok(from_libvirt(state.to_raw(), crashed))
}

/// The port's state for a `virDomainState`; `crashed` is what the reason says of a domain that is shut off.
pub fn from_libvirt(state: u32, crashed: bool) -> MachineState {
    match state {
        virt_sys::VIR_DOMAIN_RUNNING | virt_sys::VIR_DOMAIN_BLOCKED => MachineState::Running,
        virt_sys::VIR_DOMAIN_PAUSED | virt_sys::VIR_DOMAIN_PMSUSPENDED => MachineState::Paused,
        virt_sys::VIR_DOMAIN_SHUTDOWN => MachineState::ShuttingDown,
        virt_sys::VIR_DOMAIN_SHUTOFF if crashed => MachineState::Crashed,
        virt_sys::VIR_DOMAIN_SHUTOFF => MachineState::Off,
        virt_sys::VIR_DOMAIN_CRASHED => MachineState::Crashed,
        _ => MachineState::Unknown,
    }
}

/// Does something with a machine's power.
pub fn change(connect: &Connect, machine: &MachineRef, power: Power) -> Result<()> {
    let domain = find(connect, machine)?;
    let outcome = match power {
        Power::Start => start(connect, &domain)?,
        // Without flags libvirt asks the guest's agent if there is one, else presses the ACPI button.
        Power::ShutDown => domain.shutdown(),
        Power::Reboot => domain.reboot(0),
        Power::ForceOff => domain.destroy(),
        Power::Suspend => domain.suspend(),
        Power::Resume => domain.resume(),
    };
    match outcome {
        Err(error) if !is(&error, ErrorNumber::NoDomain) && is_so_already(&domain, power) => {
            tracing::debug!(machine.name = %machine.name, error = error.message(), "already so");
            Ok(())
        }
        outcome => outcome.map_err(of_machine(title(power), machine)),
    }
}

/// Starts the domain; if its network is missing, fixes that and retries once.
fn start(connect: &Connect, domain: &Domain) -> Result<std::result::Result<(), Error>> {
    match domain.create() {
        Err(error) if network::is_to_blame(&error) && uses_nat(domain) => {
            network::ensure_nat(connect)?;
            Ok(domain.create())
        }
        outcome => Ok(outcome),
    }
}

/// Grows a disk of a machine that runs; false when it does not run, and its disk is a file that nobody uses.
pub fn grow_disk(connect: &Connect, machine: &MachineRef, disk: &Volume, size: DiskGib) -> Result<bool> {
    let domain = match find(connect, machine) {
        Err(HypervisorError::NoSuchMachine { .. }) => return Ok(false),
        found => found?,
    };
    match domain.block_resize(&disk.0, size.bytes(), virt_sys::VIR_DOMAIN_BLOCK_RESIZE_BYTES) {
        Ok(()) => Ok(true),
        Err(_) if state_of(&domain).is_ok_and(|state| !state.is_active()) => Ok(false),
        Err(error) => Err(of_machine("Growing a disk", machine)(error)),
    }
}

fn uses_nat(domain: &Domain) -> bool {
    let wanted = format!("network='{NAT_NETWORK}'");
    domain.xml_desc(virt_sys::VIR_DOMAIN_XML_INACTIVE).is_ok_and(|xml| xml.contains(&wanted))
}

fn is_so_already(domain: &Domain, power: Power) -> bool {
    let Ok(state) = state_of(domain) else { return false };
    match power {
        Power::Start => state.is_active(),
        Power::ShutDown | Power::ForceOff => !state.is_active(),
        Power::Suspend => state == MachineState::Paused,
        Power::Resume => state == MachineState::Running,
        Power::Reboot => false,
    }
}

fn title(power: Power) -> &'static str {
    match power {
        Power::Start => "Starting the machine",
        Power::ShutDown => "Asking the machine to shut down",
        Power::Reboot => "Asking the machine to reboot",
        Power::ForceOff => "Forcing the machine off",
        Power::Suspend => "Suspending the machine",
        Power::Resume => "Resuming the machine",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_a_word_and_a_new_one_is_unknown() {
        assert_eq!(from_libvirt(virt_sys::VIR_DOMAIN_SHUTOFF, false), MachineState::Off);
        assert_eq!(from_libvirt(virt_sys::VIR_DOMAIN_SHUTOFF, true), MachineState::Crashed);
        assert_eq!(from_libvirt(virt_sys::VIR_DOMAIN_PMSUSPENDED, false), MachineState::Paused);
        assert_eq!(from_libvirt(99, false), MachineState::Unknown);
    }
}
