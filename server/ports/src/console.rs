//! What passes between the console hub and a hypervisor: the queue of input, and when a reader pauses.

use bytes::{Bytes, BytesMut};
use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How much may wait for a guest to read it, in bytes: as much as the largest paste that a browser may send at once.
pub const INPUT_MAX: usize = 1024 * 1024;

/// The span over which [`Pace`] counts.
const WINDOW: Duration = Duration::from_millis(10);
/// Bytes within a window that still count as someone typing, who waits for each echo, however fast.
const TYPING: usize = 256;
/// Makes the queue of one open console: the hub's end and the hypervisor's.
pub fn input() -> (ConsoleInput, TypedInput) {
    let shared = Arc::new(Shared { state: Mutex::default(), changed: watch::Sender::new(()) });
    (ConsoleInput(shared.clone()), TypedInput(shared))
}

/// Why input was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputError {
    /// [`INPUT_MAX`] would be exceeded: the guest does not read.
    Full,
    /// The console has ended.
    Closed,
}

#[derive(Debug, Default)]
struct State {
    waiting: BytesMut,
    driven: bool,
    hub_gone: bool,
    host_gone: bool,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state());
        self.changed.send_replace(());
        result
    }

    async fn wait<T>(&self, mut due: impl FnMut(&mut State) -> Option<T>) -> T {
        let mut changes = self.changed.subscribe();
        loop {
            changes.borrow_and_update();
            if let Some(due) = due(&mut self.state()) {
                return due;
            }
            if changes.changed().await.is_err() {
                // The sender is beside the state that we borrow.
                std::future::pending::<()>().await;
            }
        }
    }
}

/// The hub's end: what is put in goes to the guest, in this order, or is refused as a whole. Never waits.
#[derive(Debug)]
pub struct ConsoleInput(Arc<Shared>);

impl ConsoleInput {
    /// Queues bytes for the guest.
    ///
    /// # Errors
    /// [`InputError`], and nothing of it is queued.
    pub fn push(&self, bytes: &[u8]) -> Result<(), InputError> {
        self.0.update(|state| {
            if state.host_gone {
                Err(InputError::Closed)
            } else if state.waiting.len().saturating_add(bytes.len()) > INPUT_MAX {
                Err(InputError::Full)
            } else {
                state.waiting.extend_from_slice(bytes);
                Ok(())
            }
        })
    }

    /// Sets whether someone has the keyboard. If typing takes its own connection, it is held only meanwhile. What has
    /// not been read when the keyboard is released is dropped: it must not reach the guest under the next person's
    /// hands.
    pub fn set_driven(&self, driven: bool) {
        self.0.update(|state| {
            state.driven = driven;
            if !driven {
                state.waiting.clear();
            }
        });
    }

    /// How many bytes wait for the guest.
    pub fn waiting(&self) -> usize {
        self.0.state().waiting.len()
    }
}

impl Drop for ConsoleInput {
    fn drop(&mut self) {
        self.0.update(|state| state.hub_gone = true);
    }
}

/// The hypervisor's end.
#[derive(Debug)]
pub struct TypedInput(Arc<Shared>);

impl TypedInput {
    /// Up to `most` bytes of input, as soon as there are any; `None` when there will be no more. Safe to cancel.
    pub async fn take(&self, most: usize) -> Option<Bytes> {
        self.0
            .wait(|state| {
                let size = state.waiting.len().min(most);
                if size > 0 {
                    return Some(Some(state.waiting.split_to(size).freeze()));
                }
                state.hub_gone.then_some(None)
            })
            .await
    }

    /// Returns when the console becomes driven, or undriven.
    pub async fn driven(&self, wanted: bool) {
        self.0.wait(|state| (state.driven == wanted).then_some(())).await;
    }
}

impl Drop for TypedInput {
    fn drop(&mut self) {
        self.0.update(|state| state.host_gone = true);
    }
}

/// When a reader should let a flood of output gather instead of waking for each piece. Output after a quiet moment,
/// such as the echo of a key, is never held up.
#[derive(Debug)]
pub struct Pace {
    began: Instant,
    bytes: usize,
    /// The previous window was a flood: no need to find out again.
    poured: bool,
}

impl Pace {
    /// How long to pause during a flood: too short to be seen, long enough for thousands of pieces a second to become
    /// hundreds.
    pub const REST: Duration = Duration::from_millis(5);

    /// Nothing has been read yet.
    pub fn new(now: Instant) -> Self {
        Self { began: now, bytes: 0, poured: false }
    }

    /// So many bytes were read. Returns whether that is a flood: pause for [`Pace::REST`] before reading on.
    pub fn pours(&mut self, bytes: usize, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.began);
        if elapsed >= WINDOW {
            let poured = self.bytes > TYPING && elapsed < 2 * WINDOW;
            *self = Self { began: now, bytes: 0, poured };
        }
        self.bytes = self.bytes.saturating_add(bytes);
        self.poured || self.bytes > TYPING
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn input_is_bounded_in_bytes_and_refused_as_a_whole() {
        let (input, typed) = input();
        for _ in 0..INPUT_MAX {
            input.push(b"x").unwrap();
        }
        assert_eq!(input.push(b"y"), Err(InputError::Full), "however small the pieces were");
        assert_eq!(typed.take(1024).await.unwrap().len(), 1024);
        assert_eq!(input.push(&[b'y'; 1025]), Err(InputError::Full));
        assert_eq!(input.waiting(), INPUT_MAX - 1024);
        input.push(&[b'y'; 1024]).unwrap();
        input.set_driven(false);
        assert_eq!(input.waiting(), 0, "the next person does not send what this one typed");
        input.push(b"last").unwrap();
        drop(input);
        assert_eq!(typed.take(1024).await.as_deref(), Some(&b"last"[..]));
        assert_eq!(typed.take(1024).await, None);
    }

    #[tokio::test]
    async fn each_end_notices_that_the_other_is_gone_and_who_waits_is_woken() {
        let (input, typed) = input();
        let waiting = tokio::spawn(async move {
            typed.driven(true).await;
            typed.take(8).await
        });
        input.set_driven(true);
        input.push(b"x").unwrap();
        assert_eq!(waiting.await.unwrap().as_deref(), Some(&b"x"[..]));
        assert_eq!(input.push(b"x"), Err(InputError::Closed));
    }

    #[test]
    fn echoes_come_at_once_and_what_pours_is_gathered() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        for _ in 0..10_000 {
            now += Duration::from_micros(250);
            assert!(!pace.pours(4, now), "somebody types fast and waits for each echo");
        }
        // Twenty bytes every fifth of a millisecond, as a guest on a serial line sends them.
        let (begun, mut reads, mut waiting) = (now, 0, 20);
        while now < begun + Duration::from_secs(1) {
            reads += 1;
            let pause = if pace.pours(waiting, now) { Pace::REST } else { Duration::from_micros(200) };
            now += pause;
            waiting = 20 * usize::try_from(pause.as_micros() / 200).unwrap();
        }
        assert!(reads < 300, "{reads} reads of what came in 5000 pieces");
        now += Duration::from_secs(1);
        assert!(!pace.pours(4, now), "it is quiet again");
    }
}
