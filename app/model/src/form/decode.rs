//! From a posted form to operations, and back.

use super::data::{FormData, RETYPE};
use super::fields::{ACCOUNT, Entry, Field};
use super::reader::{HashPassword, Reader};
use crate::catalog;
use crate::fault::FieldError;
use crate::identity::PasswordHash;
use crate::image::{Profiles, conflicts};
use crate::machine::MachineName;
use crate::newtype::Refused;
use crate::operation::{Operation, OperationKind};
use crate::spec::Spec;

/// Reads a posted form. The field `intent` names the operation's kind.
///
/// # Errors
/// Everything that is wrong, in the order of the form.
pub fn operations(data: &FormData, hash: HashPassword<'_>) -> Result<Vec<Operation>, Vec<FieldError>> {
    let kind: OperationKind =
        data.get("intent").parse().map_err(|e: Refused| vec![FieldError::new("intent", e.0)])?;
    let mut reader = Reader::new(data, hash);
    let operations = kind.row().form.read(&mut reader);
    reader.finish(operations)
}

/// Stands in for a password's hash where a form is only judged, not carried out: a plan does not depend on it.
///
/// # Errors
/// None: the text is a hash, as every reading of a form shows.
pub fn placeholder_hash(_clear: &str) -> Result<PasswordHash, Refused> {
    "$6$placeholder$0000000000000000".parse()
}

/// The operation of this kind on a machine, if its name is all it needs.
pub fn on_machine(kind: OperationKind, machine: &MachineName) -> Option<Operation> {
    read(kind, &FormData(vec![("machine".to_owned(), machine.to_string())]))
}

/// The operation that a form means as it opens, if it has nothing to be typed: what is chosen on it is chosen already.
pub fn chosen(kind: OperationKind, data: &FormData) -> Option<Operation> {
    let mut fields = kind.row().form.groups().into_iter().flat_map(|group| group.fields);
    if fields.all(|field| field.entry == Entry::Generation) { read(kind, data) } else { None }
}

/// What is wrong with the profiles of a form, given those that there are. They are judged when an operation is planned, which a
/// form with other mistakes does not get to.
pub fn wrong_profiles(data: &FormData, profiles: &Profiles) -> Option<FieldError> {
    let mut reader = Reader::new(data, &|_| Err(Refused::new("Passwords are not read here.")));
    let (set, mode) = reader.new_image()?;
    let found = conflicts(profiles, &set, mode);
    (!found.is_empty()).then(|| FieldError::new("profiles", found.join(" ")))
}

fn read(kind: OperationKind, data: &FormData) -> Option<Operation> {
    let mut reader = Reader::new(data, &|_| Err(Refused::new("Passwords are not read here.")));
    let operations = kind.row().form.read(&mut reader);
    reader.finish(operations).ok()?.pop()
}

/// The form's values for a specification, so that it can be opened again.
pub fn from_spec(spec: &Spec) -> FormData {
    fn lines<T: ToString>(items: &[T]) -> String {
        items.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }
    let id = &spec.identity;
    let mut data = FormData::default();
    for (name, value) in [
        ("name", spec.name.to_string()),
        ("host", spec.host.to_string()),
        ("mode", spec.mode.as_str().to_owned()),
        ("memory", spec.memory.get().to_string()),
        ("vcpus", spec.vcpus.get().to_string()),
        ("disk", spec.disk.get().to_string()),
        ("network", spec.network.to_string()),
        ("admin_keys", lines(&id.admin_keys)),
        ("user_keys", lines(&id.user_keys)),
        ("tcp_ports", lines(&id.tcp_ports)),
        ("udp_ports", lines(&id.udp_ports)),
        ("static_address", id.static_address.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("dns", lines(&id.dns)),
        ("hosts", lines(&id.hosts)),
        ("certificates", id.certificates.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("samba_shares", lines(&id.samba_shares)),
        ("samba_user", id.samba_credentials.as_ref().map(|c| c.user().to_owned()).unwrap_or_default()),
        ("notes", spec.notes.to_string()),
    ] {
        data.0.push((name.to_owned(), value));
    }
    for (name, is_ticked) in [("autostart", spec.autostart), ("delete_protection", spec.delete_protection)] {
        // A box that is not ticked is not posted.
        data.0.extend(is_ticked.then(|| (name.to_owned(), "yes".to_owned())));
    }
    data.0.extend(spec.profiles.chosen().map(|p| ("profiles".to_owned(), p.to_string())));
    data
}

/// The form of an operation on a machine as it opens first, with the machine's present values but for its name, which is for
/// another one there. One that changes the configuration has in `base` what they were made from; secrets are in neither.
pub fn opened(kind: OperationKind, spec: &Spec) -> FormData {
    let names = kind.row().form.names();
    let mut spec = spec.clone();
    spec.identity.hide_secrets();
    let mut data = from_spec(&spec);
    if !names.contains(&"base") {
        data.0.retain(|(name, _)| names.contains(&name.as_str()) && name != "name");
        let mut others = defaults(kind);
        others.0.retain(|(name, _)| !data.has(name));
        data.0.append(&mut others.0);
        return data;
    }
    // A configuration always serialises; were it ever not so, the form would be refused when it is posted.
    data.set("base", serde_json::to_string(&spec).unwrap_or_default());
    data
}

/// The names of all fields that hold secrets, in whatever form.
pub fn secrets() -> Vec<&'static str> {
    let account = ACCOUNT.into_iter().filter(|(_, entry)| entry.is_secret()).map(|(name, _)| name);
    secrets_of_operations().chain(account).collect()
}

fn secrets_of_operations() -> impl Iterator<Item = &'static str> {
    let fields = catalog::TABLE.iter().flat_map(|row| row.form.groups()).flat_map(|group| group.fields);
    fields.filter(|field: &Field| field.entry.is_secret()).map(|field| field.name)
}

impl FormData {
    /// The same without the fields that hold secrets, safe to show in a form again. Those of operations that were filled in are
    /// noted in [`RETYPE`].
    pub fn without_secrets(mut self) -> Self {
        for name in secrets_of_operations() {
            if !self.raw(name).is_empty() && !self.lists(RETYPE, name) {
                self.0.push((RETYPE.to_owned(), name.to_owned()));
            }
        }
        let secrets = secrets();
        self.0.retain(|(name, _)| !secrets.contains(&name.as_str()));
        self
    }
}

/// The form as it first opens.
pub fn defaults(kind: OperationKind) -> FormData {
    let fields = kind.row().form.groups().into_iter().flat_map(|g| g.fields);
    FormData(
        fields.filter(|f| !f.default.is_empty()).map(|f| (f.name.to_owned(), f.default.to_owned())).collect(),
    )
}
