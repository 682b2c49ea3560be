//! The hosts that the portal manages: their rows, their connections, their last known state.
//!
//! The set is fixed when the engine opens. A host that has machines and is no longer configured stays visible with a
//! finding, and its machines are unknown.

use crate::db;
use crate::db::Db;
use crate::error::Result;
use crate::sync::{lock, read, write};
use model::host::{Finding, HostId, HostName, HostView, Level};
use model::machine::{BridgeName, MachineId};
use model::{Fault, Time};
use ports::hypervisor::{Capabilities, Hypervisor};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, RwLock};
use tokio::sync::{Notify, watch};

/// A host that the portal manages.
#[derive(Clone)]
pub struct Host {
    /// Its name in the portal.
    pub name: HostName,
    /// `libvirt` or `proxmox`.
    pub kind: &'static str,
    /// libvirt's URI or the SSH target, for people.
    pub target: String,
    /// The bridges that an administrator allows machines to be put on; none means those the host offers to everyone.
    pub bridges: Vec<BridgeName>,
    /// The connection.
    pub hypervisor: Arc<dyn Hypervisor>,
}

/// All hosts by name.
#[derive(Clone)]
pub(crate) struct Hosts(Arc<BTreeMap<HostName, Arc<HostEntry>>>);

/// One host.
pub(crate) struct HostEntry {
    pub id: HostId,
    pub name: HostName,
    kind: String,
    target: String,
    hypervisor: Option<Arc<dyn Hypervisor>>,
    /// The administrator's list of bridges; empty if there is none.
    allowed_bridges: Vec<String>,
    /// Where the host was at the portal's last start, if different.
    moved_from: Option<String>,
    seen: RwLock<Seen>,
    /// True once the host has been checked since the engine opened, whether or not it answered.
    looked: watch::Sender<bool>,
    /// Machines whose addresses should be queried at once.
    eager: Mutex<BTreeSet<MachineId>>,
    eager_there: Notify,
    /// The findings of the last check may be out of date.
    in_doubt: Notify,
}

/// The last known state of a host.
#[derive(Clone, Debug, Default)]
struct Seen {
    reachable: bool,
    findings: Vec<Finding>,
    checked: Option<Time>,
    bridges: Vec<String>,
    memory: Option<u64>,
}

/// What a host says about itself; none of what it cannot say now.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Bridges that it offers.
    pub bridges: Option<Vec<String>>,
    /// Its memory, in bytes.
    pub memory: Option<u64>,
}

impl Hosts {
    /// Writes the configured hosts to the database and reads all there are.
    pub async fn open(db: &Db, configured: Vec<Host>) -> Result<Self> {
        let mut tx = db.begin().await?;
        let before: BTreeMap<HostName, String> =
            db::hosts::all(&mut tx).await?.into_iter().map(|row| (row.name, row.target)).collect();
        for host in &configured {
            db::hosts::upsert(&mut tx, &host.name, host.kind, &host.target).await?;
        }
        let rows = db::hosts::all(&mut tx).await?;
        tx.commit().await?;
        let mut configured: BTreeMap<HostName, Host> =
            configured.into_iter().map(|host| (host.name.clone(), host)).collect();
        let entry = |row: db::hosts::HostRow| {
            let host = configured.remove(&row.name);
            let moved_from = before.get(&row.name).filter(|target| **target != row.target).cloned();
            if let Some(was) = &moved_from {
                tracing::warn!(host.name = %row.name, was, now = row.target, "this host is configured with another address: \
                    its machines may be on another computer");
            }
            let bridges = host.as_ref().map(|host| host.bridges.iter().map(ToString::to_string).collect());
            let entry = HostEntry {
                hypervisor: host.map(|host| host.hypervisor),
                allowed_bridges: bridges.unwrap_or_default(),
                moved_from,
                id: row.id,
                name: row.name.clone(),
                kind: row.kind,
                target: row.target,
                seen: RwLock::default(),
                looked: watch::Sender::new(false),
                eager: Mutex::default(),
                eager_there: Notify::new(),
                in_doubt: Notify::new(),
            };
            (row.name, Arc::new(entry))
        };
        Ok(Self(Arc::new(rows.into_iter().map(entry).collect())))
    }

    /// The host of this name.
    pub fn get(&self, name: &HostName) -> Option<&Arc<HostEntry>> {
        self.0.get(name)
    }

    /// All hosts by name.
    pub fn all(&self) -> impl Iterator<Item = &Arc<HostEntry>> {
        self.0.values()
    }

    /// The connection to a host.
    pub fn hypervisor(&self, name: &HostName) -> std::result::Result<Arc<dyn Hypervisor>, Fault> {
        let connection = self.get(name).and_then(|entry| entry.hypervisor.clone());
        connection.ok_or_else(|| Fault::Unavailable { host: name.to_string() })
    }
}

impl HostEntry {
    /// The connection, if the host is configured.
    pub fn hypervisor(&self) -> Option<&Arc<dyn Hypervisor>> {
        self.hypervisor.as_ref()
    }

    /// What this kind of host can do; nothing for one that is not configured.
    pub fn capabilities(&self) -> Option<Capabilities> {
        self.hypervisor.as_ref().map(|h| h.capabilities())
    }

    /// Whether the last contact succeeded.
    pub fn is_reachable(&self) -> bool {
        read(&self.seen).reachable
    }

    /// Notes whether a contact succeeded, and that there was one.
    pub fn set_reachable(&self, reachable: bool) {
        write(&self.seen).reachable = reachable;
        self.looked.send_replace(true);
    }

    /// Waits until the host has been checked once.
    pub async fn looked_at(&self) {
        // The sender lives as long as `self`, so this ends only by the value.
        let _ = self.looked.subscribe().wait_for(|looked| *looked).await;
    }

    /// Bridges that machines may be put on: those that an administrator allows, or else those that the host offers.
    /// None before it has been asked.
    pub fn bridges(&self) -> Vec<String> {
        if self.allowed_bridges.is_empty() {
            read(&self.seen).bridges.clone()
        } else {
            self.allowed_bridges.clone()
        }
    }

    /// The host's memory in bytes, once it has said so.
    pub fn memory(&self) -> Option<u64> {
        read(&self.seen).memory
    }

    /// The finding of this name in the last check, if it was not ok.
    pub fn complaint(&self, name: &str) -> Option<Finding> {
        read(&self.seen).findings.iter().find(|f| f.name == name && f.level != Level::Ok).cloned()
    }

    /// Takes over the findings of a check. What a host cannot say now stays as it was; the findings say what is wrong.
    pub fn checked(&self, findings: Vec<Finding>, told: Told, now: Time) {
        let mut seen = write(&self.seen);
        if let Some(bridges) = told.bridges {
            seen.bridges = bridges;
        }
        seen.memory = told.memory.or(seen.memory);
        seen.findings = findings;
        seen.checked = Some(now);
    }

    /// Has the addresses of a machine queried at once.
    pub fn look_at(&self, machine: MachineId) {
        lock(&self.eager).insert(machine);
        self.eager_there.notify_one();
    }

    /// Machines to be queried at once.
    pub fn take_eager(&self) -> BTreeSet<MachineId> {
        std::mem::take(&mut *lock(&self.eager))
    }

    /// Waits until there is a machine to be queried at once.
    pub async fn eager(&self) {
        self.eager_there.notified().await;
    }

    /// Has the host checked again soon.
    pub fn doubt(&self) {
        self.in_doubt.notify_one();
    }

    /// Waits until someone wants the host checked again.
    pub async fn doubted(&self) {
        self.in_doubt.notified().await;
    }

    /// The host as pages show it.
    pub fn view(&self, machines: u32) -> HostView {
        let seen = read(&self.seen).clone();
        let mut findings = if self.hypervisor.is_some() { seen.findings } else { vec![not_configured()] };
        findings.extend(self.moved_from.as_ref().map(|was| moved(was, &self.target)));
        HostView {
            id: self.id,
            name: self.name.clone(),
            kind: self.kind.clone(),
            target: self.target.clone(),
            reachable: seen.reachable,
            findings,
            checked: seen.checked,
            machines,
            bridges: self.bridges(),
        }
    }
}

fn moved(was: &str, now: &str) -> Finding {
    Finding {
        name: "address".to_owned(),
        level: Level::Warning,
        what: format!("This host was {was} until the portal was last started and is {now} now: its machines may be on another computer."),
        fix: Some(
            "If it is another computer, give it a name of its own in the server's settings and the old address back to this one."
                .to_owned(),
        ),
    }
}

fn not_configured() -> Finding {
    Finding {
        name: "connection".to_owned(),
        level: Level::Error,
        what: "This host is no longer in the portal's configuration.".to_owned(),
        fix: Some("Add it to the server's settings again, under the same name.".to_owned()),
    }
}
