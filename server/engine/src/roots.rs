//! Garbage-collector roots of the portal: one for each image, so that it is offered again, and one for each generation of a
//! machine, because its boot disk builds on the image it was made from.
//!
//! Nix knows a root by the path of its link. After the state directory was restored or moved, the links may be there
//! while Nix does not know them, and its next garbage collection deletes images that machines use. So at the start and
//! every day all roots are made again, those that nothing needs go, and a machine whose image is gone says so.

use crate::core::Core;
use crate::db;
use crate::error::{Result, chain};
use model::image::ImageId;
use model::machine::MachineId;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How often.
const EVERY: Duration = Duration::from_secs(24 * 60 * 60);
/// How soon again when Nix could not be asked.
const RETRY: Duration = Duration::from_secs(10 * 60);

/// The name of the root that keeps an image.
pub(crate) fn of_image(image: ImageId) -> String {
    format!("image-{image}")
}

/// The name of the root that keeps what a generation of a machine boots. The first one's is from before there were others.
pub(crate) fn of_generation(machine: MachineId, number: u32) -> String {
    match number {
        0 | 1 => format!("machine-{machine}"),
        later => format!("machine-{machine}-{later}"),
    }
}

/// Whether a root keeps what one of a machine's generations boots.
pub(crate) fn is_of_machine(root: &str, machine: MachineId) -> bool {
    let first = of_generation(machine, 1);
    root.strip_prefix(&first).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// Keeps the roots in order, indefinitely.
pub(crate) async fn keep(core: Arc<Core>) {
    loop {
        let pause = match restore(&core).await {
            Ok(()) => EVERY,
            Err(error) => {
                tracing::warn!(error = chain(&error), "the garbage-collector roots could not be checked");
                RETRY
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Makes every root that is needed, removes those that are not, and notes which machines have lost their image.
///
/// The folder is listed before the rows are read: a root is made after its row, so one that has no row by then is
/// needed by nobody. Jobs work meanwhile, so each row is read again when its root is made.
async fn restore(core: &Core) -> Result<()> {
    let there = core.builder.roots().await?;
    let mut conn = core.db.read().await?;
    let images: Vec<ImageId> =
        db::images::summaries(&mut conn, "").await?.into_iter().map(|image| image.id).collect();
    let machines: Vec<MachineId> =
        db::machines::names(&mut conn).await?.into_iter().map(|(_, id)| id).collect();
    let generations = db::generations::numbers(&mut conn).await?;
    drop(conn);

    let mut store = Store { core, valid: HashMap::new() };
    for image in &images {
        let _rooting = core.rooting.lock().await;
        if let Some(row) = db::images::by_id(&mut *core.db.read().await?, *image).await? {
            store.keep(&of_image(*image), &row.store_path).await?;
        }
    }
    // What is wrong with one machine must not leave the others without their roots.
    let mut failed = Ok(());
    for machine in &machines {
        let _rooting = core.rooting.lock().await;
        if let Err(error) = restore_machine(core, &mut store, *machine).await {
            tracing::warn!(machine.id = %machine, error = chain(&error), "its roots could not be checked");
            failed = Err(error);
        }
    }
    // A machine's root goes with its disks, or at the latest with its row: while there is a row, a job may need it.
    let first = machines.into_iter().map(|machine| of_generation(machine, 1));
    let later = generations.into_iter().map(|(machine, number)| of_generation(machine, number));
    let needed: HashSet<String> = images.into_iter().map(of_image).chain(first).chain(later).collect();
    for name in there.iter().filter(|name| !needed.contains(*name)) {
        tracing::info!(root = name, "a garbage-collector root that nothing needs is removed");
        core.builder.remove_root(name).await?;
    }
    failed
}

async fn restore_machine(core: &Core, store: &mut Store<'_>, id: MachineId) -> Result<()> {
    let mut conn = core.db.read().await?;
    // Even if its record cannot be read: its disks still build on their images.
    let Some(machine) = db::machines::outline(&mut conn, id).await? else { return Ok(()) };
    let generations = db::generations::of_machine(&mut conn, id).await?;
    drop(conn);
    for generation in generations.iter().filter(|generation| generation.boot.is_some()) {
        let image = db::images::by_id(&mut *core.db.read().await?, generation.image).await?;
        let Some(image) = image else { continue };
        let name = of_generation(id, generation.number);
        // What the machine boots is what its root pointed at; the image's row may be of a later build.
        let path = core.builder.root(&name).await?.unwrap_or(image.store_path);
        let gone = if store.keep(&name, &path).await? { None } else { Some(path) };
        if machine.generation == Some(generation.number) {
            core.fleet.set_image_gone(id, gone);
        }
    }
    Ok(())
}

/// The Nix store, asked about each path once.
struct Store<'a> {
    core: &'a Core,
    valid: HashMap<PathBuf, bool>,
}

impl Store<'_> {
    /// Makes the root if its path exists; returns whether it does.
    async fn keep(&mut self, root: &str, path: &PathBuf) -> Result<bool> {
        let is_valid = match self.valid.get(path) {
            Some(known) => *known,
            None => self.core.builder.is_valid(path).await?,
        };
        self.valid.insert(path.clone(), is_valid);
        if is_valid {
            self.core.builder.add_root(root, path).await?;
        } else {
            tracing::warn!(root, path = %path.display(), "what a garbage-collector root should keep is gone");
        }
        Ok(is_valid)
    }
}
