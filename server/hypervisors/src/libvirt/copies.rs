//! A machine's disk, copied for another machine.
//!
//! Of a machine that is off the file is copied. Of one that runs libvirt makes a backup, beside the guest's own work: what it
//! writes meanwhile is not in the copy. The guest's file systems stand still while the backup begins (`freeze.rs`).
//!
//! A backup goes on without its portal, and without its connection. The next try, or the end of the copy, knows it by its target, in
//! the folder of the machine that gets the copy, and ends it.

use super::Libvirt;
use super::connect::Link;
use super::disks::disk_error;
use super::domain_xml;
use super::error::{failed, is, of_machine};
use super::freeze::{self, Frozen};
use super::power::{self, find};
use super::sys::jobs::{self, Job};
use super::turns::Turns;
use host_tools::disk::copy::Draft;
use host_tools::disk::qcow;
use model::machine::MachineState;
use ports::hypervisor::{CopyEvent, CopyListener, DiskRole, HypervisorError, MachineRef, Result, Volume};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use virt::domain::Domain;
use virt::error::ErrorNumber;

const WHAT: &str = "Copying the disk";
/// How often a backup is looked at: often at first, then less so.
const FIRST_LOOK: Duration = Duration::from_millis(20);
const LAST_LOOK: Duration = Duration::from_millis(500);
/// How often it is looked at until it has ended, once it was told to.
const ENDS_WITHIN: u32 = 60;

/// One copy.
struct Order {
    machine: MachineRef,
    disk: PathBuf,
    role: DiskRole,
    target: PathBuf,
    listener: CopyListener,
}

impl Libvirt {
    pub(super) async fn copy(
        &self,
        machine: &MachineRef,
        volume: &Volume,
        to: &MachineRef,
        role: DiskRole,
        listener: CopyListener,
    ) -> Result<Volume> {
        let (disk, target) = self.store.copy_paths(machine, volume, to, role)?;
        let copy = Volume(target.to_string_lossy().into_owned());
        // It gets its name when it is complete.
        if qcow::info(&target).await.is_ok() {
            return Ok(copy);
        }
        let order = Order { machine: machine.clone(), disk, role, target, listener };
        match self.state_now(machine).await? {
            MachineState::Running | MachineState::Paused => self.copy_running(order, to).await?,
            MachineState::ShuttingDown => return Err(failed(WHAT, "the machine is shutting down")),
            _ => self.copy_off(order).await?,
        }
        Ok(copy)
    }

    async fn state_now(&self, machine: &MachineRef) -> Result<MachineState> {
        let machine = machine.clone();
        self.link.call(move |live| power::state(&live.connect, &machine)).await
    }

    async fn copy_off(&self, order: Order) -> Result<()> {
        let draft = Draft::of(&order.target).await.map_err(disk_error(WHAT))?;
        let draft = draft.copy_from(&order.disk, order.listener).await.map_err(disk_error(WHAT))?;
        if self.state_now(&order.machine).await?.is_active() {
            return Err(failed(WHAT, "someone has started the machine meanwhile"));
        }
        draft.keep().await.map_err(disk_error(WHAT))
    }

    async fn copy_running(&self, order: Order, to: &MachineRef) -> Result<()> {
        let turns = self.copies.of(&order.machine);
        let turn = match turns.job.clone().try_lock_owned() {
            Ok(turn) => turn,
            Err(_) => {
                (order.listener)(CopyEvent::Waiting);
                turns.job.clone().lock_owned().await
            }
        };
        self.end_left(&order.machine, to, &turns).await?;
        turns.unsure.store(false, Ordering::Relaxed);
        let draft = Draft::of(&order.target).await.map_err(disk_error(WHAT))?;
        let size = self.prepare(&order, &draft).await?;
        // On its own from here: whoever asked may be gone before the guest moves again.
        let stop = CancellationToken::new();
        let _stops = stop.clone().drop_guard();
        let (link, turns) = (self.link.clone(), turns.clone());
        let backup = async move {
            let _turn = turn;
            turns.unsure.store(true, Ordering::Relaxed);
            let still = turns.still.lock().await;
            let begun = begin(&link, &order, &draft).await;
            drop(still);
            begun?;
            follow(&link, &order, &stop).await?;
            turns.unsure.store(false, Ordering::Relaxed);
            let made = qcow::info(&draft.file()).await.map_err(disk_error(WHAT))?;
            if made.virtual_size != size {
                return Err(failed(WHAT, "the copy has another size than the disk"));
            }
            draft.keep().await.map_err(disk_error(WHAT))
        };
        tokio::spawn(backup).await.map_err(|error| failed(WHAT, error.to_string()))?
    }

    /// Makes the file that QEMU fills; returns its size.
    async fn prepare(&self, order: &Order, draft: &Draft) -> Result<u64> {
        let about = qcow::info(&order.disk).await.map_err(disk_error(WHAT))?;
        let below = match &about.backing {
            Some(image) => qcow::info(image).await.map_err(disk_error(WHAT))?.actual_size,
            None => 0,
        };
        draft.check_room(about.actual_size.saturating_add(below)).map_err(disk_error(WHAT))?;
        draft.make_empty(about.virtual_size).await.map_err(disk_error(WHAT))?;
        Ok(about.virtual_size)
    }

    /// Ends what an interrupted copy has left.
    pub(super) async fn end_copy_of(&self, machine: &MachineRef, to: &MachineRef) -> Result<()> {
        let turns = self.copies.of(machine);
        self.end_left(machine, to, &turns).await
    }

    async fn end_left(&self, machine: &MachineRef, to: &MachineRef, turns: &Turns) -> Result<()> {
        let state = self.state_now(machine).await?;
        if !state.is_active() {
            return Ok(());
        }
        let Some(folder) = self.store.own_folder(to)? else { return Ok(()) };
        if !self.store.has_scratch(&folder) && !turns.unsure.load(Ordering::Relaxed) {
            return Ok(());
        }
        let _still = turns.still.lock().await;
        // The agent of a guest that is suspended does not answer. A disk that is full suspends it, and the backup goes on.
        if state == MachineState::Running
            && let Err(error) = freeze::thaw(&self.link, machine).await
        {
            tracing::debug!(machine.name = %machine.name, %error, "the guest cannot be told to move on");
        }
        let ours = machine.clone();
        let is_ours =
            self.link.call(move |live| is_backup_into(&find(&live.connect, &ours)?, &folder)).await?;
        if is_ours { end(&self.link, machine).await } else { Ok(()) }
    }
}

/// Whether the backup that is under way, if one is, writes into this folder.
fn is_backup_into(domain: &Domain, folder: &Path) -> Result<bool> {
    let Ok(xml) = jobs::backup_xml(domain) else { return Ok(false) };
    let folder = format!("{}/", folder.display());
    Ok(xml.contains(&quick_xml::escape::escape(&folder).into_owned()))
}

/// Stops the guest, begins the backup, and gets the guest moving whether it began or not.
async fn begin(link: &Link, order: &Order, draft: &Draft) -> Result<()> {
    let machine = &order.machine;
    let frozen = freeze::freeze(link, machine).await;
    let begun = begin_backup(link, order, draft).await;
    let event = match frozen {
        Ok(frozen) => thawed(frozen, link, machine).await,
        Err(error) => CopyEvent::NotStill { why: error.to_string() },
    };
    begun?;
    (order.listener)(event);
    Ok(())
}

async fn thawed(frozen: Frozen, link: &Link, machine: &MachineRef) -> CopyEvent {
    match frozen.thaw(link, machine).await {
        Some(stood) => CopyEvent::StoodStill { millis: u64::try_from(stood.as_millis()).unwrap_or(u64::MAX) },
        None => CopyEvent::NotStill { why: "it took the host too long to begin".to_owned() },
    }
}

async fn begin_backup(link: &Link, order: &Order, draft: &Draft) -> Result<()> {
    let device = if order.role == DiskRole::Data { "vdb" } else { "vda" };
    let xml = backup(device, &draft.file()).map_err(|error| failed(WHAT, error.to_string()))?;
    let machine = order.machine.clone();
    link.call(move |live| {
        let domain = find(&live.connect, &machine)?;
        // What another job has left to be read.
        let _ = jobs::job(&domain, virt_sys::VIR_DOMAIN_JOB_STATS_COMPLETED);
        let flags = virt_sys::VIR_DOMAIN_BACKUP_BEGIN_REUSE_EXTERNAL;
        jobs::begin_backup(&domain, &xml, flags).map_err(of_machine(WHAT, &machine))
    })
    .await
}

/// Waits until the backup is complete.
async fn follow(link: &Link, order: &Order, stop: &CancellationToken) -> Result<()> {
    let mut pause = FIRST_LOOK;
    loop {
        let job = look(link, &order.machine, 0).await?;
        if !job.is_running() {
            let ended = look(link, &order.machine, virt_sys::VIR_DOMAIN_JOB_STATS_COMPLETED).await?;
            if ended.state == virt_sys::VIR_DOMAIN_JOB_COMPLETED {
                return Ok(());
            }
            return Err(failed(WHAT, ended.error.unwrap_or_else(|| "the host has ended it".to_owned())));
        }
        (order.listener)(CopyEvent::Progress { done: job.done, of: job.total });
        tokio::select! {
            biased;
            () = stop.cancelled() => {
                end(link, &order.machine).await?;
                return Err(failed(WHAT, "nobody waits for it any more"));
            }
            () = sleep(pause) => {}
        }
        pause = (pause * 2).min(LAST_LOOK);
    }
}

async fn look(link: &Link, machine: &MachineRef, flags: u32) -> Result<Job> {
    let machine = machine.clone();
    link.call(move |live| match jobs::job(&find(&live.connect, &machine)?, flags) {
        Err(error) if is(&error, ErrorNumber::OperationInvalid) => {
            Err(failed(WHAT, "someone has switched the machine off meanwhile"))
        }
        job => job.map_err(of_machine(WHAT, &machine)),
    })
    .await
}

/// Ends the backup that is under way, and waits until it has.
async fn end(link: &Link, machine: &MachineRef) -> Result<()> {
    let ours = machine.clone();
    link.call(move |live| {
        if let Err(error) = jobs::abort_job(&find(&live.connect, &ours)?) {
            tracing::debug!(machine.name = %ours.name, error = error.message(), "no backup to end");
        }
        Ok(())
    })
    .await?;
    for _ in 0..ENDS_WITHIN {
        match look(link, machine, 0).await {
            Ok(job) if job.is_running() => sleep(LAST_LOOK).await,
            Err(lost @ HypervisorError::Unreachable { .. }) => return Err(lost),
            _ => return Ok(()),
        }
    }
    Err(failed(WHAT, "the backup of its disk does not end"))
}

/// The description of a backup of one disk into a file that is there.
fn backup(device: &str, file: &Path) -> std::io::Result<String> {
    domain_xml::document("domainbackup", &[("mode", "push")], |x| {
        domain_xml::element(x, "disks", &[], |x| {
            domain_xml::element(x, "disk", &[("name", device), ("type", "file"), ("backup", "yes")], |x| {
                domain_xml::empty(x, "driver", &[("type", "qcow2")])?;
                domain_xml::empty(x, "target", &[("file", domain_xml::utf8(file)?)])
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_disk_is_copied_into_its_file() {
        let xml = backup("vdb", Path::new("/s/a&b/web/.tmp-data.qcow2/copy")).unwrap();
        assert_eq!(
            xml,
            "<domainbackup mode=\"push\"><disks><disk name=\"vdb\" type=\"file\" backup=\"yes\"><driver type=\"qcow2\"/>\
             <target file=\"/s/a&amp;b/web/.tmp-data.qcow2/copy\"/></disk></disks></domainbackup>"
        );
    }
}
