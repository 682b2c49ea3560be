//! The context of one request: who asks, under which id it is logged, and when. First argument of everything behind the
//! portal, so that nothing below it reads the wall clock or forgets who it works for.

use crate::error::Error;
use model::account::{Actor, Role, SessionUser, UserId};
use model::{Fault, Time};
use ports::clock::Clock;
use uuid::Uuid;

/// Who asks, and when.
#[derive(Clone, Debug)]
pub(crate) struct Cx {
    /// The person and the address that the request came from.
    pub actor: Actor,
    /// Identifies the request in the log; shown to a person who meets [`Fault::Internal`].
    pub request: Uuid,
    /// When the request was taken up.
    pub now: Time,
}

impl Cx {
    /// The context of a request that begins now.
    pub fn new(actor: &Actor, clock: &dyn Clock) -> Self {
        Self { actor: actor.clone(), request: Uuid::now_v7(), now: clock.now() }
    }

    /// The same request by someone who has this role now.
    pub fn with_role(&self, role: Role) -> Self {
        let mut cx = self.clone();
        if let Some(user) = &mut cx.actor.user {
            user.role = role;
        }
        cx
    }

    /// The logged-in user.
    pub fn user(&self) -> Result<&SessionUser, Fault> {
        self.actor.user.as_ref().ok_or(Fault::Unauthenticated)
    }

    /// The id of the logged-in user.
    pub fn user_id(&self) -> Result<UserId, Fault> {
        self.user().map(|u| u.id)
    }

    /// The one place where an error becomes what a browser may see. What the person caused is passed on; what we caused
    /// is logged here, once, with its whole chain of causes, under the id shown to the person.
    pub fn fault(&self, error: Error) -> Fault {
        error.into_fault(self.request)
    }
}
