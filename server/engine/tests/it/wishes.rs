//! A button press is carried out once, soon, or not at all.

use crate::crash::{Mischief, crash, on_portal};
use crate::harness::{World, create, ended, on, succeed};
use engine::probe::When;
use model::job::{JobId, JobState};
use model::machine::MachineState;
use model::operation::OperationKind;
use ports::hypervisor::{HostEvent, Hypervisor as _};

const MINUTE: i64 = 60 * 1000;

/// Has the portal killed at this moment of an operation on a running machine.
fn killed_during(world: &World, kind: OperationKind, when: When) -> JobId {
    let prepare = async |engine: &_, ada: &_| {
        succeed(engine, ada, create("web")).await;
        on(kind, "web")
    };
    crash(world, Mischief::Halt(0, when), None, prepare).job
}

fn reboots(events: &mut tokio::sync::broadcast::Receiver<HostEvent>) -> usize {
    std::iter::from_fn(|| events.try_recv().ok()).filter(|e| matches!(e, HostEvent::Rebooted { .. })).count()
}

#[test]
fn a_guest_is_not_rebooted_twice_by_a_crash() {
    let world = World::new();
    let mut events = world.hypervisor.events();
    let job = killed_during(&world, OperationKind::Reboot, When::AfterRun);
    on_portal(&world, async |engine, ada| {
        let view = ended(&engine, &ada, job).await;
        assert_eq!(view.summary.badge.state, JobState::Succeeded, "{view:#?}");
    });
    assert_eq!(reboots(&mut events), 1);
}

#[test]
fn a_guest_that_was_started_again_meanwhile_is_not_forced_off_again() {
    let world = World::new();
    let job = killed_during(&world, OperationKind::ForceOff, When::AfterRun);
    world.hypervisor.happen("web", MachineState::Running);
    on_portal(&world, async |engine, ada| {
        let view = ended(&engine, &ada, job).await;
        assert_eq!(view.summary.badge.state, JobState::Failed, "{view:#?}");
        assert!(view.failure.unwrap().message.contains("ask again"));
    });
    assert_eq!(world.hypervisor.state_of("web"), Some(MachineState::Running));
}

#[test]
fn what_was_asked_for_long_ago_is_not_carried_out() {
    for (minutes, state, machine) in
        [(11, JobState::Failed, MachineState::Running), (10, JobState::Succeeded, MachineState::Off)]
    {
        let world = World::new();
        let job = killed_during(&world, OperationKind::ForceOff, When::BeforeRun);
        world.clock.advance_millis(minutes * MINUTE);
        on_portal(&world, async |engine, ada| {
            let view = ended(&engine, &ada, job).await;
            assert_eq!(view.summary.badge.state, state, "{view:#?}");
            if let Some(failure) = view.failure {
                assert!(failure.message.contains("asked for 11 minutes ago"), "{failure:?}");
            }
        });
        assert_eq!(world.hypervisor.state_of("web"), Some(machine));
    }
}

#[test]
fn a_create_goes_on_however_long_it_was_interrupted() {
    let world = World::new();
    let job = crash(&world, Mischief::Halt(5, When::BeforeRun), None, async |_, _| create("web")).job;
    world.clock.advance_millis(24 * 60 * MINUTE);
    on_portal(&world, async |engine, ada| {
        let view = ended(&engine, &ada, job).await;
        assert_eq!(view.summary.badge.state, JobState::Succeeded, "{view:#?}");
    });
}
