//! Accepting operations: authorise, plan, one transaction, start.

use crate::authorize::{allow_machine, allow_outline, authorize};
use crate::core::Core;
use crate::cx::Cx;
use crate::db::constraint::{Constraint, violated};
use crate::db::{self, Tx};
use crate::error::{Error, Result, chain};
use crate::job::step::{After, Work};
use crate::job::{limits, runner};
use crate::machine::facts::{self, Facts, needed_image};
use crate::ops;
use crate::steps::record;
use model::Fault;
use model::account::UserId;
use model::job::JobId;
use model::machine::{MachineId, MachineState};
use model::operation::{MachineAction, Operation, OperationKind};
use model::permission::{Action, Subject};
use model::plan::{Consent, Plan};
use model::portal::Submitted;
use std::sync::Arc;
use uuid::Uuid;

/// Lets the actor do this, or returns why not. Returns who owns its subject.
pub(crate) async fn allow(core: &Core, cx: &Cx, operation: &Operation) -> Result<UserId> {
    let me = cx.user_id()?;
    let action = Action::Operate(operation.kind());
    match operation {
        Operation::Build { .. } | Operation::Create { .. } | Operation::Configure { .. } => {
            authorize(core, cx, action, Subject::owned_by(&[me]), None).await?;
            Ok(me)
        }
        Operation::RemoveImage { image } => {
            authorize(core, cx, action, Subject::Portal, Some(&image.to_string())).await?;
            Ok(me)
        }
        Operation::OnMachine { machine, action: MachineAction::Forget } => {
            allow_outline(core, cx, action, machine).await
        }
        Operation::OnMachine { machine, .. } => Ok(allow_machine(core, cx, action, machine).await?.owner),
    }
}

/// What the operation would do now.
pub(crate) async fn plan(core: &Core, cx: &Cx, operation: &Operation) -> Result<Plan> {
    let owner = allow(core, cx, operation).await?;
    let outside = facts::outside(core, operation).await;
    let mut conn = core.db.read().await?;
    let facts = facts::inside(core, &mut conn, operation, outside).await?;
    still_theirs(&facts, owner)?;
    Ok(ops::plan(operation, &facts).map_err(Fault::from)?)
}

/// Gathering facts may take seconds, in which the machine's name may have passed to someone else: permission was for
/// working on the one that `owner` had.
fn still_theirs(facts: &Facts, owner: UserId) -> Result<()> {
    match &facts.machine {
        Some(machine) if machine.owner != owner => Err(Fault::not_found("machine").into()),
        _ => Ok(()),
    }
}

/// What someone who submits an operation has agreed to.
#[derive(Clone, Debug)]
pub(crate) enum Agreement {
    /// What they were shown.
    Consent(Consent),
    /// A job that has ended without success, which is tried again on this machine.
    Earlier(Option<MachineId>),
}

/// A purged machine may have left its name to another, which nobody meant when the job was accepted.
fn same_machine(facts: &Facts, before: Option<MachineId>) -> std::result::Result<(), Fault> {
    match &facts.machine {
        Some(machine) if before != Some(machine.id) => Err(Fault::refused(format!(
            "The machine that this job worked on is gone, and another one is named {} now. If you want this done to the \
             new one, ask for it on its page.",
            machine.spec.name
        ))),
        _ => Ok(()),
    }
}

/// What was agreed to must match what would happen, and include all that the operation asks for.
fn agreed(operation: &Operation, plan: &Plan, consent: &Consent) -> std::result::Result<(), Fault> {
    if consent.plan.as_ref().is_some_and(|digest| *digest != plan.digest()) {
        return Err(Fault::PlanChanged { plan: Box::new(plan.clone()) });
    }
    if !consent.is_enough(operation.kind().row().confirm, plan) {
        return Err(Fault::NeedsConfirmation { plan: Box::new(plan.clone()) });
    }
    Ok(())
}

/// Accepts an operation: from here on it will be done or undone, whatever happens to the process.
pub(crate) async fn submit(
    core: &Arc<Core>,
    cx: &Cx,
    operation: Operation,
    agreement: Agreement,
) -> Result<Submitted> {
    if core.closing.is_cancelled() {
        return Err(Fault::refused("The portal is being stopped. Try again when it is back.").into());
    }
    let owner = allow(core, cx, &operation).await?;
    let outside = facts::outside(core, &operation).await;
    let mut tx = core.db.begin().await?;
    let facts = facts::inside(core, &mut tx, &operation, outside).await?;
    still_theirs(&facts, owner)?;
    if let Agreement::Earlier(machine) = agreement {
        same_machine(&facts, machine)?;
    }
    let plan = ops::plan(&operation, &facts).map_err(Fault::from)?;
    if let Agreement::Consent(consent) = &agreement {
        agreed(&operation, &plan, consent)?;
    }
    let id = JobId(Uuid::now_v7());
    let build_key = build_key(&operation, &facts);
    if let Some(key) = &build_key
        && let Some(job) = db::jobs::open_build(&mut tx, key).await?
    {
        return join_build(core, tx, cx, job, &facts, &operation).await;
    }
    limits::check(core, &mut tx, cx.user_id()?, build_key.is_some()).await?;
    // Before the commit, so that nobody who sees the job finds it without a log or cannot cancel it.
    let live = core.jobs.open(id, &core.closing);
    let new = Accepted { id, operation: &operation, owner, facts: &facts, build_key };
    match accept(core, cx, tx, &new, &plan).await {
        Ok(machine) => {
            show_machine(core, machine).await;
            runner::start(core, live).await;
            Ok(Submitted { job: id })
        }
        Err(error) => {
            core.jobs.close(id);
            let _ = std::fs::remove_file(live.log.path());
            Err(error)
        }
    }
}

/// Someone is building this already: their job is the answer, and is visible to this actor from now on.
async fn join_build(
    core: &Core,
    mut tx: Tx,
    cx: &Cx,
    job: JobId,
    facts: &Facts,
    operation: &Operation,
) -> Result<Submitted> {
    db::jobs::add_asker(&mut tx, job, cx.user_id()?).await?;
    let subject = subject(operation, facts);
    let action = operation.kind().as_str();
    // It ends with the job, and as the job does.
    core.audit.begin(&mut tx, cx, action, subject.as_deref(), Some(job)).await?;
    tx.commit().await?;
    Ok(Submitted { job })
}

/// What is written when an operation is accepted.
struct Accepted<'a> {
    id: JobId,
    operation: &'a Operation,
    owner: UserId,
    facts: &'a Facts,
    build_key: Option<String>,
}

/// Writes everything in one transaction; returns the id of a new or changed machine. After its commit nothing may fail any more.
async fn accept(
    core: &Core,
    cx: &Cx,
    mut tx: Tx,
    new: &Accepted<'_>,
    plan: &Plan,
) -> Result<Option<MachineId>> {
    let user = cx.user()?;
    let mut work = work_of(new.operation, new.facts);
    let mut machine = None;
    let op = ops::op(new.operation.kind());
    if let Some(spec) = op.makes(new.operation, new.facts) {
        machine = Some(record::insert(&mut tx, core, user.id, &spec, cx.now).await?);
        work.machine = machine;
    }
    let saved = op.saves(new.operation, new.facts);
    if let Some((id, spec)) = work.machine.zip(saved.as_ref()) {
        db::machines::set_spec(&mut tx, id, spec).await?;
        machine = Some(id);
    }
    // What is done here already is marked as done in the job: the row of a new machine, and that of a changed one.
    let done = usize::from(machine.is_some());
    let subject = subject(new.operation, new.facts);
    let action = new.operation.kind().as_str();
    let audit_seq = core.audit.begin(&mut tx, cx, action, subject.as_deref(), Some(new.id)).await?;
    let row = db::jobs::New {
        id: new.id,
        title: &plan.title,
        operation: new.operation,
        actor: user.id,
        actor_name: user.name.as_str(),
        owner: new.operation.machine().map(|_| new.owner),
        work: &work,
        build_key: new.build_key.clone(),
        audit_seq,
        now: cx.now,
    };
    let marks: Vec<After> =
        ops::steps(new.operation, new.facts).into_iter().map(|(_, after)| after).collect();
    if let Err(error) = db::jobs::insert(&mut tx, &row, &plan.steps, &marks, done).await {
        return Err(match violated(&error) {
            Some(Constraint::OneJobPerMachine) => busy(&mut tx, new.operation, &work).await?,
            _ => error,
        });
    }
    tx.commit().await?;
    Ok(machine)
}

/// Shows a new or changed machine in lists.
async fn show_machine(core: &Core, machine: Option<MachineId>) {
    let Some(id) = machine else { return };
    let show = async {
        if let Some(record) = db::machines::by_id(&mut *core.db.read().await?, id).await? {
            core.fleet.put(&record);
        }
        Ok::<_, Error>(())
    };
    if let Err(error) = show.await {
        tracing::error!(
            error = chain(&error),
            "a new or changed machine cannot be shown as it is before the next start"
        );
    }
}

/// The job that came first.
async fn busy(tx: &mut Tx, operation: &Operation, work: &Work) -> Result<Error> {
    let mut job = match work.machine {
        Some(machine) => db::jobs::open_on(tx, machine).await?,
        None => None,
    };
    if let (None, Some(name)) = (job, operation.works_on()) {
        job = db::jobs::open_under(tx, name).await?;
    }
    if let (None, Some(subject)) = (job, work.subject()) {
        job = match db::jobs::open_on(tx, subject).await? {
            None => db::jobs::open_from(tx, subject).await?,
            on => on,
        };
    }
    let ended = || Fault::refused("Another job has just ended on this machine. Try again.");
    Ok(job.map_or_else(ended, |job| Fault::Busy { job }).into())
}

/// The initial input of the job's steps.
fn work_of(operation: &Operation, facts: &Facts) -> Work {
    let subject = facts.machine.as_ref();
    let needed = needed_image(operation, subject).filter(|_| operation.kind() != OperationKind::Configure);
    let makes_another = operation.kind() == OperationKind::Clone;
    // What is known of the machine that is copied says nothing of the one that is made.
    let machine = subject.filter(|_| !makes_another);
    Work {
        source: subject.filter(|_| makes_another).map(|machine| machine.id),
        machine: machine.map(|m| m.id).or(facts.unreadable.as_ref().map(|machine| machine.id)),
        had_disks: machine.is_some_and(|m| m.created),
        was_defined: machine.is_some_and(|m| m.created && m.state != MachineState::Configured),
        key: needed.and_then(|(profiles, mode)| facts.key(profiles, mode)),
        removing: match operation {
            Operation::RemoveImage { image } => Some(*image),
            _ => None,
        },
        generation: match operation {
            Operation::OnMachine { action: MachineAction::RollBack { generation }, .. } => Some(generation.0),
            _ => None,
        },
        without_host: operation.kind() == OperationKind::Purge
            && machine.is_some_and(|m| !m.created)
            && !facts.host.as_ref().is_some_and(|host| host.reachable),
        ..Work::default()
    }
}

/// What an open build is found by.
fn build_key(operation: &Operation, facts: &Facts) -> Option<String> {
    let Operation::Build { profiles, mode } = operation else { return None };
    let key = facts.key(profiles, *mode)?;
    Some(format!("{} {} {}", key.profiles, key.mode.as_str(), key.source))
}

/// The subject of the operation in the audit log.
fn subject(operation: &Operation, facts: &Facts) -> Option<String> {
    match operation {
        Operation::Build { profiles, mode } => Some(format!("{} ({})", profiles.words(), mode.as_str())),
        Operation::RemoveImage { .. } => facts.image.as_ref().map(|image| image.title.clone()),
        _ => operation.machine().map(ToString::to_string),
    }
}
