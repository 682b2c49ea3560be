//! Which sockets are open, and whose: the server waits for them when it stops, and nobody may have too many.

use model::Fault;
use model::account::UserId;
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_util::task::TaskTracker;

/// Sockets that one user may have open: a page has one or two, so these are many tabs. More would let one member take
/// every connection that the server has for all (`connections::Limits`).
const PER_USER: usize = 100;

/// The open sockets.
#[derive(Default)]
pub struct Sockets {
    tasks: TaskTracker,
    counts: Counts,
}

type Counts = Arc<Mutex<HashMap<UserId, usize>>>;

/// A socket's place in the count, until it is dropped.
pub(super) struct Place {
    user: UserId,
    counts: Counts,
}

impl Sockets {
    /// A place for one more socket of this user.
    ///
    /// # Errors
    /// [`Fault::Refused`] if there are too many.
    pub(super) fn place(&self, user: UserId) -> Result<Place, Fault> {
        let mut counts = lock(&self.counts);
        let count = counts.entry(user).or_default();
        if *count >= PER_USER {
            return Err(Fault::refused(format!(
                "You have {PER_USER} live views open, the most one user may have. Close some of their tabs."
            )));
        }
        *count += 1;
        Ok(Place { user, counts: self.counts.clone() })
    }

    /// The future of a socket, waited for when the server stops.
    pub(super) fn track<F: Future>(&self, socket: F) -> impl Future<Output = F::Output> + use<F> {
        self.tasks.track_future(socket)
    }

    /// Waits until all are closed; called when no new one can come.
    pub async fn all_closed(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = lock(&self.counts);
        if let Some(count) = counts.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.user);
            }
        }
    }
}

/// The counts are right even after a panic while holding them.
fn lock(counts: &Counts) -> MutexGuard<'_, HashMap<UserId, usize>> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn one_user_cannot_take_all_sockets_and_closing_makes_room() {
        let sockets = Sockets::default();
        let (mia, bob) = (UserId(Uuid::now_v7()), UserId(Uuid::now_v7()));
        let mut places: Vec<Place> = (0..PER_USER).map(|_| sockets.place(mia).unwrap()).collect();
        assert!(matches!(sockets.place(mia), Err(Fault::Refused { .. })));
        assert!(sockets.place(bob).is_ok(), "others have their own");
        places.pop();
        assert!(sockets.place(mia).is_ok());
        drop(places);
        assert!(lock(&sockets.counts).is_empty(), "who has none is forgotten");
    }
}
