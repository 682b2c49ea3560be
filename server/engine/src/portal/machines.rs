//! Queries about machines.

use crate::authorize::{allow_machine, visible};
use crate::core::Core;
use crate::cx::Cx;
use crate::db::generations::Generation;
use crate::db::machines::MachineRecord;
use crate::db::{self, Conn};
use crate::error::Result;
use crate::machine::facts;
use crate::ops;
use model::Fault;
use model::catalog::{self, On};
use model::form;
use model::image::ImageId;
use model::job::JobState;
use model::machine::{GenerationNumber, MachineName};
use model::operation::MachineAction;
use model::permission::{Action, Subject, can};
use model::view::job::{FailedJob, JobFilter, JobSummary};
use model::view::machine::{
    Available, GenerationView, MachineDetail, MachineFilter, MachinePage, MachineRow,
};

/// How many jobs a machine's page shows.
const JOBS_SHOWN: usize = 20;

/// One page of what the actor may see.
pub(super) async fn list(core: &Core, cx: &Cx, filter: &MachineFilter) -> Result<MachinePage> {
    let sees = visible(cx, Action::SeeMachine)?;
    Ok(core.fleet.list(&sees, filter))
}

/// One machine with everything its page shows.
pub(super) async fn detail(core: &Core, cx: &Cx, name: &MachineName) -> Result<MachineDetail> {
    let known = allow_machine(core, cx, Action::SeeMachine, name).await?;
    let mut conn = core.db.read().await?;
    // By the id: meanwhile the name may have passed to another machine.
    let record = db::machines::by_id(&mut conn, known.row.id).await?;
    let record = record.ok_or_else(|| Fault::not_found("machine"))?;
    let name = &record.spec.name;
    let filter = JobFilter { machine: Some(name.clone()), ..JobFilter::default() };
    let mut jobs = db::jobs::list(&mut conn, &filter, &visible(cx, Action::SeeJob)?).await?;
    let failed = last_failed(&mut conn, &jobs).await?;
    jobs.truncate(JOBS_SHOWN);
    let image = match &record.disks {
        Some(disks) => super::images::summary(core, cx, &mut conn, disks.image).await?,
        None => None,
    };
    let generations = generations(&mut conn, &record).await?;
    drop(conn);
    let (actions, next_image) = actions(core, cx, name).await?;
    let pending = record.applied.as_ref().map_or_else(Vec::new, |applied| applied.changes(&record.spec));
    let name = name.clone();
    let mut spec = record.spec;
    let mut applied = record.applied.unwrap_or_else(|| spec.clone());
    applied.identity.hide_secrets();
    // Whether there is a root password may be known, its hash may not.
    let has_root_password = spec.identity.root_password.is_some();
    let has_samba_credentials = spec.identity.samba_credentials.is_some();
    spec.identity.hide_secrets();
    Ok(MachineDetail {
        row: MachineRow { name, ..known.row.clone() },
        applied,
        spec,
        has_root_password,
        has_samba_credentials,
        hardware: record.hardware,
        image,
        generations,
        next_image,
        created: record.created,
        jobs,
        failed,
        pending,
        actions,
    })
}

/// The last of these jobs, newest first, that came to an end, if it failed.
async fn last_failed(conn: &mut Conn, jobs: &[JobSummary]) -> Result<Option<FailedJob>> {
    let has_outcome = |job: &&JobSummary| matches!(job.badge.state, JobState::Succeeded | JobState::Failed);
    match jobs.iter().find(has_outcome) {
        Some(job) if job.badge.state == JobState::Failed => db::jobs::failed(conn, job.badge.id).await,
        _ => Ok(None),
    }
}

/// The generations whose disks are complete.
async fn generations(conn: &mut Conn, record: &MachineRecord) -> Result<Vec<GenerationView>> {
    let current = record.disks.as_ref().map(|disks| disks.generation);
    let all = db::generations::of_machine(conn, record.id).await?;
    let view = |generation: Generation| GenerationView {
        number: GenerationNumber(generation.number),
        image: generation.image,
        profiles: generation.profiles,
        made: generation.made,
        made_by: generation.made_by,
        is_current: Some(generation.number) == current,
    };
    Ok(all.into_iter().filter(|generation| generation.boot.is_some()).map(view).collect())
}

/// What may be done now, and why the rest may not: the same plan that submitting would make, or as much of it as can be
/// determined before its form is filled in. And what an upgrade would boot, if it has been built.
async fn actions(core: &Core, cx: &Cx, name: &MachineName) -> Result<(Vec<Available>, Option<ImageId>)> {
    let provision = MachineAction::Provision.on(name.clone());
    let outside = facts::outside(core, &provision).await;
    let mut conn = core.db.read().await?;
    let facts = facts::inside(core, &mut conn, &provision, outside).await?;
    let user = cx.user()?;
    let on_machine = catalog::TABLE.iter().filter(|row| row.on == On::Machine);
    let offered = on_machine.map(|row| {
        let denied = !can(user, Action::Operate(row.kind), Subject::Any);
        let refused = match form::on_machine(row.kind, name) {
            _ if denied => Some("Only an administrator may do this.".to_owned()),
            Some(operation) => ops::plan(&operation, &facts).err().map(|why| Fault::from(why).to_string()),
            None => ops::op(row.kind).fits(&facts).err().map(|why| Fault::from(why).to_string()),
        };
        Available { kind: row.kind, refused }
    });
    Ok((offered.collect(), facts.next_image))
}
