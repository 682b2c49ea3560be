//! Machines from before there were marks: what is on the host for one of them is taken to be its own only where the
//! row, the disks and the domain agree. From then on it carries the machine's mark, and the row records where it is.

use crate::core::Core;
use crate::db::{self, machines::MachineRecord};
use crate::error::Result;
use ports::hypervisor::{HostRef, Hypervisor, Volume};

/// Marks what is on the host for a machine that has disks and no place yet; `None` where that does not match the row.
pub(crate) async fn adopt(
    core: &Core,
    hypervisor: &dyn Hypervisor,
    record: &MachineRecord,
) -> Result<Option<HostRef>> {
    let Some(disks) = &record.disks else { return Ok(None) };
    let (name, host) = (&record.spec.name, &record.spec.host);
    let volumes: Vec<Volume> = std::iter::once(&disks.boot).chain(&disks.data).cloned().collect();
    let Some(host_ref) = hypervisor.adopt(record.id, name, &record.hardware, &volumes).await? else {
        tracing::warn!(machine.name = %name, host.name = %host, "what is on the host is not marked and does not match \
            the machine's row; it is left alone");
        return Ok(None);
    };
    let mut tx = core.db.begin().await?;
    db::machines::set_host_ref(&mut tx, record.id, Some(&host_ref)).await?;
    tx.commit().await?;
    core.fleet.put(&MachineRecord { host_ref: Some(host_ref.clone()), ..record.clone() });
    tracing::info!(machine.name = %name, host.name = %host, %host_ref, "what is on the host is marked as the machine's own now");
    Ok(Some(host_ref))
}
