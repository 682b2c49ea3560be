//! All consoles: which machine has which [`Line`], and the way in for the engine and for sockets.

use super::attachment::Attachment;
use super::line::{Line, Shared};
use super::reader::Reader;
use super::transcript::Transcripts;
use crate::sync::lock;
use bytes::Bytes;
use model::console::ConsoleRole;
use model::machine::{MachineId, MachineState};
use ports::clock::Clock;
use ports::hypervisor::{Hypervisor, MachineRef};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// How many consoles are read without a viewer. A host may need a thread for each.
const READ_UNSEEN: usize = 64;
/// How much console output from earlier runs of the portal is read back, in bytes.
const RECALL: u64 = 32 * 1024;

/// All consoles. A clone is the same hub; when the last one is dropped, all readers end.
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

struct Inner {
    dir: PathBuf,
    clock: Arc<dyn Clock>,
    lines: Mutex<HashMap<MachineId, Arc<Line>>>,
    /// Why all consoles were closed, once they were; set under the lock of `lines`.
    closed: OnceLock<String>,
    /// Closed consoles, until all their output is on disk.
    ending: Mutex<Vec<(MachineId, CancellationToken)>>,
    /// Readers, each with the writers of its transcripts.
    tasks: TaskTracker,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
}

impl Hub {
    /// A hub that keeps transcripts below `dir`, in a folder per machine named by the machine's id: its name can
    /// change, and be taken by another machine.
    pub fn new(dir: PathBuf, clock: Arc<dyn Clock>) -> Self {
        rename_old_folders(&dir);
        let stop = CancellationToken::new();
        let guard = stop.clone().drop_guard();
        let (lines, ending, tasks) = (Mutex::default(), Mutex::default(), TaskTracker::new());
        let closed = OnceLock::new();
        Self {
            inner: Arc::new(Inner { dir, clock, lines, closed, ending, tasks, stop, _stop_on_drop: guard }),
        }
    }

    /// Reads this machine's console from now on, whether or not anyone is watching, so that its boot is kept; unless
    /// the limit of consoles is reached. Already reading is fine.
    pub async fn follow(&self, machine: MachineRef, id: MachineId, hypervisor: Arc<dyn Hypervisor>) {
        let new = self.recall(machine, id, hypervisor).await;
        let mut lines = lock(&self.inner.lines);
        if lines.len() >= READ_UNSEEN {
            self.drop_idle(&mut lines);
        }
        if lines.len() < READ_UNSEEN {
            self.line(&mut lines, new);
        }
    }

    /// Forgets the consoles of machines that are off and that nobody watches, and those that were watched and exceed
    /// the limit of unwatched ones: their output is on disk, and read back when someone attaches.
    pub fn forget_idle(&self) {
        self.drop_idle(&mut lock(&self.inner.lines));
    }

    /// Attaches a viewer. It gets recent output, or resumes at `from`, the offset of the first byte it has not seen.
    /// Asking to drive while someone else drives makes it a watcher.
    pub async fn attach(
        &self,
        machine: MachineRef,
        id: MachineId,
        hypervisor: Arc<dyn Hypervisor>,
        viewer: String,
        role: ConsoleRole,
        from: Option<u64>,
    ) -> Attachment {
        let enter = |shared: &mut Shared| {
            let offset = from.map_or_else(|| shared.history.recent(), |from| shared.history.resume(from));
            (shared.enter(viewer, role), offset)
        };
        let new = self.recall(machine, id, hypervisor).await;
        // Entered under the lock, so that nobody enters a line while it is being forgotten.
        let mut lines = lock(&self.inner.lines);
        let line = self.line(&mut lines, new);
        let (number, offset) = line.update(enter);
        Attachment::new(line, number, offset)
    }

    /// Sets a machine's state. Viewers stay through all of it; a start begins a new transcript.
    pub fn set_state(&self, id: MachineId, state: MachineState) {
        let running = state.is_active();
        self.tell(id, |news| {
            if !running && news.running != Some(false) {
                news.stops += 1;
            }
            news.running = Some(running);
            news.paused = state == MachineState::Paused;
        });
    }

    /// Notes that a guest rebooted without its machine stopping: a new transcript begins.
    pub fn rebooted(&self, id: MachineId) {
        self.tell(id, |news| news.reboots += 1);
    }

    /// Closes a machine's console for good, for instance because the machine is gone; viewers are sent the reason.
    pub fn close(&self, id: MachineId, why: &str) {
        let line = lock(&self.inner.lines).remove(&id);
        if let Some(line) = line {
            self.end(id, &line, why);
        }
    }

    /// Closes a machine's console for good and removes what is on disk of it. Idempotent.
    ///
    /// # Errors
    /// Why something is left on disk.
    pub(crate) async fn forget(&self, id: MachineId, why: &str) -> io::Result<()> {
        self.close(id, why);
        let ending = lock(&self.inner.ending).clone();
        for (_, ended) in ending.iter().filter(|(machine, _)| *machine == id) {
            // What it still has to write would come back after the folder is gone.
            ended.cancelled().await;
        }
        self.transcripts(id).remove().await
    }

    /// Closes all consoles because the portal ends.
    pub fn close_all(&self, why: &str) {
        let mut lines = lock(&self.inner.lines);
        // One that someone opens at this moment is closed as soon as it is there, or `ended` would wait for it
        // forever.
        let _ = self.inner.closed.set(why.to_owned());
        lines.drain().for_each(|(_, line)| line.close(why));
    }

    /// Waits until all output of closed consoles is on disk.
    pub async fn ended(&self) {
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    /// The end of a machine's console, at most so many bytes; nothing where it is not read.
    pub(crate) fn end_of(&self, id: MachineId, most: u64) -> Bytes {
        let line = lock(&self.inner.lines).get(&id).cloned();
        line.map(|line| line.look(|shared| shared.history.last(most))).unwrap_or_default()
    }

    /// What is on disk of a machine's console.
    pub(crate) fn transcripts(&self, id: MachineId) -> Transcripts {
        Transcripts::of(self.inner.dir.join(id.to_string()))
    }

    /// How many viewers there are in all.
    pub fn viewers(&self) -> usize {
        let lines: Vec<_> = lock(&self.inner.lines).values().cloned().collect();
        lines.iter().map(|line| line.look(Shared::count)).sum()
    }

    /// How many consoles are known.
    #[cfg(test)]
    pub(super) fn consoles(&self) -> usize {
        lock(&self.inner.lines).len()
    }

    fn end(&self, id: MachineId, line: &Line, why: &str) {
        line.close(why);
        let mut ending = lock(&self.inner.ending);
        ending.retain(|(_, ended)| !ended.is_cancelled());
        ending.push((id, line.ended.clone()));
    }

    /// Closes the unwatched ones of machines that are off, and those beyond the limit.
    fn drop_idle(&self, lines: &mut HashMap<MachineId, Arc<Line>>) {
        let mut too_many = lines.len().saturating_sub(READ_UNSEEN);
        lines.retain(|id, line| {
            let goes = line.is_unseen() && (line.is_off() || too_many > 0);
            if goes {
                too_many = too_many.saturating_sub(1);
                self.end(*id, line, "Nobody looks.");
            }
            !goes
        });
    }

    fn tell(&self, id: MachineId, change: impl FnOnce(&mut super::line::MachineNews)) {
        let line = lock(&self.inner.lines).get(&id).cloned();
        if let Some(line) = line {
            line.tell(change);
        }
    }

    /// What it takes to read a machine's console, with what is on disk of its past unless it is already being read.
    async fn recall(&self, machine: MachineRef, id: MachineId, hypervisor: Arc<dyn Hypervisor>) -> New {
        let inner = &self.inner;
        let transcripts = self.transcripts(id);
        let is_read = lock(&inner.lines).contains_key(&id);
        let past = if is_read { Vec::new() } else { transcripts.end(RECALL).await };
        New { machine, id, hypervisor, transcripts, past: past.into() }
    }

    fn line(&self, lines: &mut HashMap<MachineId, Arc<Line>>, new: New) -> Arc<Line> {
        let inner = &self.inner;
        if let Some(line) = lines.get(&new.id) {
            line.set_machine(new.machine);
            return line.clone();
        }
        let first = first_offset(inner.clock.as_ref());
        let line = Arc::new(Line::new(new.machine, first, new.past, inner.stop.child_token()));
        lines.insert(new.id, line.clone());
        let writers = new.transcripts.writers();
        let reader = Reader::new(line.clone(), new.hypervisor, inner.clock.clone(), new.transcripts);
        let ended = line.ended.clone().drop_guard();
        inner.tasks.spawn(async move {
            let _ended = ended;
            reader.run().await;
            writers.close();
            writers.wait().await;
        });
        if let Some(why) = inner.closed.get() {
            line.close(why);
        }
        line
    }
}

/// A console that is to be read.
struct New {
    machine: MachineRef,
    id: MachineId,
    hypervisor: Arc<dyn Hypervisor>,
    transcripts: Transcripts,
    past: Bytes,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("dir", &self.inner.dir).finish_non_exhaustive()
    }
}

/// Renames the folders of earlier versions, `<name>.<id>`, to their current names. A failed rename loses that
/// machine's past, and is only logged.
fn rename_old_folders(dir: &Path) {
    for folder in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = folder.file_name();
        let id = name.to_str().and_then(|name| name.rsplit_once('.')?.1.parse::<MachineId>().ok());
        if let Some(id) = id
            && let Err(error) = std::fs::rename(folder.path(), dir.join(id.to_string()))
        {
            tracing::warn!(folder = %folder.path().display(), %error, "transcripts of an earlier version are left behind");
        }
    }
}

/// Offsets begin at 1024 for every millisecond since 1970: a console would have to print more than 1 MB/s without a
/// pause before offsets of one run of the portal met those of the next. Below 2^53, which JavaScript counts exactly,
/// for centuries.
fn first_offset(clock: &dyn Clock) -> u64 {
    u64::try_from(clock.now().0).unwrap_or_default().saturating_mul(1024)
}
