//! Defining and removing domains, with what a definition needs to know of the host.

use super::Libvirt;
use super::acceleration::{self, Acceleration};
use super::connect::{is_local, is_session};
use super::domain_xml::{Platform, render};
use super::error::{failed, is, of_host, of_machine};
use super::firmware::{self, Firmware};
use super::kvm;
use ports::hypervisor::{Definition, HypervisorError, MachineRef, Result};
use std::path::Path;
use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::{Error, ErrorNumber};

/// What a host can do for a machine. Found once and kept until the host's check looks again.
#[derive(Clone, Debug)]
pub struct HostFacts {
    /// KVM or emulation.
    pub acceleration: Acceleration,
    /// What is wrong with the permissions of `/dev/kvm`.
    pub kvm: Option<acceleration::Problem>,
    /// UEFI; none if there is none without Secure Boot.
    pub firmware: Option<Firmware>,
}

impl HostFacts {
    /// Looks at the host of this URI.
    pub fn look(connect: &Connect, uri: &str, setting: acceleration::AccelerationSetting) -> Self {
        let with = |kind| connect.domain_capabilities(None, Some("x86_64"), Some("q35"), Some(kind), 0);
        let kvm = with("kvm");
        let capabilities = kvm.as_ref().ok().cloned().or_else(|| with("qemu").ok());
        let local = is_local(uri);
        // In a session QEMU has our own rights, and then trying is the better test.
        let closed =
            (local && !is_session(uri)).then(|| kvm::problem(&connect.capabilities().ok()?)).flatten();
        Self {
            acceleration: acceleration::decide(setting, local, kvm.is_ok(), closed.as_ref()),
            kvm: closed,
            firmware: firmware::find(capabilities.as_deref(), Path::is_file),
        }
    }
}

/// What is said, here and by the check, when there is no firmware.
pub const NO_FIRMWARE: &str = "no UEFI firmware without Secure Boot was found";
/// How to mend that.
pub const FIRMWARE_FIX: &str = "Install it: apt-get install ovmf (Debian, Ubuntu), dnf install edk2-ovmf (Fedora) or \
                                pacman -S edk2-ovmf (Arch).";

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

    /// Looks again and keeps what is found.
    pub(super) async fn look_again(&self) -> Result<HostFacts> {
        let facts = self.look().await?;
        *self.facts.lock().await = Some(facts.clone());
        Ok(facts)
    }

    async fn look(&self) -> Result<HostFacts> {
        let (uri, setting) = (self.link.uri().to_owned(), self.acceleration);
        self.link.call(move |live| Ok(HostFacts::look(&live.connect, &uri, setting))).await
    }

    pub(super) async fn define(&self, definition: &Definition) -> Result<()> {
        let what = "Defining the machine";
        let facts = self.facts().await?;
        let Some(firmware) = facts.firmware else {
            return Err(failed(what, format!("{NO_FIRMWARE}. {FIRMWARE_FIX}")));
        };
        let image = self.store.image_of(&definition.boot).await?;
        let nvram = self.store.ensure_nvram(&definition.name, &firmware.variables).await?;
        let platform = Platform {
            accelerator: facts.acceleration.accelerator,
            firmware: firmware.code,
            nvram,
            image,
            run_as: run_as(),
            manages_ownership: !is_session(self.link.uri()),
        };
        let xml = render(definition, &platform).map_err(|e| failed(what, e.to_string()))?;
        let machine = MachineRef { name: definition.name.clone(), uuid: definition.hardware.uuid };
        self.link
            .call(move |live| match live.connect.define_domain_xml(&xml) {
                Ok(_domain) => Ok(()),
                Err(error) => Err(refusal(&live.connect, &machine, error)),
            })
            .await
    }

    pub(super) async fn undefine(&self, machine: &MachineRef) -> Result<()> {
        let wanted = machine.clone();
        self.link
            .call(move |live| {
                let fault = |error| of_machine("Removing the machine's definition", &wanted)(error);
                let domain = match live.connect.lookup_domain_by_uuid(wanted.uuid) {
                    Err(error) if is(&error, ErrorNumber::NoDomain) => return Ok(()),
                    found => found.map_err(fault)?,
                };
                // Undefined while it runs, a domain would run on with nobody knowing it.
                if domain.is_active().map_err(fault)? {
                    domain.destroy().or_else(|e| gone_meanwhile(&domain, e)).map_err(fault)?;
                }
                match undefine_with_all(&domain) {
                    Err(error) if is(&error, ErrorNumber::NoDomain) => Ok(()),
                    done => done.map_err(fault),
                }
            })
            .await?;
        self.store.remove_nvram(&machine.name)
    }
}

/// Undefines a domain with everything libvirt keeps for it.
fn undefine_with_all(domain: &Domain) -> std::result::Result<(), Error> {
    let every_driver =
        virt_sys::VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | virt_sys::VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA;
    let newer = virt_sys::VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA | virt_sys::VIR_DOMAIN_UNDEFINE_NVRAM;
    match domain.undefine_flags(every_driver | newer) {
        // A driver that does not know these flags has nothing that they would remove.
        Err(error) if is(&error, ErrorNumber::InvalidArg) => domain.undefine_flags(every_driver),
        done => done,
    }
}

fn gone_meanwhile(domain: &Domain, error: Error) -> std::result::Result<(), Error> {
    if domain.is_active().is_ok_and(|active| !active) { Ok(()) } else { Err(error) }
}

/// Why a definition was refused: above all, whether the name is somebody else's.
fn refusal(connect: &Connect, machine: &MachineRef, error: Error) -> HypervisorError {
    let namesake = connect.lookup_domain_by_name(machine.name.as_str()).and_then(|domain| domain.uuid());
    match namesake {
        Ok(uuid) if uuid != machine.uuid => HypervisorError::Foreign { name: machine.name.clone() },
        _ => of_host("Defining the machine")(error),
    }
}

/// Whom QEMU runs as. For root it is libvirt's own choice, and libvirt sees to the disks' ownership; for anybody else it is
/// they themselves, because libvirt's user could not reach disks below a home directory.
fn run_as() -> Option<String> {
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    (!user.is_root()).then(|| format!("+{}:+{}", user.as_raw(), group.as_raw()))
}
