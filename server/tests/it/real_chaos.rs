//! Machines go through all operations at random, and the real program is killed with SIGKILL at random moments meanwhile: nothing
//! may leak, nothing may be lost, and the audit log stays whole.
//!
//! It is left out unless it is asked for:
//! `SNOWGLOBE_TEST_CHAOS=600 cargo xtask test --only unit -- -E 'test(real_machines_survive)' --run-ignored only --no-capture`.
//! The variable says how many seconds it goes on. What it does is decided by a seed, which it prints and takes in
//! `SNOWGLOBE_TEST_SEED`: the same choices again, though not at the same moments.
//!
//! - `scene`: what everyone sees: the portal's address of the moment, its database, the host.
//! - `actor`: one who has a machine, asks for the next operation, and knows what must be on the disk.
//! - `choice`: which operations fit a machine, and the forms that ask for them.
//! - `comparison`: the whole database against the whole host.
//! - `disks`: what is on a disk.

mod actor;
mod choice;
mod comparison;
mod disks;
mod scene;

use crate::mortal::{Ground, LIMIT, Mortal, ground};
use crate::program::folders;
use actor::Actor;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use scene::Scene;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

/// How many go through the operations at once.
const ACTORS: u64 = 8;
/// The same where there is little time: guests that are emulated boot one after the other, as it were.
const FEW_ACTORS: u64 = 4;
/// How much time that is, in seconds.
const LITTLE_TIME: u64 = 300;
/// How long it goes on unless something else is asked for, in seconds.
const DEFAULT_SECONDS: u64 = 60;
/// The shortest and the longest life of the portal, in milliseconds.
const LIVES: std::ops::RangeInclusive<u64> = 200..=5000;

#[tokio::test]
#[ignore = "it takes minutes and all of the computer"]
async fn real_machines_survive_kill_9_at_random_moments() {
    let seconds = number("SNOWGLOBE_TEST_CHAOS").unwrap_or(DEFAULT_SECONDS);
    let Some(original) = ground() else { return };
    let seed = number("SNOWGLOBE_TEST_SEED").unwrap_or_else(any_seed);
    eprintln!("seed {seed}, {seconds} s");
    let kept = Kept::new();
    let (state, flake, (_, site)) = (kept.folder("state"), kept.folder("flake"), folders());
    copy(Path::new(&original.flake), &flake);
    let ground = Ground { flake: flake.to_str().unwrap().to_owned(), uri: original.uri };
    let mut portal = Mortal::new(&ground, &state, site.path());
    portal.log = Some(state.with_extension("log"));

    portal.start().await;
    portal.set_up().await;
    scene::next_images(&flake, true);
    // Nothing can be created without an image, and building one takes longer than the portal will live.
    let image = [("intent", "build"), ("mode", "immutable"), ("set", "core")];
    let built = portal.ask("POST", "/images", &image).await;
    assert_eq!(built.status, 303, "{}", built.body);
    let (address, seen) = watch::channel(Some(portal.address().to_owned()));
    let mut scene = Scene::new(seed, &ground, &state, portal.cookie.clone(), seen);
    scene.all_is_over().await;
    scene.lasts(Duration::from_secs(seconds));

    let mut actors = Vec::new();
    for number in 0..if seconds < LITTLE_TIME { FEW_ACTORS } else { ACTORS } {
        actors.push(Actor::new(&scene, number).await);
    }
    let acting = futures::future::join_all(actors.iter_mut().map(Actor::act));
    tokio::join!(kill_at_random(&mut portal, &address, &scene), acting);
    scene.all_is_over().await;
    for actor in &mut actors {
        actor.settle_the_rest().await;
        actor.force_off().await;
    }
    // What a start tidies up counts as tidied up.
    restart(&mut portal, &address).await;
    comparison::compare(&scene, &actors).await;
    for actor in &mut actors {
        actor.purge().await;
    }
    restart(&mut portal, &address).await;
    comparison::nothing_is_left(&scene).await;
    let serving = portal.serving.take().unwrap();
    assert_eq!(serving.end("-TERM").await, Some(0));
    scene.nobody_panicked(portal.log.as_deref());
}

/// Kills the portal and starts it again until the time is over. It runs in the end.
async fn kill_at_random(portal: &mut Mortal<'_>, address: &watch::Sender<Option<String>>, scene: &Scene<'_>) {
    let mut rng = StdRng::seed_from_u64(scene.seed);
    let life = |rng: &mut StdRng| Duration::from_millis(rng.random_range(LIVES));
    sleep(life(&mut rng)).await;
    address.send_replace(None);
    portal.kill().await;
    scene.count("kills");
    while Instant::now() < scene.until {
        // One start in five may be too long for its life. On a busy computer most would be, and nothing would be asked for.
        let (life, is_early) = (life(&mut rng), rng.random_bool(0.2));
        let mut starting = portal.begin();
        match timeout(if is_early { life } else { LIMIT }, starting.listening()).await {
            Ok((at, _)) => {
                address.send_replace(Some(at));
                sleep(life).await;
                address.send_replace(None);
            }
            Err(_) => scene.count("kills before it listened"),
        }
        starting.child.kill().await.expect("it can be killed");
        scene.count("kills");
    }
    portal.start().await;
    address.send_replace(Some(portal.address().to_owned()));
}

async fn restart(portal: &mut Mortal<'_>, address: &watch::Sender<Option<String>>) {
    address.send_replace(None);
    let serving = portal.serving.take().expect("it runs");
    assert_eq!(serving.end("-TERM").await, Some(0));
    portal.start().await;
    address.send_replace(Some(portal.address().to_owned()));
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no whole number")))
}

fn any_seed() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let (entry, to) = (entry.as_ref().unwrap().path(), to.join(entry.as_ref().unwrap().file_name()));
        if entry.is_dir() {
            std::fs::create_dir(&to).unwrap();
            copy(&entry, &to);
        } else {
            std::fs::copy(&entry, &to).unwrap();
        }
    }
}

/// The folder of everything, which stays when the test fails.
struct Kept(Option<TempDir>);

impl Kept {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // QEMU may run as another user.
        let everyone = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.path(), everyone).unwrap();
        Self(Some(folder))
    }

    fn folder(&self, name: &str) -> std::path::PathBuf {
        let folder = self.0.as_ref().unwrap().path().join(name);
        std::fs::create_dir(&folder).unwrap();
        folder
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(folder) = self.0.take().filter(|_| std::thread::panicking()) {
            eprintln!("the portal's state and log stay in {}", folder.keep().display());
        }
    }
}
