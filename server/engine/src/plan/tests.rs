//! The planner's table of states and refusals, and what holds for any facts.

use super::*;
use crate::machine::facts::{BuilderFacts, ImageFacts};
use crate::testing::builder::MemoryBuilder;
use crate::testing::hypervisor::THIN;
use model::account::UserId;
use model::identity::Identity;
use model::image::ImageId;
use model::machine::{MachineId, Mode};
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
    }
}

fn machine(state: MachineState) -> MachineFacts {
    MachineFacts {
        id: MachineId(Uuid::nil()),
        owner: UserId(Uuid::nil()),
        spec: spec("web"),
        state,
        created: state != MachineState::Configured,
        busy: None,
    }
}

fn facts(machine: Option<MachineFacts>) -> Facts {
    let profiles = MemoryBuilder::new().known_profiles();
    Facts {
        machine,
        host: Some(HostFacts {
            name: "local".parse().unwrap(),
            reachable: true,
            bridges: vec!["br0".to_owned()],
            slow: None,
            capabilities: Some(THIN),
        }),
        builder: Some(Ok(BuilderFacts { profiles, source: "s".to_owned() })),
        image_ready: false,
        image: Some(ImageFacts { title: "core (immutable)".to_owned(), users: vec![] }),
    }
}

fn on_web(kind: OperationKind) -> Operation {
    Operation::on_machine(kind, "web".parse().unwrap()).unwrap()
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
        other => on_web(other),
    }
}

#[test]
fn every_state_allows_just_what_fits_it() {
    use MachineState as State;
    use OperationKind as Op;
    for (state, allowed) in [
        (State::Configured, vec![Op::Provision, Op::Purge]),
        (State::Off, vec![Op::Start, Op::Destroy, Op::Purge]),
        (State::Running, vec![Op::ShutDown, Op::Reboot, Op::ForceOff, Op::Suspend, Op::Destroy, Op::Purge]),
        (State::ShuttingDown, vec![Op::ShutDown, Op::ForceOff, Op::Destroy, Op::Purge]),
        (State::Paused, vec![Op::ForceOff, Op::Resume, Op::Destroy, Op::Purge]),
        (State::Crashed, vec![Op::Start, Op::Destroy, Op::Purge]),
        (State::Unknown, vec![]),
    ] {
        let facts = facts(Some(machine(state)));
        for kind in OperationKind::ALL {
            let Some(operation) = Operation::on_machine(*kind, "web".parse().unwrap()) else { continue };
            let planned = plan(&operation, &facts);
            assert_eq!(planned.is_ok(), allowed.contains(kind), "{kind} while {state:?}: {planned:?}");
        }
    }
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
    assert_eq!(field(create(|_| {}, &facts(Some(machine(MachineState::Off))))), "name");
    assert_eq!(field(create(|s| s.profiles = "rust".parse().unwrap(), &free)), "profiles");
    assert_eq!(field(create(|s| s.profiles = "docker,python,rust".parse().unwrap(), &free)), "profiles");
    assert_eq!(field(create(|s| s.network = "bridge:br7".parse().unwrap(), &free)), "network");
    assert_eq!(field(create(|_| {}, &Facts { host: None, ..free.clone() })), "host");
    let mut down = free.clone();
    down.host.as_mut().unwrap().reachable = false;
    assert_eq!(create(|_| {}, &down), Err(Refusal::Unavailable("local".to_owned())));
    let broken = Facts { builder: Some(Err("no nix".to_owned())), ..free };
    assert!(matches!(create(|_| {}, &broken), Err(Refusal::State(why)) if why.contains("no nix")));
}

#[test]
fn only_what_destroys_wants_the_name_typed() {
    for kind in OperationKind::ALL {
        let running = facts(Some(machine(MachineState::Running)));
        if let Ok(plan) = plan(&operation(*kind), &running) {
            let destroys = matches!(kind, OperationKind::Destroy | OperationKind::Purge);
            assert_eq!(plan.confirm.is_some(), destroys, "{kind}");
            assert_eq!(!plan.loses.is_empty(), destroys, "{kind}");
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
fn what_a_plan_says_decides_its_digest() {
    let mut one = facts(None);
    let create = operation(OperationKind::Create);
    let to_build = plan(&create, &one).unwrap();
    one.image_ready = true;
    let ready = plan(&create, &one).unwrap();
    assert_ne!(to_build.digest(), ready.digest());
    assert_eq!(ready.digest(), plan(&create, &one).unwrap().digest());
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
            let table: Vec<&str> = operations::steps(kind).iter().map(|(s, _)| s.name()).collect();
            prop_assert_eq!(names, table);
            prop_assert!(plan.steps.iter().all(|s| !s.what.is_empty()));
            prop_assert_eq!(plan.confirm.is_some(), !plan.loses.is_empty());
            let existing = Operation::on_machine(kind, "web".parse().unwrap()).is_some();
            if existing {
                let machine = facts.machine.as_ref().unwrap();
                prop_assert!(machine.busy.is_none());
                prop_assert!(facts.host.as_ref().is_some_and(|h| h.reachable));
            }
        }
    }
}
