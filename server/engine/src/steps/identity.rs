//! `identity.*`: the files that make a machine itself, on its disk.

use super::cx::{StepCx, Target};
use super::disks;
use super::error::StepError;
use super::step::Step;
use crate::job::lease::Lease;
use crate::machine::guest;
use futures::FutureExt as _;
use model::change::Part;
use model::identity::IdentityFile;
use model::machine::MachineState;
use model::spec::Spec;
use ports::hypervisor::HypervisorError;

/// `identity.write`
pub(crate) static WRITE: Step =
    Step::new("identity.write", "Write its identity: name, keys, ports", |cx, lease| {
        write(cx, lease).boxed()
    })
    .undone_by(|cx, lease| undo_write(cx, lease).boxed())
    .leaving("its new identity, on its disk");

/// `identity.apply`
pub(crate) static APPLY: Step =
    Step::new("identity.apply", "Apply keys, ports and other settings of the guest", |cx, lease| {
        apply(cx, lease).boxed()
    })
    .making(Part::Identity);

/// `identity.keep_host_key`
pub(crate) static KEEP_HOST_KEY: Step =
    Step::new("identity.keep_host_key", "Take its SSH host key over to the new disk", |cx, lease| {
        keep_host_key(cx, lease).boxed()
    });

/// The guest's own SSH host key, which it makes when there is none: `nix/identity/common.sh`.
const HOST_KEY: &str = "ssh_host_ed25519_key";

/// `identity.renew`
pub(crate) static RENEW: Step =
    Step::new("identity.renew", "Give the copy its own name, ids and SSH host key", |cx, lease| {
        renew(cx, lease).boxed()
    });

/// Said when a running guest could not be given its identity.
const NOT_TAKEN: &str =
    "The running guest could not be given the changes; it gets them when it is started the next time.";

/// Writes the identity files; removals included. A data disk that this job has just made has them already.
async fn write(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    if cx.work.identity_written {
        cx.say("The identity is on the data disk.");
        return Ok(());
    }
    if cx.is_configuration().await? {
        return Ok(());
    }
    let target = cx.machine().await?;
    write_to_disk(cx, &target).await
}

/// Makes the disk that was copied this machine's own: what the other machine's guest made for itself goes, and this machine's
/// files are written. Its guest makes its own host keys at its first boot.
async fn renew(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let target = cx.machine().await?;
    let (volume, role) = target.system_disk()?;
    let forgotten = target.hypervisor.forget_guest(volume, role).await;
    forgotten.map_err(target.host_error("Removing the other machine's SSH host keys"))?;
    write_to_disk(cx, &target).await
}

/// Writes the files while the machine is off.
async fn write_to_disk(cx: &StepCx<'_>, target: &Target) -> Result<(), StepError> {
    put(target, &target.record.spec).await?;
    cx.say("The identity is written.");
    cx.applied(target, Part::Identity).await
}

/// Undoes `write` where it changed the identity of an existing machine: only its name can have changed, and the row has
/// the new one until its own step is undone.
async fn undo_write(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let Some(target) = cx.find_machine().await? else { return Ok(()) };
    let mut spec = target.record.spec.clone();
    if let Some(name) = cx.job.operation.machine() {
        spec.name = name.clone();
    }
    if let Some(applied) = &target.record.applied {
        spec.take(Part::Identity, applied);
    }
    put(&target, &spec).await
}

/// Writes the files of this configuration to the machine's disk.
async fn put(target: &Target, spec: &Spec) -> Result<(), StepError> {
    let (volume, role) = target.system_disk()?;
    let files = spec.identity_files(&target.record.hardware);
    target
        .hypervisor
        .write_identity(volume, role, &files)
        .await
        .map_err(target.host_error("Writing the identity"))
}

/// Copies the host key from the disk that the machine has to the one that it gets, while it is off. A disk that cannot be read
/// may be why it gets another: the guest makes a new key then.
async fn keep_host_key(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let target = cx.machine().await?;
    let (from, role) = target.system_disk()?;
    let key = match target.hypervisor.read_identity(from, role, HOST_KEY).await {
        Err(lost @ HypervisorError::Unreachable { .. }) => {
            return Err(target.host_error("Reading the SSH host key")(lost));
        }
        Err(error) => {
            cx.warn(format!("The SSH host key cannot be read, and the guest makes a new one. ({error})"));
            return Ok(());
        }
        Ok(key) => key.and_then(|key| String::from_utf8(key).ok()),
    };
    let Some(key) = key else {
        cx.say("There is no SSH host key yet; the guest makes one.");
        return Ok(());
    };
    let (to, role) = disks::renewed_system_disk(cx, &target).await?;
    let file = IdentityFile { name: HOST_KEY, mode: 0o600, content: Some(key) };
    let written = target.hypervisor.write_identity(&to, role, &[file]).await;
    written.map_err(target.host_error("Writing the SSH host key"))?;
    cx.say("The SSH host key stays the same.");
    Ok(())
}

/// Applies the identity now: on the disk while the machine is off, through the agent while it runs. A guest that cannot take it
/// gets it at the next start, and until then it is pending.
async fn apply(cx: &mut StepCx<'_>, _: &Lease) -> Result<(), StepError> {
    let target = cx.machine().await?;
    let state = target.hypervisor.state(&target.machine).await;
    match state.map_err(target.host_error("Asking for the state"))? {
        MachineState::Running => send_to_guest(cx, &target).await,
        state if state.is_active() => {
            cx.warn(
                "The guest is not running freely now. It gets the changes when it is started the next time.",
            );
            Ok(())
        }
        _ => write_to_disk(cx, &target).await,
    }
}

async fn send_to_guest(cx: &StepCx<'_>, target: &Target) -> Result<(), StepError> {
    let files = target.record.spec.identity_files(&target.record.hardware);
    let message = guest::message(&files);
    let exit = match target.hypervisor.agent_run(&target.machine, guest::RECEIVE, message.as_bytes()).await {
        Ok(exit) => exit,
        Err(lost @ HypervisorError::Unreachable { .. }) => {
            return Err(target.host_error("Sending the identity to the guest")(lost));
        }
        Err(error) => {
            cx.warn(format!("{NOT_TAKEN} ({error})"));
            return Ok(());
        }
    };
    match exit.code {
        Some(guest::IN_FORCE) => cx.say("The guest has applied the changes."),
        Some(guest::PARTLY) => cx.warn(format!(
            "The guest has the changes, and not all of them are in force: {}",
            last_line(&exit.stderr)
        )),
        _ => {
            cx.warn(format!("{NOT_TAKEN} ({})", last_line(&exit.stderr)));
            return Ok(());
        }
    }
    cx.applied(target, Part::Identity).await
}

/// The last line that a guest's program said, as far as a log can show it.
fn last_line(said: &[u8]) -> String {
    const MOST: usize = 300;
    let text = String::from_utf8_lossy(said);
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    line.chars().filter(|c| !c.is_control()).take(MOST).collect()
}
