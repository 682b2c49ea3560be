//! What every hypervisor must do, written once and run against each: the engine's in-memory one, libvirt, Proxmox.
//!
//! [`holds`] makes its own machines, with names beginning in `contract-`, and removes them. It panics with what it saw when
//! a promise of the port (`ports/hypervisor.rs`) is broken. It waits on events, never on time; [`Subject::patience`] is
//! only how long it believes in a broken one.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "this is a test that several packages share"
)]

mod copies;
mod generations;

use copies::{
    a_single_disk_is_copied, disks_are_copied_while_a_machine_is_off_and_while_it_runs,
    nothing_is_copied_from_or_to_where_it_does_not_belong,
};
use generations::{all_disks_go_but_those_that_are_kept, disks_of_several_generations_are_apart};
use model::identity::IdentityFile;
use model::machine::{HardwareIds, MachineId, MachineName, MachineState, Network};
use model::size::DiskGib;
use ports::hypervisor::{
    BootDisk, Definition, DiskRole, HostEvent, HostRef, Hypervisor, HypervisorError, MachineRef, Power,
    Volume,
};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;
use uuid::Uuid;

/// What is under test.
pub struct Subject {
    /// The hypervisor, connected.
    pub hypervisor: Arc<dyn Hypervisor>,
    /// An image that machines can be made from.
    pub image: PathBuf,
    /// How long an event may take.
    pub patience: Duration,
}

/// Runs every part of the contract.
///
/// # Panics
/// When a part is broken.
pub async fn holds(subject: &Subject) {
    what_is_not_there_is_an_answer(subject).await;
    a_place_is_reserved_once_and_given_up_again(subject).await;
    nothing_is_made_without_a_place(subject).await;
    what_carries_anothers_mark_is_neither_used_nor_removed(subject).await;
    what_lies_there_is_told_with_its_mark(subject).await;
    disks_are_made_once_and_go_when_told(subject).await;
    identity_files_are_written_read_and_removed(subject).await;
    a_single_disk_grows_and_takes_its_identity(subject).await;
    disks_grow_and_never_shrink(subject).await;
    disks_of_several_generations_are_apart(subject).await;
    all_disks_go_but_those_that_are_kept(subject).await;
    disks_are_copied_while_a_machine_is_off_and_while_it_runs(subject).await;
    a_single_disk_is_copied(subject).await;
    nothing_is_copied_from_or_to_where_it_does_not_belong(subject).await;
    definitions_can_be_put_again_and_removed_again(subject).await;
    somebody_elses_machine_is_left_alone(subject).await;
    a_machine_gets_another_name_and_its_own_again(subject).await;
    nothing_is_renamed_over_what_is_there_or_while_it_runs(subject).await;
    power_goes_through_its_states_and_tells(subject).await;
    the_console_lives_as_long_as_the_machine_runs(subject).await;
}

/// Every query and removal of a machine that nobody made.
pub async fn what_is_not_there_is_an_answer(subject: &Subject) {
    let host = &subject.hypervisor;
    let made = Machine::reserved(subject, "none").await;
    made.remove(subject).await;
    let machine = made.name();
    assert_eq!(host.state(&machine).await.unwrap(), MachineState::Configured);
    for power in
        [Power::Start, Power::ShutDown, Power::Reboot, Power::ForceOff, Power::Suspend, Power::Resume]
    {
        let answer = host.power(&machine, power).await;
        assert!(matches!(answer, Err(HypervisorError::NoSuchMachine { .. })), "{power:?}: {answer:?}");
    }
    let autostart = host.set_autostart(&machine, true).await;
    assert!(matches!(autostart, Err(HypervisorError::NoSuchMachine { .. })), "{autostart:?}");
    let console = host.console(&machine).await;
    assert!(matches!(console, Err(HypervisorError::NoSuchMachine { .. })), "{console:?}");
    assert!(host.agent_ping(&machine).await.is_err());
    assert_eq!(host.disks(&machine).await.unwrap(), []);
    host.remove_definition(&machine).await.unwrap();
    host.remove_disks(&machine, &[]).await.unwrap();
    host.release(machine.id, &machine.name).await.unwrap();
    assert!(!host.check().await.is_empty(), "a host that can be asked has findings");
    let memory = host.memory().await.unwrap();
    assert!(memory > 64 << 20, "bytes, not pages or KiB: {memory}");
}

/// A place: the same again for the same machine, refused to any other, given up by its own machine only.
pub async fn a_place_is_reserved_once_and_given_up_again(subject: &Subject) {
    let host = &subject.hypervisor;
    let made = Machine::reserved(subject, "place").await;
    let reserve = async |id| host.reserve(id, &made.name, &made.hardware()).await;
    assert_eq!(reserve(made.id).await.unwrap(), made.host_ref);
    let other = MachineId(Uuid::now_v7());
    let refused = reserve(other).await;
    assert!(matches!(refused, Err(HypervisorError::Foreign { .. })), "{refused:?}");
    host.release(other, &made.name).await.unwrap();
    assert_eq!(reserve(made.id).await.unwrap(), made.host_ref, "another machine does not give it up");
    host.release(made.id, &made.name).await.unwrap();
    host.release(made.id, &made.name).await.unwrap();
    reserve(other).await.unwrap();
    host.release(other, &made.name).await.unwrap();
}

/// A place comes first, and goes last.
pub async fn nothing_is_made_without_a_place(subject: &Subject) {
    let host = &subject.hypervisor;
    let made = Machine::reserved(subject, "homeless").await.with_disks(subject).await;
    let machine = made.name();
    assert!(host.release(machine.id, &machine.name).await.is_err(), "there are disks in it");
    host.remove_disks(&machine, &[]).await.unwrap();
    host.release(machine.id, &machine.name).await.unwrap();
    let from = BootDisk { image: subject.image.clone(), grow_to: None };
    assert!(host.create_boot_disk(&machine, 1, &from).await.is_err());
    assert!(host.create_data_disk(&machine, 1, gib(1), &identity("one")).await.is_err());
    assert!(host.put_definition(&machine, &made.definition()).await.is_err());
    assert_eq!(host.disks(&machine).await.unwrap(), []);
    assert_eq!(host.state(&machine).await.unwrap(), MachineState::Configured);
}

/// Another machine of the same name and in the same place, as after a database was restored.
pub async fn what_carries_anothers_mark_is_neither_used_nor_removed(subject: &Subject) {
    let host = &subject.hypervisor;
    let theirs = Machine::reserved(subject, "marked").await.with_disks(subject).await;
    host.put_definition(&theirs.name(), &theirs.definition()).await.unwrap();
    let ours = MachineRef { id: MachineId(Uuid::now_v7()), ..theirs.name() };
    let from = BootDisk { image: subject.image.clone(), grow_to: None };
    let foreign = |answer: Result<(), HypervisorError>| {
        assert!(matches!(answer, Err(HypervisorError::Foreign { .. })), "{answer:?}");
    };
    foreign(host.create_boot_disk(&ours, 1, &from).await.map(drop));
    foreign(host.create_data_disk(&ours, 1, gib(1), &identity("two")).await.map(drop));
    foreign(host.put_definition(&ours, &theirs.definition()).await);
    foreign(host.set_autostart(&ours, true).await);
    foreign(host.remove_definition(&ours).await);
    foreign(host.remove_disks(&ours, &[]).await);
    foreign(host.remove_disk(&ours, DiskRole::Boot, 1).await);
    let volumes = [theirs.boot(), theirs.data()];
    let adopted = host.adopt(ours.id, &ours.name, &theirs.hardware(), &volumes).await.unwrap();
    assert_eq!(adopted, None);
    let written = host.read_identity(&theirs.data(), DiskRole::Data, "hostname").await.unwrap();
    assert_eq!(written.as_deref(), Some(b"one".as_slice()));
    assert_eq!(host.state(&theirs.name()).await.unwrap(), MachineState::Off);
    theirs.remove(subject).await;
}

/// Places and domains are reported with their mark while they exist.
pub async fn what_lies_there_is_told_with_its_mark(subject: &Subject) {
    let host = &subject.hypervisor;
    let made = Machine::reserved(subject, "told").await;
    let mut place = host.belongings().await.unwrap();
    place.retain(|b| b.owner == Some(made.id));
    assert!(place.len() == 1 && place[0].what.contains(made.name.as_str()), "{place:?}");
    let made = made.with_disks(subject).await;
    host.put_definition(&made.name(), &made.definition()).await.unwrap();
    let all = host.belongings().await.unwrap();
    assert_eq!(
        all.iter().filter(|b| b.owner == Some(made.id)).count(),
        2,
        "its place and its domain: {all:?}"
    );
    made.remove(subject).await;
    let all = host.belongings().await.unwrap();
    assert!(all.iter().all(|b| b.owner != Some(made.id)), "{all:?}");
}

/// Disks: made, made again, listed, measured, removed, removed again.
pub async fn disks_are_made_once_and_go_when_told(subject: &Subject) {
    let host = &subject.hypervisor;
    let made = Machine::reserved(subject, "disks").await.with_disks(subject).await;
    let (machine, boot, data) = (made.name(), made.boot(), made.data());
    assert_eq!(made.create_boot(subject, None).await, boot);
    assert_eq!(made.create_data(subject, &identity("one")).await, data);
    let listed = host.disks(&machine).await.unwrap();
    assert!(listed.contains(&boot) && listed.contains(&data), "{listed:?}");
    let sizes = host.disk_use(&data).await.unwrap().unwrap();
    assert_eq!(sizes.size, gib(1).bytes());
    assert!(sizes.used < sizes.size, "a new data disk is thin: {sizes:?}");
    let boot_use = host.disk_use(&boot).await.unwrap().unwrap();
    assert!(boot_use.size > 0);
    let is_linked = boot_use.used < boot_use.size / 2;
    assert_eq!(is_linked, host.capabilities().linked_clones, "{boot_use:?}");
    host.remove_disks(&machine, &[]).await.unwrap();
    host.remove_disks(&machine, &[]).await.unwrap();
    assert_eq!(host.disks(&machine).await.unwrap(), []);
    assert_eq!(host.disk_use(&data).await.unwrap(), None);
    made.remove(subject).await;
}

/// Identity files: the initial ones, changes, removals, and the same again.
pub async fn identity_files_are_written_read_and_removed(subject: &Subject) {
    let host = &subject.hypervisor;
    let made = Machine::reserved(subject, "identity").await.with_disks(subject).await;
    let data = made.data();
    let read = async |name: &str| host.read_identity(&data, DiskRole::Data, name).await.unwrap();
    assert_eq!(read("hostname").await.as_deref(), Some(b"one".as_slice()));
    assert_eq!(read("hosts").await.as_deref(), Some(HOSTS.as_bytes()));
    let mut changed = identity("two");
    changed.last_mut().unwrap().content = None;
    for _ in 0..2 {
        host.write_identity(&data, DiskRole::Data, &changed).await.unwrap();
        assert_eq!(read("hostname").await.as_deref(), Some(b"two".as_slice()));
        assert_eq!(read("hosts").await, None);
    }
    // Only what is named changes.
    host.write_identity(&data, DiskRole::Data, &identity("three")[1..]).await.unwrap();
    assert_eq!(read("hostname").await.as_deref(), Some(b"two".as_slice()));
    assert_eq!(read("hosts").await.as_deref(), Some(HOSTS.as_bytes()));
    assert_eq!(read("ssh_host_ed25519_key").await, None);
    made.remove(subject).await;
}

/// The only disk of a machine without a data disk: grown, with its identity in the image's own file system.
pub async fn a_single_disk_grows_and_takes_its_identity(subject: &Subject) {
    let made = Machine::reserved(subject, "single").await;
    let boot = made.create_boot(subject, Some(gib(40))).await;
    let host = &subject.hypervisor;
    assert_eq!(host.disk_use(&boot).await.unwrap().unwrap().size, gib(40).bytes());
    host.write_identity(&boot, DiskRole::Boot, &identity("alone")).await.unwrap();
    let read = host.read_identity(&boot, DiskRole::Boot, "hostname").await.unwrap();
    assert_eq!(read.as_deref(), Some(b"alone".as_slice()));
    made.remove(subject).await;
}

/// Growing: off and running, to the same size again, never smaller, and what is on the disk stays.
pub async fn disks_grow_and_never_shrink(subject: &Subject) {
    let host = &subject.hypervisor;
    let made = Machine::reserved(subject, "grow").await.with_disks(subject).await;
    let (machine, data) = (made.name(), made.data());
    let grow = async |size| host.grow_disk(&machine, &data, DiskRole::Data, gib(size)).await;
    let size = async || host.disk_use(&data).await.unwrap().unwrap().size;
    for _ in 0..2 {
        grow(2).await.unwrap();
        assert_eq!(size().await, gib(2).bytes());
    }
    assert!(grow(1).await.is_err());
    let read = host.read_identity(&data, DiskRole::Data, "hostname").await.unwrap();
    assert_eq!(read.as_deref(), Some(b"one".as_slice()));
    host.put_definition(&machine, &made.definition()).await.unwrap();
    host.power(&machine, Power::Start).await.unwrap();
    for _ in 0..2 {
        grow(3).await.unwrap();
        assert_eq!(size().await, gib(3).bytes(), "while it runs");
    }
    assert!(grow(2).await.is_err());
    assert_eq!(size().await, gib(3).bytes());
    host.power(&machine, Power::ForceOff).await.unwrap();
    made.remove(subject).await;
}

/// Definitions: put, put again, changed, removed, removed again, with their events and their place in the inventory.
pub async fn definitions_can_be_put_again_and_removed_again(subject: &Subject) {
    let host = &subject.hypervisor;
    let made = Machine::reserved(subject, "define").await.with_disks(subject).await;
    let mut events = host.events();
    let mut definition = made.definition();
    host.put_definition(&made.name(), &definition).await.unwrap();
    wait(subject, &mut events, |e| *e == HostEvent::Defined { machine: made.host_ref.clone() }).await;
    host.put_definition(&made.name(), &definition).await.unwrap();
    for on in [true, true, false, false, true] {
        host.set_autostart(&made.name(), on).await.unwrap();
    }
    definition.memory = 384.try_into().unwrap();
    host.put_definition(&made.name(), &definition).await.unwrap();
    assert_eq!(host.state(&made.name()).await.unwrap(), MachineState::Off);
    let mut seen = host.inventory().await.unwrap();
    seen.retain(|s| s.machine == made.host_ref);
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!((seen[0].name.as_str(), seen[0].state), (made.name.as_str(), MachineState::Off));
    host.remove_definition(&made.name()).await.unwrap();
    wait(subject, &mut events, |e| *e == HostEvent::Undefined { machine: made.host_ref.clone() }).await;
    host.remove_definition(&made.name()).await.unwrap();
    assert_eq!(host.state(&made.name()).await.unwrap(), MachineState::Configured);
    assert!(!host.disks(&made.name()).await.unwrap().is_empty(), "a definition goes without its disks");
    made.remove(subject).await;
}

/// A machine of the wanted name that someone else made.
pub async fn somebody_elses_machine_is_left_alone(subject: &Subject) {
    let host = &subject.hypervisor;
    let theirs = Machine::reserved(subject, "foreign").await.with_disks(subject).await;
    host.put_definition(&theirs.name(), &theirs.definition()).await.unwrap();
    let ours = Machine { id: MachineId(Uuid::now_v7()), uuid: Uuid::new_v4(), ..theirs.clone() };
    let answer = host.reserve(ours.id, &ours.name, &ours.hardware()).await;
    assert!(matches!(answer, Err(HypervisorError::Foreign { .. })), "{answer:?}");
    assert_eq!(host.state(&theirs.name()).await.unwrap(), MachineState::Off);
    theirs.remove(subject).await;
}

/// Renamed, renamed once more as after a crash, and back: everything follows, and nothing else changes.
pub async fn a_machine_gets_another_name_and_its_own_again(subject: &Subject) {
    let host = &subject.hypervisor;
    let made = Machine::reserved(subject, "renamed").await.with_disks(subject).await;
    host.put_definition(&made.name(), &made.definition()).await.unwrap();
    let before = [made.boot(), made.data()];
    let other = Machine { name: format!("{}-b", made.name).parse().unwrap(), ..made.clone() };
    let moved = host.rename(&made.name(), &other.name, &before).await.unwrap();
    // The same again, with the disks as they were called and as they are called.
    assert_eq!(host.rename(&made.name(), &other.name, &before).await.unwrap(), moved);
    assert_eq!(host.rename(&made.name(), &other.name, &moved).await.unwrap(), moved);
    let other = Machine { disks: Some((moved[0].clone(), moved[1].clone())), ..other };
    is_whole(subject, &other, "one").await;
    host.write_identity(&other.data(), DiskRole::Data, &identity("two")).await.unwrap();
    host.put_definition(&other.name(), &other.definition()).await.unwrap();
    host.power(&other.name(), Power::Start).await.unwrap();
    host.power(&other.name(), Power::ForceOff).await.unwrap();
    for disks in [&moved, &before.to_vec()] {
        assert_eq!(host.rename(&other.name(), &made.name, disks).await.unwrap(), before);
    }
    is_whole(subject, &made, "two").await;
    host.power(&made.name(), Power::Start).await.unwrap();
    made.remove(subject).await;
    // A place in which nothing has been made yet.
    let bare = Machine::reserved(subject, "bare").await;
    let other = Machine { name: format!("{}-b", bare.name).parse().unwrap(), ..bare.clone() };
    assert_eq!(host.rename(&bare.name(), &other.name, &[]).await.unwrap(), []);
    other.remove(subject).await;
    assert!(host.rename(&other.name(), &bare.name, &[]).await.is_err(), "there is no place to rename");
}

/// The one domain of a machine has its name, and its place and disks are its own.
async fn is_whole(subject: &Subject, made: &Machine, hostname: &str) {
    let host = &subject.hypervisor;
    let seen = host.inventory().await.unwrap();
    let seen: Vec<_> = seen.iter().filter(|seen| seen.machine == made.host_ref).collect();
    assert!(
        seen.len() == 1 && seen[0].name == made.name.as_str() && seen[0].state == MachineState::Off,
        "{seen:?}"
    );
    let mut belongings = host.belongings().await.unwrap();
    belongings.retain(|found| found.owner == Some(made.id));
    assert!(
        belongings.len() == 2 && belongings.iter().all(|found| found.what.contains(made.name.as_str())),
        "{belongings:?}"
    );
    let disks = host.disks(&made.name()).await.unwrap();
    assert!(disks.len() == 2 && disks.contains(&made.boot()) && disks.contains(&made.data()), "{disks:?}");
    let read = host.read_identity(&made.data(), DiskRole::Data, "hostname").await.unwrap();
    assert_eq!(read.as_deref(), Some(hostname.as_bytes()));
}

/// The wanted name is another's, or the machine runs: both stay as they were.
pub async fn nothing_is_renamed_over_what_is_there_or_while_it_runs(subject: &Subject) {
    let host = &subject.hypervisor;
    let theirs = Machine::reserved(subject, "theirs").await.with_disks(subject).await;
    host.put_definition(&theirs.name(), &theirs.definition()).await.unwrap();
    let placed = Machine::reserved(subject, "placed").await;
    let made = Machine::reserved(subject, "stays").await.with_disks(subject).await;
    host.put_definition(&made.name(), &made.definition()).await.unwrap();
    let disks = [made.boot(), made.data()];
    for taken in [&theirs.name, &placed.name] {
        let answer = host.rename(&made.name(), taken, &disks).await;
        assert!(matches!(answer, Err(HypervisorError::Foreign { .. })), "{answer:?}");
    }
    let not_ours = MachineRef { id: made.id, ..theirs.name() };
    let free = format!("{}-b", made.name).parse().unwrap();
    assert!(host.rename(&not_ours, &free, &[]).await.is_err(), "another's place");
    host.power(&made.name(), Power::Start).await.unwrap();
    assert!(host.rename(&made.name(), &free, &disks).await.is_err(), "it runs");
    host.power(&made.name(), Power::ForceOff).await.unwrap();
    is_whole(subject, &made, "one").await;
    is_whole(subject, &theirs, "one").await;
    for machine in [&made, &placed, &theirs] {
        machine.remove(subject).await;
    }
}

/// Every verb, twice, with the state and the event that follow.
pub async fn power_goes_through_its_states_and_tells(subject: &Subject) {
    let host = &subject.hypervisor;
    let made = Machine::reserved(subject, "power").await.with_disks(subject).await;
    host.put_definition(&made.name(), &made.definition()).await.unwrap();
    let machine = made.name();
    let mut events = host.events();
    host.power(&machine, Power::ShutDown).await.unwrap();
    for (power, state) in [
        (Power::Start, MachineState::Running),
        (Power::Suspend, MachineState::Paused),
        (Power::Resume, MachineState::Running),
        (Power::ForceOff, MachineState::Off),
        (Power::Start, MachineState::Running),
    ] {
        host.power(&machine, power).await.unwrap();
        let expected = HostEvent::State { machine: made.host_ref.clone(), state };
        wait(subject, &mut events, |e| *e == expected).await;
        assert_eq!(host.state(&machine).await.unwrap(), state, "after {power:?}");
        host.power(&machine, power).await.unwrap();
        assert_eq!(host.state(&machine).await.unwrap(), state, "after {power:?} again");
    }
    let counted = host.counters().await.unwrap();
    assert!(counted.iter().any(|(machine, _)| *machine == made.host_ref), "a running machine has counters");
    // Removing the definition of a running machine ends it: nothing may run that nobody knows of.
    host.remove_definition(&machine).await.unwrap();
    assert_eq!(host.state(&machine).await.unwrap(), MachineState::Configured);
    assert!(host.inventory().await.unwrap().iter().all(|seen| seen.machine != made.host_ref));
    made.remove(subject).await;
}

/// The console: refused while off, open while running, closed by the machine's end, and open again after.
pub async fn the_console_lives_as_long_as_the_machine_runs(subject: &Subject) {
    let host = &subject.hypervisor;
    let made = Machine::reserved(subject, "console").await.with_disks(subject).await;
    host.put_definition(&made.name(), &made.definition()).await.unwrap();
    let machine = made.name();
    assert!(host.console(&machine).await.is_err(), "a machine that is off has no console");
    for _ in 0..2 {
        host.power(&machine, Power::Start).await.unwrap();
        let mut console = host.console(&machine).await.unwrap();
        console.input.set_driven(true);
        console.input.push(b"\r").unwrap();
        host.power(&machine, Power::ForceOff).await.unwrap();
        let end = async { while console.output.recv().await.is_some() {} };
        timeout(subject.patience, end).await.unwrap_or_else(|_| panic!("the console outlived the machine"));
    }
    made.remove(subject).await;
}

/// Waits for an event, reporting what came instead if it does not come.
async fn wait(subject: &Subject, events: &mut Receiver<HostEvent>, wanted: impl Fn(&HostEvent) -> bool) {
    let mut seen = Vec::new();
    let found = timeout(subject.patience, async {
        loop {
            match events.recv().await {
                Ok(event) if wanted(&event) => return,
                Ok(event) => seen.push(event),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => panic!("the host's events ended"),
            }
        }
    });
    let result = found.await;
    assert!(result.is_ok(), "an event did not come; instead: {seen:?}");
}

const HOSTS: &str = "10.0.0.7 nas \"quoted\" $(touch /x)\n";

fn identity(hostname: &str) -> Vec<IdentityFile> {
    vec![
        IdentityFile { name: "hostname", mode: 0o644, content: Some(hostname.to_owned()) },
        IdentityFile { name: "hosts", mode: 0o600, content: Some(HOSTS.to_owned()) },
    ]
}

fn gib(size: u64) -> DiskGib {
    size.try_into().unwrap()
}

/// A machine of the contract's own.
#[derive(Clone)]
struct Machine {
    id: MachineId,
    name: MachineName,
    uuid: Uuid,
    host_ref: HostRef,
    disks: Option<(Volume, Volume)>,
}

impl Machine {
    /// One that has a place. Its name is new each time, so that what a broken run left behind does not break the next.
    async fn reserved(subject: &Subject, kind: &str) -> Self {
        let uuid = Uuid::new_v4();
        let name = format!("contract-{kind}-{:08x}", uuid.as_fields().0).parse().unwrap();
        let id = MachineId(Uuid::now_v7());
        let mut made = Self { id, name, uuid, host_ref: HostRef(String::new()), disks: None };
        made.host_ref = subject.hypervisor.reserve(id, &made.name, &made.hardware()).await.unwrap();
        made
    }

    async fn with_disks(mut self, subject: &Subject) -> Self {
        let boot = self.create_boot(subject, None).await;
        let data = self.create_data(subject, &identity("one")).await;
        self.disks = Some((boot, data));
        self
    }

    async fn create_boot(&self, subject: &Subject, grow_to: Option<DiskGib>) -> Volume {
        let from = BootDisk { image: subject.image.clone(), grow_to };
        subject.hypervisor.create_boot_disk(&self.name(), 1, &from).await.unwrap()
    }

    async fn create_data(&self, subject: &Subject, files: &[IdentityFile]) -> Volume {
        subject.hypervisor.create_data_disk(&self.name(), 1, gib(1), files).await.unwrap()
    }

    fn name(&self) -> MachineRef {
        MachineRef { id: self.id, name: self.name.clone(), host_ref: self.host_ref.clone() }
    }

    fn boot(&self) -> Volume {
        self.disks.as_ref().map(|(boot, _)| boot.clone()).unwrap()
    }

    fn data(&self) -> Volume {
        self.disks.as_ref().map(|(_, data)| data.clone()).unwrap()
    }

    fn hardware(&self) -> HardwareIds {
        let [.., a, b, c] = *self.uuid.as_bytes();
        HardwareIds {
            uuid: self.uuid,
            mac: format!("52:54:00:{a:02x}:{b:02x}:{c:02x}").parse().unwrap(),
            machine_id: self.uuid.simple().to_string().parse().unwrap(),
        }
    }

    fn definition(&self) -> Definition {
        Definition {
            hardware: self.hardware(),
            memory: 256.try_into().unwrap(),
            vcpus: 1.try_into().unwrap(),
            network: Network::Nat,
            boot: self.boot(),
            data: Some(self.data()),
        }
    }

    async fn remove(&self, subject: &Subject) {
        subject.hypervisor.remove_definition(&self.name()).await.unwrap();
        subject.hypervisor.remove_disks(&self.name(), &[]).await.unwrap();
        subject.hypervisor.release(self.id, &self.name).await.unwrap();
    }
}
