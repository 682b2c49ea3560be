//! Finished jobs leave no secret behind.

use crate::harness::{World, admin, on, run, spec, succeed};
use model::Fault;
use model::identity::PasswordHash;
use model::job::{BuildFailure, JobState};
use model::operation::{Operation, OperationKind};
use model::portal::Portal as _;

/// What root's password is kept as, in a machine's specification and in the operation that makes it.
const HASH: &str = "$6$saltsaltsalt$TheHashThatNobodyMayFindHere0123456789abcdef";

fn create_with_password(name: &str) -> Operation {
    let mut spec = spec(name);
    spec.identity.root_password = Some(HASH.parse::<PasswordHash>().unwrap());
    Operation::Create { spec: Box::new(spec) }
}

/// The files of the state directory that have the secret in them.
fn found(world: &World) -> Vec<String> {
    let files = std::fs::read_dir(&world.settings.state).unwrap().map(|entry| entry.unwrap().path());
    let has = |path: &std::path::PathBuf| {
        std::fs::read(path).is_ok_and(|bytes| bytes.windows(HASH.len()).any(|w| w == HASH.as_bytes()))
    };
    files.filter(has).map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
}

#[tokio::test]
async fn nothing_of_a_password_is_left_when_its_machine_is_purged() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    succeed(&engine, &ada, create_with_password("web")).await;
    assert!(!found(&world).is_empty(), "the machine has its password while it exists");
    succeed(&engine, &ada, on(OperationKind::Purge, "web")).await;
    engine.shut_down().await;
    assert_eq!(found(&world), Vec::<String>::new());
}

#[tokio::test]
async fn a_job_whose_password_is_gone_is_not_retried_without_it() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    world.builder.set_failure(Some(BuildFailure { derivation: "x".to_owned(), last_lines: Vec::new() }));
    let failed = run(&engine, &ada, create_with_password("web")).await;
    assert_eq!(failed.summary.badge.state, JobState::Failed);
    assert!(!failed.can_retry && failed.form_again);
    let refused = engine.retry(&ada, failed.summary.badge.id).await.unwrap_err();
    assert!(matches!(refused, Fault::Refused { .. }), "{refused:?}");
    engine.shut_down().await;
    assert_eq!(found(&world), Vec::<String>::new());
}
