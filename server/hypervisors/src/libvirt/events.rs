//! libvirt's events as the port's, and the one thread on which libvirt delivers them.
//!
//! libvirt wants a single event loop per process, registered before the first connection is opened. It carries events,
//! keep-alive, console streams and the end of connections, so nothing that runs on it may wait.

use super::sys::{EventSink, RawEvent};
use model::machine::MachineState;
use ports::hypervisor::{HostEvent, HostRef};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{broadcast, watch};
use uuid::Uuid;
use virt::event::{event_register_default_impl, event_run_default_impl};

/// How many events a slow subscriber may fall behind before it has to take a new inventory.
pub const BACKLOG: usize = 4096;

/// Starts the event loop, once per process.
///
/// # Errors
/// When it cannot be started, as text; the same again on every later call.
pub fn start_loop() -> Result<(), String> {
    static STARTED: OnceLock<Result<(), String>> = OnceLock::new();
    STARTED
        .get_or_init(|| {
            virt::error::clear_error_callback();
            event_register_default_impl().map_err(|e| e.message().to_owned())?;
            std::thread::Builder::new()
                .name("libvirt-events".into())
                .spawn(run_loop)
                .map(drop)
                .map_err(|e| format!("the thread for libvirt's events cannot be started: {e}"))
        })
        .clone()
}

fn run_loop() {
    loop {
        if let Err(error) = event_run_default_impl() {
            // poll(2) itself failed. Events are late then, but the reconciler's timer still finds everything.
            tracing::error!(error = error.message(), "libvirt's event loop failed; it continues in a second");
            std::thread::park_timeout(Duration::from_secs(1));
        }
    }
}

/// What a connection's callbacks do: domain events go to the subscribers, the end of the connection into `ended`.
pub fn sink(subscribers: broadcast::Sender<HostEvent>, ended: watch::Sender<Option<String>>) -> EventSink {
    Arc::new(move |event| {
        if let RawEvent::Closed { reason } = event {
            ended.send_replace(Some(close_reason(reason).to_owned()));
        } else if let Some(event) = translate(event) {
            // Nobody listening is fine.
            let _ = subscribers.send(event);
        }
    })
}

fn close_reason(reason: u32) -> &'static str {
    match reason {
        virt_sys::VIR_CONNECT_CLOSE_REASON_EOF => "libvirt closed the connection; perhaps it was restarted",
        virt_sys::VIR_CONNECT_CLOSE_REASON_KEEPALIVE => "libvirt stopped answering",
        virt_sys::VIR_CONNECT_CLOSE_REASON_CLIENT => "the connection was closed",
        _ => "the connection broke",
    }
}

/// The port's event for one of libvirt's; none for what concerns no machine.
fn translate(event: RawEvent) -> Option<HostEvent> {
    let named = |uuid: Uuid| HostRef(uuid.to_string());
    match event {
        RawEvent::Lifecycle { uuid, event, detail } => match event {
            virt_sys::VIR_DOMAIN_EVENT_DEFINED => Some(HostEvent::Defined { machine: named(uuid) }),
            virt_sys::VIR_DOMAIN_EVENT_UNDEFINED => Some(HostEvent::Undefined { machine: named(uuid) }),
            other => state_after(other, detail).map(|state| HostEvent::State { machine: named(uuid), state }),
        },
        RawEvent::Reboot { uuid } => Some(HostEvent::Rebooted { machine: named(uuid) }),
        RawEvent::Agent { uuid, state } => Some(HostEvent::Agent {
            machine: named(uuid),
            connected: state == virt_sys::VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_CONNECTED,
        }),
        RawEvent::Closed { .. } => None,
    }
}

fn state_after(event: u32, detail: u32) -> Option<MachineState> {
    match event {
        virt_sys::VIR_DOMAIN_EVENT_STARTED | virt_sys::VIR_DOMAIN_EVENT_RESUMED => {
            Some(MachineState::Running)
        }
        virt_sys::VIR_DOMAIN_EVENT_SUSPENDED | virt_sys::VIR_DOMAIN_EVENT_PMSUSPENDED => {
            Some(MachineState::Paused)
        }
        virt_sys::VIR_DOMAIN_EVENT_SHUTDOWN => Some(MachineState::ShuttingDown),
        virt_sys::VIR_DOMAIN_EVENT_CRASHED => Some(MachineState::Crashed),
        virt_sys::VIR_DOMAIN_EVENT_STOPPED => Some(match detail {
            // “Failed” means that QEMU ended unexpectedly; libvirt then gives the state “shut off, crashed”.
            virt_sys::VIR_DOMAIN_EVENT_STOPPED_CRASHED | virt_sys::VIR_DOMAIN_EVENT_STOPPED_FAILED => {
                MachineState::Crashed
            }
            _ => MachineState::Off,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_stop_is_off_but_a_crash() {
        let after = |detail| state_after(virt_sys::VIR_DOMAIN_EVENT_STOPPED, detail);
        assert_eq!(after(virt_sys::VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN), Some(MachineState::Off));
        assert_eq!(after(virt_sys::VIR_DOMAIN_EVENT_STOPPED_DESTROYED), Some(MachineState::Off));
        assert_eq!(after(virt_sys::VIR_DOMAIN_EVENT_STOPPED_FAILED), Some(MachineState::Crashed));
    }

    #[test]
    fn an_event_that_a_later_libvirt_invents_is_ignored() {
        let event = RawEvent::Lifecycle { uuid: Uuid::nil(), event: 4711, detail: 0 };
        assert_eq!(translate(event), None);
    }
}
