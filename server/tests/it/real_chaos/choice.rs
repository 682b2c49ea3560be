//! Which operations fit a machine, and the forms that ask for them.

use model::form::opened;
use model::operation::OperationKind;
use model::spec::Spec;
use rand::Rng as _;
use rand::rngs::StdRng;

/// What a machine does, as the host has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// It is not on the host.
    Nowhere,
    Off,
    Running,
    Paused,
    Stopping,
}

impl Power {
    /// From libvirt's word.
    pub fn of(word: &str) -> Self {
        match word {
            "running" => Power::Running,
            "paused" => Power::Paused,
            "in shutdown" => Power::Stopping,
            "" => Power::Nowhere,
            _ => Power::Off,
        }
    }
}

/// What fits, and how often it is chosen among the others.
fn fitting(power: Power) -> &'static [(OperationKind, u32)] {
    use OperationKind as Kind;
    match power {
        Power::Nowhere => &[
            (Kind::Provision, 8),
            (Kind::Reconfigure, 2),
            (Kind::Rename, 1),
            (Kind::Destroy, 1),
            (Kind::Purge, 1),
        ],
        Power::Off => &[
            (Kind::Start, 6),
            (Kind::Rename, 2),
            (Kind::Clone, 2),
            (Kind::Upgrade, 2),
            (Kind::RollBack, 2),
            (Kind::Reconfigure, 3),
            (Kind::Apply, 1),
            (Kind::Revert, 1),
            (Kind::Recreate, 1),
            (Kind::Destroy, 1),
            (Kind::Purge, 1),
        ],
        Power::Running => &[
            (Kind::ShutDown, 3),
            (Kind::Reboot, 1),
            (Kind::ForceOff, 4),
            (Kind::Suspend, 2),
            (Kind::Clone, 2),
            (Kind::Upgrade, 2),
            (Kind::RollBack, 2),
            (Kind::Reconfigure, 3),
            (Kind::Apply, 1),
            (Kind::Revert, 1),
            (Kind::Recreate, 1),
            (Kind::Destroy, 1),
            (Kind::Purge, 1),
        ],
        Power::Paused => &[
            (Kind::Resume, 5),
            (Kind::ForceOff, 2),
            (Kind::Reconfigure, 1),
            (Kind::Destroy, 1),
            (Kind::Purge, 1),
        ],
        Power::Stopping => &[(Kind::ForceOff, 1)],
    }
}

/// What is done next. Now and then it is what does not fit, which must be refused.
pub fn next(rng: &mut StdRng, power: Power) -> OperationKind {
    let misfits = [Power::Nowhere, Power::Off, Power::Running, Power::Paused];
    let power = if rng.random_bool(0.05) { misfits[rng.random_range(0..misfits.len())] } else { power };
    let all = fitting(power);
    let total: u32 = all.iter().map(|(_, weight)| weight).sum();
    let mut at = rng.random_range(0..total);
    for (kind, weight) in all {
        if at < *weight {
            return *kind;
        }
        at -= weight;
    }
    OperationKind::Start
}

/// The fields of a form, in order.
pub type Fields = Vec<(String, String)>;

/// The form of a new machine.
pub fn new_machine(rng: &mut StdRng, kind: OperationKind, name: &str) -> Fields {
    let memory = if rng.random_bool(0.5) { "128" } else { "256" };
    let fields = [
        ("intent", kind.as_str()),
        ("name", name),
        ("host", "local"),
        ("mode", "immutable"),
        ("memory", memory),
        ("vcpus", "1"),
        ("disk", "1"),
        ("network", "nat"),
        ("tcp_ports", "22"),
    ];
    fields.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

/// The form of an operation on a machine, and the page that has it.
pub fn on_machine(
    rng: &mut StdRng,
    kind: OperationKind,
    spec: &Spec,
    generations: &[i64],
    new_name: &str,
) -> (String, Fields) {
    let page = match kind {
        OperationKind::Reconfigure => format!("/machines/{}/configuration", spec.name),
        _ => format!("/machines/{}/do/{kind}", spec.name),
    };
    let mut form = match kind {
        OperationKind::Reconfigure | OperationKind::Clone => opened(kind, spec),
        _ => model::form::FormData::default(),
    };
    form.set("intent", kind.as_str());
    form.set("machine", spec.name.as_str());
    form.set("confirm", spec.name.as_str());
    match kind {
        OperationKind::Reconfigure => change(rng, spec, &mut form),
        OperationKind::Rename => form.set("name", new_name),
        OperationKind::RollBack => {
            let generation = generations.get(rng.random_range(0..generations.len().max(1)));
            form.set("generation", generation.unwrap_or(&1).to_string());
        }
        OperationKind::Clone => {
            form.set("name", new_name);
            form.set("copies", "1");
            if rng.random_bool(0.3) {
                form.set("start", "yes");
            }
            if rng.random_bool(0.2) {
                form.set("disk", (spec.disk.get() + 1).to_string());
            }
        }
        _ => {}
    }
    (page, form.0)
}

/// One part of the configuration becomes another one.
fn change(rng: &mut StdRng, spec: &Spec, form: &mut model::form::FormData) {
    match rng.random_range(0..4) {
        0 => form.set("tcp_ports", format!("22\n{}", rng.random_range(1024..60000))),
        1 => form.set("memory", if spec.memory.get() == 128 { "256" } else { "128" }),
        2 if spec.disk.get() < 3 => form.set("disk", (spec.disk.get() + 1).to_string()),
        _ => form.set("notes", format!("note {}", rng.random_range(0..1000))),
    }
}
