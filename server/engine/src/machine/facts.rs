//! What a plan needs to know, gathered in two parts: what is not in the database (the image builder's answers) before the transaction,
//! and what must still hold at the commit (rows, open jobs) inside it.

use crate::core::Core;
use crate::db::{self, Conn};
use crate::error::Result;
use crate::hosts::HostEntry;
use crate::machine::fleet::MachineEntry;
use model::account::UserId;
use model::change::{Change, Part};
use model::host::HostName;
use model::image::{ImageId, ProfileSet, Profiles};
use model::job::JobId;
use model::machine::{MachineId, MachineName, MachineState, Mode};
use model::operation::{MachineAction, Operation};
use model::spec::Spec;
use ports::hypervisor::Capabilities;
use ports::image_builder::ImageKey;

/// Everything that decides what an operation would do now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// The machine that the operation is done to.
    pub machine: Option<MachineFacts>,
    /// The machine that the operation is done to, if its record cannot be read.
    pub unreadable: Option<UnreadableFacts>,
    /// Whether a machine has the name that the operation gives.
    pub name_taken: bool,
    /// The host that the operation needs.
    pub host: Option<HostFacts>,
    /// What the image builder has, or why it cannot say.
    pub builder: Option<std::result::Result<BuilderFacts, String>>,
    /// Whether the image that the operation needs has been built.
    pub image_ready: bool,
    /// What an upgrade of the machine would boot, if it has been built.
    pub next_image: Option<ImageId>,
    /// The image that the operation is about.
    pub image: Option<ImageFacts>,
}

/// A machine.
#[derive(Clone, Debug)]
pub(crate) struct MachineFacts {
    pub id: MachineId,
    pub owner: UserId,
    pub spec: Spec,
    /// The configuration that is true on its host, while it has disks.
    pub applied: Option<Spec>,
    /// What it has booted and can boot, newest first, while it has disks.
    pub generations: Vec<GenerationFacts>,
    /// The number of the current one.
    pub generation: Option<u32>,
    /// What its host reports.
    pub state: MachineState,
    /// Whether it has disks.
    pub created: bool,
    /// Whether it has a place on its host; the last to go when it is destroyed.
    pub placed: bool,
    /// The open job that holds it.
    pub busy: Option<JobId>,
    /// An open job that copies it.
    pub copied_by: Option<JobId>,
}

/// A machine whose record cannot be read.
#[derive(Clone, Debug)]
pub(crate) struct UnreadableFacts {
    pub id: MachineId,
    pub host: HostName,
    /// An open job that holds it.
    pub busy: Option<JobId>,
}

impl MachineFacts {
    /// Whether a part of a configuration is not true on the host: there is nothing to make true of a machine that is nowhere.
    pub fn lacks(&self, part: Part, wanted: &Spec) -> bool {
        self.applied.as_ref().is_some_and(|applied| !applied.agrees(part, wanted))
    }

    /// What of the configuration is not true on the host.
    pub fn pending(&self) -> Vec<Change> {
        self.applied.as_ref().map_or_else(Vec::new, |applied| applied.changes(&self.spec))
    }

    /// The profiles and the mode of what an upgrade makes: a mode that is pending needs new disks.
    pub fn next_image(&self) -> Option<(&ProfileSet, Mode)> {
        self.applied.as_ref().map(|applied| (&self.spec.profiles, applied.mode))
    }

    /// The mode that its disks were made for.
    pub fn mode(&self) -> Mode {
        self.applied.as_ref().map_or(self.spec.mode, |applied| applied.mode)
    }

    /// What it boots.
    pub fn current(&self) -> Option<&GenerationFacts> {
        self.generations.iter().find(|generation| Some(generation.number) == self.generation)
    }

    /// Whether there is nothing of it but a configuration, as far as anybody knows.
    pub fn is_nowhere(&self) -> bool {
        self.state == MachineState::Configured && !self.created && !self.placed
    }

    /// Why nothing can be done to a machine that its host does not have, and what to do first.
    pub fn not_created(&self) -> &'static str {
        if self.created {
            "The host no longer has this machine; its disks are still there. Create it from its configuration first."
        } else {
            "This machine has only a configuration. Create it from its configuration first."
        }
    }
}

/// A generation of a machine whose boot disk is complete.
#[derive(Clone, Debug)]
pub(crate) struct GenerationFacts {
    pub number: u32,
    pub image: ImageId,
    /// What its image is composed of.
    pub profiles: ProfileSet,
}

/// A host.
#[derive(Clone, Debug)]
pub(crate) struct HostFacts {
    pub name: HostName,
    pub reachable: bool,
    /// Bridges that machines may be put on; none while they are not known.
    pub bridges: Vec<String>,
    /// Its memory in bytes; none while it is not known.
    pub memory: Option<u64>,
    /// Its note about slow emulation, if machines run emulated.
    pub slow: Option<String>,
    pub capabilities: Option<Capabilities>,
}

/// The image builder.
#[derive(Clone, Debug)]
pub(crate) struct BuilderFacts {
    pub profiles: Profiles,
    /// Hash of the flake source.
    pub source: String,
}

/// An image that has been built.
#[derive(Clone, Debug)]
pub(crate) struct ImageFacts {
    pub title: String,
    /// Machines that boot it, or keep it to go back to.
    pub users: Vec<MachineName>,
}

impl Facts {
    /// The image that is needed, where the builder answers.
    pub fn key(&self, profiles: &ProfileSet, mode: Mode) -> Option<ImageKey> {
        let builder = self.builder.as_ref()?.as_ref().ok()?;
        Some(ImageKey { profiles: profiles.clone(), mode, source: builder.source.clone() })
    }
}

/// The profiles and the mode of the image that an operation needs, once the machine is known.
pub(crate) fn needed_image<'a>(
    operation: &'a Operation,
    machine: Option<&'a MachineFacts>,
) -> Option<(&'a ProfileSet, Mode)> {
    match operation {
        Operation::Build { profiles, mode } => Some((profiles, *mode)),
        Operation::Create { spec } | Operation::Configure { spec } => Some((&spec.profiles, spec.mode)),
        Operation::RemoveImage { .. } => None,
        Operation::OnMachine { action: MachineAction::Upgrade, .. } => machine?.next_image(),
        Operation::OnMachine { action: MachineAction::Recreate, .. } => {
            machine.map(|machine| (&machine.spec.profiles, machine.spec.mode))
        }
        // The image that the machine boots is there.
        Operation::OnMachine { action: MachineAction::Clone(copy), .. } => {
            let machine = machine?;
            let booted = machine.current().is_some_and(|current| current.profiles == copy.profiles);
            (!booted).then_some((&copy.profiles, machine.mode()))
        }
        // Another image is made by the upgrade.
        Operation::OnMachine { action: MachineAction::Reconfigure(_), .. } => None,
        Operation::OnMachine { action, .. } => {
            let machine = machine.filter(|m| action.kind().row().needs_builder && !m.created)?;
            Some((&machine.spec.profiles, machine.spec.mode))
        }
    }
}

/// The image builder's last answer, where the operation needs it.
pub(crate) async fn outside(core: &Core, operation: &Operation) -> Facts {
    let builder = if operation.kind().row().needs_builder { Some(ask_builder(core).await) } else { None };
    Facts { builder, ..Facts::default() }
}

async fn ask_builder(core: &Core) -> std::result::Result<BuilderFacts, String> {
    let latest = core.catalogue.latest().await;
    match (latest.source, latest.failure) {
        (Err(failure), _) | (Ok(_), Some(failure)) => Err(failure.what),
        (Ok(source), None) => Ok(BuilderFacts { profiles: latest.profiles, source }),
    }
}

/// Completes the facts from the database, on the connection whose transaction they must hold in.
pub(crate) async fn inside(
    core: &Core,
    conn: &mut Conn,
    operation: &Operation,
    outside: Facts,
) -> Result<Facts> {
    let mut facts = outside;
    if let Operation::OnMachine { machine: name, .. } = operation {
        match core.fleet.unreadable(name) {
            Some(outline) => {
                let busy = db::jobs::open_on(conn, outline.id).await?;
                let busy = busy.or(db::jobs::open_from(conn, outline.id).await?);
                facts.unreadable = Some(UnreadableFacts { id: outline.id, host: outline.host.clone(), busy });
            }
            None => facts.machine = machine(core, conn, name).await?,
        }
    }
    if let Some(name) = operation.new_name() {
        // A new machine of a name that a job holds is refused as the job's row is written.
        facts.name_taken = db::machines::is_taken(conn, name).await?
            || operation.new_machine().is_none() && db::jobs::open_under(conn, name).await?.is_some();
    }
    let new = operation.new_machine().map(|spec| &spec.host);
    let host = new.or(facts.machine.as_ref().map(|m| &m.spec.host));
    facts.host = host.and_then(|name| core.hosts.get(name)).map(|entry| host_facts(entry));
    let key = needed_image(operation, facts.machine.as_ref()).and_then(|(p, m)| facts.key(p, m));
    if let Some(key) = key {
        facts.image_ready = db::images::by_key(conn, &key).await?.is_some();
    }
    let next = facts.machine.as_ref().and_then(MachineFacts::next_image);
    if let Some(key) = next.and_then(|(profiles, mode)| facts.key(profiles, mode)) {
        facts.next_image = db::images::by_key(conn, &key).await?.map(|image| image.id);
    }
    if let Operation::RemoveImage { image } = operation {
        let users = db::generations::users_of(conn, *image).await?;
        facts.image = db::images::summary(conn, *image, "").await?.map(|summary| ImageFacts {
            title: format!("{} ({})", summary.profiles.words(), summary.mode.as_str()),
            users: users.into_iter().map(|(name, _)| name).collect(),
        });
    }
    Ok(facts)
}

async fn machine(core: &Core, conn: &mut Conn, name: &MachineName) -> Result<Option<MachineFacts>> {
    let Some(record) = db::machines::by_name(conn, name).await? else { return Ok(None) };
    let busy = db::jobs::open_on(conn, record.id).await?;
    let copied_by = db::jobs::open_from(conn, record.id).await?;
    let generations = db::generations::of_machine(conn, record.id).await?;
    let complete = generations.into_iter().filter(|generation| generation.boot.is_some());
    let generations = complete.map(|generation| GenerationFacts {
        number: generation.number,
        image: generation.image,
        profiles: generation.profiles,
    });
    let known = core.fleet.by_id(record.id);
    Ok(Some(MachineFacts {
        id: record.id,
        owner: record.owner,
        state: known.map_or(MachineState::Unknown, |k| state_of(&k)),
        created: record.disks.is_some(),
        generation: record.disks.as_ref().map(|disks| disks.generation),
        generations: generations.collect(),
        placed: record.host_ref.is_some(),
        busy,
        copied_by,
        applied: record.applied,
        spec: record.spec,
    }))
}

fn state_of(known: &MachineEntry) -> MachineState {
    known.row.observed.state
}

fn host_facts(entry: &HostEntry) -> HostFacts {
    HostFacts {
        name: entry.name.clone(),
        reachable: entry.is_reachable(),
        bridges: entry.bridges(),
        memory: entry.memory(),
        slow: entry.complaint("acceleration").map(|finding| finding.what),
        capabilities: entry.capabilities(),
    }
}
