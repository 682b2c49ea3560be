//! What everyone sees: the portal's address of the moment, its database, the host, and what has been counted.

#![expect(clippy::disallowed_methods, reason = "libvirt is asked as people ask it")]

use crate::http::Reply;
use crate::mortal::{self, Ground, LIMIT};
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection as _, Row as _};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

/// How long all jobs may take to end once nobody kills the portal any more.
const SETTLES: Duration = Duration::from_secs(600);

pub struct Scene<'a> {
    pub seed: u64,
    pub began: Instant,
    /// When nothing new is begun.
    pub until: Instant,
    pub ground: &'a Ground,
    pub state: &'a Path,
    cookie: String,
    /// None while the portal is not up.
    address: watch::Receiver<Option<String>>,
    counts: RefCell<BTreeMap<String, u32>>,
}

impl<'a> Scene<'a> {
    pub fn new(
        seed: u64,
        ground: &'a Ground,
        state: &'a Path,
        cookie: String,
        address: watch::Receiver<Option<String>>,
    ) -> Self {
        let (began, counts) = (Instant::now(), RefCell::default());
        Self { seed, began, until: began, ground, state, cookie, address, counts }
    }

    /// From now on, so long.
    pub fn lasts(&mut self, duration: Duration) {
        self.began = Instant::now();
        self.until = self.began + duration;
    }

    /// Where the portal is, as soon as it is up.
    pub async fn up(&self) -> String {
        let mut address = self.address.clone();
        let up = address.wait_for(Option::is_some);
        timeout(LIMIT, up).await.expect("it is started again").unwrap().clone().unwrap()
    }

    /// Asks the portal; none if it is killed before it has answered.
    pub async fn ask(&self, method: &str, path: &str, fields: &[(&str, &str)]) -> Option<Reply> {
        let address = self.up().await;
        let asked = timeout(LIMIT, mortal::ask(&address, &self.cookie, method, path, fields)).await;
        let reply = asked.expect("it answers, or is killed").ok()?;
        let is_well = reply.status < 500 || reply.status == 503;
        assert!(
            is_well && ![401, 403].contains(&reply.status),
            "seed {}: {method} {path} {fields:?} is answered with {}: {}",
            self.seed,
            reply.status,
            reply.body
        );
        Some(reply)
    }

    pub async fn sql(&self) -> SqliteConnection {
        let mut sql = mortal::sql(self.state).await;
        sqlx::query("pragma query_only = on").execute(&mut sql).await.unwrap();
        sql
    }

    /// What virsh prints, or nothing if it does not know what is asked of it.
    pub async fn virsh(&self, args: &[&str]) -> String {
        let mut virsh = Command::new("virsh");
        virsh.args(["-q", "-c", &self.ground.uri]).args(args).stdin(Stdio::null());
        let output = virsh.output().await.expect("virsh runs");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    pub fn count(&self, what: &str) {
        *self.counts.borrow_mut().entry(what.to_owned()).or_default() += 1;
    }

    /// Waits until every job has ended by itself.
    pub async fn all_is_over(&self) {
        let mut sql = self.sql().await;
        let limit = Instant::now() + SETTLES;
        let open = "select title || ' (' || state || ', job ' || id || ')' || coalesce(': ' || stuck, '') from jobs \
                    where state in ('queued', 'running', 'undoing')";
        loop {
            let rows = sqlx::query(open).fetch_all(&mut sql).await.unwrap();
            if rows.is_empty() {
                break;
            }
            let open: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
            assert!(Instant::now() < limit, "seed {}: these jobs do not end: {open:#?}", self.seed);
            sleep(Duration::from_millis(200)).await;
        }
        sql.close().await.unwrap();
    }

    /// A panic in the portal may have been in a task that nobody waits for.
    pub fn nobody_panicked(&self, log: Option<&Path>) {
        let log = log.map(std::fs::read).transpose().unwrap().unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let panics: Vec<&str> = log.lines().filter(|line| line.contains("panicked at")).collect();
        assert!(panics.is_empty(), "seed {}: {panics:#?}", self.seed);
    }
}

impl Drop for Scene<'_> {
    /// Tells the figures, also of a test that fails.
    fn drop(&mut self) {
        for (what, number) in self.counts.borrow().iter() {
            eprintln!("{number:5} {what}");
        }
    }
}

/// From now on every image is another one. The guests of these get through their boot, or power off in it.
pub fn next_images(flake: &Path, boots: bool) {
    let (good, bad) = ("::once:/usr/lib/snowglobe/boot-complete", "::once:/bin/busybox poweroff -f");
    let inittab = flake.join("guest/etc/inittab");
    let text = std::fs::read_to_string(&inittab).unwrap();
    assert!(text.contains(good) || text.contains(bad), "{} has changed", inittab.display());
    let text = if boots { text.replace(bad, good) } else { text.replace(good, bad) };
    // In one step: an image may be built at this moment.
    let write = |name: &str, text: String| {
        let new = flake.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, flake.join(name)).unwrap();
    };
    write("guest/etc/inittab", text);
    write("run", format!("{:?}\n", std::time::SystemTime::now()));
}
