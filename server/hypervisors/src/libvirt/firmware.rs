//! UEFI for machines: which files of the host to use, and each machine's own variables.
//!
//! Distributions disagree about names and paths, so libvirt is asked first (`domain_capabilities`) and the known paths
//! are tried after. Builds with Secure Boot keys are left out: guests bring their own boot loader, unsigned.

use quick_xml::Reader;
use quick_xml::events::Event;
use std::path::{Path, PathBuf};

/// A firmware build: its code and the variables that a machine begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firmware {
    /// Code, shared by all machines.
    pub code: PathBuf,
    /// Template of the variables.
    pub variables: PathBuf,
}

/// The message when there is no firmware.
pub const NO_FIRMWARE: &str = "no UEFI firmware without Secure Boot was found";
/// How to get it.
pub const FIRMWARE_FIX: &str = "Install it: apt-get install ovmf (Debian, Ubuntu), dnf install edk2-ovmf (Fedora) or \
                                pacman -S edk2-ovmf (Arch).";

/// Where distributions put it: Debian and Ubuntu, Fedora, Arch, NixOS since 25.11 and before it, QEMU's own.
const PLACES: &[(&str, &str)] = &[
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
    ("/run/libvirt/nix-ovmf/edk2-x86_64-code.fd", "/run/libvirt/nix-ovmf/edk2-i386-vars.fd"),
    ("/run/libvirt/nix-ovmf/OVMF_CODE.fd", "/run/libvirt/nix-ovmf/OVMF_VARS.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    ("/usr/share/qemu/edk2-x86_64-code.fd", "/usr/share/qemu/edk2-i386-vars.fd"),
];

/// The first firmware whose files exist: those that libvirt names, then the known places.
pub fn find(domain_capabilities: Option<&str>, is_file: impl Fn(&Path) -> bool) -> Option<Firmware> {
    let told = domain_capabilities.map(loaders).unwrap_or_default().into_iter().filter_map(with_variables);
    let known =
        PLACES.iter().map(|(code, variables)| Firmware { code: code.into(), variables: variables.into() });
    told.chain(known).find(|f| is_file(&f.code) && is_file(&f.variables))
}

/// The values of `<os><loader>` in libvirt's domain capabilities.
fn loaders(xml: &str) -> Vec<PathBuf> {
    let mut reader = Reader::from_str(xml);
    let mut path: Vec<Vec<u8>> = Vec::new();
    let mut found = Vec::new();
    loop {
        match reader.read_event() {
            Ok(Event::Start(tag)) => path.push(tag.name().as_ref().to_vec()),
            Ok(Event::End(_)) => drop(path.pop()),
            Ok(Event::Text(text)) if path.ends_with(&[b"loader".to_vec(), b"value".to_vec()]) => {
                found.extend(text.decode().ok().map(|t| PathBuf::from(t.trim())));
            }
            Ok(Event::Eof) | Err(_) => return found,
            Ok(_) => {}
        }
    }
}

/// The variables that belong to a build of OVMF have its name with VARS for CODE.
fn with_variables(code: PathBuf) -> Option<Firmware> {
    const SIGNED: [&str; 4] = ["secboot", "secure", ".ms.", "snakeoil"];
    let name = code.file_name()?.to_str()?;
    let lower = name.to_ascii_lowercase();
    if SIGNED.iter().any(|word| lower.contains(word)) {
        return None;
    }
    let variables = match name {
        "edk2-x86_64-code.fd" => "edk2-i386-vars.fd".to_owned(),
        _ if name.contains("CODE") => name.replacen("CODE", "VARS", 1),
        _ => return None,
    };
    Some(Firmware { variables: code.with_file_name(variables), code })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPABILITIES: &str = "<domainCapabilities><os supported='yes'><loader supported='yes'>\
        <value>/x/OVMF_CODE_4M.secboot.fd</value><value>/x/OVMF_CODE_4M.ms.fd</value><value>/x/OVMF_CODE_4M.fd</value>\
        <enum name='type'><value>rom</value></enum></loader></os></domainCapabilities>";

    #[test]
    fn what_libvirt_names_comes_first_and_signed_builds_are_left_out() {
        let found = find(Some(CAPABILITIES), |_| true).unwrap();
        assert_eq!(found.code, Path::new("/x/OVMF_CODE_4M.fd"));
        assert_eq!(found.variables, Path::new("/x/OVMF_VARS_4M.fd"));
    }

    #[test]
    fn without_both_files_the_next_place_is_tried() {
        let arch = |path: &Path| path.starts_with("/usr/share/edk2/x64");
        assert_eq!(
            find(Some(CAPABILITIES), arch).unwrap().code,
            Path::new("/usr/share/edk2/x64/OVMF_CODE.4m.fd")
        );
        assert_eq!(find(None, |_| false), None);
    }

    #[test]
    fn on_nixos_the_firmware_of_qemu_is_found_with_and_without_libvirts_word() {
        let nixos = |path: &Path| path.starts_with("/run/libvirt/nix-ovmf");
        let capabilities = "<os><loader><value>/run/libvirt/nix-ovmf/edk2-x86_64-secure-code.fd</value>\
            <value>/run/libvirt/nix-ovmf/edk2-x86_64-code.fd</value></loader></os>";
        for told in [None, Some(capabilities)] {
            let found = find(told, nixos).unwrap();
            assert_eq!(found.code, Path::new("/run/libvirt/nix-ovmf/edk2-x86_64-code.fd"));
            assert_eq!(found.variables, Path::new("/run/libvirt/nix-ovmf/edk2-i386-vars.fd"));
        }
    }

    #[test]
    fn broken_xml_ends_the_list() {
        assert_eq!(loaders("<a><loader><value>/x</value></b><value>/y</value>"), [PathBuf::from("/x")]);
        assert_eq!(loaders("</a></b>"), Vec::<PathBuf>::new());
        assert_eq!(loaders("<loader><value>&nonsense;"), Vec::<PathBuf>::new());
    }
}
