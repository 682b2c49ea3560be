//! Machines followed by someone whose rights may change meanwhile.
//!
//! What someone sees is decided once, when they begin to follow. A member who becomes an administrator, or vice versa,
//! may continue to follow machines, but different ones: then the stream ends, and the page begins a new one.

use crate::authorize::visible;
use crate::core::{Core, SHUTTING_DOWN};
use crate::db;
use crate::engine::Engine;
use crate::error::{Result as Inner, chain};
use crate::machine::feed::{Feed, Scope};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use model::Fault;
use model::account::{Actor, Role, UserId};
use model::event::EventFrame;
use model::machine::MachineId;
use model::permission::Action;
use std::sync::Arc;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

/// Sent when someone now sees other machines than before.
const ROLE_CHANGED: &str = "Your role has changed; this page reconnects automatically.";

impl Engine {
    /// All machines that the actor may see, or only this one of them, then every change, numbered without a gap.
    ///
    /// # Errors
    /// [`Fault::Unauthenticated`].
    pub async fn follow_events(
        &self,
        actor: &Actor,
        only: Option<MachineId>,
    ) -> Result<BoxStream<'static, EventFrame>, Fault> {
        let cx = self.core.cx(actor);
        // Subscribed before the role is read: a change in between is not missed.
        let rights = self.core.rights.subscribe();
        let follow = async {
            let user = cx.user_id()?;
            let role = role_of(&self.core, user).await?.ok_or(Fault::Unauthenticated)?;
            let cx = cx.with_role(role);
            let scope = Scope {
                machines: visible(&cx, Action::SeeMachine)?,
                jobs: visible(&cx, Action::SeeJob)?,
                only,
            };
            let (first, feed) = Feed::open(self.core.fleet.clone(), scope);
            let closing = self.core.closing.clone();
            let follower = Follower {
                core: Arc::downgrade(&self.core),
                user,
                role,
                feed,
                rights,
                closing,
                in_doubt: false,
            };
            Ok((first, follower))
        };
        let (first, follower) = follow.await.map_err(|e| cx.fault(e))?;
        let rest = stream::unfold(Some(follower), |follower| async move {
            let mut follower = follower?;
            match follower.next().await {
                Ok(frame) => Some((frame?, Some(follower))),
                Err(why) => Some((EventFrame::Closing { why: why.to_owned() }, None)),
            }
        });
        Ok(stream::once(async move { first }).chain(rest).boxed())
    }
}

/// A user's role as it is now.
async fn role_of(core: &Core, user: UserId) -> Inner<Option<Role>> {
    let user = db::users::by_id(&mut *core.db.read().await?, user).await?;
    Ok(user.map(|user| user.role))
}

/// Someone who follows machines.
struct Follower {
    core: std::sync::Weak<Core>,
    user: UserId,
    /// What decided what they see.
    role: Role,
    feed: Feed,
    rights: broadcast::Receiver<UserId>,
    closing: CancellationToken,
    /// The role may be another one by now.
    in_doubt: bool,
}

impl Follower {
    /// The next frame; `Ok(None)` when there will be none, `Err` with the reason the stream ends.
    async fn next(&mut self) -> Result<Option<EventFrame>, &'static str> {
        loop {
            if self.in_doubt {
                self.check_role().await?;
                self.in_doubt = false;
            }
            tokio::select! {
                biased;
                () = self.closing.cancelled() => return Err(SHUTTING_DOWN),
                changed = self.rights.recv() => match changed {
                    Ok(user) => self.in_doubt = user == self.user,
                    Err(RecvError::Lagged(_)) => self.in_doubt = true,
                    Err(RecvError::Closed) => return Err(SHUTTING_DOWN),
                },
                frame = self.feed.next() => return Ok(frame),
            }
        }
    }

    async fn check_role(&self) -> Result<(), &'static str> {
        let core = self.core.upgrade().ok_or(SHUTTING_DOWN)?;
        match role_of(&core, self.user).await {
            Ok(role) if role == Some(self.role) => Ok(()),
            Ok(_) => Err(ROLE_CHANGED),
            Err(error) => {
                tracing::error!(error = chain(&error), "a follower's role cannot be read");
                Err(ROLE_CHANGED)
            }
        }
    }
}
