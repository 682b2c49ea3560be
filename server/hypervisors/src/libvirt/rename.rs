//! A machine's place under another name: the folder is moved, the domain is renamed, and the paths in its definition follow.
//!
//! At every moment both the folder and the domain exist, under one name or the other, and both say whose they are; so
//! an interrupted call is continued, or taken back, by the next.

use super::Libvirt;
use super::domain_mark::{find, refuse_foreign, refuse_if_foreign};
use super::domain_xml::NAMESPACE;
use super::error::{failed, of_machine};
use super::power::uuid_of;
use model::machine::MachineName;
use ports::hypervisor::{MachineRef, Result, Volume};
use quick_xml::events::{BytesStart, BytesText, Event};
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::{NsReader, Writer};
use std::path::{Path, PathBuf};
use uuid::Uuid;
use virt::connect::Connect;

const WHAT: &str = "Renaming the machine";

impl Libvirt {
    pub(super) async fn rename_place(
        &self,
        machine: &MachineRef,
        to: &MachineName,
        disks: &[Volume],
    ) -> Result<Vec<Volume>> {
        let uuid = uuid_of(machine)?;
        let (ours, name) = (machine.clone(), to.clone());
        self.link
            .call(move |live| {
                refuse_foreign(&live.connect, ours.id, &name, uuid)?;
                refuse_if_running(&live.connect, &ours, uuid)
            })
            .await?;
        let (from, folder) = self.store.move_folder(machine, to).await?;
        let renamed = Renamed { name: to.clone(), from, folder };
        let moved = disks.iter().map(|disk| Volume(renamed.path(&disk.0))).collect();
        let ours = machine.clone();
        self.link.call(move |live| rename_domain(&live.connect, &ours, uuid, &renamed)).await?;
        Ok(moved)
    }
}

fn refuse_if_running(connect: &Connect, machine: &MachineRef, uuid: Uuid) -> Result<()> {
    match find(connect, uuid)? {
        Some(domain) if domain.is_active().map_err(of_machine(WHAT, machine))? => {
            Err(failed(WHAT, "it is running"))
        }
        _ => Ok(()),
    }
}

/// Renames the domain, then updates the paths in its definition. libvirt keeps its snapshots and its identifier.
fn rename_domain(connect: &Connect, machine: &MachineRef, uuid: Uuid, renamed: &Renamed) -> Result<()> {
    let fault = |error| of_machine(WHAT, machine)(error);
    let Some(domain) = find(connect, uuid)? else { return Ok(()) };
    refuse_if_foreign(&domain, machine.id)?;
    if domain.name().map_err(fault)? != renamed.name.as_str() {
        domain.rename(renamed.name.as_str(), 0).map_err(fault)?;
    }
    let Some(domain) = find(connect, uuid)? else { return Ok(()) };
    let whole = virt_sys::VIR_DOMAIN_XML_INACTIVE | virt_sys::VIR_DOMAIN_XML_SECURE;
    let xml = domain.xml_desc(whole).map_err(fault)?;
    let moved = renamed.definition(&xml).map_err(|error| failed(WHAT, error.to_string()))?;
    if moved != xml {
        connect.define_domain_xml(&moved).map_err(fault)?;
    }
    Ok(())
}

/// The new name, and where the machine's folder was and is.
struct Renamed {
    name: MachineName,
    from: PathBuf,
    folder: PathBuf,
}

impl Renamed {
    /// A path after the move.
    fn path(&self, path: &str) -> String {
        let moved = Path::new(path).strip_prefix(&self.from).ok().map(|rest| self.folder.join(rest));
        moved.as_deref().and_then(Path::to_str).unwrap_or(path).to_owned()
    }

    /// A definition with the current paths and mark, and everything else unchanged.
    fn definition(&self, xml: &str) -> std::result::Result<String, quick_xml::Error> {
        let mut reader = NsReader::from_str(xml);
        let mut writer = Writer::new(Vec::with_capacity(xml.len()));
        loop {
            let (namespace, event) = reader.read_resolved_event()?;
            let is_ours =
                matches!(namespace, ResolveResult::Bound(Namespace(name)) if name == NAMESPACE.as_bytes());
            let event = match event {
                Event::Eof => break,
                Event::Start(tag) => Event::Start(self.tag(&tag, is_ours)?),
                Event::Empty(tag) => Event::Empty(self.tag(&tag, is_ours)?),
                // Older versions of libvirt write some paths as text.
                Event::Text(text) => {
                    let text = text.decode()?;
                    Event::Text(BytesText::from_escaped(self.path(&text)))
                }
                other => other,
            };
            writer.write_event(event.into_owned())?;
        }
        Ok(String::from_utf8_lossy(&writer.into_inner()).into_owned())
    }

    fn tag(
        &self,
        tag: &BytesStart<'_>,
        is_ours: bool,
    ) -> std::result::Result<BytesStart<'static>, quick_xml::Error> {
        let mut moved = BytesStart::new(String::from_utf8_lossy(tag.name().as_ref()).into_owned());
        for attribute in tag.attributes() {
            let attribute = attribute?;
            let key = String::from_utf8_lossy(attribute.key.as_ref()).into_owned();
            let value = attribute.unescape_value()?;
            let value = if is_ours && key == "name" { self.name.to_string() } else { self.path(&value) };
            moved.push_attribute((key.as_str(), value.as_str()));
        }
        Ok(moved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_in_the_folder_and_the_mark_follow_and_nothing_else_changes() {
        let renamed = Renamed {
            name: "db".parse().unwrap(),
            from: "/s/a&b/machines/web".into(),
            folder: "/s/a&b/machines/db".into(),
        };
        let definition = |name: &str, folder: &str| {
            format!(
                "<domain type=\"kvm\">\n  <name>db</name><metadata><s:machine xmlns:s=\"{NAMESPACE}\" id=\"1\" name=\"{name}\"/>\
                 <o:x xmlns:o=\"o\" name=\"web\"/></metadata><title>web &amp; &lt;more&gt;</title>\
                 <disk><source file=\"/s/a&amp;b/machines/{folder}/boot.qcow2\"/>\
                 <backingStore><source file=\"/nix/store/x/image\"/></backingStore></disk>\
                 <disk><source file=\"/s/a&amp;b/machines/web2/boot.qcow2\"/></disk></domain>"
            )
        };
        assert_eq!(renamed.definition(&definition("web", "web")).unwrap(), definition("db", "db"));
        assert_eq!(renamed.definition(&definition("db", "db")).unwrap(), definition("db", "db"));
        assert!(renamed.definition("<a></b>").is_err());
    }

    #[test]
    fn a_path_given_as_text_follows_as_well() {
        let renamed = Renamed { name: "db".parse().unwrap(), from: "/s/web".into(), folder: "/s/db".into() };
        let moved = renamed.definition("<os><nvram>/s/web/nvram.qcow2</nvram></os>").unwrap();
        assert_eq!(moved, "<os><nvram>/s/db/nvram.qcow2</nvram></os>");
    }
}
