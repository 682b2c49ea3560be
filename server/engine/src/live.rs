//! What sockets use: tickets redeemed, rights re-checked, jobs and consoles followed; machines in `events`, old consoles in
//! `transcripts`.
//!
//! A stream ends when its subject ends or when the engine shuts down; in the latter case its last frame says so. Anyone
//! holding a stream also listens to [`Engine::rights_changes`] and checks [`Engine::still_allowed`] again.

mod events;
mod transcripts;

pub(crate) use transcripts::boots;

use crate::auth::digest;
use crate::authorize::{allow_machine, authorize};
use crate::console::{Attachment, ConsoleItem};
use crate::core::Core;
use crate::cx::Cx;
use crate::db::sessions;
use crate::engine::Engine;
use crate::error::{Error, Result as Inner};
use crate::job::follow;
use crate::machine::fleet::MachineEntry;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use model::Fault;
use model::account::{Actor, Secret, TicketPurpose, UserId};
use model::audit::Outcome;
use model::console::{ConsoleRequest, ConsoleRole};
use model::job::JobId;
use model::machine::MachineName;
use model::permission::{Action, Subject};
use model::view::job::JobFrame;
use std::sync::Arc;
use tokio::sync::broadcast;

impl Engine {
    /// Uses up a ticket for the socket that is being opened.
    ///
    /// # Errors
    /// [`Fault::Unauthenticated`] for a ticket that is unknown, used, too old, of another user or for something else:
    /// all with the same message, so that a stolen ticket reveals nothing.
    pub async fn redeem(&self, actor: &Actor, ticket: &Secret, purpose: &TicketPurpose) -> Result<(), Fault> {
        let user = actor.user.as_ref().ok_or(Fault::Unauthenticated)?;
        if self.core.tickets.redeem(ticket, user.id, purpose) { Ok(()) } else { Err(Fault::Unauthenticated) }
    }

    /// Whether a user may (still) do what a socket is open for: enabled, logged in somewhere, and with the rights.
    ///
    /// # Errors
    /// The fault that opening the socket now would give.
    pub async fn still_allowed(&self, user: UserId, purpose: &TicketPurpose) -> Result<(), Fault> {
        let cx = self.core.internal_cx();
        let check = async {
            let user = sessions::user(&mut *self.core.db.read().await?, user, cx.now).await?;
            let user = user.ok_or(Fault::Unauthenticated)?;
            let cx = Cx { actor: Actor { user: Some(user), from: None }, ..cx.clone() };
            may_open(&self.core, &cx, purpose).await
        };
        check.await.map_err(|e| cx.fault(e))
    }

    /// Whether the session of this token is valid. Asking does not count as using it: an open page must not keep a
    /// session alive that nobody uses any more.
    ///
    /// # Errors
    /// [`Fault::Internal`] if the database does not answer.
    pub async fn session_stands(&self, token: &Secret) -> Result<bool, Fault> {
        let cx = self.core.internal_cx();
        let find = async {
            let found = sessions::find(&mut *self.core.db.read().await?, &digest(token), cx.now).await?;
            Ok::<_, Error>(found.is_some())
        };
        find.await.map_err(|e| cx.fault(e))
    }

    /// Broadcasts the id of each user whose role, account or sessions have changed.
    pub fn rights_changes(&self) -> broadcast::Receiver<UserId> {
        self.core.rights.subscribe()
    }

    /// A job's current state, its log lines after `after`, then what happens until it ends.
    ///
    /// # Errors
    /// [`Fault::NotFound`] for a job that is not there or not the actor's.
    pub async fn follow_job(
        &self,
        actor: &Actor,
        id: JobId,
        after: Option<u64>,
    ) -> Result<BoxStream<'static, JobFrame>, Fault> {
        let follower = self.follower(actor, id, after).await?;
        Ok(follower.frames().boxed())
    }

    /// The same as ready-made JSON texts. The lines of a log are stored as the JSON that a browser gets, so fifty followers
    /// of a long build cost fifty copies and no parsing.
    ///
    /// # Errors
    /// As [`Engine::follow_job`].
    pub async fn follow_job_text(
        &self,
        actor: &Actor,
        id: JobId,
        after: Option<u64>,
    ) -> Result<BoxStream<'static, String>, Fault> {
        let follower = self.follower(actor, id, after).await?;
        Ok(follower.texts().boxed())
    }

    async fn follower(
        &self,
        actor: &Actor,
        id: JobId,
        after: Option<u64>,
    ) -> Result<follow::Follower, Fault> {
        let cx = self.core.cx(actor);
        follow::Follower::open(&self.core, &cx, id, after).await.map_err(|e| cx.fault(e))
    }

    /// Attaches to a machine's console; audited when it begins and when it ends.
    ///
    /// # Errors
    /// [`Fault::NotFound`] for a machine that is not there or not the actor's, [`Fault::Refused`] for one that has never been
    /// created.
    pub async fn attach_console(
        &self,
        actor: &Actor,
        machine: &MachineName,
        role: ConsoleRole,
        from: Option<u64>,
    ) -> Result<ConsoleSession, Fault> {
        let cx = self.core.cx(actor);
        let attach = async {
            let user = cx.user()?.clone();
            let known = console_machine(&self.core, &cx, machine, role).await?;
            let hypervisor = self.core.hosts.hypervisor(&known.row.host)?;
            let place = known.on_host().ok_or_else(|| Fault::refused(NOT_CREATED))?;
            let seq =
                self.core.audit.begin_now(&cx, console_action(role).name(), Some(machine.as_str())).await?;
            let audited = Audited { core: self.core.clone(), seq, took_over: false };
            let attachment =
                self.core.consoles.attach(place, known.row.id, hypervisor, user.name.to_string(), role, from);
            let attachment = attachment.await;
            self.core.consoles.set_state(known.row.id, known.row.observed.state);
            Ok::<_, Error>(ConsoleSession { attachment, audited, cx: cx.clone(), machine: machine.clone() })
        };
        attach.await.map_err(|e| cx.fault(e))
    }
}

/// An open console. Dropping it detaches and completes the audit entry.
pub struct ConsoleSession {
    attachment: Attachment,
    audited: Audited,
    cx: Cx,
    machine: MachineName,
}

impl ConsoleSession {
    /// What comes next: bytes from the guest, or a notice. `None` when the console has been closed.
    pub async fn next(&mut self) -> Option<ConsoleItem> {
        self.attachment.next().await
    }

    /// Queues typed input for the guest; never waits. False when it was refused, with a notice: from a watcher, and
    /// from a driver whose guest does not read.
    pub fn type_in(&mut self, bytes: &[u8]) -> bool {
        self.attachment.type_in(bytes)
    }

    /// Takes over, lets go, or reports the terminal's size. Taking over is audited like attaching as driver.
    ///
    /// # Errors
    /// [`Fault::Denied`] or [`Fault::NotFound`] for someone who may only watch.
    pub async fn request(&mut self, request: ConsoleRequest) -> Result<(), Fault> {
        if matches!(request, ConsoleRequest::TakeOver) && !self.audited.took_over {
            let core = &self.audited.core;
            let take_over = async {
                console_machine(core, &self.cx, &self.machine, ConsoleRole::Driver).await?;
                let action = console_action(ConsoleRole::Driver).name();
                core.audit.done_now(&self.cx, action, Some(self.machine.as_str()), Some("took over")).await
            };
            take_over.await.map_err(|e| self.cx.fault(e))?;
            self.audited.took_over = true;
        }
        self.attachment.request(request);
        Ok(())
    }
}

impl std::fmt::Debug for ConsoleSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ConsoleSession({})", self.machine)
    }
}

/// An audit entry that is completed when this is dropped.
struct Audited {
    core: Arc<Core>,
    seq: i64,
    took_over: bool,
}

impl Drop for Audited {
    fn drop(&mut self) {
        let (core, seq) = (self.core.clone(), self.seq);
        // Tracked, so that a shutdown waits for the entry. Without a runtime the process is ending, and the entry stays
        // open, which shows just that.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let tracked = self.core.tasks.track_future(async move {
                core.audit.complete_logged(seq, Outcome::Succeeded, Some("detached")).await;
            });
            runtime.spawn(tracked);
        }
    }
}

/// The act for a role on a console.
fn console_action(role: ConsoleRole) -> Action {
    match role {
        ConsoleRole::Driver => Action::DriveConsole,
        ConsoleRole::Watcher => Action::WatchConsole,
    }
}

/// Whether the actor may open a socket for this purpose now.
pub(crate) async fn may_open(core: &Core, cx: &Cx, purpose: &TicketPurpose) -> Inner<()> {
    match purpose {
        TicketPurpose::Events => authorize(core, cx, Action::SeeMachine, Subject::Any, None).await,
        TicketPurpose::Job { id } => follow::allowed(core, cx, *id).await,
        TicketPurpose::Console { machine, role } => console_machine(core, cx, machine, *role).await.map(drop),
    }
}

/// The message for a console that cannot exist yet.
const NOT_CREATED: &str = "This machine has only a configuration so far. Create it first.";

/// The machine whose console is asked for, if the actor may have it in this role.
async fn console_machine(
    core: &Core,
    cx: &Cx,
    machine: &MachineName,
    role: ConsoleRole,
) -> Inner<Arc<MachineEntry>> {
    let known = allow_machine(core, cx, console_action(role), machine).await?;
    if known.is_created() { Ok(known) } else { Err(Fault::refused(NOT_CREATED).into()) }
}
