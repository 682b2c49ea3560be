//! Which profiles there are and how they describe themselves: `lib.profiles` of the flake.

use super::nix::{Nix, failed};
use model::image::{ProfileMeta, ProfileName, Profiles};
use ports::image_builder::BuildError;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Evaluation without nixpkgs takes well below a second; a user's profile may loop forever.
const LIMIT: Duration = Duration::from_secs(60);
/// Metadata of a thousand profiles fits in.
const KEEP: usize = 8 << 20;

/// Asks the flake in this folder. Needs no network: metadata does not depend on the flake's inputs.
pub(super) async fn read(nix: &Nix, flake: &Path) -> Result<Profiles, BuildError> {
    let eval = nix
        .program("nix")
        .args(["eval", "--json", "--offline", "--no-write-lock-file", "path:.#lib.profiles"])
        .dir(flake)
        .limit(LIMIT)
        .keep(KEEP);
    let output = eval.run().await.map_err(|error| match error {
        host_tools::exec::ExecError::Failed { said, .. } => {
            BuildError::Evaluation { why: crate::text::strip_escapes(&said) }
        }
        error => failed("the profiles cannot be read", error),
    })?;
    let found: BTreeMap<String, Value> =
        serde_json::from_slice(&output.stdout.bytes).map_err(|error| BuildError::Evaluation {
            why: format!("“lib.profiles” of the flake is no set of profiles ({error})."),
        })?;
    Ok(found.into_iter().filter_map(|(name, meta)| profile(name, meta)).collect())
}

/// One broken profile must not hide the others.
fn profile(name: String, meta: Value) -> Option<(ProfileName, ProfileMeta)> {
    let parsed = ProfileName::try_from(name.clone()).map_err(|e| e.to_string());
    let parsed = parsed.and_then(|name| Ok((name, serde_json::from_value(meta).map_err(|e| e.to_string())?)));
    parsed.inspect_err(|why| tracing::warn!(profile = name, why, "a profile is left out")).ok()
}
