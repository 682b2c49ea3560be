//! Defining and removing domains, with what a definition needs to know about the host.

use super::Libvirt;
use super::connect::is_session;
use super::domain_mark::{refuse_foreign, refuse_if_foreign};
use super::domain_xml::{Platform, render};
use super::error::{failed, is, of_host, of_machine};
use super::facts::HostFacts;
use super::firmware::{FIRMWARE_FIX, NO_FIRMWARE};
use super::power::{find, uuid_of};
use ports::hypervisor::{Definition, MachineRef, Result};
use virt::domain::Domain;
use virt::error::{Error, ErrorNumber};

impl Libvirt {
    /// The facts about the host, found at the first call.
    pub(super) async fn facts(&self) -> Result<HostFacts> {
        let mut known = self.facts.lock().await;
        if let Some(facts) = known.as_ref().filter(|f| f.firmware.is_some()) {
            return Ok(facts.clone());
        }
        let facts = self.look().await?;
        *known = Some(facts.clone());
        Ok(facts)
    }

    /// Checks again and keeps the result.
    pub(super) async fn look_again(&self) -> Result<HostFacts> {
        let facts = self.look().await?;
        *self.facts.lock().await = Some(facts.clone());
        Ok(facts)
    }

    async fn look(&self) -> Result<HostFacts> {
        let (uri, setting) = (self.link.uri().to_owned(), self.acceleration);
        self.link.call(move |live| Ok(HostFacts::look(&live.connect, &uri, setting))).await
    }

    pub(super) async fn define(&self, machine: &MachineRef, definition: &Definition) -> Result<()> {
        let what = "Defining the machine";
        let uuid = uuid_of(machine)?;
        if uuid != definition.hardware.uuid {
            return Err(failed(
                what,
                format!("its place on the host is {uuid}, and it has the UUID of another one"),
            ));
        }
        let facts = self.facts().await?;
        let Some(firmware) = facts.firmware else {
            return Err(failed(what, format!("{NO_FIRMWARE}. {FIRMWARE_FIX}")));
        };
        let image = self.store.image_of(&definition.boot).await?;
        let nvram = self.store.ensure_nvram(machine, &firmware.variables).await?;
        let platform = Platform {
            accelerator: facts.acceleration.accelerator,
            firmware: firmware.code,
            nvram,
            image,
            run_as: run_as(),
            manages_ownership: !is_session(self.link.uri()),
        };
        let xml = render(machine, definition, &platform).map_err(|e| failed(what, e.to_string()))?;
        let machine = machine.clone();
        self.link
            .call(move |live| {
                refuse_foreign(&live.connect, machine.id, &machine.name, uuid)?;
                live.connect.define_domain_xml(&xml).map(drop).map_err(of_host(what))
            })
            .await
    }

    /// Has libvirt start the domain when the host boots, or not. libvirt keeps this beside the definition.
    pub(super) async fn start_with_host(&self, machine: &MachineRef, on: bool) -> Result<()> {
        let machine = machine.clone();
        self.link
            .call(move |live| {
                let domain = find(&live.connect, &machine)?;
                refuse_if_foreign(&domain, machine.id)?;
                domain.set_autostart(on).map_err(of_machine("Setting the machine's autostart", &machine))
            })
            .await
    }

    pub(super) async fn undefine(&self, machine: &MachineRef) -> Result<()> {
        // Someone else's folder means that the domain is someone else's too.
        self.store.own_folder(machine)?;
        let (wanted, uuid) = (machine.clone(), uuid_of(machine)?);
        self.link
            .call(move |live| {
                let fault = |error| of_machine("Removing the machine's definition", &wanted)(error);
                let domain = match live.connect.lookup_domain_by_uuid(uuid) {
                    Err(error) if is(&error, ErrorNumber::NoDomain) => return Ok(()),
                    found => found.map_err(fault)?,
                };
                refuse_if_foreign(&domain, wanted.id)?;
                // Undefined while it runs, a domain would keep running with nobody knowing about it.
                if domain.is_active().map_err(fault)? {
                    domain.destroy().or_else(|e| gone_meanwhile(&domain, e)).map_err(fault)?;
                }
                match undefine_with_all(&domain) {
                    Err(error) if is(&error, ErrorNumber::NoDomain) => Ok(()),
                    done => done.map_err(fault),
                }
            })
            .await?;
        self.store.remove_nvram(machine)
    }
}

/// Undefines a domain with everything libvirt keeps for it.
fn undefine_with_all(domain: &Domain) -> std::result::Result<(), Error> {
    let every_driver =
        virt_sys::VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | virt_sys::VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA;
    let newer = virt_sys::VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA | virt_sys::VIR_DOMAIN_UNDEFINE_NVRAM;
    match domain.undefine_flags(every_driver | newer) {
        // A driver that does not know these flags has nothing for them to remove.
        Err(error) if is(&error, ErrorNumber::InvalidArg) => domain.undefine_flags(every_driver),
        done => done,
    }
}

fn gone_meanwhile(domain: &Domain, error: Error) -> std::result::Result<(), Error> {
    if domain.is_active().is_ok_and(|active| !active) { Ok(()) } else { Err(error) }
}

/// Who QEMU runs as. For root that is libvirt's own choice, and libvirt handles the disks' ownership; for anyone else
/// it is they themselves, because libvirt's user could not reach disks below a home directory.
fn run_as() -> Option<String> {
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    (!user.is_root()).then(|| format!("+{}:+{}", user.as_raw(), group.as_raw()))
}
