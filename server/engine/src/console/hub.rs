//! All consoles: which machine has which [`Line`], and the way in for the engine and for sockets.

use super::attachment::Attachment;
use super::line::{Line, Shared};
use super::reader::Reader;
use super::transcript::Transcripts;
use crate::ports::clock::Clock;
use crate::ports::hypervisor::{Hypervisor, MachineRef};
use crate::sync::lock;
use model::console::ConsoleRole;
use model::machine::MachineId;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio_util::sync::{CancellationToken, DropGuard};

/// All consoles. A clone is the same hub; when the last one is dropped, all readers end.
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

struct Inner {
    dir: PathBuf,
    clock: Arc<dyn Clock>,
    lines: Mutex<HashMap<MachineId, Arc<Line>>>,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
}

impl Hub {
    /// A hub that keeps transcripts below `dir`, in a folder per machine.
    pub fn new(dir: PathBuf, clock: Arc<dyn Clock>) -> Self {
        let stop = CancellationToken::new();
        let guard = stop.clone().drop_guard();
        Self { inner: Arc::new(Inner { dir, clock, lines: Mutex::default(), stop, _stop_on_drop: guard }) }
    }

    /// Reads this machine's console from now on, whether or not anybody looks, so that its boot is kept. Does so already
    /// is fine.
    pub fn follow(&self, machine: MachineRef, id: MachineId, hypervisor: Arc<dyn Hypervisor>) {
        self.line(machine, id, hypervisor);
    }

    /// Attaches a viewer. It gets what is recent, or goes on at `from`, the offset of the first byte that it has not seen. Who
    /// asks to drive while somebody drives becomes a watcher.
    #[expect(clippy::unused_async, reason = "callers await it: attaching may come to wait for the host")]
    pub async fn attach(
        &self,
        machine: MachineRef,
        id: MachineId,
        hypervisor: Arc<dyn Hypervisor>,
        viewer: String,
        role: ConsoleRole,
        from: Option<u64>,
    ) -> Attachment {
        let line = self.line(machine, id, hypervisor);
        let enter = |shared: &mut Shared| {
            let offset = from.map_or_else(|| shared.history.recent(), |from| shared.history.resume(from));
            (shared.enter(viewer, role), offset)
        };
        let (number, offset) = line.update(enter);
        Attachment::new(line, number, offset)
    }

    /// Says that a machine runs, or does not. Viewers stay through both; a start begins a new transcript.
    pub fn set_running(&self, id: MachineId, running: bool) {
        self.tell(id, |told| {
            if !running && told.running != Some(false) {
                told.stops += 1;
            }
            told.running = Some(running);
        });
    }

    /// Says that a guest rebooted without its machine stopping: a new transcript begins.
    pub fn rebooted(&self, id: MachineId) {
        self.tell(id, |told| told.reboots += 1);
    }

    /// Closes a machine's console for good, for instance because the machine is gone; viewers are told why.
    pub fn close(&self, id: MachineId, why: &str) {
        let line = lock(&self.inner.lines).remove(&id);
        if let Some(line) = line {
            line.close(why);
        }
    }

    /// Closes all consoles because the portal ends.
    pub fn close_all(&self, why: &str) {
        let lines: Vec<_> = lock(&self.inner.lines).drain().collect();
        lines.iter().for_each(|(_, line)| line.close(why));
    }

    /// How many viewers there are in all.
    pub fn viewers(&self) -> usize {
        let lines: Vec<_> = lock(&self.inner.lines).values().cloned().collect();
        lines.iter().map(|line| line.look(Shared::count)).sum()
    }

    fn tell(&self, id: MachineId, change: impl FnOnce(&mut super::line::Told)) {
        let line = lock(&self.inner.lines).get(&id).cloned();
        if let Some(line) = line {
            line.tell(change);
        }
    }

    fn line(&self, machine: MachineRef, id: MachineId, hypervisor: Arc<dyn Hypervisor>) -> Arc<Line> {
        let inner = &self.inner;
        let mut lines = lock(&inner.lines);
        if let Some(line) = lines.get(&id) {
            return line.clone();
        }
        let transcripts = Transcripts::of(inner.dir.join(machine.name.as_str()));
        let line = Arc::new(Line::new(machine, first_offset(inner.clock.as_ref()), inner.stop.child_token()));
        lines.insert(id, line.clone());
        let reader = Reader::new(line.clone(), hypervisor, inner.clock.clone(), transcripts);
        tokio::spawn(reader.run());
        line
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("dir", &self.inner.dir).finish_non_exhaustive()
    }
}

/// Offsets begin at 1024 for every millisecond since 1970: a console would have to say more than 1 MB/s without a pause
/// before offsets of one run of the portal met those of the next. Below 2^53, which JavaScript counts exactly, for centuries.
fn first_offset(clock: &dyn Clock) -> u64 {
    u64::try_from(clock.now().0).unwrap_or_default().saturating_mul(1024)
}
