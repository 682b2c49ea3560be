//! libvirt's errors as the port's. libvirt's own message is kept: it is the most exact there is.

use ports::hypervisor::{HypervisorError, MachineRef};
use virt::error::{Error, ErrorDomain, ErrorNumber};

/// A failure as text.
pub fn failed(what: &str, why: impl Into<String>) -> HypervisorError {
    HypervisorError::Failed { what: what.to_owned(), why: why.into() }
}

/// An error of a call that is about the host.
pub fn of_host(what: &'static str) -> impl FnOnce(Error) -> HypervisorError {
    move |error| {
        if is_connection(&error) {
            return HypervisorError::Unreachable { why: error.message().to_owned() };
        }
        failed(what, error.message())
    }
}

/// An error of a call that is about one machine.
pub fn of_machine<'a>(
    what: &'static str,
    machine: &'a MachineRef,
) -> impl FnOnce(Error) -> HypervisorError + 'a {
    move |error| {
        if is(&error, ErrorNumber::NoDomain) {
            return HypervisorError::NoSuchMachine { name: machine.name.clone() };
        }
        of_host(what)(error)
    }
}

/// An error of a call that went to the guest's agent.
pub fn of_agent<'a>(
    what: &'static str,
    machine: &'a MachineRef,
) -> impl FnOnce(Error) -> HypervisorError + 'a {
    move |error| {
        let silent = [
            ErrorNumber::AgentUnresponsive,
            ErrorNumber::AgentUnsynced,
            ErrorNumber::AgentCommandTimeout,
            // The machine is off.
            ErrorNumber::OperationInvalid,
        ];
        if silent.iter().any(|number| is(&error, *number)) {
            HypervisorError::NoAgent
        } else if is(&error, ErrorNumber::NoSupport) {
            HypervisorError::Unsupported { what: "Asking the guest's agent".to_owned() }
        } else {
            of_machine(what, machine)(error)
        }
    }
}

/// True for this error number.
pub fn is(error: &Error, number: ErrorNumber) -> bool {
    error.code().is(number)
}

fn is_connection(error: &Error) -> bool {
    // Errors of the RPC layer itself are about the connection; errors from the host carry the domain of the part that
    // failed.
    error.domain().is(ErrorDomain::Rpc)
        || [ErrorNumber::NoConnect, ErrorNumber::InvalidConn, ErrorNumber::Rpc].iter().any(|n| is(error, *n))
}
