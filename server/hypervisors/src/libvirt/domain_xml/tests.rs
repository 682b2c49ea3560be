//! The XML that machines get, and that nothing can break out of a value.

use super::*;
use model::machine::HardwareIds;
use ports::hypervisor::{HostRef, Volume};
use std::path::Path;

fn machine() -> MachineRef {
    MachineRef {
        id: "01900000-0000-7000-8000-000000000005".parse().unwrap(),
        name: "web-1".parse().unwrap(),
        host_ref: HostRef("6f0e2c3a-0000-4000-8000-000000000001".to_owned()),
    }
}

fn definition() -> Definition {
    Definition {
        hardware: HardwareIds {
            uuid: "6f0e2c3a-0000-4000-8000-000000000001".parse().unwrap(),
            mac: "52:54:00:aa:bb:cc".parse().unwrap(),
            machine_id: "0123456789abcdef0123456789abcdef".parse().unwrap(),
        },
        memory: 2048.try_into().unwrap(),
        vcpus: 2.try_into().unwrap(),
        network: Network::Nat,
        boot: Volume("/s/machines/web-1/boot.qcow2".into()),
        data: Some(Volume("/s/machines/web-1/data.qcow2".into())),
    }
}

fn platform(accelerator: Accelerator) -> Platform {
    Platform {
        accelerator,
        firmware: "/fw/OVMF_CODE_4M.fd".into(),
        nvram: "/s/machines/web-1/nvram.qcow2".into(),
        image: Some("/nix/store/x/nixos.qcow2".into()),
        run_as: None,
        manages_ownership: true,
    }
}

/// Every element and text of a document, flattened, so that markup in a value would show.
fn outline(xml: &str) -> Vec<String> {
    use quick_xml::events::Event;
    let mut reader = quick_xml::Reader::from_str(xml);
    let mut seen = Vec::new();
    loop {
        match reader.read_event().unwrap() {
            Event::Start(e) | Event::Empty(e) => {
                seen.push(String::from_utf8(e.name().as_ref().to_vec()).unwrap())
            }
            Event::Eof => return seen,
            _ => {}
        }
    }
}

#[test]
fn an_immutable_machine_under_emulation() {
    let xml = render(&machine(), &definition(), &platform(Accelerator::Tcg)).unwrap();
    assert_eq!(xml, include_str!("immutable_tcg.xml").replace('\n', ""));
}

#[test]
fn a_mutable_machine_on_kvm_and_a_bridge() {
    let mut changed = definition();
    changed.data = None;
    changed.network = "bridge:br0".parse().unwrap();
    let xml = render(&machine(), &changed, &platform(Accelerator::Kvm)).unwrap();
    assert!(xml.starts_with("<domain type=\"kvm\" "));
    assert!(xml.contains("<cpu mode=\"host-passthrough\""));
    assert!(
        xml.contains(
            "<interface type=\"bridge\"><mac address=\"52:54:00:aa:bb:cc\"/><source bridge=\"br0\"/>"
        )
    );
    assert!(!xml.contains("<readonly/>"));
    assert!(!xml.contains("vdb"));
    assert!(!xml.contains("tb-cache"));
}

#[test]
fn outside_root_qemu_runs_as_the_portals_user_and_a_session_says_nothing_of_owners() {
    let mut host = platform(Accelerator::Tcg);
    host.run_as = Some("+1000:+100".into());
    let xml = render(&machine(), &definition(), &host).unwrap();
    assert!(xml.contains(
        "<seclabel type=\"static\" model=\"dac\" relabel=\"yes\"><label>+1000:+100</label></seclabel>"
    ));
    host.manages_ownership = false;
    assert!(!render(&machine(), &definition(), &host).unwrap().contains("seclabel"));
}

#[test]
fn values_cannot_become_markup() {
    let plain = outline(&render(&machine(), &definition(), &platform(Accelerator::Tcg)).unwrap());
    for hostile in
        ["'/><evil/>", "\"/><evil/>", "</source><evil/>", "]]><evil/>", "&lt;evil/&gt;&quot;", "<!--", "a\nb"]
    {
        let mut changed = definition();
        changed.boot = Volume(format!("/s/{hostile}"));
        let mut host = platform(Accelerator::Tcg);
        host.image = Some(Path::new("/nix/store").join(hostile));
        host.nvram = hostile.into();
        host.firmware = hostile.into();
        let xml = render(&machine(), &changed, &host).unwrap();
        assert_eq!(outline(&xml), plain, "{hostile}");
    }
}

#[test]
fn a_path_that_is_not_utf8_is_refused() {
    use std::os::unix::ffi::OsStrExt;
    let mut host = platform(Accelerator::Tcg);
    host.nvram = std::ffi::OsStr::from_bytes(b"/s/\xff").into();
    assert!(render(&machine(), &definition(), &host).unwrap_err().to_string().contains("not UTF-8"));
}
