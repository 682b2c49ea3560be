//! An image builder in memory: builds take no time, unless a test holds them.

use crate::sync::lock;
use async_trait::async_trait;
use model::closure::{Closure, Package};
use model::forecast::BuildWork;
use model::image::{ProfileMeta, ProfilePorts, Profiles, SizeClass};
use model::job::{BuildFailure, BuildProgress, LogLevel};
use model::machine::Mode;
use ports::image_builder::{BuildError, BuildEvent, BuildSink, Built, ImageBuilder, ImageKey};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The builder and its store.
#[derive(Debug)]
pub struct MemoryBuilder {
    store: Mutex<Store>,
    /// False while builds are held.
    open: watch::Sender<bool>,
    /// How many builds have begun.
    begun: watch::Sender<usize>,
    /// False while evaluations are held.
    evaluating: watch::Sender<bool>,
    /// How many evaluations have begun.
    asked: watch::Sender<usize>,
}

#[derive(Clone, Debug, Default)]
struct Store {
    source: String,
    profiles: Profiles,
    paths: BTreeSet<PathBuf>,
    /// What images are made of, by store path.
    closures: BTreeMap<PathBuf, Closure>,
    without_manifests: bool,
    roots: BTreeMap<String, PathBuf>,
    failure: Option<BuildFailure>,
    lines: usize,
    /// The profiles of the builds that have begun, in their order.
    order: Vec<String>,
    broken: Option<String>,
    unevaluable: Option<String>,
}

impl Default for MemoryBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryBuilder {
    /// A builder with the profiles core, docker, python, and rust, which needs python and does not go with docker.
    pub fn new() -> Self {
        let profiles = [
            profile("core", &[], &[]),
            profile("docker", &[], &["rust"]),
            profile("python", &[], &[]),
            profile("rust", &["python"], &[]),
        ];
        Self::with(Store {
            source: "source-1".to_owned(),
            profiles: profiles.into_iter().flatten().collect(),
            lines: 3,
            ..Store::default()
        })
    }

    /// Another builder with a store like this one's now; nothing of it is held.
    pub fn fork(&self) -> Self {
        Self::with(lock(&self.store).clone())
    }

    fn with(store: Store) -> Self {
        Self {
            store: Mutex::new(store),
            open: watch::Sender::new(true),
            begun: watch::Sender::new(0),
            evaluating: watch::Sender::new(true),
            asked: watch::Sender::new(0),
        }
    }

    /// The profiles there are.
    pub fn known_profiles(&self) -> Profiles {
        lock(&self.store).profiles.clone()
    }

    /// Changes the flake: from now on, every image is another one.
    pub fn set_source(&self, source: &str) {
        source.clone_into(&mut lock(&self.store).source);
    }

    /// Builds images as earlier versions did, without manifests, or with them again.
    pub fn without_manifests(&self, without: bool) {
        lock(&self.store).without_manifests = without;
    }

    /// How many lines a build prints.
    pub fn set_lines(&self, lines: usize) {
        lock(&self.store).lines = lines;
    }

    /// Lets builds fail, or succeed again.
    pub fn set_failure(&self, failure: Option<BuildFailure>) {
        lock(&self.store).failure = failure;
    }

    /// Takes Nix away, with this reason, or brings it back.
    pub fn set_broken(&self, why: Option<&str>) {
        lock(&self.store).broken = why.map(str::to_owned);
    }

    /// Lets evaluations of the profiles and of images fail for this reason, or succeed again; everything else works.
    pub fn set_unevaluable(&self, why: Option<&str>) {
        lock(&self.store).unevaluable = why.map(str::to_owned);
    }

    /// Holds evaluations of the profiles and of images, or lets them go on.
    pub fn hold_evaluation(&self, hold: bool) {
        self.evaluating.send_replace(!hold);
    }

    /// Waits until there have been so many evaluations since the builder was made.
    pub async fn asked(&self, count: usize) {
        let _ = self.asked.subscribe().wait_for(|asked| *asked >= count).await;
    }

    /// How many evaluations there have been.
    pub fn questions(&self) -> usize {
        *self.asked.borrow()
    }

    /// Holds builds after their first line, or lets them go on.
    pub fn hold(&self, hold: bool) {
        self.open.send_replace(!hold);
    }

    /// Waits until so many builds have begun since the builder was made.
    pub async fn begun(&self, count: usize) {
        let _ = self.begun.subscribe().wait_for(|begun| *begun >= count).await;
    }

    /// How many builds have begun.
    pub fn builds(&self) -> usize {
        *self.begun.borrow()
    }

    /// The profiles of the builds that have begun, in their order.
    pub fn order(&self) -> Vec<String> {
        lock(&self.store).order.clone()
    }

    /// The names of all roots.
    pub fn root_names(&self) -> Vec<String> {
        lock(&self.store).roots.keys().cloned().collect()
    }

    /// Forgets all roots, as Nix does for a state directory that was restored in another place.
    pub fn forget_roots(&self) {
        lock(&self.store).roots.clear();
    }

    /// Someone deletes what a root keeps; the root stays.
    pub fn lose(&self, root: &str) {
        let mut store = lock(&self.store);
        if let Some(path) = store.roots.get(root).cloned() {
            store.paths.remove(&path);
        }
    }

    /// Collects garbage: paths without a root go.
    pub fn collect_garbage(&self) {
        let mut store = lock(&self.store);
        let rooted: BTreeSet<PathBuf> = store.roots.values().cloned().collect();
        store.paths.retain(|path| rooted.contains(path));
    }

    fn works(&self) -> Result<(), BuildError> {
        match &lock(&self.store).broken {
            Some(why) => Err(BuildError::NoNix { why: why.clone(), fix: "Install Nix.".to_owned() }),
            None => Ok(()),
        }
    }
}

fn profile(
    name: &str,
    needs: &[&str],
    conflicts: &[&str],
) -> Option<(model::image::ProfileName, ProfileMeta)> {
    let names = |list: &[&str]| list.iter().filter_map(|n| n.parse().ok()).collect();
    let meta = ProfileMeta {
        title: name.to_owned(),
        summary: format!("What {name} brings."),
        brings: vec![name.to_owned()],
        needs: names(needs),
        conflicts: names(conflicts),
        ports: ProfilePorts::default(),
        modes: Mode::ALL.to_vec(),
        size: SizeClass::Small,
    };
    Some((name.parse().ok()?, meta))
}

/// The kernel, systemd and a package per profile, in versions that change with the source.
fn closure(key: &ImageKey) -> Closure {
    let release =
        Sha256::digest(&key.source).iter().take(2).fold(0, |n: u64, byte| n << 8 | u64::from(*byte));
    let package = |name: &str, version: String| Package {
        name: name.to_owned(),
        size: (1 << 20) + release,
        hash: Some(hex::encode(Sha256::digest(format!("{name} {version}")))),
        version,
    };
    let profiles = key.profiles.iter().map(|profile| package(profile.as_str(), format!("1.{release}")));
    let (kernel, systemd) = (format!("6.12.{release}"), "258".to_owned());
    let system = [package("linux", kernel.clone()), package("systemd", systemd.clone())];
    Closure {
        kernel: Some(kernel),
        systemd: Some(systemd),
        packages: system.into_iter().chain(profiles).collect(),
    }
}

#[async_trait]
impl ImageBuilder for MemoryBuilder {
    async fn source(&self) -> Result<String, BuildError> {
        self.works()?;
        Ok(lock(&self.store).source.clone())
    }

    async fn profiles(&self) -> Result<Profiles, BuildError> {
        self.works()?;
        self.asked.send_modify(|asked| *asked += 1);
        let _ = self.evaluating.subscribe().wait_for(|go| *go).await;
        match &lock(&self.store).unevaluable {
            Some(why) => Err(BuildError::Evaluation { why: why.clone() }),
            None => Ok(()),
        }?;
        Ok(self.known_profiles())
    }

    async fn build(
        &self,
        key: &ImageKey,
        sink: BuildSink<'_>,
        cancel: &CancellationToken,
    ) -> Result<Built, BuildError> {
        self.works()?;
        let line = |n: usize| BuildEvent::Line {
            from: Some("nixos-image".to_owned()),
            level: LogLevel::Output,
            text: format!("\u{1b}[32mline\u{1b}[0m {n}"),
        };
        let lines = lock(&self.store).lines;
        let progress =
            |built| BuildEvent::Progress(BuildProgress { to_build: 1, built, ..BuildProgress::default() });
        lock(&self.store).order.push(key.profiles.to_string());
        sink(progress(0));
        sink(line(0));
        self.begun.send_modify(|begun| *begun += 1);
        let mut open = self.open.subscribe();
        tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(BuildError::Cancelled),
            _ = open.wait_for(|open| *open) => {}
        }
        for n in 1..lines {
            sink(line(n));
        }
        let mut store = lock(&self.store);
        if let Some(failure) = &store.failure {
            return Err(BuildError::Failed(failure.clone()));
        }
        sink(progress(1));
        let name = format!("{} {} {}", key.profiles, key.mode.as_str(), key.source);
        let hash: String = hex::encode(Sha256::digest(name)).chars().take(32).collect();
        let store_path = PathBuf::from(format!("/nix/store/{hash}-nixos-image"));
        if !store.without_manifests {
            store.closures.insert(store_path.clone(), closure(key));
        }
        store.paths.insert(store_path.clone());
        Ok(Built { store_path, size: 20 << 20, closure_size: Some(40 << 20) })
    }

    async fn forecast(&self, key: &ImageKey, cancel: &CancellationToken) -> Result<BuildWork, BuildError> {
        self.works()?;
        self.asked.send_modify(|asked| *asked += 1);
        let mut evaluating = self.evaluating.subscribe();
        tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(BuildError::Cancelled),
            _ = evaluating.wait_for(|go| *go) => {}
        }
        let store = lock(&self.store);
        if let Some(why) = &store.unevaluable {
            return Err(BuildError::Evaluation { why: why.clone() });
        }
        let to_fetch = u32::try_from(key.profiles.iter().count()).unwrap_or(u32::MAX);
        Ok(BuildWork { to_build: 1, to_fetch, download: 5 << 20, unpacked: 20 << 20 })
    }

    fn reproduce(&self, key: &ImageKey) -> String {
        format!("nix build {}", key.profiles)
    }

    async fn closure(&self, store_path: &Path) -> Result<Option<Closure>, BuildError> {
        let store = lock(&self.store);
        if !store.paths.contains(store_path) {
            return Err(BuildError::Other { what: "The image is gone.".to_owned(), source: None });
        }
        Ok(store.closures.get(store_path).cloned())
    }

    async fn is_valid(&self, store_path: &Path) -> Result<bool, BuildError> {
        self.works()?;
        Ok(lock(&self.store).paths.contains(store_path))
    }

    async fn add_root(&self, name: &str, store_path: &Path) -> Result<(), BuildError> {
        self.works()?;
        lock(&self.store).roots.insert(name.to_owned(), store_path.to_owned());
        Ok(())
    }

    async fn remove_root(&self, name: &str) -> Result<(), BuildError> {
        self.works()?;
        lock(&self.store).roots.remove(name);
        Ok(())
    }

    async fn roots(&self) -> Result<Vec<String>, BuildError> {
        self.works()?;
        Ok(self.root_names())
    }

    async fn root(&self, name: &str) -> Result<Option<PathBuf>, BuildError> {
        self.works()?;
        Ok(lock(&self.store).roots.get(name).cloned())
    }
}
