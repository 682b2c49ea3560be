//! A machine's definition as libvirt's domain XML (formatdomain.html in libvirt's documentation).
//!
//! Written by an XML writer, so that no value can become markup. `definition.rs` calls it with the facts about the host
//! ([`Platform`]). The reason for each part is beside it; everything not named here is libvirt's default.

use model::machine::Network;
use ports::hypervisor::{Definition, MachineRef};
use quick_xml::Writer;
use quick_xml::events::BytesText;
use std::io;
use std::path::PathBuf;

/// What runs the processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accelerator {
    /// The computer's own, through KVM.
    Kvm,
    /// QEMU's translation: works everywhere, slowly.
    Tcg,
}

/// What the definition needs to know about the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// What runs the processors.
    pub accelerator: Accelerator,
    /// UEFI's code, mapped read-only.
    pub firmware: PathBuf,
    /// The machine's own UEFI variables, a qcow2 file.
    pub nvram: PathBuf,
    /// The image below the boot disk, if the boot disk is an overlay.
    pub image: Option<PathBuf>,
    /// Who QEMU runs as, `+uid:+gid`; none leaves it and the disks' ownership to libvirt.
    pub run_as: Option<String>,
    /// True where libvirt manages file ownership (its DAC driver, `qemu:///system`).
    pub manages_ownership: bool,
}

/// The network of the host's address translation.
pub const NAT_NETWORK: &str = "default";
/// The namespace of our element in a domain's metadata. Its element marks a domain with the id of the machine that it belongs to.
pub const NAMESPACE: &str = "urn:snowglobe:machine:1";
/// The namespace of elements that only libvirt's QEMU driver knows (libvirt.org/drvqemu.html).
const QEMU_NAMESPACE: &str = "http://libvirt.org/schemas/domain/qemu/1.0";
/// Where libvirt and the guest's agent meet.
const AGENT_CHANNEL: &str = "org.qemu.guest_agent.0";
/// How often the guest reports its memory use, in seconds.
const BALLOON_PERIOD: &str = "5";

/// A document that is being written.
pub type Xml = Writer<Vec<u8>>;

/// The XML of a domain.
///
/// # Errors
/// Only if a path is not UTF-8, which libvirt could not read either.
pub fn render(machine: &MachineRef, definition: &Definition, platform: &Platform) -> io::Result<String> {
    let mut xml = Writer::new(Vec::with_capacity(4096));
    let kind = match platform.accelerator {
        Accelerator::Kvm => "kvm",
        Accelerator::Tcg => "qemu",
    };
    element(&mut xml, "domain", &[("type", kind), ("xmlns:qemu", QEMU_NAMESPACE)], |x| {
        text(x, "name", &[], machine.name.as_str())?;
        text(x, "uuid", &[], &definition.hardware.uuid.to_string())?;
        element(x, "metadata", &[], |x| {
            let mark = [
                ("xmlns:snowglobe", NAMESPACE),
                ("id", &machine.id.to_string()),
                ("name", machine.name.as_str()),
            ];
            empty(x, "snowglobe:machine", &mark)
        })?;
        text(x, "memory", &[("unit", "MiB")], &definition.memory.get().to_string())?;
        text(x, "vcpu", &[], &definition.vcpus.get().to_string())?;
        firmware(x, platform)?;
        processor(x, platform.accelerator)?;
        lifecycle(x)?;
        element(x, "devices", &[], |x| devices(x, definition, platform))?;
        security(x, platform)?;
        quick_start(x)
    })?;
    String::from_utf8(xml.into_inner()).map_err(io::Error::other)
}

/// A whole document of libvirt's.
///
/// # Errors
/// As [`render`].
pub fn document(
    name: &str,
    attributes: &[(&str, &str)],
    inside: impl FnOnce(&mut Xml) -> io::Result<()>,
) -> io::Result<String> {
    let mut xml = Writer::new(Vec::new());
    element(&mut xml, name, attributes, inside)?;
    String::from_utf8(xml.into_inner()).map_err(io::Error::other)
}

fn firmware(x: &mut Xml, platform: &Platform) -> io::Result<()> {
    element(x, "os", &[], |x| {
        text(x, "type", &[("arch", "x86_64"), ("machine", "q35")], "hvm")?;
        // Named rather than found by libvirt: its search wants variables in the format of the template, and a snapshot of a
        // running machine wants them in qcow2.
        text(
            x,
            "loader",
            &[("readonly", "yes"), ("type", "pflash"), ("format", "raw")],
            utf8(&platform.firmware)?,
        )?;
        element(x, "nvram", &[("type", "file"), ("format", "qcow2")], |x| {
            empty(x, "source", &[("file", utf8(&platform.nvram)?)])
        })
    })
}

fn processor(x: &mut Xml, accelerator: Accelerator) -> io::Result<()> {
    element(x, "features", &[], |x| {
        empty(x, "acpi", &[])?;
        empty(x, "apic", &[])?;
        empty(x, "vmport", &[("state", "off")])?;
        if accelerator == Accelerator::Tcg {
            // QEMU would reserve 1 GiB for translated code; a small guest never needs it.
            element(x, "tcg", &[], |x| text(x, "tb-cache", &[("unit", "MiB")], "128"))?;
        }
        Ok(())
    })?;
    match accelerator {
        Accelerator::Kvm => {
            empty(x, "cpu", &[("mode", "host-passthrough"), ("check", "none"), ("migratable", "on")])
        }
        Accelerator::Tcg => empty(x, "cpu", &[("mode", "maximum"), ("check", "none")]),
    }
}

fn lifecycle(x: &mut Xml) -> io::Result<()> {
    element(x, "clock", &[("offset", "utc")], |x| {
        empty(x, "timer", &[("name", "rtc"), ("tickpolicy", "catchup")])?;
        empty(x, "timer", &[("name", "pit"), ("tickpolicy", "delay")])?;
        empty(x, "timer", &[("name", "hpet"), ("present", "no")])
    })?;
    text(x, "on_poweroff", &[], "destroy")?;
    text(x, "on_reboot", &[], "restart")?;
    text(x, "on_crash", &[], "destroy")?;
    // A server that suspends itself looks dead to its owner.
    element(x, "pm", &[], |x| {
        empty(x, "suspend-to-mem", &[("enabled", "no")])?;
        empty(x, "suspend-to-disk", &[("enabled", "no")])
    })
}

fn devices(x: &mut Xml, machine: &Definition, platform: &Platform) -> io::Result<()> {
    disk(x, &machine.boot.0, "vda", |x| {
        image(x, platform)?;
        if machine.data.is_some() {
            empty(x, "readonly", &[])?;
        }
        // The firmware tries this disk and nothing else: no wait for a boot server on the network.
        empty(x, "boot", &[("order", "1")])
    })?;
    if let Some(data) = &machine.data {
        disk(x, &data.0, "vdb", |_| Ok(()))?;
    }
    network_card(x, machine)?;
    element(x, "serial", &[("type", "pty")], |x| {
        empty(x, "target", &[("type", "isa-serial"), ("port", "0")])
    })?;
    element(x, "console", &[("type", "pty")], |x| empty(x, "target", &[("type", "serial"), ("port", "0")]))?;
    element(x, "channel", &[("type", "unix")], |x| {
        empty(x, "target", &[("type", "virtio"), ("name", AGENT_CHANNEL)])
    })?;
    // A guest without entropy waits for it at its first boot, where it makes its SSH host key.
    element(x, "rng", &[("model", "virtio")], |x| {
        text(x, "backend", &[("model", "random")], "/dev/urandom")
    })?;
    // Memory that the guest frees goes back to the host, and the guest reports how much it uses.
    element(x, "memballoon", &[("model", "virtio"), ("freePageReporting", "on")], |x| {
        empty(x, "stats", &[("period", BALLOON_PERIOD)])
    })?;
    // A guest whose systemd has stopped is reset. libvirt before 9.1 neither adds nor knows the chipset's own watchdog
    // (itco); every libvirt has this one.
    empty(x, "watchdog", &[("model", "i6300esb"), ("action", "reset")])?;
    // No screen, no sound, no USB: the machine is used by its serial line and by SSH, and memory is for guests.
    empty(x, "controller", &[("type", "usb"), ("model", "none")])?;
    element(x, "video", &[], |x| empty(x, "model", &[("type", "none")]))
}

fn disk(
    x: &mut Xml,
    path: &str,
    device: &str,
    more: impl FnOnce(&mut Xml) -> io::Result<()>,
) -> io::Result<()> {
    element(x, "disk", &[("type", "file"), ("device", "disk")], |x| {
        // The host's page cache holds an image once for all machines that boot it, and works on every file system; what
        // the guest flushes still reaches the disk. Blocks that the guest frees or zeroes are given back.
        let driver = [
            ("name", "qemu"),
            ("type", "qcow2"),
            ("cache", "writeback"),
            ("discard", "unmap"),
            ("detect_zeroes", "unmap"),
        ];
        empty(x, "driver", &driver)?;
        empty(x, "source", &[("file", path)])?;
        empty(x, "target", &[("dev", device), ("bus", "virtio")])?;
        more(x)
    })
}

/// The image below the boot disk. Given rather than left for libvirt to find, because libvirt would give the file in
/// the Nix store to QEMU's user.
fn image(x: &mut Xml, platform: &Platform) -> io::Result<()> {
    let Some(image) = &platform.image else { return Ok(()) };
    element(x, "backingStore", &[("type", "file")], |x| {
        empty(x, "format", &[("type", "qcow2")])?;
        element(x, "source", &[("file", utf8(image)?)], |x| {
            if platform.manages_ownership {
                empty(x, "seclabel", &[("model", "dac"), ("relabel", "no")])?;
            }
            Ok(())
        })?;
        empty(x, "backingStore", &[])
    })
}

fn network_card(x: &mut Xml, machine: &Definition) -> io::Result<()> {
    let (kind, source) = match &machine.network {
        Network::Nat => ("network", ("network", NAT_NETWORK)),
        Network::Bridge(bridge) => ("bridge", ("bridge", bridge.as_str())),
    };
    element(x, "interface", &[("type", kind)], |x| {
        empty(x, "mac", &[("address", machine.hardware.mac.as_str())])?;
        empty(x, "source", &[source])?;
        empty(x, "model", &[("type", "virtio")])?;
        empty(x, "rom", &[("enabled", "no")])
    })
}

fn security(x: &mut Xml, platform: &Platform) -> io::Result<()> {
    match &platform.run_as {
        Some(user) if platform.manages_ownership => {
            element(x, "seclabel", &[("type", "static"), ("model", "dac"), ("relabel", "yes")], |x| {
                text(x, "label", &[], user)
            })
        }
        _ => Ok(()),
    }
}

/// Before it lets a guest run, libvirt reads each of some 460 processor properties by a call of its own to QEMU, which takes
/// twice as long as everything else about the start. Without this capability it reads the same as a few words of flags, as
/// it did before QEMU had it. A libvirt that no longer asks for the capability ignores the element.
fn quick_start(x: &mut Xml) -> io::Result<()> {
    element(x, "qemu:capabilities", &[], |x| {
        empty(x, "qemu:del", &[("capability", "cpu-unavailable-features")])
    })
}

pub fn utf8(path: &std::path::Path) -> io::Result<&str> {
    path.to_str().ok_or_else(|| io::Error::other(format!("the path {} is not UTF-8", path.display())))
}

pub fn element(
    x: &mut Xml,
    name: &str,
    attributes: &[(&str, &str)],
    inside: impl FnOnce(&mut Xml) -> io::Result<()>,
) -> io::Result<()> {
    let start = x.create_element(name).with_attributes(attributes.iter().copied());
    start.write_inner_content(inside).map(drop)
}

pub fn empty(x: &mut Xml, name: &str, attributes: &[(&str, &str)]) -> io::Result<()> {
    x.create_element(name).with_attributes(attributes.iter().copied()).write_empty().map(drop)
}

fn text(x: &mut Xml, name: &str, attributes: &[(&str, &str)], content: &str) -> io::Result<()> {
    let start = x.create_element(name).with_attributes(attributes.iter().copied());
    start.write_text_content(BytesText::new(content)).map(drop)
}

#[cfg(test)]
mod tests;
