//! Nix's last answers about what building an image would take. It evaluates the whole system for one, which takes from a
//! second to a minute and a gigabyte of memory. So pages get the last answer at once, and one question is asked at a
//! time; who comes while another is asked looks again later.

use crate::error::chain;
use crate::sync::lock;
use model::Time;
use model::forecast::{BuildWork, Outlook};
use ports::clock::Clock;
use ports::image_builder::{BuildError, ImageBuilder, ImageKey};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How old an answer may be, in milliseconds: caches gain paths, and the store loses some.
const FRESH: u64 = 10 * 60_000;
/// How long a failure is remembered, in milliseconds.
const RETRY: u64 = 60_000;
/// How many answers are kept.
const KEEP: usize = 32;

/// What Nix has answered.
#[derive(Clone)]
pub(crate) struct Forecasts {
    builder: Arc<dyn ImageBuilder>,
    clock: Arc<dyn Clock>,
    /// The latest last.
    answers: Arc<Mutex<VecDeque<Answer>>>,
    /// Held while asking.
    asking: Arc<AsyncMutex<()>>,
    tasks: TaskTracker,
    closing: CancellationToken,
}

struct Answer {
    key: ImageKey,
    at: Time,
    work: Result<BuildWork, String>,
}

impl Forecasts {
    /// Knows nothing yet, and asks in tasks of this tracker.
    pub fn new(
        builder: Arc<dyn ImageBuilder>,
        clock: Arc<dyn Clock>,
        tasks: TaskTracker,
        closing: CancellationToken,
    ) -> Self {
        Self { builder, clock, answers: Arc::default(), asking: Arc::default(), tasks, closing }
    }

    /// The last answer about this image. If there is none, or an old one, has Nix asked without waiting for it.
    pub fn latest(&self, key: &ImageKey) -> Outlook {
        let now = self.clock.now();
        let answers = lock(&self.answers);
        let known = answers.iter().find(|answer| answer.key == *key);
        if known.is_none_or(|answer| answer.is_old(now))
            && let Ok(asking) = self.asking.clone().try_lock_owned()
        {
            let (this, key) = (self.clone(), key.clone());
            self.tasks.spawn(async move { this.ask(key, asking).await });
        }
        match known.map(|answer| &answer.work) {
            Some(Ok(work)) => Outlook::Known(*work),
            Some(Err(why)) => Outlook::Unknown(why.clone()),
            None => Outlook::Asked,
        }
    }

    async fn ask(&self, key: ImageKey, _asking: OwnedMutexGuard<()>) {
        let work = match self.builder.forecast(&key, &self.closing).await {
            Err(BuildError::Cancelled) => return,
            answer => answer.map_err(|error| {
                tracing::warn!(error = chain(&error), "what a build would take is not known");
                reason(&error)
            }),
        };
        let mut answers = lock(&self.answers);
        answers.retain(|answer| answer.key != key);
        answers.push_back(Answer { key, at: self.clock.now(), work });
        if answers.len() > KEEP {
            answers.pop_front();
        }
    }
}

impl Answer {
    fn is_old(&self, now: Time) -> bool {
        let patience = if self.work.is_ok() { FRESH } else { RETRY };
        self.at.millis_until(now) >= patience
    }
}

/// Nix explains over many lines why it cannot evaluate something; the log of a build shows them.
fn reason(error: &BuildError) -> String {
    match error {
        BuildError::Evaluation { .. } => "The image cannot be evaluated; a build shows why.".to_owned(),
        error => format!("{error}."),
    }
}
