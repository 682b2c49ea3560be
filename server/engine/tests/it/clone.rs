//! Clones: machines of their own with what was on another one's disk, which is left as it is.

use crate::harness::{
    World, admin, begin, create, ended, member, name, on, reconfigure, refused, run, spec, succeed,
    until_said, until_state,
};
use engine::Engine;
use engine::probe::{Moment, Probe, Verdict, When};
use engine::testing::hypervisor::{THICK, THIN};
use model::Fault;
use model::account::Actor;
use model::job::{JobId, JobState};
use model::machine::{MachineState, Mode};
use model::operation::{MachineAction, NewCopy, Operation, OperationKind};
use model::plan::Consent;
use model::portal::Portal as _;
use ports::hypervisor::{DiskRole, Hypervisor as _, HypervisorError, Volume};
use std::sync::Arc;

/// A copy of the machine that `create("web")` makes, like it but for this.
pub fn clone_to(to: &str, change: impl FnOnce(&mut NewCopy)) -> Operation {
    let spec = spec("web");
    let mut copy = NewCopy {
        name: name(to),
        memory: spec.memory,
        vcpus: spec.vcpus,
        disk: spec.disk,
        network: spec.network,
        profiles: spec.profiles,
        start: false,
    };
    change(&mut copy);
    MachineAction::Clone(Box::new(copy)).on(name("web"))
}

/// The disk of the world's only machine that the guest writes to.
fn system_disk(world: &World) -> (Volume, DiskRole) {
    let disks = world.hypervisor.disk_names();
    let role = if disks.len() == 1 { DiskRole::Boot } else { DiskRole::Data };
    (Volume(disks.last().unwrap().clone()), role)
}

/// What a guest has after its first boot, and a letter.
pub async fn write_in_guest(world: &World) {
    let (disk, role) = system_disk(world);
    let file = |name, content: &str| model::identity::IdentityFile {
        name,
        mode: 0o600,
        content: Some(content.into()),
    };
    let files = [file("ssh_host_ed25519_key", "the key of web"), file("letter", "Dear Ada")];
    world.hypervisor.write_identity(&disk, role, &files).await.unwrap();
}

/// A portal with the machine `web`, which runs and has written something.
async fn created(world: &World) -> (Arc<Engine>, Actor) {
    let engine = world.open().await;
    let ada = admin(&engine).await;
    succeed(&engine, &ada, create("web")).await;
    write_in_guest(world).await;
    (engine, ada)
}

/// The files on the disk that a machine's definition says it writes to.
fn files_of(world: &World, machine: &str) -> Vec<String> {
    let picture = world.hypervisor.picture();
    let domain = picture.iter().find(|line| line.starts_with(&format!("domain {machine} "))).unwrap();
    let volume = |kind: &str| Some(domain.split(kind).nth(1)?.split('"').next()?.to_owned());
    let disk = volume("data: Some(Volume(\"").or_else(|| volume("boot: Volume(\"")).unwrap();
    let prefix = format!("file {disk}/");
    picture.iter().filter_map(|line| Some(line.strip_prefix(&prefix)?.to_owned())).collect()
}

fn has(files: &[String], start: &str) -> bool {
    files.iter().any(|file| file.starts_with(start))
}

#[tokio::test]
async fn a_copy_is_another_machine_with_what_was_on_the_disk() {
    for capabilities in [THIN, THICK] {
        for mode in [Mode::Immutable, Mode::SemiMutable, Mode::Mutable] {
            let world = World::with(capabilities);
            let engine = world.open().await;
            let ada = admin(&engine).await;
            let spec = model::spec::Spec { mode, ..spec("web") };
            succeed(&engine, &ada, Operation::Create { spec: Box::new(spec) }).await;
            write_in_guest(&world).await;
            let before = world.hypervisor.picture();
            let job = succeed(&engine, &ada, clone_to("db", |copy| copy.start = true)).await;
            assert_eq!(job.summary.badge.title, "Clone web to db");
            assert_eq!(job.summary.machine, Some(name("db")));

            let (web, db) = (
                engine.machine(&ada, &name("web")).await.unwrap(),
                engine.machine(&ada, &name("db")).await.unwrap(),
            );
            let (ours, theirs) = (&db.hardware, &web.hardware);
            assert!(
                ours.uuid != theirs.uuid && ours.mac != theirs.mac && ours.machine_id != theirs.machine_id
            );
            assert_eq!(db.spec.mode, mode);
            assert_eq!(db.image.map(|image| image.id), web.image.map(|image| image.id));
            assert_eq!(world.hypervisor.state_of("db"), Some(MachineState::Running));
            let files = files_of(&world, "db");
            assert!(has(&files, "hostname: \"db\"") && has(&files, "letter: \"Dear Ada\""), "{files:?}");
            assert!(has(&files, &format!("machine-id: \"{}\"", ours.machine_id)), "{files:?}");
            assert!(!has(&files, "ssh_host_"), "{files:?}");
            // Nothing of the one that was copied has changed.
            let after = world.hypervisor.picture();
            assert!(before.iter().all(|line| after.contains(line)), "{before:#?} {after:#?}");
            let audit = engine.audit(&ada, &Default::default()).await.unwrap();
            let row = audit.rows.iter().find(|row| row.action == "clone").unwrap();
            let told = (row.subject.as_deref(), row.detail.as_deref());
            assert_eq!(told, (Some("web"), Some("db is a copy of web.")));
            succeed(&engine, &ada, on(OperationKind::Purge, "web")).await;
            assert!(has(&files_of(&world, "db"), "letter"));
            succeed(&engine, &ada, on(OperationKind::Purge, "db")).await;
            assert_eq!(world.snapshot().await, Vec::<String>::new());
            engine.shut_down().await;
        }
    }
}

/// A clone that waits for the image of other profiles, which is not built yet.
async fn held(world: &World, engine: &Arc<Engine>, ada: &Actor, to: &str) -> JobId {
    world.builder.hold(true);
    let job = begin(engine, ada, clone_to(to, |copy| copy.profiles = "python".parse().unwrap())).await;
    until_said(engine, ada, job, "Building the image").await;
    job
}

#[tokio::test]
async fn several_at_once_are_made_and_nothing_else_is_done_to_their_source() {
    let world = World::new();
    let (engine, ada) = created(&world).await;
    let first = held(&world, &engine, &ada, "db-1").await;
    let second = begin(&engine, &ada, clone_to("db-2", |_| {})).await;
    assert_eq!(ended(&engine, &ada, second).await.summary.badge.state, JobState::Succeeded);
    let busy = Fault::Busy { job: first };
    for kind in [OperationKind::ShutDown, OperationKind::Purge, OperationKind::Upgrade] {
        let plan = engine.plan(&ada, &on(kind, "web")).await;
        assert_eq!(plan.unwrap_err(), busy, "{kind}");
        let submitted = engine.submit(&ada, on(kind, "web"), Consent::default()).await;
        assert_eq!(submitted.unwrap_err(), busy, "{kind}");
    }
    let offered = engine.machine(&ada, &name("web")).await.unwrap().actions;
    let refused = |kind| offered.iter().find(|offered| offered.kind == kind).unwrap().refused.clone();
    assert!(refused(OperationKind::ShutDown).is_some() && refused(OperationKind::Clone).is_none());
    // The new machine is the job's own.
    let on_new = engine.submit(&ada, on(OperationKind::Purge, "db-1"), Consent::default()).await;
    assert_eq!(on_new.unwrap_err(), busy);
    let same_name = engine.plan(&ada, &clone_to("db-1", |_| {})).await.unwrap_err();
    assert!(same_name.of_field("name").is_some(), "{same_name:?}");
    engine.cancel(&ada, first).await.unwrap();
    world.builder.hold(false);
    assert_eq!(ended(&engine, &ada, first).await.summary.badge.state, JobState::Cancelled);
    succeed(&engine, &ada, on(OperationKind::ShutDown, "web")).await;
    engine.shut_down().await;
}

/// The database decides, whatever was planned.
#[tokio::test]
async fn a_job_on_a_machine_and_a_copy_of_it_never_begin_together() {
    let world = World::new();
    let (engine, ada) = created(&world).await;
    let first = held(&world, &engine, &ada, "db").await;
    let row = |machine: &str, source: &str| {
        format!(
            "insert into jobs (id, kind, title, operation, machine, machine_id, source_id, actor_id, actor, state, work, audit_seq, \
             created) select 'x', 'start', '', '{{}}', 'x', {machine}, {source}, id, name, 'queued', '{{}}', 1, 1 from users limit 1"
        )
    };
    let mut sql = world.sql().await;
    let of = |name: &str| format!("(select id from machines where name = '{name}')");
    for (machine, source) in [(of("web"), "null".to_owned()), ("'y'".to_owned(), of("db"))] {
        let refused = sqlx::query(&row(&machine, &source)).execute(&mut sql).await.unwrap_err();
        assert!(refused.to_string().contains("one_job_per_machine"), "{refused}");
    }
    drop(sql);
    engine.cancel(&ada, first).await.unwrap();
    world.builder.hold(false);
    ended(&engine, &ada, first).await;
    engine.shut_down().await;
}

#[tokio::test]
async fn a_machine_that_a_job_works_on_is_not_copied() {
    let world = World::new();
    let (engine, ada) = created(&world).await;
    world.hypervisor.set_deaf(true);
    let job = begin(&engine, &ada, on(OperationKind::ShutDown, "web")).await;
    let answer = engine.submit(&ada, clone_to("db", |_| {}), Consent::default()).await;
    assert_eq!(answer.unwrap_err(), Fault::Busy { job });
    engine.cancel(&ada, job).await.unwrap();
    ended(&engine, &ada, job).await;
    engine.shut_down().await;
}

#[tokio::test]
async fn a_copy_belongs_to_who_asks_and_only_owners_ask() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    let (mia, eve) = (member(&engine, "mia").await, member(&engine, "eve").await);
    succeed(&engine, &mia, create("web")).await;
    let refused = engine.submit(&eve, clone_to("db", |_| {}), Consent::default()).await;
    assert!(matches!(refused, Err(Fault::NotFound { .. })), "{refused:?}");
    let job = succeed(&engine, &ada, clone_to("db", |_| {})).await.summary.badge.id;
    assert_eq!(engine.machine(&ada, &name("db")).await.unwrap().row.owner, "ada");
    assert!(matches!(engine.machine(&mia, &name("db")).await, Err(Fault::NotFound { .. })));
    // Hers is what it held.
    engine.job(&mia, job).await.unwrap();
    succeed(&engine, &mia, clone_to("mail", |_| {})).await;
    assert_eq!(engine.machine(&mia, &name("mail")).await.unwrap().row.owner, "mia");
    engine.shut_down().await;
}

/// Somebody removes the image of profile python while its copy is about to be made.
struct Remover(std::path::PathBuf);

#[async_trait::async_trait]
impl Probe for Remover {
    async fn at(&self, moment: Moment) -> Verdict {
        if (moment.step, moment.when) == ("disks.copy", When::BeforeRun) {
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&self.0).foreign_keys(true);
            let mut sql = sqlx::ConnectOptions::connect(&options).await.unwrap();
            let removed = sqlx::query("delete from images where profiles like '%python%'");
            removed.execute(&mut sql).await.unwrap();
        }
        Verdict::Go
    }
}

#[tokio::test]
async fn an_image_that_is_removed_meanwhile_fails_the_copy() {
    let world = World::new();
    let engine = world.open_probed(Arc::new(Remover(world.database()))).await;
    let ada = admin(&engine).await;
    succeed(&engine, &ada, create("web")).await;
    let before = world.snapshot().await;
    let job = run(&engine, &ada, clone_to("db", |copy| copy.profiles = "python".parse().unwrap())).await;
    assert_eq!(job.summary.badge.state, JobState::Failed, "{job:#?}");
    assert!(job.failure.unwrap().message.contains("The image was removed while"));
    assert_eq!(world.snapshot().await, before);
    engine.shut_down().await;
}

#[tokio::test]
async fn what_a_copy_boots_is_kept_and_one_that_could_not_boot_is_not_made() {
    let world = World::new();
    let (engine, ada) = created(&world).await;
    let image = engine.machine(&ada, &name("web")).await.unwrap().image.unwrap();
    succeed(&engine, &ada, clone_to("db", |_| {})).await;
    succeed(&engine, &ada, on(OperationKind::Purge, "web")).await;
    let plan = engine.plan(&ada, &Operation::RemoveImage { image: image.id }).await;
    assert!(plan.unwrap_err().to_string().contains("used by db"));
    let roots = world.builder.root_names();
    assert_eq!(roots.iter().filter(|root| root.starts_with("machine-")).count(), 1, "{roots:?}");
    world.builder.forget_roots();
    world.builder.collect_garbage();
    let before = world.snapshot().await;
    let Operation::OnMachine { action, .. } = clone_to("mail", |_| {}) else { panic!() };
    let job = run(&engine, &ada, action.on(name("db"))).await;
    let why = job.failure.unwrap().message;
    assert!(why.contains("image that db boots is gone") && why.contains("Upgrade db"), "{why}");
    assert_eq!(world.snapshot().await, before);
    engine.shut_down().await;
}

#[tokio::test]
async fn a_guest_that_stands_still_moves_again_however_the_copy_ends() {
    let world = World::new();
    let (engine, ada) = created(&world).await;
    let before = world.snapshot().await;
    let gone = || HypervisorError::Unreachable { why: "gone".to_owned() };
    // The host goes away while the guest stands still, and is back for the next try.
    world.hypervisor.fail_next("thaw", gone());
    world.hypervisor.fail_next("end_copy", gone());
    succeed(&engine, &ada, clone_to("db", |_| {})).await;
    succeed(&engine, &ada, on(OperationKind::Purge, "db")).await;
    assert_eq!(world.snapshot().await, before);
    // The host refuses while the guest stands still, and cannot be told to get it moving at once.
    world.hypervisor.fail_next("thaw", refused());
    world.hypervisor.fail_next("end_copy", gone());
    let job = run(&engine, &ada, clone_to("db", |_| {})).await;
    assert_eq!(job.summary.badge.state, JobState::Failed, "{job:#?}");
    assert_eq!(world.snapshot().await, before);
    engine.shut_down().await;
}

#[tokio::test]
async fn a_full_disk_fails_the_copy_and_leaves_nothing() {
    let world = World::new();
    let (engine, ada) = created(&world).await;
    let before = world.snapshot().await;
    let why =
        "there is too little space where the machines are kept: the copy takes 2 GiB, and 1 GiB are free";
    let full = HypervisorError::Failed { what: "Copying the disk".to_owned(), why: why.to_owned() };
    world.hypervisor.fail_next("copy_disk", full);
    let job = run(&engine, &ada, clone_to("db", |_| {})).await;
    let told = job.failure.unwrap().message;
    assert!(told.contains(why) && told.ends_with("Free some space there, then try again."), "{told}");
    assert_eq!(world.snapshot().await, before);
    let again = engine.retry(&ada, job.summary.badge.id).await.unwrap().job;
    assert_eq!(ended(&engine, &ada, again).await.summary.badge.state, JobState::Succeeded);
    engine.shut_down().await;
}

#[tokio::test]
async fn what_is_pending_is_true_in_the_copy() {
    let world = World::new();
    let (engine, ada) = created(&world).await;
    world.hypervisor.set_exit(3);
    let change = reconfigure("web", |spec| spec.identity.dns = vec!["192.0.2.53".parse().unwrap()]);
    succeed(&engine, &ada, change).await;
    world.hypervisor.set_exit(0);
    assert!(!engine.machine(&ada, &name("web")).await.unwrap().pending.is_empty());
    succeed(&engine, &ada, clone_to("db", |_| {})).await;
    let copy = engine.machine(&ada, &name("db")).await.unwrap();
    assert!(copy.pending.is_empty(), "{:?}", copy.pending);
    assert!(has(&files_of(&world, "db"), "resolv.conf"));
    until_state(&engine, &ada, "db", MachineState::Off).await;
    engine.shut_down().await;
}
