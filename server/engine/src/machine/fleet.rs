//! All machines as they are right now, in memory: the one place that pages list from and sockets follow.
//!
//! A projection: configuration comes from the database, state from the hosts, and it is built anew at each start. Lists come
//! from here and not from SQL because what people filter by (state, address) is not in the database; who sees what is
//! decided in [`Fleet::list`] and `feed.rs`, nowhere else.
//!
//! Every visible change is sent under the lock that it was made under; so states and the order of the channel agree, and
//! [`Fleet::follow`] hands out a state and its continuation without a gap.

#[cfg(test)]
mod tests;

pub(crate) use super::entry::{Domain, MachineEntry};
use crate::db::Visible;
use crate::db::machines::{MachineRecord, Outline};
use crate::db::{self, Db};
use crate::error::Result;
use crate::hosts::Hosts;
use crate::sync::{read, write};
use model::account::UserId;
use model::address::Address;
use model::guest::Guest;
use model::host::HostName;
use model::image::{ImageId, ProfileSet};
use model::job::JobBadge;
use model::machine::{MachineId, MachineName, MachineState, Mode};
use model::view::machine::{
    Figures, MACHINE_COLUMNS, MACHINES_PER_PAGE, MachineFilter, MachinePage, UnreadableMachine,
};
use ports::hypervisor::{HostRef, Seen};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use tokio::sync::broadcast;

/// How many changes a slow follower may lag behind before it is given the whole state again.
const LAG: usize = 4096;

/// All machines.
#[derive(Clone)]
pub(crate) struct Fleet {
    inner: Arc<RwLock<Inner>>,
    changes: broadcast::Sender<Arc<Changed>>,
}

#[derive(Default)]
struct Inner {
    /// Counts hosts' reports, to tell newer from older.
    stamp: u64,
    /// In list order. Everything but a list goes by the id: a name can pass to another machine.
    machines: BTreeMap<MachineName, Arc<MachineEntry>>,
    names: HashMap<MachineId, MachineName>,
    /// Each host has its own way to name where a machine is.
    by_host_ref: HashMap<HostName, HashMap<HostRef, MachineId>>,
    newest: HashMap<(ProfileSet, Mode), ImageId>,
    /// Those whose record could not be read at the start. Nothing is done with them, and no host is asked about them.
    unreadable: BTreeMap<MachineName, Arc<Outline>>,
}

/// One change.
#[derive(Debug)]
pub(crate) enum Changed {
    /// A machine is new or different.
    Machine(Arc<MachineEntry>),
    /// A machine is gone.
    Gone { id: MachineId, owner: UserId },
    /// A job began, moved on or ended; with the machine that it is about, while that exists, and who may see it.
    Job { badge: JobBadge, machine: Option<MachineId>, people: Vec<UserId> },
}

impl Fleet {
    /// Reads all machines; until their hosts are asked, their state is not known.
    pub async fn load(db: &Db, hosts: &Hosts) -> Result<Self> {
        let mut conn = db.read().await?;
        let records = db::machines::all(&mut conn).await?;
        let newest = db::images::newest(&mut conn).await?;
        let mut addresses = db::machines::last_addresses(&mut conn).await?;
        let mut unreadable = db::machines::outlines(&mut conn).await?;
        unreadable.retain(|outline| records.iter().all(|record| record.id != outline.id));
        let fleet = Self { inner: Arc::default(), changes: broadcast::Sender::new(LAG) };
        write(&fleet.inner).unreadable =
            unreadable.into_iter().map(|outline| (outline.name.clone(), Arc::new(outline))).collect();
        for record in &records {
            fleet.put(record);
            if let Some(last) = addresses.remove(&record.id) {
                fleet.update(record.id, |known| known.remember_addresses(last));
            }
        }
        for entry in hosts.all().filter(|entry| entry.hypervisor().is_none()) {
            fleet.host_lost(&entry.name, "it is no longer configured");
        }
        fleet.set_newest(newest);
        Ok(fleet)
    }

    /// The machine of this name.
    pub fn get(&self, name: &MachineName) -> Option<Arc<MachineEntry>> {
        read(&self.inner).machines.get(name).cloned()
    }

    /// The machine of this name, if its record cannot be read.
    pub fn unreadable(&self, name: &MachineName) -> Option<Arc<Outline>> {
        read(&self.inner).unreadable.get(name).cloned()
    }

    /// The machine of this id.
    pub fn by_id(&self, id: MachineId) -> Option<Arc<MachineEntry>> {
        read(&self.inner).by_id(id).cloned()
    }

    /// The machine in this place on a host.
    pub fn at(&self, host: &HostName, host_ref: &HostRef) -> Option<Arc<MachineEntry>> {
        let inner = read(&self.inner);
        let id = inner.by_host_ref.get(host)?.get(host_ref)?;
        inner.by_id(*id).cloned()
    }

    /// All machines by name.
    pub fn all(&self) -> Vec<Arc<MachineEntry>> {
        read(&self.inner).machines.values().cloned().collect()
    }

    /// One page of what someone may see.
    pub fn list(&self, sees: &Visible, filter: &MachineFilter) -> MachinePage {
        let inner = read(&self.inner);
        let mut total = 0_u64;
        let (mut first, mut rest) = (Vec::new(), Vec::new());
        for known in inner.machines.values().filter(|k| sees.includes(k.owner)) {
            total += 1;
            if filter.fits(&known.row) {
                if known.row.is_being_created() { first.push(known) } else { rest.push(known) }
            }
        }
        let matching = u64::try_from(first.len() + rest.len()).unwrap_or(u64::MAX);
        let per_page = usize::try_from(MACHINES_PER_PAGE).unwrap_or(usize::MAX);
        let skip = usize::try_from(filter.page).unwrap_or(usize::MAX).saturating_mul(per_page);
        if let Some(sort) = &filter.sort {
            rest.sort_by(|a, b| sort.compare(&MACHINE_COLUMNS, &a.row, &b.row));
        }
        let page = first.into_iter().chain(rest).skip(skip).take(per_page);
        let rows = page.map(|known| known.row.clone()).collect();
        let unreadable = inner.unreadable.values().filter(|outline| sees.includes(outline.owner));
        let unreadable = unreadable.map(|outline| UnreadableMachine {
            name: outline.name.clone(),
            owner: outline.owner_name.clone(),
            host: outline.host.clone(),
        });
        MachinePage { rows, matching, total, unreadable: unreadable.collect() }
    }

    /// The machines for which `is_wanted` is true, as they are, and every change after that.
    pub fn follow(
        &self,
        is_wanted: impl Fn(&MachineEntry) -> bool,
    ) -> (Vec<Arc<MachineEntry>>, broadcast::Receiver<Arc<Changed>>) {
        let inner = read(&self.inner);
        let wanted = inner.machines.values().filter(|known| is_wanted(known)).cloned().collect();
        // Subscribed under the lock: no change can come between the state and its continuation.
        (wanted, self.changes.subscribe())
    }

    /// Every change from now on.
    pub fn changes(&self) -> broadcast::Receiver<Arc<Changed>> {
        self.changes.subscribe()
    }

    /// Adds a machine, or takes over its changed record; its name may be another one now.
    pub fn put(&self, record: &MachineRecord) {
        let mut inner = write(&self.inner);
        let before = inner.by_id(record.id).cloned();
        let same_place = before.as_ref().filter(|known| known.host_ref == record.host_ref);
        let domain = match same_place {
            Some(known) => known.domain.clone(),
            None if record.disks.is_some() => Domain::Unknown("it has not been asked yet".to_owned()),
            None => Domain::Absent,
        };
        let mut known = MachineEntry::new(record, domain);
        if let Some(before) = &before {
            known.inherit(before);
        }
        known.row.update_available = inner.has_newer(&known);
        known.settle();
        if let Some(before) = &before {
            inner.leave(before);
        }
        // The former holder of the name is gone from the database, and will be removed here in a moment.
        if let Some(gone) = inner.machines.get(&record.spec.name).cloned() {
            self.take_out(&mut inner, &gone);
        }
        inner.settle(&known);
        self.store(&mut inner, before, known);
    }

    /// Forgets a machine.
    pub fn remove(&self, id: MachineId) {
        let mut inner = write(&self.inner);
        if let Some(known) = inner.by_id(id).cloned() {
            self.take_out(&mut inner, &known);
        }
    }

    /// Forgets a machine whose record could not be read.
    pub fn remove_unreadable(&self, id: MachineId) {
        write(&self.inner).unreadable.retain(|_, outline| outline.id != id);
    }

    fn take_out(&self, inner: &mut Inner, known: &MachineEntry) {
        inner.leave(known);
        self.publish(Changed::Gone { id: known.row.id, owner: known.owner });
    }

    /// Shows on a machine which job holds it.
    pub fn set_job(&self, id: MachineId, job: Option<JobBadge>) {
        self.update(id, |known| known.row.job = job);
    }

    /// Announces that a job began, moved on or ended.
    pub fn tell_job(&self, badge: JobBadge, machine: Option<MachineId>, people: Vec<UserId>) {
        let inner = write(&self.inner);
        let machine = machine.filter(|id| inner.names.contains_key(id));
        self.publish(Changed::Job { badge, machine, people });
    }

    /// Takes over which image is the newest of each combination.
    pub fn set_newest(&self, newest: Vec<(ProfileSet, Mode, ImageId)>) {
        write(&self.inner).newest = newest.into_iter().map(|(p, m, id)| ((p, m), id)).collect();
        for known in self.all() {
            let newer = read(&self.inner).has_newer(&known);
            self.update(known.row.id, |known| known.row.update_available = newer);
        }
    }

    /// The count of hosts' reports; taken before an inventory and given back with it.
    pub fn stamp(&self) -> u64 {
        read(&self.inner).stamp
    }

    /// Takes over what a host reports about one domain.
    pub fn seen(&self, host: &HostName, host_ref: &HostRef, domain: Domain) {
        let Some(known) = self.at(host, host_ref) else { return };
        let stamp = self.next_stamp();
        self.update(known.row.id, |known| {
            known.domain = domain;
            known.stamp = stamp;
        });
    }

    /// Takes over the answer to a question about one domain that was asked at `stamp`. What the host has reported since
    /// then is newer and stays.
    pub fn answered(&self, host: &HostName, stamp: u64, host_ref: &HostRef, domain: Domain) {
        let Some(known) = self.at(host, host_ref) else { return };
        self.update(known.row.id, |known| {
            if known.stamp <= stamp {
                known.domain = domain;
            }
        });
    }

    /// Takes over an inventory that was begun at `stamp`. What a host has reported about a machine since then is newer
    /// and stays.
    pub fn take_inventory(&self, host: &HostName, stamp: u64, inventory: &[Seen]) {
        let states: HashMap<&HostRef, MachineState> =
            inventory.iter().map(|s| (&s.machine, s.state)).collect();
        for known in self.on_host(host) {
            let domain = match &known.host_ref {
                Some(at) => states.get(at).map_or(Domain::Absent, |state| Domain::Present(*state)),
                None if known.is_created() => Domain::Unmarked,
                None => Domain::Absent,
            };
            if known.domain != domain {
                self.update(known.row.id, |known| {
                    if known.stamp <= stamp {
                        known.domain = domain;
                    }
                });
            }
        }
    }

    /// The host does not answer: nothing is known of its machines.
    pub fn host_lost(&self, host: &HostName, why: &str) {
        let stamp = self.next_stamp();
        for known in self.on_host(host) {
            self.update(known.row.id, |known| {
                known.domain = Domain::Unknown(why.to_owned());
                known.stamp = stamp;
            });
        }
    }

    /// Takes over figures.
    pub fn set_figures(&self, id: MachineId, figures: Figures) {
        self.update(id, |known| known.set_figures(figures));
    }

    /// Takes over the addresses that a host reports.
    pub fn set_addresses(&self, id: MachineId, addresses: Vec<Address>) {
        self.update(id, |known| known.set_addresses(addresses));
    }

    /// Takes over what a guest reported about itself in this boot; an answer from the boot before is ignored.
    pub fn set_guest(&self, id: MachineId, boot: u64, guest: Guest) {
        self.update(id, |known| {
            if known.boot == boot {
                known.row.observed.guest = Some(Box::new(guest));
            }
        });
    }

    /// Notes whether what a machine's disks build on is missing from this path.
    pub fn set_image_gone(&self, id: MachineId, gone: Option<PathBuf>) {
        self.update(id, |known| known.image_gone = gone);
    }

    /// Something has been built at this path.
    pub fn image_is_back(&self, path: &Path) {
        for known in self.all().iter().filter(|known| known.image_gone.as_deref() == Some(path)) {
            self.set_image_gone(known.row.id, None);
        }
    }

    /// A guest has begun its next boot without having been off.
    pub fn rebooted(&self, id: MachineId) {
        self.update(id, MachineEntry::forget_boot);
    }

    /// The machines of a host.
    pub fn on_host(&self, host: &HostName) -> Vec<Arc<MachineEntry>> {
        read(&self.inner).machines.values().filter(|k| k.row.host == *host).cloned().collect()
    }

    fn next_stamp(&self) -> u64 {
        let mut inner = write(&self.inner);
        inner.stamp += 1;
        inner.stamp
    }

    /// Changes a machine and announces it if the change is visible.
    fn update(&self, id: MachineId, change: impl FnOnce(&mut MachineEntry)) {
        let mut inner = write(&self.inner);
        let Some(before) = inner.by_id(id).cloned() else { return };
        let mut known = MachineEntry::clone(&before);
        change(&mut known);
        known.settle();
        self.store(&mut inner, Some(before), known);
    }

    fn store(&self, inner: &mut Inner, before: Option<Arc<MachineEntry>>, known: MachineEntry) {
        let known = Arc::new(known);
        inner.machines.insert(known.row.name.clone(), known.clone());
        if before.is_none_or(|before| before.row != known.row) {
            self.publish(Changed::Machine(known));
        }
    }

    /// Called under the lock of what has changed.
    fn publish(&self, changed: Changed) {
        // Nobody listening is fine.
        let _ = self.changes.send(Arc::new(changed));
    }
}

impl Inner {
    fn by_id(&self, id: MachineId) -> Option<&Arc<MachineEntry>> {
        self.machines.get(self.names.get(&id)?)
    }

    /// Notes under which name and in which place a machine is found.
    fn settle(&mut self, known: &MachineEntry) {
        self.names.insert(known.row.id, known.row.name.clone());
        if let Some(host_ref) = known.host_ref.clone() {
            let of_host = self.by_host_ref.entry(known.row.host.clone()).or_default();
            of_host.insert(host_ref, known.row.id);
        }
    }

    /// A machine is no longer found by its name, nor in its place. Another one that has the place by now keeps it.
    fn leave(&mut self, known: &MachineEntry) {
        self.machines.remove(&known.row.name);
        self.names.remove(&known.row.id);
        if let Some(host_ref) = &known.host_ref
            && let Some(of_host) = self.by_host_ref.get_mut(&known.row.host)
            && of_host.get(host_ref) == Some(&known.row.id)
        {
            of_host.remove(host_ref);
        }
    }

    /// Whether a newer image than the machine's has been built from the same profiles in the same mode.
    fn has_newer(&self, known: &MachineEntry) -> bool {
        let newest = self.newest.get(&(known.row.profiles.clone(), known.row.mode));
        known.image.is_some_and(|image| newest.is_some_and(|newest| *newest != image))
    }
}
