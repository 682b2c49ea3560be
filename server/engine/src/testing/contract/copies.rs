//! Disks that are copied for another machine.

use super::{Machine, Subject, gib, identity};
use model::identity::IdentityFile;
use model::machine::MachineState;
use ports::hypervisor::{Definition, DiskRole, MachineRef, Power, Volume};
use std::sync::Arc;

/// Copied, and once more; the copy is complete, its own, and has nothing that its first guest made for itself.
pub async fn disks_are_copied_while_a_machine_is_off_and_while_it_runs(subject: &Subject) {
    let host = &subject.hypervisor;
    let made = Machine::reserved(subject, "source").await.with_disks(subject).await;
    let (machine, data) = (made.name(), made.data());
    host.write_identity(&data, DiskRole::Data, &guests_own()).await.unwrap();
    host.put_definition(&machine, &made.definition()).await.unwrap();
    for runs in [false, true] {
        if runs {
            host.power(&machine, Power::Start).await.unwrap();
        }
        let other = Machine::reserved(subject, "copy").await;
        let copy = copied(subject, &made, &data, &other, DiskRole::Data).await;
        assert_ne!(copy, data);
        assert_eq!(copied(subject, &made, &data, &other, DiskRole::Data).await, copy, "again");
        assert_eq!(host.disks(&other.name()).await.unwrap(), std::slice::from_ref(&copy));
        let (size, whole) = (host.disk_use(&copy).await.unwrap(), host.disk_use(&data).await.unwrap());
        assert_eq!(size.map(|size| size.size), whole.map(|whole| whole.size));
        is_a_copy(subject, &copy, DiskRole::Data).await;
        for _ in 0..2 {
            host.end_copy(&machine, &other.name()).await.unwrap();
        }
        host.grow_disk(&other.name(), &copy, DiskRole::Data, gib(2)).await.unwrap();
        // Of what is copied nothing is gone, and it is as it was.
        let expected = if runs { MachineState::Running } else { MachineState::Off };
        assert_eq!(host.state(&machine).await.unwrap(), expected);
        let boot = other.create_boot(subject, None).await;
        let other = Machine { disks: Some((boot, copy)), ..other };
        host.put_definition(&other.name(), &other.definition()).await.unwrap();
        host.power(&other.name(), Power::Start).await.unwrap();
        host.power(&other.name(), Power::ForceOff).await.unwrap();
        other.remove(subject).await;
    }
    host.power(&machine, Power::ForceOff).await.unwrap();
    let read = host.read_identity(&data, DiskRole::Data, HOST_KEY).await.unwrap();
    assert_eq!(read.as_deref(), Some(b"secret".as_slice()));
    made.remove(subject).await;
}

/// The only disk of a machine, with the image's own file system.
pub async fn a_single_disk_is_copied(subject: &Subject) {
    let host = &subject.hypervisor;
    let made = Machine::reserved(subject, "whole").await;
    let boot = made.create_boot(subject, Some(gib(40))).await;
    host.write_identity(&boot, DiskRole::Boot, &identity("one")).await.unwrap();
    host.write_identity(&boot, DiskRole::Boot, &guests_own()).await.unwrap();
    let definition = |of: &Machine, boot: &Volume| {
        let disks = Some((boot.clone(), boot.clone()));
        Definition { data: None, ..Machine { disks, ..of.clone() }.definition() }
    };
    host.put_definition(&made.name(), &definition(&made, &boot)).await.unwrap();
    for runs in [false, true] {
        if runs {
            host.power(&made.name(), Power::Start).await.unwrap();
        }
        let other = Machine::reserved(subject, "copy").await;
        let copy = copied(subject, &made, &boot, &other, DiskRole::Boot).await;
        assert_eq!(host.disk_use(&copy).await.unwrap().unwrap().size, gib(40).bytes());
        is_a_copy(subject, &copy, DiskRole::Boot).await;
        host.put_definition(&other.name(), &definition(&other, &copy)).await.unwrap();
        host.power(&other.name(), Power::Start).await.unwrap();
        host.power(&other.name(), Power::ForceOff).await.unwrap();
        other.remove(subject).await;
    }
    host.power(&made.name(), Power::ForceOff).await.unwrap();
    let read = host.read_identity(&boot, DiskRole::Boot, "hostname").await.unwrap();
    assert_eq!(read.as_deref(), Some(b"one".as_slice()));
    made.remove(subject).await;
}

/// What is on a disk is in its copy, and goes from there alone.
async fn is_a_copy(subject: &Subject, copy: &Volume, role: DiskRole) {
    let host = &subject.hypervisor;
    let read = async |name: &str| host.read_identity(copy, role, name).await.unwrap();
    assert_eq!(read("hostname").await.as_deref(), Some(b"one".as_slice()));
    assert_eq!(read(HOST_KEY).await.as_deref(), Some(b"secret".as_slice()));
    for _ in 0..2 {
        host.forget_guest(copy, role).await.unwrap();
    }
    host.write_identity(copy, role, &identity("two")).await.unwrap();
    assert_eq!(read("hostname").await.as_deref(), Some(b"two".as_slice()));
    assert_eq!((read(HOST_KEY).await, read("ssh_host_ed25519_key.pub").await), (None, None));
    assert_eq!(read("letter").await.as_deref(), Some(b"Dear Ada".as_slice()));
}

/// Another machine's disk, a place that there is not, a disk that there is not.
pub async fn nothing_is_copied_from_or_to_where_it_does_not_belong(subject: &Subject) {
    let host = &subject.hypervisor;
    let made = Machine::reserved(subject, "ours").await.with_disks(subject).await;
    let other = Machine::reserved(subject, "others").await.with_disks(subject).await;
    let to = Machine::reserved(subject, "copy").await;
    let copy = async |from: &Machine, disk: &Volume, to: &MachineRef| {
        host.copy_disk(&from.name(), disk, to, DiskRole::Data, Arc::new(|_| {})).await
    };
    assert!(copy(&made, &other.data(), &to.name()).await.is_err(), "another machine's disk");
    assert_eq!(host.disks(&to.name()).await.unwrap(), []);
    let not_ours = MachineRef { id: made.id, ..to.name() };
    assert!(copy(&made, &made.data(), &not_ours).await.is_err(), "another machine's place");
    to.remove(subject).await;
    assert!(copy(&made, &made.data(), &to.name()).await.is_err(), "no place");
    host.end_copy(&made.name(), &to.name()).await.unwrap();
    host.remove_disks(&made.name(), &[]).await.unwrap();
    let to = Machine::reserved(subject, "copy").await;
    assert!(copy(&made, &made.data(), &to.name()).await.is_err(), "no disk");
    to.remove(subject).await;
    for machine in [&made, &other] {
        machine.remove(subject).await;
    }
}

async fn copied(subject: &Subject, from: &Machine, disk: &Volume, to: &Machine, role: DiskRole) -> Volume {
    let (from, to) = (from.name(), to.name());
    subject.hypervisor.copy_disk(&from, disk, &to, role, Arc::new(|_| {})).await.unwrap()
}

const HOST_KEY: &str = "ssh_host_ed25519_key";

/// What a guest has made for itself, and something else.
fn guests_own() -> Vec<IdentityFile> {
    let file = |name, content: &str| IdentityFile { name, mode: 0o600, content: Some(content.to_owned()) };
    vec![file(HOST_KEY, "secret"), file("ssh_host_ed25519_key.pub", "public"), file("letter", "Dear Ada")]
}
