//! How many calls libvirtd serves per client and how many clients, according to its configuration file.
//!
//! Its admin interface would be authoritative, but is for root alone. The file has the same names and comments out its
//! defaults (libvirt's `src/remote/libvirtd.conf.in`).

use super::connect::{CALLS, is_local, is_session};
use super::finding::{ok, warning};
use model::host::Finding;
use std::fs;
use std::path::Path;

/// The daemon that serves a local system connection: its socket, and its configuration. The first whose socket exists
/// counts.
const DAEMONS: [(&str, &str); 2] = [
    ("/run/libvirt/virtqemud-sock", "/etc/libvirt/virtqemud.conf"),
    ("/run/libvirt/libvirt-sock", "/etc/libvirt/libvirtd.conf"),
];

/// Two connections of the portal's own, one for each console that someone types in, and clients other than the portal.
const FEW_CLIENTS: u64 = 50;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limits {
    /// Calls of one client that are served at a time; at that number it is no longer read.
    client_requests: u64,
    clients: u64,
    /// Seconds between keep-alive messages, and how many may go unanswered. Not above zero: none are sent.
    keepalive: (i64, u64),
}

impl Default for Limits {
    fn default() -> Self {
        Self { client_requests: 5, clients: 5000, keepalive: (5, 5) }
    }
}

/// What the hosts page says about them; nothing where no daemon of this computer's system is in between.
pub fn finding(uri: &str) -> Option<Finding> {
    if !is_local(uri) || is_session(uri) || !uri.starts_with("qemu") {
        return None;
    }
    let (_, path) = DAEMONS.iter().find(|(socket, _)| Path::new(socket).exists())?;
    Some(match fs::read_to_string(path) {
        Ok(text) => judge(parse(&text), path),
        Err(error) => ok(
            "limits",
            format!("How many calls libvirt serves at a time is unknown: {path} cannot be read ({error})."),
        ),
    })
}

/// Lines `name = number`, the last of each name counting; everything else in the file is of no interest here.
fn parse(text: &str) -> Limits {
    let mut limits = Limits::default();
    for line in text.lines() {
        let Some((name, value)) = line.split_once('=') else { continue };
        let value = value.split('#').next().unwrap_or_default().trim();
        let set = |limit: &mut u64| *limit = value.parse().unwrap_or(*limit);
        match name.trim() {
            "max_client_requests" => set(&mut limits.client_requests),
            "max_clients" => set(&mut limits.clients),
            "keepalive_count" => set(&mut limits.keepalive.1),
            "keepalive_interval" => limits.keepalive.0 = value.parse().unwrap_or(limits.keepalive.0),
            _ => {}
        }
    }
    limits
}

fn judge(limits: Limits, path: &str) -> Finding {
    let Limits { client_requests, clients, keepalive: (interval, count) } = limits;
    let keepalive = if interval > 0 {
        format!("it gives up a silent client after {} s", interval.unsigned_abs().saturating_mul(count + 1))
    } else {
        "it never gives up a silent client".to_owned()
    };
    let what = format!(
        "libvirt serves {clients} clients, each with {client_requests} calls at a time; {keepalive}."
    );
    let needed = CALLS as u64;
    if client_requests <= needed {
        let fix = format!("Set max_client_requests = {} in {path}, and restart libvirt.", needed + 1);
        return warning("limits", format!("{what} The portal makes up to {needed} calls at a time."), fix);
    }
    if clients < FEW_CLIENTS {
        let fix = format!("Set max_clients = {FEW_CLIENTS} or more in {path}, and restart libvirt.");
        return warning("limits", format!("{what} Each console that someone types in is a client."), fix);
    }
    ok("limits", what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::host::Level;

    #[test]
    fn what_is_commented_out_is_the_default_and_what_is_set_counts() {
        assert_eq!(parse("#max_client_requests = 9\nunix_sock_group = \"libvirt\"\n"), Limits::default());
        let set = parse(
            "max_client_requests = 2 # few\n  max_clients=20\nkeepalive_interval = -1\nmax_clients = x\n",
        );
        assert_eq!(set, Limits { client_requests: 2, clients: 20, keepalive: (-1, 5) });
    }

    #[test]
    fn a_limit_that_the_portal_would_reach_is_a_warning_with_what_to_set() {
        let judged = |limits| judge(limits, "/etc/libvirt/libvirtd.conf");
        assert_eq!(judged(Limits::default()).level, Level::Ok);
        let few = judged(Limits { client_requests: CALLS as u64, ..Limits::default() });
        assert_eq!(few.level, Level::Warning);
        assert!(few.fix.unwrap().contains("max_client_requests = 5 in /etc/libvirt/libvirtd.conf"));
        let crowded = judged(Limits { clients: 20, ..Limits::default() });
        assert!(crowded.fix.unwrap().contains("max_clients"));
    }
}
