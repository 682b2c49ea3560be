//! libvirt's built-in mock driver: one world per process, without guests, console or agent, good for lists and events.

use crate::support::{PATIENCE, connected, event, hardware, host, machine, place, state};
use model::host::Level;
use model::machine::{MachineId, MachineState};
use ports::hypervisor::{HostEvent, HostRef, Hypervisor, HypervisorError, Power, Volume};
use std::collections::HashSet;
use std::time::Instant;
use uuid::Uuid;
use virt::connect::Connect;

const URI: &str = "test:///default";

/// Defines a domain as the portal would.
fn define(connect: &Connect, name: &str) -> Uuid {
    let uuid = Uuid::new_v4();
    define_with(connect, name, uuid, &format!("<s:machine xmlns:s='urn:snowglobe:machine:1' id='{uuid}'/>"))
}

/// Defines a domain with this metadata.
fn define_with(connect: &Connect, name: &str, uuid: Uuid, metadata: &str) -> Uuid {
    let xml = format!(
        "<domain type='test'><name>{name}</name><uuid>{uuid}</uuid><metadata>{metadata}</metadata>\
         <memory unit='MiB'>8</memory><os><type>hvm</type></os></domain>"
    );
    connect.define_domain_xml(&xml).unwrap();
    uuid
}

#[tokio::test]
async fn power_states_and_events() {
    let state = state();
    let host = connected(URI, &state).await;
    let mut events = host.events();
    let outside = Connect::open(Some(URI)).unwrap();
    let uuid = define(&outside, "power");
    event(&mut events, |e| *e == HostEvent::Defined { machine: place(uuid) }).await;
    let machine = machine("power", uuid);
    assert_eq!(host.state(&machine).await.unwrap(), MachineState::Off);
    for (power, state) in [
        (Power::ForceOff, MachineState::Off),
        (Power::Start, MachineState::Running),
        (Power::Start, MachineState::Running),
        (Power::Suspend, MachineState::Paused),
        (Power::Suspend, MachineState::Paused),
        (Power::Resume, MachineState::Running),
        (Power::Resume, MachineState::Running),
        (Power::ShutDown, MachineState::Off),
        (Power::ShutDown, MachineState::Off),
    ] {
        host.power(&machine, power).await.unwrap();
        assert_eq!(host.state(&machine).await.unwrap(), state, "{power:?}");
    }
    for wanted in [MachineState::Running, MachineState::Paused, MachineState::Running, MachineState::Off] {
        event(
            &mut events,
            |e| matches!(e, HostEvent::State { machine, state } if *machine == place(uuid) && *state == wanted),
        )
        .await;
    }
    host.remove_definition(&machine).await.unwrap();
    event(&mut events, |e| *e == HostEvent::Undefined { machine: place(uuid) }).await;
    assert_eq!(host.state(&machine).await.unwrap(), MachineState::Configured);
}

#[tokio::test]
async fn what_the_host_does_by_itself_is_told_at_once() {
    let state = state();
    let host = connected(URI, &state).await;
    let outside = Connect::open(Some(URI)).unwrap();
    let uuid = define(&outside, "elsewhere");
    let mut events = host.events();
    let domain = outside.lookup_domain_by_uuid(uuid).unwrap();
    let begun = Instant::now();
    domain.create().unwrap();
    event(&mut events, |e| *e == HostEvent::State { machine: place(uuid), state: MachineState::Running })
        .await;
    let took = begun.elapsed();
    eprintln!("an event reached its subscriber after {took:?}");
    assert!(took < PATIENCE / 300, "{took:?}");
    domain.destroy().unwrap();
    domain.undefine().unwrap();
}

#[tokio::test]
async fn thousands_of_machines_are_listed_in_one_call() {
    const MANY: usize = 2000;
    let state = state();
    let host = connected(URI, &state).await;
    let outside = Connect::open(Some(URI)).unwrap();
    let made: Vec<Uuid> = (0..MANY).map(|n| define(&outside, &format!("many-{n}"))).collect();
    let begun = Instant::now();
    let seen = host.inventory().await.unwrap();
    let took = begun.elapsed();
    eprintln!("{} machines listed in {took:?}", seen.len());
    let off: HashSet<&HostRef> =
        seen.iter().filter(|s| s.state == MachineState::Off).map(|s| &s.machine).collect();
    assert!(made.iter().all(|uuid| off.contains(&place(*uuid))));
    assert!(seen.iter().any(|s| s.machine == place(made[7]) && s.name == "many-7"));
    for uuid in made {
        outside.lookup_domain_by_uuid(uuid).unwrap().undefine().unwrap();
    }
}

#[tokio::test]
async fn what_this_driver_cannot_do_is_an_error_in_words() {
    let state = state();
    let host = connected(URI, &state).await;
    let gone = machine("gone", Uuid::new_v4());
    let refused = host.power(&gone, Power::Start).await;
    assert!(
        matches!(&refused, Err(HypervisorError::NoSuchMachine { name }) if name.as_str() == "gone"),
        "{refused:?}"
    );
    host.remove_definition(&gone).await.unwrap();
    let outside = Connect::open(Some(URI)).unwrap();
    let uuid = define(&outside, "mute");
    let mute = machine("mute", uuid);
    host.power(&mute, Power::Start).await.unwrap();
    let console = host.console(&mute).await;
    assert!(
        matches!(&console, Err(HypervisorError::Failed { why, .. }) if why.contains("not supported")),
        "{console:?}"
    );
    assert!(host.agent_run(&mute, &["true"], b"").await.is_err());
    assert!(host.agent_run(&mute, &[], b"").await.is_err());
    host.addresses(&mute).await.unwrap();
    host.remove_definition(&mute).await.unwrap();
}

#[tokio::test]
async fn a_host_that_does_not_answer_says_so_and_is_a_finding() {
    let state = state();
    let gone = host("qemu+unix:///system?socket=/nonexistent/libvirt.sock", &state);
    let answer = gone.inventory().await;
    assert!(
        matches!(&answer, Err(HypervisorError::Unreachable { why }) if why.contains("/nonexistent")),
        "{answer:?}"
    );
    let findings = gone.check().await;
    let connection = findings.iter().find(|f| f.name == "connection").unwrap();
    assert_eq!(connection.level, Level::Error);
    assert!(connection.fix.as_ref().unwrap().contains("virsh -c qemu+unix:///system"), "{connection:?}");
    assert!(
        findings.iter().any(|f| f.name == "tools"),
        "what does not need the host is looked at all the same"
    );
}

#[tokio::test]
async fn a_uri_that_makes_no_sense_is_no_panic() {
    let state = state();
    for uri in ["", "nonsense", "test:///\0", "qemu+ssh://", "://", "xen:///system"] {
        let answer = host(uri, &state).inventory().await;
        // An empty URI means whatever libvirt finds on the computer.
        assert!(
            uri.is_empty() || matches!(answer, Err(HypervisorError::Unreachable { .. })),
            "{uri:?}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn a_domain_without_the_machines_mark_is_refused_before_anything_is_made_and_is_not_removed() {
    let state = state();
    let host = connected(URI, &state).await;
    let outside = Connect::open(Some(URI)).unwrap();
    for (name, metadata) in [
        ("unmarked", ""),
        ("old", "<s:machine xmlns:s='urn:snowglobe:machine:1' name='old'/>"),
        ("other", "<s:machine xmlns:s='urn:snowglobe:machine:1' id='01900000-0000-7000-8000-000000000005'/>"),
    ] {
        let uuid = define_with(&outside, name, Uuid::new_v4(), metadata);
        let ours = machine(name, uuid);
        // Of its name, and of its identifier.
        for (name, uuid) in [(name, Uuid::new_v4()), ("elsewhere", uuid)] {
            let refused = host.reserve(MachineId(uuid), &name.parse().unwrap(), &hardware(uuid)).await;
            assert!(
                matches!(&refused, Err(HypervisorError::Foreign { what }) if what.contains(ours.name.as_str())),
                "{refused:?}"
            );
        }
        assert!(!state.path().join("machines").exists(), "nothing is made");
        let refused = host.remove_definition(&ours).await;
        assert!(matches!(refused, Err(HypervisorError::Foreign { .. })), "{refused:?}");
        assert_eq!(host.state(&ours).await.unwrap(), MachineState::Off);
        outside.lookup_domain_by_uuid(uuid).unwrap().undefine().unwrap();
    }
}

#[tokio::test]
async fn domains_with_a_mark_are_told_with_whose_they_are_and_others_are_not_our_business() {
    let state = state();
    let host = connected(URI, &state).await;
    let outside = Connect::open(Some(URI)).unwrap();
    let marked = define(&outside, "marked-a");
    let old = "<s:machine xmlns:s='urn:snowglobe:machine:1' name='marked-b'/>";
    let old = define_with(&outside, "marked-b", Uuid::new_v4(), old);
    let foreign = define_with(&outside, "marked-c", Uuid::new_v4(), "");
    let found = host.belongings().await.unwrap();
    let of = |name: &str| found.iter().find(|b| b.what.contains(name)).map(|b| b.owner);
    assert_eq!(of("marked-a"), Some(Some(MachineId(marked))));
    assert_eq!(of("marked-b"), Some(None));
    assert_eq!(of("marked-c"), None);
    assert!(found.iter().any(|b| b.fix.contains(&format!("virsh -c {URI} undefine {marked}"))), "{found:?}");
    for uuid in [marked, old, foreign] {
        outside.lookup_domain_by_uuid(uuid).unwrap().undefine().unwrap();
    }
}

#[tokio::test]
async fn a_rename_that_was_broken_off_anywhere_is_gone_on_with_and_taken_back() {
    let state = state();
    let host = connected(URI, &state).await;
    let outside = Connect::open(Some(URI)).unwrap();
    let folder = |name: &str| state.path().join("machines").join(name);
    let uuid = Uuid::new_v4();
    let (web, db) = (machine("broken-web", uuid), machine("broken-db", uuid));
    host.reserve(web.id, &web.name, &hardware(uuid)).await.unwrap();
    let mark = format!("<s:machine xmlns:s='urn:snowglobe:machine:1' id='{}' name='broken-web'/>", web.id);
    let disk = folder("broken-web").join("boot.qcow2");
    std::fs::write(&disk, "x").unwrap();
    let xml = format!(
        "<domain type='test'><name>broken-web</name><uuid>{uuid}</uuid><metadata>{mark}</metadata>\
         <memory unit='MiB'>8</memory><os><type>hvm</type></os><devices><disk type='file' device='disk'>\
         <source file='{}'/><target dev='vda' bus='virtio'/></disk></devices></domain>",
        disk.display()
    );
    outside.define_domain_xml(&xml).unwrap();
    let volumes = [Volume(disk.display().to_string())];
    let definition = || outside.lookup_domain_by_uuid(uuid).unwrap().xml_desc(0).unwrap();
    let before = definition();
    // After the folder, and after the domain's name: what a kill leaves.
    for with_domain in [false, true] {
        for (goes_to, came_from) in [(&db, &web), (&web, &db)] {
            std::fs::rename(folder("broken-web"), folder("broken-db")).unwrap();
            if with_domain {
                outside.lookup_domain_by_uuid(uuid).unwrap().rename("broken-db", 0).unwrap();
            }
            let moved = host.rename(came_from, &goes_to.name, &volumes).await.unwrap();
            let name = goes_to.name.as_str();
            assert_eq!(moved, [Volume(folder(name).join("boot.qcow2").display().to_string())]);
            assert_eq!(std::fs::read_to_string(folder(name).join("boot.qcow2")).unwrap(), "x");
            host.rename(&db, &web.name, &moved).await.unwrap();
            assert_eq!(definition(), before);
        }
    }
    host.remove_definition(&web).await.unwrap();
}

#[tokio::test]
async fn libvirt_is_told_which_machines_start_with_the_host() {
    let state = state();
    let host = connected(URI, &state).await;
    let outside = Connect::open(Some(URI)).unwrap();
    let uuid = define(&outside, "early");
    let machine = machine("early", uuid);
    let set = || outside.lookup_domain_by_uuid(uuid).unwrap().autostart().unwrap();
    for running in [false, true] {
        if running {
            host.power(&machine, Power::Start).await.unwrap();
        }
        for on in [true, true, false, false] {
            host.set_autostart(&machine, on).await.unwrap();
            assert_eq!(set(), on);
        }
    }
    host.remove_definition(&machine).await.unwrap();
}

#[tokio::test]
async fn the_hosts_memory_is_in_bytes() {
    let state = state();
    let host = connected(URI, &state).await;
    // What this driver always says (`testOpenDefault`).
    assert_eq!(host.memory().await.unwrap(), 3 << 30);
}
