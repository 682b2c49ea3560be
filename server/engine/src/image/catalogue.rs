//! The image builder's last answer about its profiles. Nix takes a second to answer, and a minute when something is
//! wrong; pages are opened all the time. So they get the last answer at once, and when it may be out of date a refresh
//! is started: one at a time, and after failures less and less often. Only [`Catalogue::ask`] waits, and not forever.

use crate::error::chain;
use crate::sync::lock;
use model::Time;
use model::host::{Finding, Level};
use model::image::Profiles;
use ports::clock::Clock;
use ports::image_builder::{BuildError, ImageBuilder};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How old a good answer may be, in milliseconds: Nix can be removed without a change of the flake.
const FRESH: u64 = 10 * 60_000;
/// How long the first failure is remembered, in milliseconds; doubled for each further one.
const FIRST_RETRY: u64 = 5_000;
/// The longest time that a failure is remembered, in milliseconds.
const LAST_RETRY: u64 = 5 * 60_000;

/// The profiles as pages know them.
#[derive(Clone)]
pub(crate) struct Catalogue {
    builder: Arc<dyn ImageBuilder>,
    clock: Arc<dyn Clock>,
    known: Arc<Mutex<LastAnswer>>,
    /// Held while asking.
    asking: Arc<AsyncMutex<()>>,
    /// True once there has been an answer, good or bad.
    answered: watch::Sender<bool>,
    tasks: TaskTracker,
    closing: CancellationToken,
}

#[derive(Default)]
struct LastAnswer {
    /// From the last good answer.
    profiles: Profiles,
    /// Why the last question failed.
    failure: Option<Failure>,
    /// How many failures there have been in a row.
    failures: u32,
    /// When the last question was answered, and for which source.
    asked: Option<(Time, Option<String>)>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub what: String,
    pub fix: Option<String>,
}

/// The last answer.
pub(crate) struct Latest {
    /// Hash of the flake source as it is now.
    pub source: Result<String, Failure>,
    /// The profiles of the last good answer; none before the first.
    pub profiles: Profiles,
    /// Why the last question failed; the profiles are older then.
    pub failure: Option<Failure>,
    /// Whether there has been an answer, good or bad.
    is_answered: bool,
}

impl Catalogue {
    /// Knows nothing yet, and asks in tasks of this tracker.
    pub fn new(
        builder: Arc<dyn ImageBuilder>,
        clock: Arc<dyn Clock>,
        tasks: TaskTracker,
        closing: CancellationToken,
    ) -> Self {
        Self {
            builder,
            clock,
            known: Arc::default(),
            asking: Arc::default(),
            answered: watch::Sender::new(false),
            tasks,
            closing,
        }
    }

    /// The last answer. If it is out of date, has Nix asked for a newer one without waiting for it.
    pub async fn latest(&self) -> Latest {
        let source = self.builder.source().await;
        let is_due = lock(&self.known).is_due(source.as_deref().ok(), self.clock.now());
        if is_due && let Ok(asking) = self.asking.clone().try_lock_owned() {
            drop(self.spawn_ask(asking));
        }
        let known = lock(&self.known);
        let failure = match known.asked {
            Some(_) => known.failure.clone(),
            None => Some(Failure { what: "Nix has not answered yet".to_owned(), fix: None }),
        };
        Latest {
            source: source.map_err(|error| Failure::from(&error)),
            profiles: known.profiles.clone(),
            failure,
            is_answered: known.asked.is_some(),
        }
    }

    /// Asks Nix now, and waits this long for the answer. A later one is seen by the next caller.
    pub async fn ask(&self, limit: Duration) {
        let answer = async {
            let asking = self.asking.clone().lock_owned().await;
            // It must not end because its waiter left.
            let _ = self.spawn_ask(asking).await;
        };
        let _ = tokio::time::timeout(limit, answer).await;
    }

    fn spawn_ask(&self, asking: OwnedMutexGuard<()>) -> JoinHandle<()> {
        let (this, closing) = (self.clone(), self.closing.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                () = closing.cancelled() => {}
                () = this.ask_holding(asking) => {}
            }
        })
    }

    /// Waits until there has been an answer.
    pub async fn answered(&self) {
        // The sender lives as long as `self`, so this ends only by the value.
        let _ = self.answered.subscribe().wait_for(|answered| *answered).await;
    }

    async fn ask_holding(&self, _asking: OwnedMutexGuard<()>) {
        let (source, answer) = match self.builder.source().await {
            Ok(source) => (Some(source), self.builder.profiles().await),
            Err(error) => (None, Err(error)),
        };
        lock(&self.known).take(source, answer, self.clock.now());
        self.answered.send_replace(true);
    }
}

impl LastAnswer {
    /// Takes over an answer.
    fn take(&mut self, source: Option<String>, answer: Result<Profiles, BuildError>, now: Time) {
        match answer {
            Ok(profiles) => {
                self.profiles = profiles;
                self.failure = None;
                self.failures = 0;
            }
            Err(error) => {
                tracing::warn!(error = chain(&error), "the profiles cannot be read");
                self.failure = Some(Failure::from(&error));
                self.failures = self.failures.saturating_add(1);
            }
        }
        self.asked = Some((now, source));
    }

    /// Whether Nix should be asked again, with the flake's source as it is now.
    fn is_due(&self, source: Option<&str>, now: Time) -> bool {
        let Some((at, of)) = &self.asked else { return true };
        let patience = match self.failures {
            0 => FRESH,
            n => FIRST_RETRY.checked_shl(n - 1).unwrap_or(LAST_RETRY).min(LAST_RETRY),
        };
        // A changed flake is a new question, whatever came of the old one.
        let is_new = source.is_some() && of.as_deref() != source;
        is_new || at.millis_until(now) >= patience
    }
}

impl Latest {
    /// The finding of the hosts page.
    pub fn finding(&self) -> Finding {
        let name = "nix".to_owned();
        match (&self.source, &self.failure) {
            (Ok(_), _) if !self.is_answered => Finding {
                name,
                level: Level::Warning,
                what: "Nix has been asked for the profiles and has not answered yet.".to_owned(),
                fix: Some("Load this page again in a moment.".to_owned()),
            },
            (Err(failure), _) | (_, Some(failure)) => Finding {
                name,
                level: Level::Error,
                what: format!("No image can be built: {}.", failure.what),
                fix: failure.fix.clone(),
            },
            (Ok(_), None) => Finding {
                name,
                level: Level::Ok,
                what: format!("Nix evaluates the images; there are {} profiles.", self.profiles.len()),
                fix: None,
            },
        }
    }
}

impl From<&BuildError> for Failure {
    fn from(error: &BuildError) -> Self {
        let fix = match error {
            BuildError::NoNix { fix, .. } => fix.clone(),
            _ => "Read the server's log, correct the image flake, and test again.".to_owned(),
        };
        Failure { what: error.to_string(), fix: Some(fix) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_remembered_longer_each_time_and_a_changed_flake_is_asked_about_at_once() {
        let known = |failures| LastAnswer {
            failures,
            asked: Some((Time(0), Some("a".to_owned()))),
            ..LastAnswer::default()
        };
        let due_at = |failures| {
            let known = known(failures);
            (0..).step_by(1000).find(|ms| known.is_due(Some("a"), Time(*ms)))
        };
        assert_eq!([1, 2, 3, 99].map(due_at), [5_000, 10_000, 20_000, 300_000].map(Some));
        assert_eq!(due_at(0), Some(600_000));
        assert!(known(3).is_due(Some("b"), Time(0)));
        assert!(!known(3).is_due(None, Time(0)), "a flake that cannot be read is no other flake");
        assert!(LastAnswer::default().is_due(None, Time(0)));
    }
}
