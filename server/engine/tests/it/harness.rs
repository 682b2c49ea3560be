//! The world of a test: what outlives the engine (state directory, host, image builder, clock) and short names for what
//! tests do.
//!
//! A dropped [`World`] checks its database: a test that leaves an unfinished job fails.

use engine::probe::{Moment, Probe, Verdict};
use engine::testing::builder::MemoryBuilder;
use engine::testing::clock::ManualClock;
use engine::testing::hypervisor::{MemoryHypervisor, THIN};
use engine::{Backoff, Engine, Host, PasswordCost, Settings};
use futures::{Stream, StreamExt as _};
use model::account::{Actor, Role, Secret, SessionUser};
use model::identity::Identity;
use model::job::{JobId, JobState};
use model::machine::{BridgeName, MachineName, MachineState, Mode, Network};
use model::notes::Notes;
use model::operation::{KeptSecrets, MachineAction, Operation, OperationKind, Reconfigure};
use model::plan::Consent;
use model::portal::Portal as _;
use model::spec::Spec;
use model::view::job::{JobFrame, JobView};
use model::view::machine::MachineRow;
use ports::hypervisor::{Capabilities, HypervisorError};
use sha2::{Digest as _, Sha256};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection as _, Row as _};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

/// How long anything may take before a test gives up; nothing waits for this to pass.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// A password that is long enough.
pub const PASSWORD: &str = "four random words do well";

/// Everything that outlives the engine.
pub struct World {
    dir: TempDir,
    pub hypervisor: Arc<MemoryHypervisor>,
    pub builder: Arc<MemoryBuilder>,
    pub clock: Arc<ManualClock>,
    pub settings: Settings,
    /// The host's configured target.
    pub target: &'static str,
    /// The bridges that the configuration allows.
    pub bridges: Vec<BridgeName>,
    /// What identifiers stand for: also of rows that are gone, if a snapshot has seen them.
    ids: Mutex<BTreeMap<String, String>>,
    /// Whether the host is in the portal's settings.
    pub has_host: bool,
}

impl World {
    pub fn new() -> Self {
        Self::with(THIN)
    }

    pub fn with(capabilities: Capabilities) -> Self {
        let dir = directory();
        let settings = Settings {
            address_limit: Duration::from_secs(5),
            shut_down_limit: Duration::from_secs(5),
            retry: Backoff { first: Duration::from_millis(1), longest: Duration::from_millis(50) },
            password_cost: PasswordCost { memory: 8, passes: 1 },
            ..Settings::new(dir.path().join("state"))
        };
        Self {
            dir,
            hypervisor: Arc::new(MemoryHypervisor::new(capabilities)),
            builder: Arc::new(MemoryBuilder::new()),
            clock: Arc::new(ManualClock::new()),
            settings,
            target: "memory:///",
            bridges: Vec::new(),
            ids: Mutex::default(),
            has_host: true,
        }
    }

    /// Another world that is just like this one now. No engine has this one open.
    pub fn fork(&self) -> Self {
        let dir = directory();
        let settings = Settings { state: dir.path().join("state"), ..self.settings.clone() };
        copy(&self.settings.state, &settings.state);
        Self {
            dir,
            hypervisor: Arc::new(self.hypervisor.fork()),
            builder: Arc::new(self.builder.fork()),
            clock: Arc::new(self.clock.fork()),
            settings,
            target: self.target,
            bridges: self.bridges.clone(),
            ids: Mutex::new(self.ids.lock().unwrap().clone()),
            has_host: self.has_host,
        }
    }

    /// Opens the engine over this world.
    pub async fn open(&self) -> Arc<Engine> {
        self.open_probed(Arc::new(Calm)).await
    }

    /// Opens it with a probe.
    pub async fn open_probed(&self, probe: Arc<dyn Probe>) -> Arc<Engine> {
        let host = Host {
            name: "local".parse().unwrap(),
            kind: "memory",
            target: self.target.to_owned(),
            bridges: self.bridges.clone(),
            hypervisor: self.hypervisor.clone(),
        };
        if !self.database().exists() {
            std::fs::create_dir_all(&self.settings.state).unwrap();
            std::fs::copy(template().await, self.database()).unwrap();
        }
        // A crashed engine's threads release what they hold within moments.
        let open = async {
            loop {
                let opened = Engine::open_with(
                    self.settings.clone(),
                    self.has_host.then(|| host.clone()).into_iter().collect(),
                    self.builder.clone(),
                    self.clock.clone(),
                    probe.clone(),
                );
                match opened.await {
                    Ok(engine) => return engine,
                    Err(engine::OpenError::InUse { .. }) => tokio::task::yield_now().await,
                    Err(error) => panic!("{error}: {:?}", std::error::Error::source(&error)),
                }
            }
        };
        patiently(open).await
    }

    pub fn database(&self) -> PathBuf {
        self.dir.path().join("state/snowglobe.db")
    }

    /// The test's own connection.
    pub async fn sql(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.database()).busy_timeout(PATIENCE);
        SqliteConnection::connect_with(&options).await.unwrap()
    }

    /// Everything about machines, outside the engine and in its tables, to compare before and after: definitions, disks
    /// with sizes and contents, roots, rows. Identifiers are replaced by what they stand for, so that two worlds can be
    /// compared.
    pub async fn snapshot(&self) -> Vec<String> {
        let mut all = self.hypervisor.picture();
        all.extend(self.builder.root_names().into_iter().filter(|root| root.starts_with("machine-")));
        all.extend(self.rows("machines").await);
        all.extend(self.rows("former_names").await);
        all.extend(self.rows("generations").await);
        self.without_ids(all).await
    }

    /// Everything about images: roots and rows. They may stay when what needed them is undone.
    pub async fn images(&self) -> Vec<String> {
        let mut all = self.builder.root_names();
        all.retain(|root| root.starts_with("image-"));
        all.extend(self.rows("images").await);
        self.without_ids(all).await
    }

    /// The rows of a table with all their columns.
    async fn rows(&self, table: &str) -> Vec<String> {
        let mut sql = self.sql().await;
        let columns = sqlx::query("select name from pragma_table_info(?)").bind(table);
        let columns = columns.fetch_all(&mut sql).await.unwrap();
        let quoted = |row: &sqlx::sqlite::SqliteRow| {
            let name: String = row.get(0);
            format!("' {name}=' || quote({name})")
        };
        let columns: Vec<String> = columns.iter().map(quoted).collect();
        let rows = format!("select {} from {table}", columns.join(" || "));
        let rows = sqlx::query(&rows).fetch_all(&mut sql).await.unwrap();
        rows.iter().map(|row| format!("{table}{}", row.get::<String, _>(0))).collect()
    }

    async fn without_ids(&self, mut all: Vec<String>) -> Vec<String> {
        let mut sql = self.sql().await;
        let ids = "select id, 'user' from users union all select id, 'host' from hosts union all \
                   select id, 'image' from images union all select id, 'machine' from machines union all \
                   select uuid, 'uuid' from machines union all select mac, 'mac' from machines union all \
                   select machine_id, 'machine-id' from machines union all select id, 'job' from jobs";
        let rows = sqlx::query(ids).fetch_all(&mut sql).await.unwrap();
        let mut ids = self.ids.lock().unwrap();
        ids.extend(rows.iter().map(|row| (row.get(0), row.get(1))));
        for (id, what) in ids.iter() {
            all.iter_mut().for_each(|line| *line = line.replace(id, &format!("<{what}>")));
        }
        all.sort();
        all
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() || !self.database().exists() {
            return;
        }
        let database = self.database();
        let count = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let options = SqliteConnectOptions::new().filename(database).busy_timeout(PATIENCE);
                let mut sql = SqliteConnection::connect_with(&options).await.unwrap();
                let open = "select count(*) from jobs where state in ('queued', 'running', 'undoing')";
                let row = sqlx::query(open).fetch_one(&mut sql).await.unwrap();
                row.get::<i64, _>(0)
            })
        };
        // In a thread of its own: a runtime cannot be started inside the test's.
        let open = std::thread::spawn(count).join().unwrap();
        assert_eq!(open, 0, "the test left unfinished jobs behind");
    }
}

/// A directory in memory where possible: what is tested is the death of a process, not of the computer.
fn directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// Copies a directory with all that is in it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            std::fs::copy(from, to).unwrap();
        }
    }
}

/// An empty database that has been migrated, once for all tests of this build; each of them is a process.
async fn template() -> PathBuf {
    let migrations = sqlx::migrate!("../../migrations");
    let mut sum = Sha256::new();
    migrations.iter().for_each(|migration| sum.update(&migration.checksum));
    let path =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-migrated.db", hex::encode(sum.finalize())));
    if !path.exists() {
        // All or nothing: another test may be doing the same. An engine would leave traces of its own in it.
        let fresh = tempfile::Builder::new().tempfile_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let options = SqliteConnectOptions::new().filename(fresh.path());
        let mut sql = SqliteConnection::connect_with(&options).await.unwrap();
        migrations.run_direct(&mut sql).await.unwrap();
        sql.close().await.unwrap();
        fresh.persist(&path).unwrap();
    }
    path
}

/// Lets every step pass.
pub struct Calm;

#[async_trait::async_trait]
impl Probe for Calm {
    async fn at(&self, _: Moment) -> Verdict {
        Verdict::Go
    }
}

/// Waits, but not forever.
pub async fn patiently<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("nothing happened for a long time")
}

/// The next item of a stream, which must come.
pub async fn next<T>(stream: &mut (impl Stream<Item = T> + Unpin)) -> T {
    patiently(stream.next()).await.expect("the stream ended")
}

/// An administrator; made at the first call.
pub async fn admin(engine: &Engine) -> Actor {
    let name = "ada".parse().unwrap();
    if engine.user_by_name(&name).await.unwrap().is_none() {
        engine.create_administrator("ada", &secret(PASSWORD)).await.unwrap();
    }
    actor(engine, "ada").await
}

/// A member of this name.
pub async fn member(engine: &Engine, name: &str) -> Actor {
    let admin = admin(engine).await;
    engine.add_user(&admin, name, Role::Member, &secret(PASSWORD)).await.unwrap();
    actor(engine, name).await
}

/// A user as the actor of a request.
pub async fn actor(engine: &Engine, name: &str) -> Actor {
    let view = engine.user_by_name(&name.parse().unwrap()).await.unwrap().unwrap();
    Actor {
        user: Some(SessionUser { id: view.id, name: view.name, role: view.role }),
        from: Some([127, 0, 0, 1].into()),
    }
}

pub fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

pub fn spec(name: &str) -> Spec {
    Spec {
        name: name.parse().unwrap(),
        host: "local".parse().unwrap(),
        profiles: "docker".parse().unwrap(),
        mode: Mode::Immutable,
        memory: 512.try_into().unwrap(),
        vcpus: 1.try_into().unwrap(),
        disk: 2.try_into().unwrap(),
        network: Network::Nat,
        identity: Identity::default(),
        notes: Notes::default(),
        autostart: false,
        delete_protection: false,
    }
}

pub fn create(name: &str) -> Operation {
    Operation::Create { spec: Box::new(spec(name)) }
}

/// Another configuration of the machine that `create` makes: memory needs a restart, the rest does not.
pub fn change(name: &str) -> Operation {
    reconfigure(name, |spec| {
        spec.memory = 768.try_into().unwrap();
        spec.disk = 3.try_into().unwrap();
        spec.identity.dns = vec!["192.0.2.53".parse().unwrap()];
        spec.autostart = true;
    })
}

/// The configuration that `create` gives, changed.
pub fn reconfigure(name: &str, change: impl FnOnce(&mut Spec)) -> Operation {
    let base = spec(name);
    let mut spec = base.clone();
    change(&mut spec);
    let change = Reconfigure { base, spec, kept: KeptSecrets { root_password: true, samba: true } };
    MachineAction::Reconfigure(Box::new(change)).on(name.parse().unwrap())
}

pub fn build(profiles: &str) -> Operation {
    Operation::Build { profiles: profiles.parse().unwrap(), mode: Mode::Immutable }
}

pub fn on(kind: OperationKind, name: &str) -> Operation {
    model::form::on_machine(kind, &name.parse().unwrap()).unwrap()
}

pub fn name(text: &str) -> MachineName {
    text.parse().unwrap()
}

/// A create in the middle of its build, which stays there while the builder holds.
pub async fn building(world: &World, engine: &Arc<Engine>, actor: &Actor) -> JobId {
    world.builder.hold(true);
    let job = begin(engine, actor, create("web")).await;
    world.builder.begun(1).await;
    job
}

/// The error of a host that refuses something.
pub fn refused() -> HypervisorError {
    HypervisorError::Failed { what: "doing it".to_owned(), why: "the device is busy".to_owned() }
}

/// The next create fails when it has made disks, and the host is unreachable so many times when they are to be removed.
pub fn fail_and_go_away(world: &World, times: usize) {
    world.hypervisor.fail_next("put_definition", refused());
    for _ in 0..times {
        world.hypervisor.fail_next("remove_disks", HypervisorError::Unreachable { why: "gone".to_owned() });
    }
}

/// Submits and waits for the end.
pub async fn run(engine: &Arc<Engine>, actor: &Actor, operation: Operation) -> JobView {
    let job = begin(engine, actor, operation).await;
    ended(engine, actor, job).await
}

/// Submits, having agreed to the plan.
pub async fn begin(engine: &Arc<Engine>, actor: &Actor, operation: Operation) -> JobId {
    let plan = engine.plan(actor, &operation).await.unwrap();
    engine.submit(actor, operation, Consent::to(&plan)).await.unwrap().job
}

/// Submits, waits, and wants success.
pub async fn succeed(engine: &Arc<Engine>, actor: &Actor, operation: Operation) -> JobView {
    let view = run(engine, actor, operation).await;
    assert_eq!(view.summary.badge.state, JobState::Succeeded, "{view:#?}");
    view
}

/// The job's state once it is over.
pub async fn ended(engine: &Arc<Engine>, actor: &Actor, id: JobId) -> JobView {
    let mut frames = engine.follow_job(actor, id, None).await.unwrap();
    loop {
        match next(&mut frames).await {
            JobFrame::End => return engine.job(actor, id).await.unwrap(),
            JobFrame::Closing { why } => panic!("the portal went away: {why}"),
            _ => {}
        }
    }
}

/// Waits until a job's log contains this.
pub async fn until_said(engine: &Arc<Engine>, actor: &Actor, job: JobId, text: &str) {
    let mut frames = engine.follow_job(actor, job, None).await.unwrap();
    loop {
        match next(&mut frames).await {
            JobFrame::Lines { lines } if lines.iter().any(|line| line.text.contains(text)) => return,
            JobFrame::End => panic!("the job is over and never said “{text}”"),
            _ => {}
        }
    }
}

/// Waits until a machine is seen in a state.
pub async fn until_state(engine: &Arc<Engine>, actor: &Actor, machine: &str, state: MachineState) {
    until_row(engine, actor, machine, |row| row.observed.state == state).await;
}

/// Waits until a machine is seen like this.
pub async fn until_row(
    engine: &Arc<Engine>,
    actor: &Actor,
    machine: &str,
    is_so: impl Fn(&MachineRow) -> bool,
) -> MachineRow {
    let id = engine.machine(actor, &name(machine)).await.unwrap().row.id;
    let mut events = engine.follow_events(actor, Some(id)).await.unwrap();
    loop {
        let row = engine.machine(actor, &name(machine)).await.unwrap().row;
        if is_so(&row) {
            return row;
        }
        next(&mut events).await;
    }
}
