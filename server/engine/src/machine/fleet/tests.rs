//! Newer beats older, noise is no news, and ten thousand machines are listed in a moment.

use super::*;
use crate::db::machines::Disks;
use crate::machine::fresh;
use model::Time;
use model::identity::Identity;
use model::machine::Network;
use model::notes::Notes;
use model::spec::Spec;
use model::view::machine::Due;
use ports::hypervisor::{HostRef, Volume};
use std::time::Instant;
use uuid::Uuid;

fn record(name: &str, owner: UserId) -> MachineRecord {
    MachineRecord {
        id: MachineId(Uuid::now_v7()),
        owner,
        owner_name: "ada".to_owned(),
        spec: Spec {
            name: name.parse().unwrap(),
            host: "local".parse().unwrap(),
            profiles: "docker".parse().unwrap(),
            mode: Mode::Immutable,
            memory: 512.try_into().unwrap(),
            vcpus: 1.try_into().unwrap(),
            disk: 2.try_into().unwrap(),
            network: Network::Nat,
            identity: Identity::default(),
            notes: Notes::default(),
            autostart: false,
            delete_protection: false,
        },
        applied: None,
        hardware: fresh::hardware_ids().unwrap(),
        host_ref: Some(at(name)),
        disks: Some(Disks {
            generation: 1,
            image: ImageId(Uuid::nil()),
            boot: Volume("boot".to_owned()),
            data: None,
        }),
        created: Time(0),
    }
}

fn at(name: &str) -> HostRef {
    HostRef(format!("place of {name}"))
}

fn fleet_of(records: &[MachineRecord]) -> Fleet {
    let fleet = Fleet { inner: Arc::default(), changes: broadcast::Sender::new(LAG) };
    records.iter().for_each(|record| fleet.put(record));
    fleet
}

fn local() -> HostName {
    "local".parse().unwrap()
}

fn state(fleet: &Fleet, name: &str) -> MachineState {
    fleet.get(&name.parse().unwrap()).unwrap().row.observed.state
}

#[test]
fn an_event_is_newer_than_an_inventory_that_began_before_it() {
    let ada = UserId(Uuid::now_v7());
    let (web, db) = (record("web", ada), record("db", ada));
    let fleet = fleet_of(&[web.clone(), db.clone()]);
    assert_eq!(state(&fleet, "web"), MachineState::Unknown);
    let began = fleet.stamp();
    fleet.seen(&local(), &at("web"), Domain::Present(MachineState::Running));
    let off = |record: &MachineRecord| Seen {
        machine: at(record.spec.name.as_str()),
        name: record.spec.name.to_string(),
        state: MachineState::Off,
    };
    fleet.take_inventory(&local(), began, &[off(&web), off(&db)]);
    assert_eq!((state(&fleet, "web"), state(&fleet, "db")), (MachineState::Running, MachineState::Off));
    fleet.answered(&local(), began, &at("web"), Domain::Absent);
    assert_eq!(state(&fleet, "web"), MachineState::Running);
    fleet.take_inventory(&local(), fleet.stamp(), &[off(&web)]);
    assert_eq!((state(&fleet, "web"), state(&fleet, "db")), (MachineState::Off, MachineState::Configured));
    fleet.seen(&"other".parse().unwrap(), &at("web"), Domain::Present(MachineState::Running));
    assert_eq!(state(&fleet, "web"), MachineState::Off, "another host has no say");
}

#[test]
fn what_changes_nothing_is_no_news() {
    let ada = UserId(Uuid::now_v7());
    let web = record("web", ada);
    let fleet = fleet_of(std::slice::from_ref(&web));
    let (machines, mut changes) = fleet.follow(|known| known.owner == ada);
    assert_eq!(machines.len(), 1);
    fleet.seen(&local(), &at("web"), Domain::Present(MachineState::Running));
    fleet.seen(&local(), &at("web"), Domain::Present(MachineState::Running));
    let noise = Figures { net_rx_rate: Some(17), cpu_percent: Some(0.2), ..Figures::default() };
    fleet.set_figures(web.id, noise);
    fleet.set_figures(web.id, Figures { net_rx_rate: Some(900), ..noise });
    fleet.remove(web.id);
    let mut told = Vec::new();
    while let Ok(changed) = changes.try_recv() {
        told.push(changed);
    }
    use Changed::{Gone, Machine};
    assert!(
        matches!(told.iter().map(|c| &**c).collect::<Vec<_>>()[..], [Machine(_), Machine(_), Gone { .. }]),
        "{told:?}"
    );
}

#[test]
fn a_machine_of_another_name_is_the_same_one_and_its_old_name_is_free() {
    let ada = UserId(Uuid::now_v7());
    let web = record("web", ada);
    let fleet = fleet_of(std::slice::from_ref(&web));
    fleet.seen(&local(), &at("web"), Domain::Present(MachineState::Off));
    fleet.set_figures(web.id, Figures { disk_used: Some(7 << 20), ..Figures::default() });
    let (_, mut changes) = fleet.follow(|_| true);
    let db = MachineRecord { spec: Spec { name: "db".parse().unwrap(), ..web.spec.clone() }, ..web.clone() };
    fleet.put(&db);
    let known = fleet.get(&db.spec.name).unwrap();
    assert_eq!((known.row.id, known.row.observed.state), (web.id, MachineState::Off));
    assert_eq!(known.row.observed.figures.disk_used, Some(7 << 20));
    assert!(fleet.get(&web.spec.name).is_none() && fleet.all().len() == 1);
    assert!(matches!(&*changes.try_recv().unwrap(), Changed::Machine(told) if told.row.name == db.spec.name));
    assert!(changes.try_recv().is_err(), "it is not gone");
    // Another machine takes the old name; reports about the first one do not reach it.
    let other = MachineRecord { host_ref: Some(at("other")), ..record("web", ada) };
    fleet.put(&other);
    fleet.seen(&local(), &at("web"), Domain::Present(MachineState::Running));
    fleet.set_job(web.id, None);
    assert_eq!((state(&fleet, "db"), state(&fleet, "web")), (MachineState::Running, MachineState::Unknown));
    fleet.remove(web.id);
    assert_eq!(fleet.get(&web.spec.name).unwrap().row.id, other.id);
    assert!(fleet.at(&local(), &at("web")).is_none());
}

#[test]
fn what_a_guest_said_in_one_boot_is_not_believed_of_the_next() {
    let web = record("web", UserId(Uuid::now_v7()));
    let fleet = fleet_of(std::slice::from_ref(&web));
    let name = &web.spec.name;
    let booted = || fleet.get(name).unwrap().row.observed.guest.as_ref().is_some_and(|guest| guest.booted);
    let said = Guest { booted: true, image: None };
    let domain = |state| fleet.seen(&local(), &at("web"), Domain::Present(state));
    domain(MachineState::Running);
    let asked = fleet.get(name).unwrap().boot;
    fleet.rebooted(web.id);
    fleet.set_guest(web.id, asked, said.clone());
    assert!(!booted(), "asked before the reboot, answered after it");
    fleet.set_guest(web.id, fleet.get(name).unwrap().boot, said.clone());
    fleet.put(&web);
    assert!(booted(), "a changed record is no new boot");
    let asked = fleet.get(name).unwrap().boot;
    domain(MachineState::Off);
    domain(MachineState::Running);
    fleet.set_guest(web.id, asked, said);
    assert!(!booted());
}

#[test]
fn a_list_is_sorted_before_it_is_cut_into_pages() {
    let ada = UserId(Uuid::now_v7());
    let records: Vec<_> = (0..150).map(|n| record(&format!("m{n:03}"), ada)).collect();
    let fleet = fleet_of(&records);
    let figures = |n: usize| Figures { cpu_percent: Some(n as f32 / 2.0), ..Figures::default() };
    for (n, record) in records.iter().enumerate().take(149) {
        let name = &record.spec.name;
        fleet.seen(&local(), &at(name.as_str()), Domain::Present(MachineState::Running));
        fleet.set_figures(record.id, figures(n));
    }
    let names = |sort: &str, page: u32| -> Vec<String> {
        let filter = MachineFilter { sort: sort.parse().ok(), page, ..MachineFilter::default() };
        fleet.list(&Visible::All, &filter).rows.iter().map(|row| row.name.to_string()).collect()
    };
    assert_eq!(names("", 0)[..2], ["m000", "m001"]);
    assert_eq!(names("-name", 0)[..2], ["m149", "m148"]);
    assert_eq!(names("cpu", 0)[..2], ["m000", "m001"]);
    assert_eq!(names("cpu", 1)[48..], ["m148", "m149"], "what has no figure comes last");
    assert_eq!(names("host", 0)[..2], ["m000", "m001"], "equal ones by name");
}

#[test]
fn a_search_is_within_one_field() {
    let record = record("web", UserId(Uuid::now_v7()));
    let fleet = fleet_of(std::slice::from_ref(&record));
    let found = |search: &str| {
        let filter = MachineFilter { search: search.to_owned(), ..MachineFilter::default() };
        fleet.list(&Visible::All, &filter).matching
    };
    let profile = record.spec.profiles.iter().next().unwrap().to_string();
    assert_eq!([found("we"), found(" WEB "), found(&profile), found("nobody")], [1, 1, 1, 0]);
    assert_eq!(found(&format!("web {profile}")), 0, "no text that stands on the page");
}

#[test]
fn what_is_left_to_be_done_is_found() {
    let (web, mut db) = (record("web", UserId(Uuid::now_v7())), record("db", UserId(Uuid::now_v7())));
    db.applied = Some(Spec { memory: 4096.try_into().unwrap(), ..db.spec.clone() });
    let fleet = fleet_of(&[web.clone(), db]);
    fleet.set_newest(vec![(web.spec.profiles.clone(), web.spec.mode, ImageId(Uuid::max()))]);
    let found = |due| {
        let filter = MachineFilter { due: Some(due), ..MachineFilter::default() };
        let names = fleet.list(&Visible::All, &filter).rows.into_iter().map(|row| row.name.to_string());
        names.collect::<Vec<_>>()
    };
    assert_eq!(found(Due::Changes), ["db"]);
    assert_eq!(found(Due::Update), ["db", "web"]);
}

#[test]
fn ten_thousand_machines_are_listed_in_a_moment() {
    let (ada, bob) = (UserId(Uuid::now_v7()), UserId(Uuid::now_v7()));
    let records: Vec<_> =
        (0..10_000).map(|n| record(&format!("m{n:05}"), if n % 2 == 0 { ada } else { bob })).collect();
    let fleet = fleet_of(&records);
    let began = Instant::now();
    let page = fleet.list(&Visible::All, &MachineFilter::default());
    println!("a page of 10,000 machines: {:?}", began.elapsed());
    assert_eq!((page.rows.len(), page.matching, page.total), (100, 10_000, 10_000));
    let found = MachineFilter { search: "M0001".to_owned(), ..MachineFilter::default() };
    let began = Instant::now();
    let page = fleet.list(&Visible::Of(bob), &found);
    println!("a search in 10,000 machines: {:?}", began.elapsed());
    assert_eq!((page.matching, page.total), (5, 5_000));
}
