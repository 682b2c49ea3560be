//! The real program is killed after each step of create and inside each step of destroy, over real Nix, libvirt and QEMU. Started
//! again, it must finish or undo the job, leak nothing, and do the same operation once more.

#![expect(clippy::disallowed_methods, reason = "libvirt is asked as people ask it")]

use crate::mortal::{LIMIT, Mortal, ground};
use crate::world::digest_of;
use rustix::process::{Pid, Signal, kill_process};
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection as _, Row as _};
use std::collections::VecDeque;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

const MACHINE: &str = "killed";
/// Each way to end a machine and the step of it that the portal is killed in.
const ENDINGS: [(&str, i64); 7] = [
    ("destroy", 0),
    ("destroy", 1),
    ("destroy", 2),
    ("destroy", 3),
    ("purge", 4),
    ("purge", 0),
    ("purge", 2),
];
/// More rounds than there are endings: a step can be over between two polls, and is tried again.
const MOST_ROUNDS: usize = 14;

impl Mortal<'_> {
    /// Posts a form that becomes a job, and returns the job's path.
    async fn job(&self, path: &str, fields: &[(&str, &str)]) -> String {
        let reply = self.ask("POST", path, fields).await;
        assert_eq!(reply.status, 303, "{}", reply.body);
        if reply.location().starts_with("/jobs/") {
            return reply.location().to_owned();
        }
        let list = self.ask("GET", &format!("/jobs?machine={MACHINE}"), &[]).await.body;
        let at = list.find("/jobs/").expect("a job in the list");
        list[at..at + "/jobs/".len() + 36].to_owned()
    }

    /// Reads a job's page until `enough` returns true.
    async fn follow(&self, job: &str, enough: impl Fn(&str) -> bool) -> String {
        let watching = async {
            loop {
                let page = self.ask("GET", job, &[]).await.body;
                if enough(&page) {
                    return page;
                }
                // Often enough to meet each step, seldom enough to leave the processor to the guest.
                tokio::time::sleep(Duration::from_millis(15)).await;
            }
        };
        timeout(LIMIT, watching).await.expect("the job moves on")
    }

    async fn create(&self) -> String {
        let fields = [
            ("intent", "create"),
            ("name", MACHINE),
            ("host", "local"),
            ("mode", "immutable"),
            ("memory", "256"),
            ("vcpus", "1"),
            ("disk", "1"),
            ("network", "nat"),
            ("tcp_ports", "22"),
        ];
        self.job("/machines/new", &fields).await
    }

    /// Ends the machine and kills the portal inside a step of that. Returns the job's path, and whether the kill landed
    /// there. The steps take milliseconds: an answer from the portal comes too late to show where it is. So it is
    /// paused every now and then, and meanwhile its database is read.
    async fn end_and_kill(&mut self, ending: &str, step: i64) -> (String, bool) {
        let mut sql = self.sql().await;
        let before = Whereabouts::read(&mut sql).await;
        let is_new = |now: &Whereabouts| now.job > before.job;
        let send = |signal| {
            let pid = self.serving.as_ref().and_then(|serving| serving.child.id()).expect("it runs");
            kill_process(Pid::from_raw(pid.cast_signed()).expect("a pid"), signal).expect("it runs");
        };
        let reach = async {
            loop {
                // It runs while it is polled, and so long enough to make progress.
                let now = Whereabouts::read(&mut sql).await;
                if !is_new(&now) {
                    continue;
                }
                send(Signal::STOP);
                let now = Whereabouts::read(&mut sql).await;
                if now.running == Some(step) || now.is_over {
                    return;
                }
                send(Signal::CONT);
            }
        };
        let post = async {
            self.end(ending).await;
            std::future::pending().await
        };
        let reached = async {
            tokio::select! { () = reach => (), () = post => () }
        };
        timeout(LIMIT, reached).await.expect("the job moves on");
        self.kill().await;
        let at = Whereabouts::read(&mut sql).await;
        sql.close().await.expect("it closes");
        (format!("/jobs/{}", at.job), at.running == Some(step))
    }

    async fn end(&self, intent: &str) -> String {
        let page = format!("/machines/{MACHINE}/do/{intent}");
        let shown = self.ask("GET", &page, &[]).await.body;
        let digest = digest_of(&shown);
        let fields =
            [("intent", intent), ("machine", MACHINE), ("digest", digest.as_str()), ("confirm", MACHINE)];
        self.job(&page, &fields).await
    }

    /// What is on the host and on the disk of the machine: its domain, its folder's files, its root.
    async fn remains(&self) -> Vec<String> {
        let mut virsh = Command::new("virsh");
        virsh.args(["-q", "-c", &self.ground.uri, "list", "--all", "--name"]).stdin(Stdio::null());
        let list = virsh.output().await.expect("virsh runs");
        let domains = String::from_utf8_lossy(&list.stdout).into_owned();
        let mut found: Vec<String> =
            domains.lines().filter(|name| *name == MACHINE).map(|name| format!("domain {name}")).collect();
        let files = |folder: &str| {
            std::fs::read_dir(self.state.join(folder))
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path())
        };
        found.extend(files(&format!("machines/{MACHINE}")).map(|p| p.display().to_string()));
        let roots = files("gcroots").filter(|p| p.to_string_lossy().contains("machine-"));
        found.extend(roots.map(|p| p.display().to_string()));
        found
    }
}

/// Where the machine's newest job is.
struct Whereabouts {
    job: String,
    /// The index of the step that it is in.
    running: Option<i64>,
    is_over: bool,
}

impl Whereabouts {
    async fn read(sql: &mut SqliteConnection) -> Self {
        let newest = "select id, (select idx from job_steps where job_id = id and state = 'running'), ended is not null \
                      from jobs where machine = ? order by id desc limit 1";
        let row = sqlx::query(newest).bind(MACHINE).fetch_one(sql).await.expect("a job");
        Self { job: row.get(0), running: row.get(1), is_over: row.get(2) }
    }
}

fn done(page: &str) -> usize {
    page.matches("data-state=\"done\"").count()
}

fn over(page: &str) -> bool {
    !page.contains("data-state=\"pending\"") && !page.contains("data-state=\"running\"")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_create_and_destroy_survive_kill_9_at_each_step() {
    let Some(ground) = ground() else { return };
    let (state, site) = crate::program::folders();
    let mut portal = Mortal::new(&ground, state.path(), site.path());
    portal.start().await;
    portal.set_up().await;

    let mut endings = VecDeque::from(ENDINGS);
    let mut after = 0;
    while let Some((ending, step)) = endings.pop_front() {
        after += 1;
        assert!(after <= MOST_ROUNDS, "no kill landed inside step {step} of {ending}, nor of {endings:?}");
        let job = portal.create().await;
        // Create has eight steps; after the last one there is nothing left to be killed.
        if after < 8 {
            portal.follow(&job, |page| done(page) >= after || over(page)).await;
            portal.kill().await;
            portal.start().await;
        }
        let page = portal.follow(&job, over).await;
        assert_eq!(done(&page), 8, "killed after step {after}, the job is finished: {page}");
        assert!(!portal.remains().await.is_empty(), "the machine is there");

        let (job, landed) = portal.end_and_kill(ending, step).await;
        eprintln!(
            "{ending}, step {step}: {}",
            if landed { "killed inside" } else { "missed, to be tried again" }
        );
        if !landed {
            endings.push_back((ending, step));
        }
        portal.start().await;
        portal.follow(&job, over).await;
        assert_eq!(portal.remains().await, Vec::<String>::new(), "{ending}, killed in step {step}");
        if ending == "destroy" {
            let page = portal.ask("GET", &format!("/machines/{MACHINE}"), &[]).await;
            assert_eq!(page.status, 200, "destroy keeps the configuration");
            let job = portal.end("purge").await;
            portal.follow(&job, over).await;
        }
        assert_eq!(
            portal.ask("GET", &format!("/machines/{MACHINE}"), &[]).await.status,
            404,
            "no row is left"
        );
    }
    let serving = portal.serving.take().expect("it runs");
    assert_eq!(serving.end("-TERM").await, Some(0));
}
