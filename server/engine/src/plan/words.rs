//! The words of plans: what each step will do, how long a machine is away, why an operation does not fit.

use crate::job::step::Step;
use crate::machine::facts::{Facts, needed_image};
use model::machine::{MachineState, Network};
use model::operation::{Operation, OperationKind};
use model::spec::Spec;

/// What a step will do, in a short sentence.
pub(super) fn what(step: Step, operation: &Operation, facts: &Facts) -> String {
    let machine = facts.machine.as_ref();
    let kept = machine.is_some_and(|m| m.created) && operation.kind() == OperationKind::Provision;
    let spec: Option<&Spec> = match operation {
        Operation::Create { spec } | Operation::Configure { spec } => Some(spec),
        _ => machine.map(|m| &m.spec),
    };
    let text = match step {
        Step::RecordNew => "Save the configuration",
        Step::RecordForget => "Remove the configuration",
        Step::ImageBuild => return image(operation, facts, kept),
        Step::ImageForget => "Forget the image",
        Step::DisksCreate if kept => "Check that the disks are there",
        Step::DisksCreate => return spec.map_or_else(|| "Make the disks".to_owned(), disks),
        Step::DisksRetire => "Remove the disks",
        Step::IdentityWrite => "Write its identity: name, keys, ports",
        Step::DefinitionPut => return spec.map_or_else(|| "Define it".to_owned(), definition),
        Step::DefinitionRemove => "Remove the definition from the host",
        Step::PowerStart => "Start it",
        Step::PowerShutDown => "Ask the guest to shut down, and wait until it has",
        Step::PowerReboot => "Ask the guest to reboot",
        Step::PowerForceOff => "Force it off",
        Step::PowerKill => "Switch it off",
        Step::PowerSuspend => "Suspend it in memory",
        Step::PowerResume => "Let it run again",
        Step::AddressAwait => "Wait for its address",
    };
    text.to_owned()
}

fn image(operation: &Operation, facts: &Facts, kept: bool) -> String {
    let Some((profiles, mode)) = needed_image(operation, facts.machine.as_ref()).filter(|_| !kept) else {
        return "Keep the image that its disks were made from".to_owned();
    };
    let verb = if facts.image_ready { "Use the built image" } else { "Build the image" };
    format!("{verb} {profiles} ({})", mode.as_str())
}

fn disks(spec: &Spec) -> String {
    if spec.mode.has_data_disk() {
        format!("Make the boot disk and a data disk of {}", spec.disk)
    } else {
        format!("Make a disk of {}", spec.disk)
    }
}

fn definition(spec: &Spec) -> String {
    let network = match &spec.network {
        Network::Nat => "NAT".to_owned(),
        Network::Bridge(name) => format!("bridge {name}"),
    };
    format!("Define it on {} with {}, {} and {network}", spec.host, spec.vcpus, spec.memory)
}

/// How long the machine is away.
pub(super) fn downtime(kind: OperationKind) -> Option<String> {
    let text = match kind {
        OperationKind::ShutDown | OperationKind::ForceOff => "Until it is started again.",
        OperationKind::Reboot => "While the guest restarts.",
        OperationKind::Suspend => "Until it is resumed.",
        _ => return None,
    };
    Some(text.to_owned())
}

/// Why an operation on the power does not fit a state, and what would.
pub(super) fn does_not_fit(kind: OperationKind, state: MachineState) -> &'static str {
    use MachineState::{Crashed, Off, Paused, Running, ShuttingDown};
    match (kind, state) {
        (OperationKind::Start, Paused) | (_, Paused) => {
            "The machine is suspended. Resume it, or force it off."
        }
        (OperationKind::Start, ShuttingDown) => "The machine is shutting down. Wait until it is off.",
        (OperationKind::Start | OperationKind::Resume, Running) => "The machine is running already.",
        (OperationKind::Resume, ShuttingDown) => "The machine is not suspended, it is shutting down.",
        (_, ShuttingDown) => "The machine is shutting down. Wait until it is off, or force it off.",
        (_, Off | Crashed) => "The machine is off. Start it first.",
        _ => "That does not fit what the machine is doing now.",
    }
}
