//! The whole database against the whole host and the whole state directory.

use super::actor::{Actor, Content, Machine, agrees};
use super::disks;
use super::scene::Scene;
use model::spec::Spec;
use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long what a start tidies up may take.
const TIDIES: Duration = Duration::from_secs(20);

/// A machine's row.
struct Row {
    id: String,
    name: String,
    uuid: String,
    host_ref: Option<String>,
    image: Option<String>,
    boot: Option<String>,
    data: Option<String>,
    /// What is true on the host.
    applied: Option<Spec>,
}

/// Everything that the portal has written down about machines and images.
struct Rows {
    machines: Vec<Row>,
    /// The machine, the number and the boot disk of each generation.
    generations: Vec<(String, i64, Option<String>)>,
    images: Vec<String>,
}

/// Compares, and fails with everything that is wrong.
pub async fn compare(scene: &Scene<'_>, actors: &[Actor<'_>]) {
    let mut sql = scene.sql().await;
    let rows = read(&mut sql).await;
    let mut wrong = in_order(&mut sql).await;
    let known: BTreeMap<&str, &Machine> =
        actors.iter().flat_map(|a| &a.machines).map(|machine| (machine.id.as_str(), machine)).collect();
    let there: BTreeSet<&str> = rows.machines.iter().map(|row| row.id.as_str()).collect();
    let must: BTreeSet<&str> = known.keys().copied().collect();
    differs("machines", must, there, &mut wrong);
    wrong.extend(of_host(scene, &rows).await);
    for row in &rows.machines {
        scene.count("machines compared");
        let content = known.get(row.id.as_str()).map_or(&Content::Absent, |machine| &machine.content);
        let found = of_disks(scene, row, content).await;
        wrong.extend(found.into_iter().map(|what| format!("{}: {what}", row.name)));
    }
    wrong.extend(of_audit(scene, &mut sql).await);
    if !wrong.is_empty() {
        let histories: Vec<String> = actors.iter().flat_map(history).collect();
        panic!("seed {}: {wrong:#?}\n{}", scene.seed, histories.join("\n"));
    }
}

/// After every machine was purged.
pub async fn nothing_is_left(scene: &Scene<'_>) {
    let mut sql = scene.sql().await;
    let rows = read(&mut sql).await;
    let mut wrong = in_order(&mut sql).await;
    for table in ["machines", "generations", "machine_addresses", "former_names"] {
        let query = format!("select count(*) from {table}");
        let left: i64 = sqlx::query(&query).fetch_one(&mut sql).await.unwrap().get(0);
        wrong.extend((left > 0).then(|| format!("{left} rows are left in {table}")));
    }
    wrong.extend(of_host(scene, &rows).await);
    wrong.extend(of_audit(scene, &mut sql).await);
    assert!(wrong.is_empty(), "seed {}, after everything was purged: {wrong:#?}", scene.seed);
}

fn history(actor: &Actor<'_>) -> Vec<String> {
    let mut all: Vec<String> = actor.past.iter().map(|line| format!("  {line}")).collect();
    for machine in &actor.machines {
        all.push(format!("{} with {:?}", machine.id, machine.content));
        all.extend(machine.history.iter().map(|line| format!("  {line}")));
    }
    all
}

async fn read(sql: &mut SqliteConnection) -> Rows {
    let query = "select id, name, uuid, host_ref, image_id, boot, data, applied from machines";
    let machines = sqlx::query(query).fetch_all(&mut *sql).await.unwrap();
    let machine = |row: &sqlx::sqlite::SqliteRow| Row {
        id: row.get(0),
        name: row.get(1),
        uuid: row.get(2),
        host_ref: row.get(3),
        image: row.get(4),
        boot: row.get(5),
        data: row.get(6),
        applied: row.get::<Option<&str>, _>(7).map(|text| serde_json::from_str(text).unwrap()),
    };
    let generations = "select machine_id, number, boot from generations";
    let generations = sqlx::query(generations).fetch_all(&mut *sql).await.unwrap();
    let images = sqlx::query("select id from images where rooted = 1").fetch_all(&mut *sql).await.unwrap();
    Rows {
        machines: machines.iter().map(machine).collect(),
        generations: generations.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect(),
        images: images.iter().map(|row| row.get(0)).collect(),
    }
}

/// What is wrong with the database in itself.
async fn in_order(sql: &mut SqliteConnection) -> Vec<String> {
    let mut wrong = Vec::new();
    for (what, query) in [
        ("a job is open", "select title from jobs where state in ('queued', 'running', 'undoing')"),
        ("a job is not as its audit entry says", {
            "select j.title || ': ' || j.state || ', ' || coalesce(a.outcome, 'open') from jobs j \
             left join audit a on a.seq = j.audit_seq where a.outcome is not j.state"
        }),
        (
            "an audit entry is open",
            "select action || ' of ' || coalesce(subject, '') from audit where end_link is null",
        ),
        (
            "a generation is incomplete",
            "select machine_id || ' ' || number from generations where boot is null",
        ),
        ("a machine boots what is none of its generations", {
            "select name from machines m where generation is not null and not exists (select 1 from generations g where \
             g.machine_id = m.id and g.number = m.generation and g.boot = m.boot and g.image_id = m.image_id)"
        }),
        ("the database is damaged", "select * from pragma_integrity_check where integrity_check <> 'ok'"),
        ("a reference leads nowhere", "select \"table\" from pragma_foreign_key_check"),
    ] {
        let found = sqlx::query(query).fetch_all(&mut *sql).await.unwrap();
        wrong.extend(found.iter().map(|row| format!("{what}: {}", row.get::<String, _>(0))));
    }
    // Nobody holds the database: a writer gets its turn at once.
    sqlx::query("pragma query_only = off").execute(&mut *sql).await.unwrap();
    let begun = sqlx::query("begin immediate").execute(&mut *sql).await;
    wrong.extend(begun.err().map(|error| format!("a transaction is open: {error}")));
    let _ = sqlx::query("rollback").execute(&mut *sql).await;
    wrong
}

/// What is on the host and in the state directory, but for what is on the disks. What the start is about to tidy up is waited for.
async fn of_host(scene: &Scene<'_>, rows: &Rows) -> Vec<String> {
    let limit = Instant::now() + TIDIES;
    loop {
        let wrong = of_host_now(scene, rows).await;
        if wrong.is_empty() || Instant::now() > limit {
            return wrong;
        }
        sleep(Duration::from_millis(500)).await;
    }
}

async fn of_host_now(scene: &Scene<'_>, rows: &Rows) -> Vec<String> {
    let mut wrong = Vec::new();
    let list = scene.virsh(&["list", "--all", "--uuid", "--name"]).await;
    let found = list.lines().map(str::trim).filter(|line| line.contains("chaos-"));
    let found = found.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let with_disks = || rows.machines.iter().filter(|row| row.image.is_some());
    let domains = with_disks().map(|row| format!("{} {}", row.uuid, row.name)).collect();
    differs::<String>("domains", domains, found, &mut wrong);

    let machines = scene.state.join("machines");
    let mut files = BTreeSet::new();
    for row in rows.machines.iter().filter(|row| row.host_ref.is_some()) {
        let folder = machines.join(&row.name);
        files.extend([folder.clone(), folder.join(".snowglobe-machine")]);
        files.extend(row.image.as_ref().map(|_| folder.join("nvram.qcow2")));
        files.extend(row.boot.iter().chain(&row.data).map(PathBuf::from));
        let of_it = rows.generations.iter().filter(|(id, _, _)| *id == row.id);
        files.extend(of_it.filter_map(|(_, _, boot)| boot.as_ref()).map(PathBuf::from));
    }
    let mut found = BTreeSet::new();
    walk(&machines, &mut found);
    differs("files", files, found, &mut wrong);

    let suffix = |number| if number > 1 { format!("-{number}") } else { String::new() };
    let of_machines =
        rows.generations.iter().map(|(id, number, _)| format!("machine-{id}{}", suffix(*number)));
    let roots = rows.images.iter().map(|id| format!("image-{id}")).chain(of_machines).collect();
    differs("roots", roots, names(&scene.state.join("gcroots")), &mut wrong);
    for root in names(&scene.state.join("gcroots")) {
        let is_there = scene.state.join("gcroots").join(&root).exists();
        wrong.extend((!is_there).then(|| format!("the root {root} leads nowhere")));
    }

    let ids: BTreeSet<String> = rows.machines.iter().map(|row| row.id.clone()).collect();
    let strays = names(&scene.state.join("console")).difference(&ids).cloned().collect::<Vec<_>>();
    wrong.extend((!strays.is_empty()).then(|| format!("consoles of nobody: {strays:?}")));
    wrong.extend(leftovers(scene.state));
    wrong
}

/// Mounts, and programs that work on a machine's files.
fn leftovers(state: &Path) -> Vec<String> {
    let machines = state.join("machines").display().to_string();
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let mut wrong: Vec<String> = mounts
        .lines()
        .filter(|line| line.contains(&machines))
        .map(|line| format!("a mount: {line}"))
        .collect();
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        wrong.extend(command.contains(&machines).then(|| format!("a program: {command}")));
    }
    wrong
}

/// What is wrong with the disks of a machine that is off.
async fn of_disks(scene: &Scene<'_>, row: &Row, content: &Content) -> Vec<String> {
    let mut wrong = Vec::new();
    let Some(applied) = &row.applied else {
        // Without disks there is nothing on them.
        return if matches!(content, Content::Present(_)) {
            vec!["its disk is gone".to_owned()]
        } else {
            wrong
        };
    };
    let definition = scene.virsh(&["dumpxml", "--inactive", &row.uuid]).await;
    for disk in row.boot.iter().chain(&row.data) {
        wrong.extend((!definition.contains(disk)).then(|| format!("its definition has no {disk}")));
        wrong.extend(disks::check(Path::new(disk)).await.err());
    }
    let memory = format!("<memory unit='KiB'>{}</memory>", u64::from(applied.memory) * 1024);
    wrong.extend((!definition.contains(&memory)).then(|| format!("its definition has not {memory}")));
    let Some(data) = row.data.as_deref().map(Path::new) else {
        wrong.push("it has no data disk".to_owned());
        return wrong;
    };
    let size = disks::size(data).await;
    wrong.extend(
        (size != applied.disk.bytes()).then(|| format!("its disk has {size} bytes, not {}", applied.disk)),
    );
    wrong.extend(disks::check_file_system(data, &scene.state.with_extension("raw")).await.err());
    match disks::read(data).await {
        Ok(found) => wrong.extend(agrees(content, found.as_deref()).err()),
        Err(why) => wrong.push(why),
    }
    wrong
}

/// The chain of the audit log is whole, and each act is complete.
async fn of_audit(scene: &Scene<'_>, sql: &mut SqliteConnection) -> Vec<String> {
    let entries: i64 = sqlx::query("select count(*) from audit").fetch_one(sql).await.unwrap().get(0);
    let reply = scene.ask("POST", "/audit", &[("intent", "verify_audit")]).await.expect("nobody kills it");
    let is_whole = reply.status == 200 && reply.body.contains("is intact: each of its");
    scene.count("audit logs verified");
    if is_whole && entries > 0 {
        Vec::new()
    } else {
        vec![format!("the audit log is not whole: {}", reply.body)]
    }
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn walk(folder: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            walk(&entry.path(), found);
        }
        found.insert(entry.path());
    }
}

fn differs<T: Ord + std::fmt::Debug>(
    what: &str,
    must: BTreeSet<T>,
    found: BTreeSet<T>,
    wrong: &mut Vec<String>,
) {
    let missing: Vec<&T> = must.difference(&found).collect();
    let strays: Vec<&T> = found.difference(&must).collect();
    wrong.extend((!missing.is_empty()).then(|| format!("{what} that are missing: {missing:?}")));
    wrong.extend((!strays.is_empty()).then(|| format!("{what} of nobody: {strays:?}")));
}
