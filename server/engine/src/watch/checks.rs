//! Checking a host for everything that could go wrong before it does.

use super::inventory::take_inventory;
use crate::core::Core;
use crate::db;
use crate::error::{Result, chain};
use crate::hosts::{HostEntry, Told};
use crate::machine::adopt::adopt;
use model::host::{Finding, Level};
use model::machine::MachineId;
use ports::hypervisor::{Belonging, Hypervisor};
use std::collections::HashSet;
use std::time::Duration;

/// Most findings about things that belong to no machine; more would hide the others.
const MOST_STRAYS: usize = 20;

/// Checks a host: its own findings, its bridges and its memory, and unowned things on it. What Nix answers is the same for
/// all, and added where the findings are shown: it may come later.
pub(super) async fn check(core: &Core, entry: &HostEntry) {
    let Some(hypervisor) = entry.hypervisor() else { return };
    let (findings, told) = look(core, entry, hypervisor.as_ref()).await;
    entry.checked(findings, told, core.clock.now());
}

/// The same and an inventory, for someone who wants to know whether it works now and waits for the answer: no answer
/// from the host is an answer too.
pub(crate) async fn check_now(core: &Core, entry: &HostEntry) {
    let limit = core.settings.check_limit;
    let look = async {
        let hypervisor = entry.hypervisor()?;
        let seen = look(core, entry, hypervisor.as_ref()).await;
        take_inventory(core, entry).await;
        Some(seen)
    };
    let (seen, ()) = tokio::join!(tokio::time::timeout(limit, look), core.catalogue.ask(limit));
    let (findings, told) = match seen {
        Ok(Some(seen)) => seen,
        Ok(None) => return,
        Err(_) => (vec![no_answer(limit)], Told::default()),
    };
    entry.checked(findings, told, core.clock.now());
}

fn no_answer(limit: Duration) -> Finding {
    Finding {
        name: "connection".to_owned(),
        level: Level::Error,
        what: format!("The host did not answer within {limit:?}."),
        fix: Some(
            "Check on the host what keeps its hypervisor busy, restart it if it hangs, then test again."
                .to_owned(),
        ),
    }
}

/// What the host itself reports, its bridges and its memory, and unowned things on it.
async fn look(core: &Core, entry: &HostEntry, hypervisor: &dyn Hypervisor) -> (Vec<Finding>, Told) {
    adopt_all(core, entry, hypervisor).await;
    let (mut findings, bridges, memory, strays) =
        tokio::join!(hypervisor.check(), hypervisor.bridges(), hypervisor.memory(), strays(core, hypervisor));
    match strays {
        Ok(strays) => findings.extend(strays),
        Err(error) => {
            tracing::debug!(host.name = %entry.name, error = chain(&error), "the contents of the host are unknown");
        }
    }
    (findings, Told { bridges: bridges.ok(), memory: memory.ok() })
}

/// Machines from before there were marks get theirs, where the host answers and everything agrees.
async fn adopt_all(core: &Core, entry: &HostEntry, hypervisor: &dyn Hypervisor) {
    let unmarked =
        core.fleet.on_host(&entry.name).into_iter().filter(|k| k.is_created() && k.host_ref.is_none());
    let mut adopted = false;
    for known in unmarked {
        let one = async {
            let record = db::machines::by_id(&mut *core.db.read().await?, known.row.id).await?;
            match record.filter(|record| record.host_ref.is_none()) {
                Some(record) => adopt(core, hypervisor, &record).await,
                None => Ok(None),
            }
        };
        match one.await {
            Ok(place) => adopted |= place.is_some(),
            Err(error) => {
                tracing::debug!(machine.name = %known.row.name, error = chain(&error), "not adopted yet");
            }
        }
    }
    if adopted {
        take_inventory(core, entry).await;
    }
}

/// What is on the host and belongs to no machine of the portal: left behind, restored, or put there by someone.
async fn strays(core: &Core, hypervisor: &dyn Hypervisor) -> Result<Vec<Finding>> {
    let belongings = hypervisor.belongings().await?;
    // Read after the host was asked: what was made meanwhile has its row by now.
    let known = db::machines::names(&mut *core.db.read().await?).await?;
    let ids: HashSet<MachineId> = known.into_iter().map(|(_, id)| id).collect();
    let mut strays = belongings;
    strays.retain(|one| one.owner.is_none_or(|owner| !ids.contains(&owner)));
    let more = strays.len().saturating_sub(MOST_STRAYS);
    let mut findings: Vec<Finding> = strays.into_iter().take(MOST_STRAYS).map(stray).collect();
    if more > 0 {
        findings.push(Finding {
            name: "strays".to_owned(),
            level: Level::Warning,
            what: format!("{more} more things on this host belong to no machine of the portal."),
            fix: Some("Deal with those above, then test again.".to_owned()),
        });
    }
    Ok(findings)
}

fn stray(found: Belonging) -> Finding {
    let what = match found.owner {
        Some(owner) => format!("{} belongs to machine {owner}, which this portal does not have.", found.what),
        None => format!("{} carries no mark of a machine, so the portal leaves it alone.", found.what),
    };
    Finding { name: "strays".to_owned(), level: Level::Warning, what, fix: Some(found.fix) }
}
