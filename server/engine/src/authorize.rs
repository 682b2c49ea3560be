//! Who may do what to which thing: [`model::permission::can`] asked for a thing ([`authorize`]), and its scope for a list
//! ([`visible`]), which becomes a condition where the list is made.
//!
//! If the actor may not see a thing, it is reported as not found. Denials are audited.

use crate::core::Core;
use crate::cx::Cx;
use crate::db::{self, Visible};
use crate::error::Result;
use crate::machine::fleet::MachineEntry;
use model::Fault;
use model::account::UserId;
use model::machine::MachineName;
use model::permission::{Action, Scope, Subject, can, scope};
use std::sync::Arc;

/// What the actor sees of a kind of things.
pub(crate) fn visible(cx: &Cx, action: Action) -> std::result::Result<Visible, Fault> {
    let user = cx.user()?;
    match scope(user.role, action) {
        Scope::All => Ok(Visible::All),
        Scope::Own | Scope::Shared => Ok(Visible::Of(user.id)),
        Scope::None => Err(denied()),
    }
}

/// Lets the actor do something, or returns why not. `name` names the subject in the audit log.
pub(crate) async fn authorize(
    core: &Core,
    cx: &Cx,
    action: Action,
    subject: Subject<'_>,
    name: Option<&str>,
) -> Result<()> {
    let user = cx.user()?;
    if can(user, action, subject) {
        return Ok(());
    }
    // An actor who may do it to other things is not told that this one exists.
    let fault = if can(user, action, Subject::Any) { Fault::not_found(thing(action)) } else { denied() };
    core.audit.denied(cx, action.name(), name, None).await?;
    Err(fault.into())
}

/// The machine of this name, if the actor may do this to it. A former name is good enough for reading, so that links
/// and open pages keep working; changing something takes the current one.
pub(crate) async fn allow_machine(
    core: &Core,
    cx: &Cx,
    action: Action,
    name: &MachineName,
) -> Result<Arc<MachineEntry>> {
    cx.user()?;
    if let Some(known) = find(core, name).await? {
        allow_owned(core, cx, action, name, known.owner).await?;
        return by_present_name(known, action, name);
    }
    let outline = core.fleet.unreadable(name).ok_or_else(|| Fault::not_found("machine"))?;
    allow_owned(core, cx, action, name, outline.owner).await?;
    Err(Fault::refused(format!(
        "The record of {name} in the portal's database cannot be read: someone edited it, or a later version of Snowglobe \
         wrote it. Run that version, or restore the database from a backup and restart the portal. Otherwise an administrator can \
         forget the machine."
    ))
    .into())
}

/// Who owns the machine of this name, if the actor may do this to it, whether or not its record can be read.
pub(crate) async fn allow_outline(
    core: &Core,
    cx: &Cx,
    action: Action,
    name: &MachineName,
) -> Result<UserId> {
    let Some(outline) = core.fleet.unreadable(name) else {
        return Ok(allow_machine(core, cx, action, name).await?.owner);
    };
    allow_owned(core, cx, action, name, outline.owner).await?;
    Ok(outline.owner)
}

async fn allow_owned(core: &Core, cx: &Cx, action: Action, name: &MachineName, owner: UserId) -> Result<()> {
    let owners = [owner];
    let subject = Subject::owned_by(&owners);
    if !can(cx.user()?, Action::SeeMachine, subject) {
        // Not even that only an administrator may do it: that would reveal that there is such a machine.
        core.audit.denied(cx, action.name(), Some(name.as_str()), None).await?;
        return Err(Fault::not_found("machine").into());
    }
    authorize(core, cx, action, subject, Some(name.as_str())).await
}

/// What changes a machine uses its current name.
fn by_present_name(
    known: Arc<MachineEntry>,
    action: Action,
    name: &MachineName,
) -> Result<Arc<MachineEntry>> {
    match action {
        Action::Operate(_) if known.row.name != *name => {
            let now = &known.row.name;
            Err(Fault::refused(format!(
                "{name} is now called {now}. Open the page of {now} and try again there."
            ))
            .into())
        }
        _ => Ok(known),
    }
}

/// The machine of this name, or else the last one that had it. A record that cannot be read still has its name.
async fn find(core: &Core, name: &MachineName) -> Result<Option<Arc<MachineEntry>>> {
    if let Some(known) = core.fleet.get(name) {
        return Ok(Some(known));
    }
    if core.fleet.unreadable(name).is_some() {
        return Ok(None);
    }
    let id = db::machines::called(&mut *core.db.read().await?, name).await?;
    Ok(id.and_then(|id| core.fleet.by_id(id)))
}

fn denied() -> Fault {
    Fault::Denied { why: "Only an administrator may do this. Ask one.".to_owned() }
}

/// The kind of thing an action is about, for the message of [`Fault::NotFound`].
fn thing(action: Action) -> &'static str {
    match action {
        Action::SeeJob | Action::SteerJob | Action::GiveUpJob => "job",
        Action::SeeImages => "image",
        Action::SeeHosts | Action::CheckHost => "host",
        Action::ManageUsers | Action::ManageOwnAccount => "user",
        Action::Operate(_)
        | Action::SeeMachine
        | Action::WatchConsole
        | Action::DriveConsole
        | Action::ReadAudit => "machine",
    }
}
