//! Builds under way: two people who want one image share one build.
//!
//! Anyone who needs an image calls [`Builds::join`]. The first starts the build; later ones are sent its output so
//! far (the latest [`REMEMBERED`] of it) and follow it. Each leaves when its own job is cancelled; when the last has
//! left, the build is cancelled too.

use crate::counts::Counts;
use crate::slots::Slots;
use crate::sync::lock;
use model::account::UserId;
use model::job::{BuildProgress, LogLevel};
use ports::image_builder::{BuildError, BuildEvent, Built, ImageBuilder, ImageKey};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How much build output is kept for latecomers, in bytes.
const REMEMBERED: usize = 4 << 20;

/// Receives a build's output, in order. Called from the build; must be quick.
pub(crate) type Listener = Arc<dyn Fn(BuildEvent) + Send + Sync>;

/// The result of a build that several people waited for.
pub(crate) type BuildResult = Result<Built, Arc<BuildError>>;

/// All builds under way.
#[derive(Clone)]
pub(crate) struct Builds {
    slots: Slots,
    counts: Arc<Counts>,
    under_way: Arc<Mutex<HashMap<ImageKey, Arc<Shared>>>>,
    cancel: CancellationToken,
}

/// One build under way.
struct Shared {
    events: Mutex<Events>,
    result: watch::Sender<Option<BuildResult>>,
    cancel: CancellationToken,
}

#[derive(Default)]
struct Events {
    history: VecDeque<BuildEvent>,
    /// What the history takes, in bytes.
    size: usize,
    forgotten: usize,
    listeners: Vec<(u64, Listener)>,
    next_id: u64,
}

impl Builds {
    /// No build yet; at most `slots` at once.
    pub fn new(slots: usize, counts: Arc<Counts>) -> Self {
        Self { slots: Slots::new(slots), counts, under_way: Arc::default(), cancel: CancellationToken::new() }
    }

    /// Aborts all builds because the portal is shutting down.
    pub fn cancel_all(&self) {
        self.cancel.cancel();
    }

    /// How many builds there are, waiting ones included.
    pub fn len(&self) -> usize {
        lock(&self.under_way).len()
    }

    /// Waits for the image of this key, starting the build if nobody has; it takes a slot in the turn of the `user`
    /// who wanted it first. `cancel` ends the waiting, and the build if nobody else waits.
    pub async fn join(
        &self,
        user: UserId,
        key: &ImageKey,
        builder: &Arc<dyn ImageBuilder>,
        tasks: &TaskTracker,
        listener: Listener,
        cancel: &CancellationToken,
    ) -> BuildResult {
        let (shared, seat) = self.take_seat(user, key, builder, tasks, listener);
        let mut result = shared.result.subscribe();
        drop(shared);
        let answer = tokio::select! {
            biased;
            answer = result.wait_for(Option::is_some) => match answer {
                Ok(answer) => answer.clone(),
                // The task ended without an answer: it panicked, and its log line is in the server's log.
                Err(_) => None,
            },
            () = cancel.cancelled() => Some(Err(Arc::new(BuildError::Cancelled))),
        };
        drop(seat);
        answer.unwrap_or_else(|| {
            let what = "the build ended without a result; read the server's log and try again".to_owned();
            Err(Arc::new(BuildError::Other { what, source: None }))
        })
    }

    fn take_seat(
        &self,
        user: UserId,
        key: &ImageKey,
        builder: &Arc<dyn ImageBuilder>,
        tasks: &TaskTracker,
        listener: Listener,
    ) -> (Arc<Shared>, Seat) {
        let mut under_way = lock(&self.under_way);
        let shared = match under_way.get(key) {
            Some(shared) => shared.clone(),
            None => {
                let shared = Arc::new(Shared {
                    events: Mutex::default(),
                    result: watch::Sender::new(None),
                    cancel: self.cancel.child_token(),
                });
                under_way.insert(key.clone(), shared.clone());
                tasks.spawn(self.clone().build(user, key.clone(), builder.clone(), shared.clone()));
                shared
            }
        };
        let id = shared.listen(listener);
        (shared.clone(), Seat { builds: self.clone(), key: key.clone(), shared, id })
    }

    async fn build(self, user: UserId, key: ImageKey, builder: Arc<dyn ImageBuilder>, shared: Arc<Shared>) {
        let result = self.build_in_slot(user, &key, &builder, &shared).await.map_err(Arc::new);
        self.forget(&key, &shared);
        shared.result.send_replace(Some(result));
    }

    async fn build_in_slot(
        &self,
        user: UserId,
        key: &ImageKey,
        builder: &Arc<dyn ImageBuilder>,
        shared: &Arc<Shared>,
    ) -> Result<Built, BuildError> {
        let sink = |event| shared.publish(event);
        let waits = !self.slots.has_free();
        if waits {
            // Shown where the build's progress will be: its job runs, and nothing seems to happen.
            let running = vec![("Waiting for another build to finish".to_owned(), None)];
            sink(BuildEvent::Progress(BuildProgress { running, ..BuildProgress::default() }));
            sink(BuildEvent::Line {
                from: None,
                level: LogLevel::Info,
                text: "Waiting for another build to finish.".to_owned(),
            });
        }
        let slot = tokio::select! {
            slot = self.slots.acquire(user) => slot,
            () = shared.cancel.cancelled() => return Err(BuildError::Cancelled),
        };
        if waits {
            sink(BuildEvent::Progress(BuildProgress::default()));
        }
        let began = Instant::now();
        let built = builder.build(key, &sink, &shared.cancel).await;
        self.counts.build_ended(built.is_ok(), began.elapsed());
        drop(slot);
        built
    }

    /// Takes a build out of the map, unless another of the same key has taken its place.
    fn forget(&self, key: &ImageKey, shared: &Arc<Shared>) {
        let mut under_way = lock(&self.under_way);
        if under_way.get(key).is_some_and(|there| Arc::ptr_eq(there, shared)) {
            under_way.remove(key);
        }
    }
}

impl Shared {
    /// Sends a new listener everything so far, then everything that follows, without a gap.
    fn listen(&self, listener: Listener) -> u64 {
        let mut events = lock(&self.events);
        if events.forgotten > 0 {
            let text = format!(
                "… {} earlier lines are in the log of the job that began this build.",
                events.forgotten
            );
            listener(BuildEvent::Line { from: None, level: LogLevel::Info, text });
        }
        for event in &events.history {
            listener(event.clone());
        }
        events.next_id += 1;
        let id = events.next_id;
        events.listeners.push((id, listener));
        id
    }

    fn publish(&self, event: BuildEvent) {
        let mut events = lock(&self.events);
        for (_, listener) in &events.listeners {
            listener(event.clone());
        }
        // Only the latest figures matter.
        if matches!(event, BuildEvent::Progress(_))
            && let Some(latest @ BuildEvent::Progress(_)) = events.history.back_mut()
        {
            *latest = event;
            return;
        }
        events.size += size(&event);
        events.history.push_back(event);
        while events.size > REMEMBERED
            && let Some(oldest) = events.history.pop_front()
        {
            events.size -= size(&oldest);
            events.forgotten += 1;
        }
    }
}

/// Roughly the memory that an event takes, in bytes. For figures it is constant.
fn size(event: &BuildEvent) -> usize {
    let text = match event {
        BuildEvent::Line { from, text, .. } => text.len() + from.as_ref().map_or(0, String::len),
        BuildEvent::Progress(_) => 0,
    };
    size_of::<BuildEvent>() + text
}

/// A place among those who wait. Dropping it leaves; the last one out cancels the build.
struct Seat {
    builds: Builds,
    key: ImageKey,
    shared: Arc<Shared>,
    id: u64,
}

impl Drop for Seat {
    fn drop(&mut self) {
        // Under the map's lock, so that nobody joins a build while it is being cancelled.
        let mut under_way = lock(&self.builds.under_way);
        let mut events = lock(&self.shared.events);
        events.listeners.retain(|(id, _)| *id != self.id);
        if events.listeners.is_empty() {
            self.shared.cancel.cancel();
            if under_way.get(&self.key).is_some_and(|there| Arc::ptr_eq(there, &self.shared)) {
                under_way.remove(&self.key);
            }
        }
    }
}
