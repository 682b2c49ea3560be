//! Looking at a host for everything that could go wrong before it does.

use crate::core::Core;
use crate::hosts::HostEntry;
use model::host::{Finding, Level};
use ports::image_builder::BuildError;

/// Looks at a host: its own findings, its bridges, and Nix, which is the same for all.
pub(crate) async fn check(core: &Core, entry: &HostEntry) {
    let Some(hypervisor) = entry.hypervisor() else { return };
    let (mut findings, bridges, nix) =
        tokio::join!(hypervisor.check(), hypervisor.bridges(), check_nix(core));
    findings.push(nix);
    entry.checked(findings, bridges.ok(), core.clock.now());
}

async fn check_nix(core: &Core) -> Finding {
    let name = "nix".to_owned();
    match core.builder.profiles().await {
        Ok(profiles) => Finding {
            name,
            level: Level::Ok,
            what: format!("Nix evaluates the images; there are {} profiles.", profiles.len()),
            fix: None,
        },
        Err(error) => {
            let fix = match &error {
                BuildError::NoNix { fix, .. } => fix.clone(),
                _ => "Read the server's log, mend the image flake, and test again.".to_owned(),
            };
            tracing::warn!(error = crate::error::chain(&error), "Nix does not work");
            Finding {
                name,
                level: Level::Error,
                what: format!("No image can be built: {error}."),
                fix: Some(fix),
            }
        }
    }
}
