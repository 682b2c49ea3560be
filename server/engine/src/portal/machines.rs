//! Questions about machines.

use crate::authorize::{allow_machine, visible};
use crate::core::Core;
use crate::cx::Cx;
use crate::db;
use crate::error::Result;
use crate::machine::facts;
use crate::plan::plan;
use model::Fault;
use model::machine::MachineName;
use model::operation::{Operation, OperationKind};
use model::permission::{Action, Scope, scope};
use model::view::job::JobFilter;
use model::view::machine::{Available, MachineDetail, MachineFilter, MachinePage};

/// The operations that a machine's page offers, in its order.
const OFFERED: [OperationKind; 9] = [
    OperationKind::Provision,
    OperationKind::Start,
    OperationKind::ShutDown,
    OperationKind::Reboot,
    OperationKind::Suspend,
    OperationKind::Resume,
    OperationKind::ForceOff,
    OperationKind::Destroy,
    OperationKind::Purge,
];

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
    let record = db::machines::by_name(&mut conn, name).await?;
    // By the id: meanwhile the name may have become somebody else's.
    let record = record.filter(|r| r.id == known.row.id).ok_or_else(|| Fault::not_found("machine"))?;
    let filter = JobFilter { machine: Some(name.clone()), ..JobFilter::default() };
    let mut jobs = db::jobs::list(&mut conn, &filter, &visible(cx, Action::SeeJob)?).await?;
    jobs.truncate(JOBS_SHOWN);
    let image = match &record.disks {
        Some(disks) => super::images::summary(core, cx, &mut conn, disks.image).await?,
        None => None,
    };
    drop(conn);
    let actions = actions(core, cx, name).await?;
    let mut spec = record.spec;
    // Whether there is a root password may be known, its hash may not.
    let has_root_password = spec.identity.root_password.is_some();
    spec.identity.hide_secrets();
    Ok(MachineDetail {
        row: known.row.clone(),
        spec,
        has_root_password,
        hardware: record.hardware,
        image,
        created: record.created,
        jobs,
        actions,
    })
}

/// What may be done now, and why the rest may not: the same plan that submitting would make.
async fn actions(core: &Core, cx: &Cx, name: &MachineName) -> Result<Vec<Available>> {
    let provision = Operation::Provision { machine: name.clone() };
    let outside = facts::outside(core, &provision).await;
    let mut conn = core.db.read().await?;
    let facts = facts::inside(core, &mut conn, &provision, outside).await?;
    let role = cx.user()?.role;
    let offered = OFFERED.into_iter().filter_map(|kind| {
        let operation = Operation::on_machine(kind, name.clone())?;
        let refused = if scope(role, Action::Operate(kind)) == Scope::None {
            Some("Only an administrator may do this.".to_owned())
        } else {
            plan(&operation, &facts).err().map(|refusal| Fault::from(refusal).to_string())
        };
        Some(Available { kind, refused })
    });
    Ok(offered.collect())
}
