//! A machine's place on the host: its folder and its domain's name and identifier, taken together and marked.

use super::Libvirt;
use super::domain_mark::{self, Mark};
use super::error::{is, of_host};
use model::machine::{HardwareIds, MachineId, MachineName};
use ports::hypervisor::{Belonging, HostRef, Result, Volume};
use std::path::PathBuf;
use uuid::Uuid;
use virt::connect::Connect;
use virt::error::ErrorNumber;

impl Libvirt {
    pub(super) async fn take_place(
        &self,
        id: MachineId,
        name: &MachineName,
        hardware: &HardwareIds,
    ) -> Result<HostRef> {
        let (wanted, uuid) = (name.clone(), hardware.uuid);
        self.link.call(move |live| domain_mark::refuse_foreign(&live.connect, id, &wanted, uuid)).await?;
        self.store.reserve(id, name).await?;
        Ok(HostRef(uuid.to_string()))
    }

    /// Marks the folder, then the domain; if a crash left only the folder marked, this continues from there.
    pub(super) async fn adopt_machine(
        &self,
        id: MachineId,
        name: &MachineName,
        hardware: &HardwareIds,
        disks: &[Volume],
    ) -> Result<Option<HostRef>> {
        let (wanted, uuid) = (name.clone(), hardware.uuid);
        let files: Vec<String> = disks.iter().map(|disk| disk.0.clone()).collect();
        let agrees =
            self.link.call(move |live| domain_agrees(&live.connect, id, &wanted, uuid, &files)).await?;
        if !agrees || !self.store.adopt(id, name, disks).await? {
            return Ok(None);
        }
        let wanted = name.clone();
        self.link
            .call(move |live| match domain_mark::find(&live.connect, uuid)? {
                Some(domain) => {
                    domain_mark::write(&domain, id, &wanted).map_err(of_host("Marking the domain"))
                }
                None => Ok(()),
            })
            .await?;
        Ok(Some(HostRef(uuid.to_string())))
    }

    pub(super) async fn all_belongings(&self) -> Result<Vec<Belonging>> {
        let mut found = self.store.belongings().await?;
        let (uri, root) = (self.link.uri().to_owned(), self.store.root().to_owned());
        found.extend(self.link.sample(move |live| marked_domains(&live.sampling, &uri, &root)).await?);
        Ok(found)
    }
}

/// Whether the domain is the machine's in every respect: name, disks, and no other machine's mark.
fn domain_agrees(
    connect: &Connect,
    id: MachineId,
    name: &MachineName,
    uuid: Uuid,
    files: &[String],
) -> Result<bool> {
    let fault = || of_host("Checking whose a domain is");
    let Some(domain) = domain_mark::find(connect, uuid)? else { return Ok(false) };
    let told = domain_mark::read(&domain).map_err(fault())?;
    let may_be_ours = matches!(told.mark, Mark::WithoutId) || told.mark == Mark::Machine(id);
    Ok(may_be_ours && told.disks == files && domain.name().map_err(fault())? == name.as_str())
}

/// The domains that carry a mark, and those without one whose disks are among the machines'.
fn marked_domains(connect: &Connect, uri: &str, root: &PathBuf) -> Result<Vec<Belonging>> {
    let fault = || of_host("Checking whose the domains are");
    let mut found = Vec::new();
    for domain in connect.list_all_domains(0).map_err(fault())? {
        let told = match domain_mark::read(&domain) {
            // Gone since the list was made.
            Err(error) if is(&error, ErrorNumber::NoDomain) => continue,
            told => told.map_err(fault())?,
        };
        let owner = match told.mark {
            Mark::Machine(id) => Some(id),
            Mark::WithoutId => None,
            Mark::None if told.disks.iter().any(|file| PathBuf::from(file).starts_with(root)) => None,
            Mark::None => continue,
        };
        let (name, uuid) = (domain.name().map_err(fault())?, domain.uuid().map_err(fault())?);
        found.push(Belonging {
            owner,
            what: format!("The domain “{name}”"),
            fix: format!("Remove it when nobody needs it: virsh -c {uri} undefine {uuid} --nvram"),
        });
    }
    Ok(found)
}
