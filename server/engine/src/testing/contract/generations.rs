//! Disks of one machine beside others.

use super::{Machine, Subject, gib, identity};
use model::machine::MachineState;
use ports::hypervisor::{BootDisk, Definition, DiskRole, Power, Volume};
use std::collections::HashSet;

/// Disks beside others: made while the machine runs from the first, booted after them, and each removed alone.
pub async fn disks_of_several_generations_are_apart(subject: &Subject) {
    let host = &subject.hypervisor;
    let made = Machine::reserved(subject, "generation").await.with_disks(subject).await;
    let machine = made.name();
    host.put_definition(&machine, &made.definition()).await.unwrap();
    host.power(&machine, Power::Start).await.unwrap();
    let from = BootDisk { image: subject.image.clone(), grow_to: None };
    let second = host.create_boot_disk(&machine, 2, &from).await.unwrap();
    assert_eq!(host.create_boot_disk(&machine, 2, &from).await.unwrap(), second, "again");
    assert_ne!(second, made.boot());
    let all = async || host.disks(&machine).await.unwrap();
    let expected: HashSet<Volume> = [made.boot(), made.data(), second.clone()].into();
    assert_eq!(all().await.into_iter().collect::<HashSet<_>>(), expected);
    host.power(&machine, Power::ForceOff).await.unwrap();
    let definition = Definition { boot: second.clone(), ..made.definition() };
    host.put_definition(&machine, &definition).await.unwrap();
    host.power(&machine, Power::Start).await.unwrap();
    assert!(host.remove_disk(&machine, DiskRole::Boot, 2).await.is_err(), "it runs from this one");
    for _ in 0..2 {
        host.remove_disk(&machine, DiskRole::Boot, 1).await.unwrap();
    }
    assert_eq!(host.disk_use(&made.boot()).await.unwrap(), None);
    assert!(host.disk_use(&second).await.unwrap().is_some());
    assert_eq!(host.state(&machine).await.unwrap(), MachineState::Running);
    host.power(&machine, Power::ForceOff).await.unwrap();
    made.remove(subject).await;
}

/// New disks beside the old ones: the machine boots them, and the old ones go together.
pub async fn all_disks_go_but_those_that_are_kept(subject: &Subject) {
    let host = &subject.hypervisor;
    let made = Machine::reserved(subject, "fresh").await.with_disks(subject).await;
    let machine = made.name();
    host.put_definition(&machine, &made.definition()).await.unwrap();
    host.power(&machine, Power::Start).await.unwrap();
    let from = BootDisk { image: subject.image.clone(), grow_to: None };
    let boot = host.create_boot_disk(&machine, 2, &from).await.unwrap();
    let create = async |name| host.create_data_disk(&machine, 2, gib(2), &identity(name)).await.unwrap();
    let data = create("two").await;
    assert_eq!(create("two").await, data, "again");
    let hostname = async |volume: &Volume| host.read_identity(volume, DiskRole::Data, "hostname").await;
    assert_eq!(hostname(&data).await.unwrap().as_deref(), Some(b"two".as_slice()));
    for _ in 0..2 {
        host.remove_disk(&machine, DiskRole::Data, 2).await.unwrap();
    }
    assert_eq!(host.disk_use(&data).await.unwrap(), None);
    assert!(host.disk_use(&made.data()).await.unwrap().is_some(), "the other generation's");
    assert_eq!(create("two").await, data);
    let kept = [boot, data];
    assert!(host.remove_disks(&machine, &kept).await.is_err(), "it runs from the others");
    assert!(host.remove_disk(&machine, DiskRole::Data, 1).await.is_err(), "and from this one");
    host.power(&machine, Power::ForceOff).await.unwrap();
    assert_eq!(hostname(&made.data()).await.unwrap().as_deref(), Some(b"one".as_slice()), "nothing is gone");
    let [boot, data] = kept.clone();
    let definition = Definition { boot, data: Some(data), ..made.definition() };
    host.put_definition(&machine, &definition).await.unwrap();
    host.power(&machine, Power::Start).await.unwrap();
    for _ in 0..2 {
        host.remove_disks(&machine, &kept).await.unwrap();
    }
    let left: HashSet<Volume> = host.disks(&machine).await.unwrap().into_iter().collect();
    assert_eq!(left, HashSet::from(kept));
    host.power(&machine, Power::ForceOff).await.unwrap();
    // With its UEFI variables.
    host.power(&machine, Power::Start).await.unwrap();
    host.power(&machine, Power::ForceOff).await.unwrap();
    made.remove(subject).await;
}
