//! What a plan needs to know, gathered in two parts: what may take long (the image builder's answers) before the transaction,
//! and what must still hold at the commit (rows, open jobs) inside it.

use crate::core::Core;
use crate::db::{self, Conn};
use crate::error::Result;
use crate::hosts::HostEntry;
use crate::machine::fleet::Known;
use model::account::UserId;
use model::host::HostName;
use model::image::{ProfileSet, Profiles};
use model::job::JobId;
use model::machine::{MachineId, MachineName, MachineState, Mode};
use model::operation::Operation;
use model::spec::Spec;
use ports::hypervisor::Capabilities;
use ports::image_builder::ImageKey;

/// Everything that decides what an operation would do now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// The machine of the operation's name, if there is one.
    pub machine: Option<MachineFacts>,
    /// The host that the operation needs.
    pub host: Option<HostFacts>,
    /// What the image builder has, or why it cannot say, in words.
    pub builder: Option<std::result::Result<BuilderFacts, String>>,
    /// Whether the image that the operation needs has been built.
    pub image_ready: bool,
    /// The image that the operation is about.
    pub image: Option<ImageFacts>,
}

/// A machine.
#[derive(Clone, Debug)]
pub(crate) struct MachineFacts {
    pub id: MachineId,
    pub owner: UserId,
    pub spec: Spec,
    /// What its host says.
    pub state: MachineState,
    /// Whether it has disks.
    pub created: bool,
    /// The open job that holds it.
    pub busy: Option<JobId>,
}

/// A host.
#[derive(Clone, Debug)]
pub(crate) struct HostFacts {
    pub name: HostName,
    pub reachable: bool,
    /// Bridges that machines can be put on; empty when they are not known.
    pub bridges: Vec<String>,
    /// What it says about slow emulation, if machines run so.
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
    /// Machines that boot it.
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
        Operation::Provision { .. } => {
            machine.filter(|m| !m.created).map(|m| (&m.spec.profiles, m.spec.mode))
        }
        _ => None,
    }
}

/// What the image builder says, where the operation needs it. May take as long as an evaluation.
pub(crate) async fn outside(core: &Core, operation: &Operation) -> Facts {
    let needs_builder = matches!(
        operation,
        Operation::Build { .. }
            | Operation::Create { .. }
            | Operation::Configure { .. }
            | Operation::Provision { .. }
    );
    let builder = if needs_builder { Some(ask_builder(core).await) } else { None };
    Facts { builder, ..Facts::default() }
}

async fn ask_builder(core: &Core) -> std::result::Result<BuilderFacts, String> {
    let ask = async {
        let (profiles, source) = (core.builder.profiles().await?, core.builder.source().await?);
        Ok(BuilderFacts { profiles, source })
    };
    ask.await.map_err(|error: ports::image_builder::BuildError| {
        tracing::warn!(error = crate::error::chain(&error), "the image builder does not answer");
        error.to_string()
    })
}

/// Completes the facts from the database, on the connection whose transaction they must hold in.
pub(crate) async fn inside(
    core: &Core,
    conn: &mut Conn,
    operation: &Operation,
    outside: Facts,
) -> Result<Facts> {
    let mut facts = outside;
    if let Some(name) = operation.machine() {
        facts.machine = machine(core, conn, name).await?;
    }
    let host = match operation {
        Operation::Create { spec } | Operation::Configure { spec } => Some(&spec.host),
        _ => facts.machine.as_ref().map(|m| &m.spec.host),
    };
    facts.host = host.and_then(|name| core.hosts.get(name)).map(|entry| host_facts(entry));
    let key = needed_image(operation, facts.machine.as_ref()).and_then(|(p, m)| facts.key(p, m));
    if let Some(key) = key {
        facts.image_ready = db::images::by_key(conn, &key).await?.is_some();
    }
    if let Operation::RemoveImage { image } = operation {
        facts.image = db::images::summary(conn, *image, "").await?.map(|summary| ImageFacts {
            title: format!("{} ({})", summary.profiles, summary.mode.as_str()),
            users: core.fleet.users_of(*image).iter().map(|k| k.row.name.clone()).collect(),
        });
    }
    Ok(facts)
}

async fn machine(core: &Core, conn: &mut Conn, name: &MachineName) -> Result<Option<MachineFacts>> {
    let Some(record) = db::machines::by_name(conn, name).await? else { return Ok(None) };
    let busy = db::jobs::open_on(conn, name).await?;
    let known = core.fleet.get(name);
    Ok(Some(MachineFacts {
        id: record.id,
        owner: record.owner,
        state: known.map_or(MachineState::Unknown, |k| state_of(&k)),
        created: record.disks.is_some(),
        busy,
        spec: record.spec,
    }))
}

fn state_of(known: &Known) -> MachineState {
    known.row.observed.state
}

fn host_facts(entry: &HostEntry) -> HostFacts {
    HostFacts {
        name: entry.name.clone(),
        reachable: entry.is_reachable(),
        bridges: entry.bridges(),
        slow: entry.complaint("acceleration").map(|finding| finding.what),
        capabilities: entry.capabilities(),
    }
}
