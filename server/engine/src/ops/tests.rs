//! The planner's table of states and refusals, and what holds for any facts.

mod clone;
mod configuration;
mod options;
mod switch;

use super::*;
use crate::job::step::After;
use crate::machine::facts::{BuilderFacts, GenerationFacts, HostFacts, ImageFacts, MachineFacts};
use crate::testing::builder::MemoryBuilder;
use crate::testing::hypervisor::{THICK, THIN};
use model::account::UserId;
use model::catalog::On;
use model::form;
use model::identity::Identity;
use model::image::ImageId;
use model::job::JobId;
use model::machine::{GenerationNumber, MachineId, MachineState, Mode, Network};
use model::notes::Notes;
use model::operation::{KeptSecrets, MachineAction, Reconfigure};
use model::plan::Consent;
use model::spec::Spec;
use proptest::prelude::*;
use uuid::Uuid;

const STATES: [MachineState; 7] = [
    MachineState::Configured,
    MachineState::Off,
    MachineState::Running,
    MachineState::ShuttingDown,
    MachineState::Paused,
    MachineState::Crashed,
    MachineState::Unknown,
];

fn spec(name: &str) -> Spec {
    Spec {
        name: name.parse().unwrap(),
        host: "local".parse().unwrap(),
        profiles: "docker".parse().unwrap(),
        mode: Mode::Immutable,
        memory: 2048.try_into().unwrap(),
        vcpus: 2.try_into().unwrap(),
        disk: 30.try_into().unwrap(),
        network: Network::Nat,
        identity: Identity::default(),
        notes: Notes::default(),
        autostart: false,
        delete_protection: false,
    }
}

fn machine(state: MachineState) -> MachineFacts {
    MachineFacts {
        id: MachineId(Uuid::nil()),
        owner: UserId(Uuid::nil()),
        spec: spec("web"),
        applied: (state != MachineState::Configured).then(|| spec("web")),
        generations: [2, 1].map(generation).into(),
        generation: (state != MachineState::Configured).then_some(2),
        state,
        created: state != MachineState::Configured,
        placed: state != MachineState::Configured,
        busy: None,
        copied_by: None,
    }
}

fn generation(number: u32) -> GenerationFacts {
    GenerationFacts {
        number,
        image: ImageId(Uuid::from_u128(number.into())),
        profiles: "docker".parse().unwrap(),
    }
}

fn facts(machine: Option<MachineFacts>) -> Facts {
    let profiles = MemoryBuilder::new().known_profiles();
    Facts {
        machine,
        unreadable: None,
        name_taken: false,
        host: Some(HostFacts {
            name: "local".parse().unwrap(),
            reachable: true,
            bridges: vec!["br0".to_owned()],
            memory: Some(8 << 30),
            slow: None,
            capabilities: Some(THIN),
        }),
        builder: Some(Ok(BuilderFacts { profiles, source: "s".to_owned() })),
        image_ready: false,
        next_image: None,
        image: Some(ImageFacts { title: "core (immutable)".to_owned(), users: vec![] }),
    }
}

fn on_web(kind: OperationKind) -> Operation {
    form::on_machine(kind, &"web".parse().unwrap()).unwrap()
}

/// Another configuration of `web`.
fn reconfigure(change: impl FnOnce(&mut Spec)) -> Operation {
    let base = spec("web");
    let mut spec = base.clone();
    change(&mut spec);
    let change = Reconfigure { base, spec, kept: KeptSecrets::default() };
    MachineAction::Reconfigure(Box::new(change)).on("web".parse().unwrap())
}

fn operation(kind: OperationKind) -> Operation {
    let spec = Box::new(spec("web"));
    match kind {
        OperationKind::Build => {
            Operation::Build { profiles: "docker".parse().unwrap(), mode: Mode::Immutable }
        }
        OperationKind::Create => Operation::Create { spec },
        OperationKind::Configure => Operation::Configure { spec },
        OperationKind::RemoveImage => Operation::RemoveImage { image: ImageId(Uuid::nil()) },
        OperationKind::Reconfigure => reconfigure(|spec| spec.memory = 4096.try_into().unwrap()),
        OperationKind::RollBack => {
            MachineAction::RollBack { generation: GenerationNumber(1) }.on("web".parse().unwrap())
        }
        OperationKind::Rename => {
            MachineAction::Rename { name: "db".parse().unwrap() }.on("web".parse().unwrap())
        }
        OperationKind::Clone => clone::clone_to("db", |_| {}),
        other => on_web(other),
    }
}

#[test]
fn every_state_allows_just_what_fits_it() {
    use MachineState as State;
    use OperationKind as Op;
    let at_rest = vec![
        Op::Reconfigure,
        Op::Upgrade,
        Op::RollBack,
        Op::Start,
        Op::Rename,
        Op::Clone,
        Op::Recreate,
        Op::Destroy,
        Op::Purge,
    ];
    // Nothing is pending here.
    for (state, allowed) in [
        (State::Configured, vec![Op::Reconfigure, Op::Provision, Op::Rename, Op::Purge]),
        (State::Off, at_rest.clone()),
        (
            State::Running,
            vec![
                Op::Reconfigure,
                Op::Upgrade,
                Op::RollBack,
                Op::ShutDown,
                Op::Reboot,
                Op::ForceOff,
                Op::Suspend,
                Op::Clone,
                Op::Recreate,
                Op::Destroy,
                Op::Purge,
            ],
        ),
        (State::ShuttingDown, vec![Op::Reconfigure, Op::ShutDown, Op::ForceOff, Op::Destroy, Op::Purge]),
        (State::Paused, vec![Op::Reconfigure, Op::ForceOff, Op::Resume, Op::Destroy, Op::Purge]),
        (State::Crashed, at_rest),
        (State::Unknown, vec![]),
    ] {
        let facts = facts(Some(machine(state)));
        for kind in OperationKind::ALL {
            if kind.row().on != On::Machine {
                continue;
            }
            let planned = plan(&operation(*kind), &facts);
            assert_eq!(planned.is_ok(), allowed.contains(kind), "{kind} while {state:?}: {planned:?}");
        }
    }
}

/// What each step of the plan is called.
fn step_names(operation: &Operation, facts: &Facts) -> Vec<String> {
    plan(operation, facts).unwrap().steps.into_iter().map(|step| step.name).collect()
}

#[test]
fn a_new_machine_is_checked_against_what_there_is() {
    let create = |change: fn(&mut Spec), facts: &Facts| {
        let mut spec = spec("web");
        change(&mut spec);
        plan(&Operation::Create { spec: Box::new(spec) }, facts)
    };
    let free = facts(None);
    assert!(create(|_| {}, &free).is_ok());
    let field = |answer: Result<Plan, Refusal>| match answer {
        Err(Refusal::Field { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(field(create(|_| {}, &Facts { name_taken: true, ..free.clone() })), "name");
    assert_eq!(field(create(|s| s.profiles = "rust".parse().unwrap(), &free)), "profiles");
    assert_eq!(field(create(|s| s.profiles = "docker,python,rust".parse().unwrap(), &free)), "profiles");
    assert_eq!(field(create(|s| s.network = "bridge:br7".parse().unwrap(), &free)), "network");
    assert!(create(|s| s.network = "bridge:br0".parse().unwrap(), &free).is_ok());
    assert!(create(|s| s.disk = 16_383.try_into().unwrap(), &free).is_ok());
    assert_eq!(field(create(|s| s.disk = 16_384.try_into().unwrap(), &free)), "disk");
    let mut unasked = free.clone();
    unasked.host.as_mut().unwrap().bridges.clear();
    assert!(create(|_| {}, &unasked).is_ok());
    for bridge in ["br0", "docker0"] {
        let mut spec = spec("web");
        spec.network = format!("bridge:{bridge}").parse().unwrap();
        let answer = plan(&Operation::Create { spec: Box::new(spec) }, &unasked);
        assert_eq!(field(answer), "network", "{bridge}: what is not known is not allowed");
    }
    assert_eq!(field(create(|_| {}, &Facts { host: None, ..free.clone() })), "host");
    let mut down = free.clone();
    down.host.as_mut().unwrap().reachable = false;
    assert_eq!(create(|_| {}, &down), Err(Refusal::Unavailable("local".to_owned())));
    let broken = Facts { builder: Some(Err("no nix".to_owned())), ..free };
    assert!(matches!(create(|_| {}, &broken), Err(Refusal::State(why)) if why.contains("no nix")));
}

#[test]
fn what_is_on_no_host_or_on_one_that_is_gone_can_be_removed_from_the_portal() {
    let away = |state, created| {
        let mut facts = facts(Some(MachineFacts { created, placed: created, ..machine(state) }));
        facts.host.as_mut().unwrap().reachable = false;
        facts
    };
    let unavailable = Err(Refusal::Unavailable("local".to_owned()));
    let (bare, made) = (away(MachineState::Unknown, false), away(MachineState::Unknown, true));
    let purged = plan(&on_web(OperationKind::Purge), &bare).unwrap();
    assert!(purged.loses.len() == 1 && purged.warnings.len() == 1, "{purged:?}");
    assert_eq!(plan(&on_web(OperationKind::Purge), &made), unavailable);
    let forgotten = plan(&on_web(OperationKind::Forget), &made).unwrap();
    assert!(
        forgotten.warnings[0].contains("Remove them by hand") && forgotten.confirm.is_some(),
        "{forgotten:?}"
    );
    let reachable = facts(Some(machine(MachineState::Running)));
    assert!(matches!(plan(&on_web(OperationKind::Forget), &reachable), Err(Refusal::State(_))));
}

#[test]
fn only_what_destroys_wants_the_name_typed() {
    for kind in OperationKind::ALL {
        let running = facts(Some(machine(MachineState::Running)));
        if let Ok(plan) = plan(&operation(*kind), &running) {
            let destroys =
                matches!(kind, OperationKind::Recreate | OperationKind::Destroy | OperationKind::Purge);
            assert_eq!(plan.confirm.is_some(), destroys, "{kind}");
            assert_eq!(!plan.loses.is_empty(), destroys || *kind == OperationKind::ForceOff, "{kind}");
        }
    }
}

#[test]
fn disks_that_are_there_are_kept_by_creating_again() {
    let mut gone = machine(MachineState::Configured);
    gone.created = true;
    let plan = plan(&on_web(OperationKind::Provision), &facts(Some(gone))).unwrap();
    assert!(plan.steps.iter().any(|s| s.what.contains("are there")), "{:?}", plan.steps);
    assert!(plan.keeps.iter().any(|k| k.contains("disks")));
}

#[test]
fn a_host_that_copies_images_says_so() {
    let mut facts = facts(None);
    let mut words = |capabilities| {
        facts.host.as_mut().unwrap().capabilities = Some(capabilities);
        let plan = plan(&operation(OperationKind::Create), &facts).unwrap();
        plan.steps.into_iter().find(|step| step.name == "disks.create").unwrap().what
    };
    assert_eq!(words(THIN), "Make the boot disk and a data disk of 30 GiB");
    assert_eq!(words(THICK), "Make the boot disk, a copy of the image, and a data disk of 30 GiB");
}

#[test]
fn an_image_in_use_stays() {
    let mut used = facts(None);
    used.image.as_mut().unwrap().users = vec!["web".parse().unwrap(), "db".parse().unwrap()];
    let refused = plan(&operation(OperationKind::RemoveImage), &used).unwrap_err();
    assert!(
        matches!(&refused, Refusal::State(why) if why.contains("web and one other machine")),
        "{refused:?}"
    );
}

#[test]
fn what_is_lost_decides_the_digest_and_the_words_of_a_step_do_not() {
    let mut one = facts(None);
    let create = operation(OperationKind::Create);
    let to_build = plan(&create, &one).unwrap();
    one.image_ready = true;
    let ready = plan(&create, &one).unwrap();
    assert_ne!(to_build.steps, ready.steps);
    assert_eq!(to_build.digest(), ready.digest());
    let destroy = operation(OperationKind::Destroy);
    let off = plan(&destroy, &facts(Some(machine(MachineState::Off)))).unwrap();
    let running = plan(&destroy, &facts(Some(machine(MachineState::Running)))).unwrap();
    assert_ne!(off.digest(), running.digest());
    let other = MachineFacts { id: MachineId(Uuid::from_u128(1)), ..machine(MachineState::Off) };
    assert_ne!(off.digest(), plan(&destroy, &facts(Some(other))).unwrap().digest(), "another of the name");
}

#[test]
fn each_operation_is_agreed_to_as_its_row_says() {
    let plan = |kind| plan(&operation(kind), &facts(Some(machine(MachineState::Running)))).unwrap();
    let enough = |kind: OperationKind, consent: Consent| consent.is_enough(kind.row().confirm, &plan(kind));
    let seen = |kind| Consent { plan: Some(plan(kind).digest()), name: None };
    assert!(enough(OperationKind::Reboot, Consent::default()));
    assert!(!enough(OperationKind::ForceOff, Consent::default()));
    assert!(enough(OperationKind::ForceOff, seen(OperationKind::ForceOff)));
    assert!(!enough(OperationKind::Destroy, seen(OperationKind::Destroy)));
    let typed = |name: &str| Consent { name: Some(name.to_owned()), ..seen(OperationKind::Destroy) };
    assert!(enough(OperationKind::Destroy, typed("web")) && !enough(OperationKind::Destroy, typed("Web")));
}

#[test]
fn a_build_comes_before_anything_that_touches_a_machine_on_its_host() {
    for kind in OperationKind::ALL {
        let steps = op(*kind).steps();
        let build = steps.iter().position(|(step, _)| step.name == "image.build");
        // A place is only taken: whether it can be had is worth knowing before a build of twenty minutes.
        let elsewhere =
            |name: &str| ["record.", "image.", "host."].iter().any(|family| name.starts_with(family));
        let touches = steps.iter().position(|(step, _)| !elsewhere(step.name));
        if let (Some(build), Some(touches)) = (build, touches) {
            assert!(build < touches, "{kind}");
        }
    }
}

#[test]
fn what_makes_a_machine_begins_with_its_row_which_is_written_when_the_job_is_accepted() {
    for kind in OperationKind::ALL {
        let at = op(*kind).steps().iter().position(|(step, _)| step.name == "record.new");
        let makes_one = kind.row().on == On::NewMachine || *kind == OperationKind::Clone;
        assert_eq!(at, makes_one.then_some(0), "{kind}");
    }
}

#[test]
fn nothing_that_goes_only_forward_comes_before_something_that_is_undone() {
    for kind in OperationKind::ALL {
        let steps = op(*kind).steps();
        let forward = steps.iter().position(|(_, after)| *after == After::Forward);
        let undo = steps.iter().rposition(|(_, after)| *after == After::Undo);
        if let (Some(forward), Some(undo)) = (forward, undo) {
            assert!(undo < forward, "{kind}");
        }
    }
}

#[test]
fn one_name_is_one_step_and_whatever_is_undone_has_an_undo() {
    for (step, after) in OperationKind::ALL.iter().flat_map(|kind| op(*kind).steps()) {
        assert!(std::ptr::eq(crate::steps::named(step.name).unwrap(), *step), "{step:?}");
        assert!(*after != After::Undo || step.undo.is_some(), "{step:?}");
    }
}

fn any_facts() -> impl Strategy<Value = Facts> {
    let machine = (0..STATES.len(), any::<bool>(), any::<bool>()).prop_map(|(state, created, busy)| {
        let busy = busy.then_some(JobId(Uuid::nil()));
        MachineFacts { created, busy, ..machine(STATES[state]) }
    });
    (
        proptest::option::of(machine),
        proptest::option::of((any::<bool>(), any::<bool>(), any::<bool>())),
        0..3_usize,
        any::<bool>(),
        0..4_usize,
    )
        .prop_map(|(machine, host, builder, image_ready, users)| {
            let mut facts = facts(machine);
            facts.host = facts.host.zip(host).map(|(host, (reachable, capable, slow))| HostFacts {
                reachable,
                capabilities: host.capabilities.filter(|_| capable),
                slow: slow.then(|| "Slow.".to_owned()),
                ..host
            });
            facts.builder = match builder {
                0 => None,
                1 => Some(Err("no nix".to_owned())),
                _ => facts.builder,
            };
            facts.image_ready = image_ready;
            let users = (0..users).map(|n| format!("m{n}").parse().unwrap()).collect();
            facts.image = Some(ImageFacts { title: String::new(), users }).filter(|_| image_ready);
            facts
        })
}

proptest! {
    #[test]
    fn any_facts_give_one_answer_that_keeps_the_rules(facts in any_facts(), kind in 0..OperationKind::ALL.len()) {
        let kind = OperationKind::ALL[kind];
        let operation = operation(kind);
        let answer = plan(&operation, &facts);
        prop_assert_eq!(&answer, &plan(&operation, &facts));
        if let Ok(plan) = answer {
            let names: Vec<&str> = plan.steps.iter().map(|s| s.name.as_str()).collect();
            let table: Vec<&str> = op(kind).steps().iter().map(|(s, _)| s.name).collect();
            let mut table = table.into_iter();
            prop_assert!(names.iter().all(|name| table.any(|step| step == *name)), "{:?}", names);
            prop_assert!(plan.steps.iter().all(|s| !s.what.is_empty()));
            let named = kind.row().confirm == Confirm::Name;
            prop_assert_eq!(plan.confirm.is_some(), named && !plan.loses.is_empty());
            let existing = form::on_machine(kind, &"web".parse().unwrap()).is_some();
            if existing {
                let machine = facts.machine.as_ref().unwrap();
                prop_assert!(machine.busy.is_none());
                // What is not on a host, or on one that is gone, is removed from the portal alone.
                let needs_host = match kind {
                    OperationKind::Forget => false,
                    OperationKind::Purge | OperationKind::Reconfigure | OperationKind::Apply | OperationKind::Revert => {
                        machine.created
                    },
                    _ => true,
                };
                prop_assert!(!needs_host || facts.host.as_ref().is_some_and(|h| h.reachable));
            }
        }
    }
}
