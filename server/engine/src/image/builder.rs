//! Builds with the `nix` of this computer.
//!
//! A build is a wrapper flake in `<state>/images/<key>/` that has the image flake as its input and asks its `lib.mkImage` for
//! one image. So what is built is a file that a person can look at, and the command that builds it has no arguments that
//! matter. The wrapper has no lock file: its only input is a local folder, whose own `flake.lock` pins the rest.

use super::flake::{Current, Flake, FlakeSource};
use super::nix::{Nix, failed, nix_string, other, refused, shell_word};
use super::nix_log::NixLog;
use super::profiles;
use super::roots::Roots;
use super::{closure, dry_run};
use crate::sync::lock;
use crate::text::strip_escapes;
use async_trait::async_trait;
use host_tools::exec::{ExecError, Output};
use model::closure::Closure;
use model::forecast::BuildWork;
use model::image::Profiles;
use ports::image_builder::{BuildError, BuildSink, Built, IMAGE_FILE, ImageBuilder, ImageKey};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A first NixOS image without a cache compiles for hours; a build that takes longer is hung.
const BUILD_LIMIT: Duration = Duration::from_secs(12 * 3600);
/// Evaluating a system takes up to a minute; asking a slow cache which store paths it has takes a few more.
const FORECAST_LIMIT: Duration = Duration::from_secs(5 * 60);

/// How to build.
#[derive(Clone, Debug)]
pub struct BuilderSettings {
    /// The portal's state directory.
    pub state: PathBuf,
    /// Where the image flake comes from.
    pub flake: FlakeSource,
    /// Lines of nix.conf(5) for every call, after the user's own; usually none.
    pub extra_nix_config: String,
}

/// The image builder that calls `nix`.
#[derive(Debug)]
pub struct NixBuilder {
    nix: Nix,
    flake: Arc<Flake>,
    state: PathBuf,
    roots: Roots,
    /// Held while a wrapper flake is written: a build and a forecast can be about the same image.
    writing: Mutex<()>,
}

/// One element of what `nix build --json` prints.
#[derive(Deserialize)]
struct Realised {
    outputs: BTreeMap<String, PathBuf>,
}

impl NixBuilder {
    /// A builder with these settings. Does nothing by itself.
    pub fn new(settings: BuilderSettings) -> Self {
        Self {
            nix: Nix::new(&settings.extra_nix_config),
            flake: Arc::new(Flake::new(settings.flake, &settings.state)),
            roots: Roots::new(&settings.state),
            state: settings.state,
            writing: Mutex::default(),
        }
    }

    async fn current(&self) -> Result<Current, BuildError> {
        let flake = self.flake.clone();
        match tokio::task::spawn_blocking(move || flake.current()).await {
            Ok(current) => current.map_err(|e| other("the image flake cannot be read", e)),
            Err(gone) => Err(other("the image flake cannot be read", gone)),
        }
    }

    fn wrapper_dir(&self, key: &ImageKey) -> PathBuf {
        let name = format!("{}\n{}\n{}", key.profiles, key.mode.as_str(), key.source);
        let hash: String = hex::encode(Sha256::digest(name)).chars().take(32).collect();
        self.state.join("images").join(hash)
    }

    /// Writes the wrapper flake and returns its folder.
    fn write_wrapper(&self, key: &ImageKey, flake: &Path) -> Result<PathBuf, BuildError> {
        let Some(flake) = flake.to_str() else {
            return Err(refused(
                "The path of the image flake is not UTF-8; Nix cannot read it. Move the folder.",
            ));
        };
        let dir = self.wrapper_dir(key);
        let write = || {
            let _writing = lock(&self.writing);
            fs::create_dir_all(&dir)?;
            let beside = dir.with_extension("tmp");
            fs::write(&beside, wrapper(key, flake))?;
            fs::rename(beside, dir.join("flake.nix"))
        };
        write().map_err(|e| other("writing the build's flake failed", e))?;
        Ok(dir)
    }

    /// The folder of the flake that builds this image, written anew.
    async fn wrapper_of(&self, key: &ImageKey) -> Result<PathBuf, BuildError> {
        let current = self.current().await?;
        if current.hash != key.source {
            return Err(refused(
                "The profiles have changed since this build was asked for. Ask again to build from them as they are now.",
            ));
        }
        self.write_wrapper(key, &current.dir)
    }

    async fn finish(&self, output: &Output) -> Result<Built, BuildError> {
        let realised: Vec<Realised> = serde_json::from_slice(&output.stdout.bytes)
            .map_err(|e| other("the output of “nix build” cannot be parsed", e))?;
        let first = realised.into_iter().next();
        let Some(store_path) = first.and_then(|realised| realised.outputs.get("out").cloned()) else {
            return Err(refused("“nix build” succeeded but named no output."));
        };
        let image = store_path.join(IMAGE_FILE);
        let size = match fs::metadata(&image) {
            Ok(about) if about.is_file() => about.len(),
            _ => {
                return Err(refused(format!(
                    "The build made no file {IMAGE_FILE}: the flake’s lib.mkImage must."
                )));
            }
        };
        let closure_size = self.closure_size(&store_path).await;
        Ok(Built { store_path, size, closure_size })
    }

    /// In the plain form, because the JSON differs between versions: the path, blanks, the size in bytes.
    async fn closure_size(&self, store_path: &Path) -> Option<u64> {
        let ask = self.nix.program("nix").args(["path-info", "--closure-size"]).arg(store_path);
        ask.run().await.ok()?.stdout.text().split_whitespace().last()?.parse().ok()
    }
}

/// The flake that asks for one image.
fn wrapper(key: &ImageKey, flake: &str) -> String {
    let profiles: Vec<String> = key.profiles.iter().map(|p| nix_string(p.as_str())).collect();
    let system = nix_string(&format!("{}-linux", std::env::consts::ARCH));
    let (flake, profiles, mode) = (nix_string(flake), profiles.join(" "), nix_string(key.mode.as_str()));
    format!(
        "# Written by Snowglobe for one build.
{{
  inputs.snowglobe = {{
    type = \"path\";
    path = {flake};
  }};
  outputs =
    {{ snowglobe, ... }}:
    {{
      packages.${{{system}}}.default = snowglobe.lib.mkImage {{
        system = {system};
        profiles = [ {profiles} ];
        mode = {mode};
      }};
    }};
}}
"
    )
}

/// Why a build failed, the failed derivation first, Nix's own message next.
fn explain(log: &NixLog, error: ExecError) -> BuildError {
    if !matches!(error, ExecError::Failed { .. }) {
        return failed("building the image failed", error);
    }
    match (log.failure(), log.errors()) {
        (Some(failure), _) => BuildError::Failed(failure),
        (None, Some(why)) => BuildError::Evaluation { why: why.chars().take(8000).collect() },
        (None, None) => failed("building the image failed", error),
    }
}

#[async_trait]
impl ImageBuilder for NixBuilder {
    async fn source(&self) -> Result<String, BuildError> {
        Ok(self.current().await?.hash)
    }

    async fn profiles(&self) -> Result<Profiles, BuildError> {
        profiles::read(&self.nix, &self.current().await?.dir).await
    }

    async fn build(
        &self,
        key: &ImageKey,
        sink: BuildSink<'_>,
        cancel: &CancellationToken,
    ) -> Result<Built, BuildError> {
        let dir = self.wrapper_of(key).await?;
        let mut log = NixLog::default();
        let built = self
            .nix
            .program("nix")
            // The flake is “here”, so no path with odd characters has to go through a URL.
            .args(["build", "path:.#default", "--no-link", "--no-write-lock-file", "--json"])
            .args(["--log-format", "internal-json", "-v"])
            .dir(&dir)
            .limit(BUILD_LIMIT)
            .stream(&mut |line| log.line(line, &mut |event| sink(event)), cancel)
            .await;
        match built {
            Ok(output) => self.finish(&output).await,
            Err(error) => Err(explain(&log, error)),
        }
    }

    async fn forecast(&self, key: &ImageKey, cancel: &CancellationToken) -> Result<BuildWork, BuildError> {
        let dir = self.wrapper_of(key).await?;
        let mut work = BuildWork::default();
        let asked = self
            .nix
            .program("nix")
            .args(["build", "path:.#default", "--dry-run", "--no-link", "--no-write-lock-file"])
            .args(["--log-format", "raw"])
            .dir(&dir)
            .limit(FORECAST_LIMIT)
            .stream(&mut |line| dry_run::read(&mut work, line), cancel)
            .await;
        match asked {
            Ok(_) => Ok(work),
            Err(ExecError::Failed { said, .. }) => Err(BuildError::Evaluation { why: strip_escapes(&said) }),
            Err(error) => Err(failed("what the build would take cannot be told", error)),
        }
    }

    fn reproduce(&self, key: &ImageKey) -> String {
        let dir = self.wrapper_dir(key);
        format!(
            "cd {} && nix --extra-experimental-features {} build {} --no-write-lock-file --print-build-logs",
            shell_word(&dir.to_string_lossy()),
            shell_word("nix-command flakes"),
            shell_word("path:.#default"),
        )
    }

    async fn closure(&self, store_path: &Path) -> Result<Option<Closure>, BuildError> {
        let store_path = store_path.to_owned();
        match tokio::task::spawn_blocking(move || closure::read(&store_path)).await {
            Ok(closure) => closure,
            Err(gone) => Err(other("the list of packages of an image cannot be read", gone)),
        }
    }

    async fn is_valid(&self, store_path: &Path) -> Result<bool, BuildError> {
        let check = self.nix.program("nix-store").arg("--check-validity").arg(store_path).accept(&[0, 1]);
        let output = check.run().await.map_err(|e| failed("asking for a store path failed", e))?;
        let said = output.stderr.text();
        match output.code {
            0 => Ok(true),
            // The same exit code stands for every other failure, such as a daemon that does not answer.
            _ if said.contains("is not valid") => Ok(false),
            _ => Err(refused(format!(
                "Nix cannot tell whether {} exists: {}",
                store_path.display(),
                said.trim()
            ))),
        }
    }

    async fn add_root(&self, name: &str, store_path: &Path) -> Result<(), BuildError> {
        self.roots.add(&self.nix, name, store_path).await
    }

    async fn remove_root(&self, name: &str) -> Result<(), BuildError> {
        self.roots.remove(name)
    }

    async fn roots(&self) -> Result<Vec<String>, BuildError> {
        self.roots.names()
    }

    async fn root(&self, name: &str) -> Result<Option<PathBuf>, BuildError> {
        self.roots.target(name)
    }
}
