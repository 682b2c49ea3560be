//! Socket tickets: a browser cannot give a WebSocket a header of its own, so the page fetches a secret that opens one
//! socket once, for one user and one purpose, within [`TICKET_SECONDS`]. In memory only: a restart closes all sockets anyway.

use super::{digest, random_secret};
use crate::sync::lock;
use model::Time;
use model::account::{Secret, TICKET_SECONDS, TicketPurpose, UserId};
use ports::clock::Clock;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// How many tickets one user may hold at once; asking for more drops the oldest.
const PER_USER: usize = 64;

struct Ticket {
    user: UserId,
    purpose: TicketPurpose,
    until: Time,
}

/// Tickets that have been given out.
pub(crate) struct Tickets {
    clock: Arc<dyn Clock>,
    open: Mutex<HashMap<String, Ticket>>,
}

impl Tickets {
    /// None yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, open: Mutex::default() }
    }

    /// A fresh ticket.
    pub fn issue(&self, user: UserId, purpose: TicketPurpose) -> Secret {
        let now = self.clock.now();
        let ticket = random_secret();
        let mut open = lock(&self.open);
        open.retain(|_, t| now < t.until);
        if open.values().filter(|t| t.user == user).count() >= PER_USER {
            let oldest = open.iter().filter(|(_, t)| t.user == user).min_by_key(|(_, t)| t.until);
            if let Some(key) = oldest.map(|(key, _)| key.clone()) {
                open.remove(&key);
            }
        }
        let until = now.plus_millis(TICKET_SECONDS * 1000);
        open.insert(digest(&ticket), Ticket { user, purpose, until });
        ticket
    }

    /// Uses a ticket up, whether or not it fits: a ticket used for the wrong purpose is spent.
    pub fn redeem(&self, ticket: &Secret, user: UserId, purpose: &TicketPurpose) -> bool {
        let now = self.clock.now();
        let found = lock(&self.open).remove(&digest(ticket));
        found.is_some_and(|t| t.user == user && t.purpose == *purpose && now < t.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::clock::ManualClock;
    use uuid::Uuid;

    #[test]
    fn a_ticket_opens_one_door_once_for_one_user_for_a_minute() {
        let clock = Arc::new(ManualClock::new());
        let tickets = Tickets::new(clock.clone());
        let (ada, eve) = (UserId(Uuid::now_v7()), UserId(Uuid::now_v7()));
        let job = TicketPurpose::Job { id: model::job::JobId(Uuid::now_v7()) };

        let ticket = tickets.issue(ada, job.clone());
        assert!(tickets.redeem(&ticket, ada, &job));
        assert!(!tickets.redeem(&ticket, ada, &job), "once");

        let ticket = tickets.issue(ada, job.clone());
        assert!(!tickets.redeem(&ticket, eve, &job), "another user");
        assert!(!tickets.redeem(&ticket, ada, &job), "burnt");

        let ticket = tickets.issue(ada, job.clone());
        assert!(!tickets.redeem(&ticket, ada, &TicketPurpose::Events), "another door");

        let ticket = tickets.issue(ada, job.clone());
        clock.advance_millis(TICKET_SECONDS * 1000);
        assert!(!tickets.redeem(&ticket, ada, &job), "too late");
        assert!(!tickets.redeem(&Secret::new(String::new()), ada, &job));
    }

    #[test]
    fn a_user_cannot_fill_the_memory() {
        let tickets = Tickets::new(Arc::new(ManualClock::new()));
        let ada = UserId(Uuid::now_v7());
        for _ in 0..PER_USER * 3 {
            tickets.issue(ada, TicketPurpose::Events);
        }
        assert_eq!(lock(&tickets.open).len(), PER_USER);
    }
}
