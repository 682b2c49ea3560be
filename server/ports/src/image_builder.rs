//! The image builder port: profiles in, a bootable disk image in the Nix store out.

use async_trait::async_trait;
use model::closure::Closure;
use model::forecast::BuildWork;
use model::image::{ProfileSet, Profiles};
use model::job::{BuildFailure, BuildProgress, LogLevel};
use model::machine::Mode;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

/// What is to be built.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ImageKey {
    /// Profiles in canonical form.
    pub profiles: ProfileSet,
    /// Mode.
    pub mode: Mode,
    /// Hash of the flake source: the same key twice gives the same image.
    pub source: String,
}

/// The result of a build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Built {
    /// The store path; the image file is `nixos.qcow2` in it.
    pub store_path: PathBuf,
    /// Size of the image file in bytes.
    pub size: u64,
    /// Size of the closure in bytes.
    pub closure_size: Option<u64>,
}

/// The image file's name in the store path.
pub const IMAGE_FILE: &str = "nixos.qcow2";
/// The manifest's name beside it: what [`Closure::parse`] reads.
pub const CLOSURE_FILE: &str = "closure.json";

/// The output of a running build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BuildEvent {
    /// A line for the log. The text is the builder's, unchanged; the log cleans it.
    Line {
        /// The derivation, by name.
        from: Option<String>,
        /// How loud.
        level: LogLevel,
        /// The text.
        text: String,
    },
    /// Its progress.
    Progress(BuildProgress),
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Nix is missing or cannot run.
    #[error("Nix cannot be run: {why}. {fix}")]
    NoNix {
        /// What was tried and why it failed.
        why: String,
        /// How to fix it.
        fix: String,
    },
    /// The flake cannot be evaluated, with Nix's own message.
    #[error("the image cannot be evaluated: {why}")]
    Evaluation {
        /// Nix's message.
        why: String,
    },
    /// A derivation failed.
    #[error("{} failed to build", .0.derivation)]
    Failed(BuildFailure),
    /// Someone cancelled it.
    #[error("the build was cancelled")]
    Cancelled,
    /// Anything else.
    #[error("{what}")]
    Other {
        /// What happened and what to do.
        what: String,
        /// The cause.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

/// Receives a build's output; never blocks the build for long.
pub type BuildSink<'a> = &'a (dyn Fn(BuildEvent) + Send + Sync);

/// Builds images.
#[async_trait]
pub trait ImageBuilder: Send + Sync + 'static {
    /// Hash of the flake source as it is now; it changes when profiles or modules change. Takes no longer than checking
    /// files.
    async fn source(&self) -> Result<String, BuildError>;
    /// The profiles that the source has, with their metadata. Evaluates each time.
    async fn profiles(&self) -> Result<Profiles, BuildError>;
    /// Builds, or finds what was built before. Reports events as they happen.
    async fn build(
        &self,
        key: &ImageKey,
        sink: BuildSink<'_>,
        cancel: &CancellationToken,
    ) -> Result<Built, BuildError>;
    /// What [`build`](Self::build) would have to do, without doing it. Evaluates each time, and asks the caches.
    async fn forecast(&self, key: &ImageKey, cancel: &CancellationToken) -> Result<BuildWork, BuildError>;
    /// The command that does the same in a shell.
    fn reproduce(&self, key: &ImageKey) -> String;
    /// What the system in an image is made of; `None` for an image from before there were manifests.
    async fn closure(&self, store_path: &Path) -> Result<Option<Closure>, BuildError>;
    /// Whether a store path still exists.
    async fn is_valid(&self, store_path: &Path) -> Result<bool, BuildError>;
    /// Makes a garbage-collector root of this name for a store path, replacing its target. Names have no `/`.
    async fn add_root(&self, name: &str, store_path: &Path) -> Result<(), BuildError>;
    /// Removes a root. Already gone is fine.
    async fn remove_root(&self, name: &str) -> Result<(), BuildError>;
    /// The names of all roots.
    async fn roots(&self) -> Result<Vec<String>, BuildError>;
    /// What a root points at, which need not exist; nothing if there is no such root.
    async fn root(&self, name: &str) -> Result<Option<PathBuf>, BuildError>;
}
