//! The mark in a domain's metadata that says whose it is, and the other clue in its XML: the files of its disks.

use super::domain_xml::NAMESPACE;
use super::error::{is, of_host};
use model::machine::{MachineId, MachineName};
use ports::hypervisor::{HypervisorError, Result};
use quick_xml::NsReader;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};
use uuid::Uuid;
use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::{Error, ErrorNumber};

/// Whose a domain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Not the portal's.
    None,
    /// Made by the portal, before marks had the machine's id.
    WithoutId,
    /// This machine's.
    Machine(MachineId),
}

/// What a domain's definition says about its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ownership {
    pub mark: Mark,
    /// The files of its disks, not those below them.
    pub disks: Vec<String>,
}

/// Reads the definition of a domain as it will be at its next start.
pub fn read(domain: &Domain) -> std::result::Result<Ownership, Error> {
    domain.xml_desc(virt_sys::VIR_DOMAIN_XML_INACTIVE).map(|xml| parse(&xml))
}

/// Marks a domain from before there were ids in marks.
pub fn write(domain: &Domain, id: MachineId, name: &MachineName) -> std::result::Result<(), Error> {
    let element = format!("<machine id='{id}' name='{name}'/>");
    let live = if domain.is_active()? { virt_sys::VIR_DOMAIN_AFFECT_LIVE } else { 0 };
    domain.set_metadata(
        virt_sys::VIR_DOMAIN_METADATA_ELEMENT.cast_signed(),
        Some(&element),
        Some("snowglobe"),
        Some(NAMESPACE),
        virt_sys::VIR_DOMAIN_AFFECT_CONFIG | live,
    )
}

/// The domain with this identifier, or none.
pub fn find(connect: &Connect, uuid: Uuid) -> Result<Option<Domain>> {
    none_if_missing(connect.lookup_domain_by_uuid(uuid))
}

/// Ensures that neither the identifier nor the name belongs to a domain that is not the machine's own.
///
/// # Errors
/// [`HypervisorError::Foreign`] if one does.
pub fn refuse_foreign(connect: &Connect, id: MachineId, name: &MachineName, uuid: Uuid) -> Result<()> {
    let of_name = none_if_missing(connect.lookup_domain_by_name(name.as_str()))?;
    for domain in find(connect, uuid)?.into_iter().chain(of_name) {
        let fault = || of_host("Checking whose a domain is");
        if domain.uuid().map_err(fault())? != uuid {
            return Err(foreign(&domain));
        }
        refuse_if_foreign(&domain, id)?;
    }
    Ok(())
}

/// Ensures that a domain is the machine's own.
///
/// # Errors
/// [`HypervisorError::Foreign`] if it is not.
pub fn refuse_if_foreign(domain: &Domain, id: MachineId) -> Result<()> {
    match read(domain) {
        Ok(ownership) if ownership.mark == Mark::Machine(id) => Ok(()),
        Ok(_) => Err(foreign(domain)),
        // Undefined meanwhile: in nobody's way.
        Err(error) if is(&error, ErrorNumber::NoDomain) => Ok(()),
        Err(error) => Err(of_host("Checking whose a domain is")(error)),
    }
}

fn foreign(domain: &Domain) -> HypervisorError {
    HypervisorError::Foreign { what: format!("the domain “{}”", domain.name().unwrap_or_default()) }
}

fn none_if_missing(found: std::result::Result<Domain, Error>) -> Result<Option<Domain>> {
    match found {
        Ok(domain) => Ok(Some(domain)),
        Err(error) if is(&error, ErrorNumber::NoDomain) => Ok(None),
        Err(error) => Err(of_host("Looking for a domain")(error)),
    }
}

fn parse(xml: &str) -> Ownership {
    let mut reader = NsReader::from_str(xml);
    let mut ownership = Ownership { mark: Mark::None, disks: Vec::new() };
    let mut path: Vec<Vec<u8>> = Vec::new();
    loop {
        let Ok((namespace, event)) = reader.read_resolved_event() else { return ownership };
        let is_ours =
            matches!(namespace, ResolveResult::Bound(Namespace(name)) if name == NAMESPACE.as_bytes());
        match &event {
            Event::Start(tag) | Event::Empty(tag) => {
                let place: Vec<&[u8]> = path.iter().map(Vec::as_slice).collect();
                match (place.as_slice(), tag.local_name().as_ref()) {
                    ([b"domain", b"metadata"], b"machine") if is_ours => {
                        ownership.mark = attribute(tag, "id")
                            .and_then(|id| id.parse().ok())
                            .map_or(Mark::WithoutId, Mark::Machine);
                    }
                    ([b"domain", b"devices", b"disk"], b"source") => {
                        ownership.disks.extend(attribute(tag, "file"))
                    }
                    _ => {}
                }
                if matches!(event, Event::Start(_)) {
                    path.push(tag.local_name().as_ref().to_vec());
                }
            }
            Event::End(_) => drop(path.pop()),
            Event::Eof => return ownership,
            _ => {}
        }
    }
}

fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = tag.try_get_attribute(name).ok().flatten()?;
    found.unescape_value().ok().map(|value| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01900000-0000-7000-8000-000000000005";

    fn domain(metadata: &str) -> String {
        format!(
            "<domain type='kvm'><name>web</name><metadata>{metadata}</metadata><devices>\
             <disk type='file'><source file='/s/boot.qcow2'/><backingStore><source file='/nix/store/x'/></backingStore></disk>\
             <disk type='file'><source file='/s/a&amp;b.qcow2'><seclabel model='dac'/></source></disk>\
             <interface><source bridge='br0'/></interface></devices></domain>"
        )
    }

    #[test]
    fn the_mark_is_what_our_namespace_says_whatever_its_prefix() {
        let of = |metadata: &str| parse(&domain(metadata)).mark;
        let ours = Mark::Machine(ID.parse().unwrap());
        assert_eq!(of(&format!("<s:machine xmlns:s='{NAMESPACE}' id='{ID}' name='web'/>")), ours);
        assert_eq!(of(&format!("<machine xmlns='{NAMESPACE}' id='{ID}'></machine>")), ours);
        assert_eq!(of(&format!("<o:x xmlns:o='o'/><s:machine xmlns:s='{NAMESPACE}' id='{ID}'/>")), ours);
        assert_eq!(of(&format!("<s:machine xmlns:s='{NAMESPACE}' name='web'/>")), Mark::WithoutId);
        assert_eq!(of(&format!("<s:machine xmlns:s='{NAMESPACE}' id='x'/>")), Mark::WithoutId);
        assert_eq!(of(&format!("<o:machine xmlns:o='other' id='{ID}'/>")), Mark::None);
        assert_eq!(
            of(&format!("<o:x xmlns:o='o'><s:machine xmlns:s='{NAMESPACE}' id='{ID}'/></o:x>")),
            Mark::None
        );
        assert_eq!(of(""), Mark::None);
    }

    #[test]
    fn disks_are_the_files_themselves_and_broken_xml_ends_the_list() {
        assert_eq!(parse(&domain("")).disks, ["/s/boot.qcow2", "/s/a&b.qcow2"]);
        assert_eq!(parse("</a><b>").disks, Vec::<String>::new());
        assert_eq!(parse("").mark, Mark::None);
    }
}
