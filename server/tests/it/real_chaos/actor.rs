//! One who has a machine, and now and then its clone: asks for the next operation, follows its job, and knows what must be on the
//! disks afterwards.
//!
//! Nobody else asks for anything on these machines. So each answer and each job says what is true from then on, and what is not
//! known after a kill is in the database: a job was accepted or it was not.

use super::choice::{self, Fields, Power};
use super::disks;
use super::scene::{Scene, next_images};
use model::operation::OperationKind;
use model::spec::Spec;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a job is followed before it is cancelled: each start of the portal begins to wait for a guest anew.
const PATIENCE: Duration = Duration::from_secs(100);
/// The same where nobody kills the portal.
const CALM: Duration = Duration::from_secs(200);
/// How many machines one has at most.
const MACHINES: usize = 2;

/// The file on a machine's disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// There is none.
    Absent,
    /// It is there.
    Present(String),
    /// An operation that loses it was broken off where that may be before or after.
    Either(String),
}

/// A machine that must be there.
pub struct Machine {
    pub id: String,
    pub content: Content,
    pub history: Vec<String>,
}

/// A machine as the portal has it.
pub struct MachineRow {
    pub name: String,
    pub spec: Spec,
    uuid: String,
    data: Option<String>,
    /// Those that it can go back to.
    others: Vec<i64>,
}

/// A job that was accepted and has not been seen to end.
struct Open {
    kind: OperationKind,
    job: String,
    /// The machine that it is about, or of a clone its source; none for a new one.
    at: Option<usize>,
}

pub struct Actor<'a> {
    scene: &'a Scene<'a>,
    number: u64,
    rng: StdRng,
    sql: SqliteConnection,
    pub machines: Vec<Machine>,
    named: u32,
    open: Option<Open>,
    /// What happened to machines that are gone, newest last.
    pub past: Vec<String>,
}

impl<'a> Actor<'a> {
    pub async fn new(scene: &'a Scene<'a>, number: u64) -> Self {
        let rng = StdRng::seed_from_u64(scene.seed.wrapping_add(1 + number));
        let sql = scene.sql().await;
        Self { scene, number, rng, sql, machines: Vec::new(), named: 0, open: None, past: Vec::new() }
    }

    /// Goes through the operations until the time is over.
    pub async fn act(&mut self) {
        while Instant::now() < self.scene.until {
            self.settle(self.scene.until, true).await;
            if self.open.is_some() {
                return;
            }
            if self.machines.is_empty() {
                self.begin_new().await;
                continue;
            }
            let at = self.rng.random_range(0..self.machines.len());
            let row = self.row(at).await;
            let power = self.power(&row).await;
            if power == Power::Off {
                self.look_inside(at, &row).await;
            }
            let kind = choice::next(&mut self.rng, power);
            let is_full = self.machines.len() >= MACHINES;
            let kind = if kind == OperationKind::Clone && is_full { OperationKind::Purge } else { kind };
            self.begin(at, &row, kind).await;
        }
    }

    /// Follows what is still open; nobody kills the portal any more.
    pub async fn settle_the_rest(&mut self) {
        self.settle(Instant::now() + CALM, false).await;
        assert!(self.open.is_none(), "{}", self.told("its job does not end", None));
    }

    /// Pulls the plug of all that run, so that their disks can be read.
    pub async fn force_off(&mut self) {
        for at in 0..self.machines.len() {
            let row = self.row(at).await;
            if ![Power::Off, Power::Nowhere].contains(&self.power(&row).await) {
                self.calmly(at, &row, OperationKind::ForceOff).await;
            }
        }
    }

    /// Removes all of it.
    pub async fn purge(&mut self) {
        while !self.machines.is_empty() {
            let row = self.row(0).await;
            self.calmly(0, &row, OperationKind::Purge).await;
        }
    }

    async fn calmly(&mut self, at: usize, row: &MachineRow, kind: OperationKind) {
        let before = self.machines.len();
        self.begin(at, row, kind).await;
        assert!(self.open.is_some(), "{}", self.told(&format!("{kind} is refused"), Some(at)));
        self.settle_the_rest().await;
        let is_gone = self.machines.len() < before;
        assert_eq!(is_gone, kind == OperationKind::Purge, "{}", self.told(&format!("{kind} fails"), None));
    }

    async fn begin_new(&mut self) {
        let kind = if self.rng.random_bool(0.4) { OperationKind::Configure } else { OperationKind::Create };
        let name = self.new_name();
        let form = choice::new_machine(&mut self.rng, kind, &name);
        if let Some(job) = self.post("/machines/new", kind, &form, &name, None).await {
            self.open = Some(Open { kind, job, at: None });
        }
    }

    async fn begin(&mut self, at: usize, row: &MachineRow, kind: OperationKind) {
        // Not each time: a build that was asked for before is refused once the flake is another one.
        if kind == OperationKind::Upgrade && self.rng.random_bool(0.4) {
            next_images(Path::new(&self.scene.ground.flake), self.rng.random_bool(0.8));
        }
        let name = self.new_name();
        let (page, mut form) = choice::on_machine(&mut self.rng, kind, &row.spec, &row.others, &name);
        if kind != OperationKind::Reconfigure {
            let mut asked: Fields = form.iter().filter(|(name, _)| name != "intent").cloned().collect();
            asked.extend(
                [("intent", "show_plan"), ("of", kind.as_str())].map(|(a, b)| (a.to_owned(), b.to_owned())),
            );
            let shown = self.scene.ask("POST", &page, &borrowed(&asked)).await.map(|reply| reply.body);
            let digest = shown.as_deref().and_then(|body| body.split("name=\"digest\"").nth(1));
            let digest = digest.and_then(|field| field.split("value=\"").nth(1)?.split('"').next());
            form.extend(digest.map(|digest| ("digest".to_owned(), digest.to_owned())));
        }
        let about = if kind == OperationKind::Clone { &name } else { &row.name };
        if let Some(job) = self.post(&page, kind, &form, about, Some(at)).await {
            self.open = Some(Open { kind, job, at: Some(at) });
        }
    }

    /// Posts a form, and returns the job if it was accepted: whatever the answer is, or if none comes, the database has one more
    /// job about this machine or not.
    async fn post(
        &mut self,
        page: &str,
        kind: OperationKind,
        form: &Fields,
        about: &str,
        at: Option<usize>,
    ) -> Option<String> {
        let before = self.newest_job(about).await;
        let reply = self.scene.ask("POST", page, &borrowed(form)).await;
        if reply.is_none() {
            self.scene.up().await;
        }
        let job = self.newest_job(about).await.filter(|job| Some(job) > before.as_ref());
        let status = reply.as_ref().map(|reply| reply.status);
        let what = match (status, &job) {
            (Some(303), Some(_)) => "accepted",
            (Some(303), None) => panic!("{}", self.told(&format!("{kind} is accepted without a job"), at)),
            (Some(status), Some(_)) => {
                panic!(
                    "{}",
                    self.told(&format!("{kind} is answered with {status}, and done all the same"), at)
                )
            }
            (Some(_), None) => "refused",
            (None, Some(_)) => "accepted without an answer",
            (None, None) => "lost",
        };
        self.scene.count(&format!("forms {what}"));
        self.note(at, &format!("{kind} of {about}: {what} {}", status.unwrap_or_default()));
        job
    }

    /// Waits until the job has ended or the time is over, and notes what is true then. Now and then it is cancelled.
    async fn settle(&mut self, until: Instant, is_chaos: bool) {
        let Some(open) = &self.open else { return };
        let job = open.job.clone();
        let hurry = is_chaos && self.rng.random_bool(0.12);
        let patience = if hurry { Duration::from_millis(self.rng.random_range(0..3000)) } else { PATIENCE };
        let mut cancel = Instant::now() + patience;
        loop {
            let (state, stuck, failure) = self.job(&job).await;
            if let Some(why) = stuck {
                panic!("{}", self.told(&format!("job {job} needs attention: {why}"), None));
            }
            if !["queued", "running", "undoing"].contains(&state.as_str()) {
                let open = self.open.take().expect("it was open");
                return self.ended(open, &state, &failure.unwrap_or_default()).await;
            }
            if Instant::now() >= until {
                return;
            }
            if is_chaos && Instant::now() >= cancel {
                self.scene.count("cancellations");
                self.scene.ask("POST", "/jobs", &[("intent", "cancel"), ("job", &job)]).await;
                cancel = Instant::now() + PATIENCE;
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// What is true after a job.
    async fn ended(&mut self, open: Open, state: &str, failure: &str) {
        let Open { kind, job, at } = open;
        self.scene.count(&format!("jobs {state}"));
        let short: String = failure.chars().take(200).collect();
        self.scene.count(&format!("{kind} {state} {short}"));
        self.note(at, &format!("{kind}: {state} {failure}"));
        let is_done = state == "succeeded";
        match kind {
            OperationKind::Create | OperationKind::Configure | OperationKind::Clone if is_done => {
                let content = at.map_or(Content::Absent, |at| self.machines[at].content.clone());
                let query = sqlx::query("select machine_id from jobs where id = ?").bind(&job);
                let id = query.fetch_one(&mut self.sql).await.unwrap().get(0);
                let began = vec![format!("begins with job {job}")];
                self.machines.push(Machine { id, content, history: began });
            }
            OperationKind::Purge if is_done => {
                let machine = self.machines.remove(at.expect("it was on a machine"));
                self.past.extend(machine.history);
            }
            OperationKind::Recreate | OperationKind::Destroy | OperationKind::Purge => {
                let at = at.expect("it was on a machine");
                let has_lost = is_done || self.has_begun_to_remove(&job).await;
                let machine = &mut self.machines[at];
                machine.content = match machine.content.clone() {
                    _ if is_done => Content::Absent,
                    Content::Present(content) if has_lost => Content::Either(content),
                    other => other,
                };
            }
            _ => {}
        }
    }

    /// Whether a job has come to where it removes disks.
    async fn has_begun_to_remove(&mut self, job: &str) -> bool {
        let removes = "select count(*) from job_steps where job_id = ? and state <> 'pending' \
                       and name in ('disks.retire', 'disks.retire_former')";
        let row = sqlx::query(removes).bind(job).fetch_one(&mut self.sql).await.unwrap();
        row.get::<i64, _>(0) > 0
    }

    /// Of a machine that is off: what must be on its disk is there, and where nothing is, something is put.
    async fn look_inside(&mut self, at: usize, row: &MachineRow) {
        let Some(disk) = row.data.as_deref().map(Path::new) else { return };
        let found = match disks::read(disk).await {
            Ok(found) => found,
            Err(why) => {
                panic!("{}", self.told(&format!("{} cannot be read: {why}", disk.display()), Some(at)))
            }
        };
        self.scene.count("disks read");
        if let Err(why) = agrees(&self.machines[at].content, found.as_deref()) {
            panic!("{}", self.told(&why, Some(at)));
        }
        if let Some(found) = found {
            self.machines[at].content = Content::Present(found);
            return;
        }
        let content = format!("{:032x}{:032x}\n", self.rng.random::<u128>(), self.rng.random::<u128>());
        if let Err(why) = disks::write(disk, &content).await {
            panic!("{}", self.told(&format!("{} cannot be written: {why}", disk.display()), Some(at)));
        }
        self.note(Some(at), &format!("{} is written to {}", content.trim(), disk.display()));
        self.machines[at].content = Content::Present(content);
    }

    async fn row(&mut self, at: usize) -> MachineRow {
        let query = "select name, spec, uuid, data, (select json_group_array(number) from generations g where \
                     g.machine_id = m.id and g.number <> m.generation and g.boot is not null) from machines m where id = ?";
        let found =
            sqlx::query(query).bind(&self.machines[at].id).fetch_optional(&mut self.sql).await.unwrap();
        let Some(row) = found else { panic!("{}", self.told("the machine is gone", Some(at))) };
        MachineRow {
            name: row.get(0),
            spec: serde_json::from_str(row.get(1)).unwrap(),
            uuid: row.get(2),
            data: row.get(3),
            others: serde_json::from_str(row.get(4)).unwrap(),
        }
    }

    async fn power(&self, row: &MachineRow) -> Power {
        Power::of(&self.scene.virsh(&["domstate", &row.uuid]).await)
    }

    async fn newest_job(&mut self, name: &str) -> Option<String> {
        let newest = "select max(id) from jobs where machine = ?";
        sqlx::query(newest).bind(name).fetch_one(&mut self.sql).await.unwrap().get(0)
    }

    async fn job(&mut self, job: &str) -> (String, Option<String>, Option<String>) {
        let query = sqlx::query("select state, stuck, failure from jobs where id = ?").bind(job);
        let Some(row) = query.fetch_optional(&mut self.sql).await.unwrap() else {
            panic!("{}", self.told(&format!("the job {job} is gone"), None))
        };
        (row.get(0), row.get(1), row.get(2))
    }

    fn new_name(&mut self) -> String {
        self.named += 1;
        format!("chaos-{}-{}", self.number, self.named)
    }

    fn note(&mut self, at: Option<usize>, what: &str) {
        let line = format!("{:7.2} s {what}", self.scene.began.elapsed().as_secs_f64());
        match at.and_then(|at| self.machines.get_mut(at)) {
            Some(machine) => machine.history.push(line),
            None => self.past.push(line),
        }
    }

    /// What is wrong, with all that led there.
    fn told(&self, what: &str, at: Option<usize>) -> String {
        let (machine, history) = match at.and_then(|at| self.machines.get(at)) {
            Some(machine) => (machine.id.clone(), machine.history.join("\n  ")),
            None => {
                let all = self.machines.iter().flat_map(|machine| &machine.history);
                let all: Vec<&str> = self.past.iter().chain(all).map(String::as_str).collect();
                (format!("actor {}", self.number), all.join("\n  "))
            }
        };
        format!("seed {}, {machine}: {what}\n  {history}", self.scene.seed)
    }
}

/// Whether what is found on a disk is what must be there.
pub fn agrees(content: &Content, found: Option<&str>) -> Result<(), String> {
    let is_right = match (content, found) {
        (Content::Absent, found) => found.is_none(),
        (Content::Present(content), found) => found == Some(content),
        (Content::Either(content), found) => found.is_none_or(|found| found == content),
    };
    if is_right { Ok(()) } else { Err(format!("{content:?} must be on the disk, and there is {found:?}")) }
}

fn borrowed(fields: &Fields) -> Vec<(&str, &str)> {
    fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}
