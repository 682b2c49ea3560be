//! The door: everything that can be asked of Snowglobe, as one trait. The engine implements it; pages and
//! sockets call it with the [`Actor`] of their request; nothing goes around it.

use crate::account::{
    Actor, Role, Secret, SessionUser, SessionView, TicketPurpose, UserId, UserName, UserView,
};
use crate::audit::{AuditFilter, AuditPage, ChainState};
use crate::console::Boot;
use crate::fault::{Fault, FieldError};
use crate::forecast::Forecast;
use crate::form::{FormData, wrong_profiles};
use crate::host::{HostName, HostView};
use crate::image::{ImageId, ProfileSet, Profiles};
use crate::job::JobId;
use crate::machine::{MachineName, Mode};
use crate::operation::Operation;
use crate::plan::{Consent, Plan};
use crate::view::image::{ImageDiff, ImageSummary};
use crate::view::job::{JobFilter, JobSummary, JobView};
use crate::view::machine::{GenerationView, MachineDetail, MachineFilter, MachinePage};
use async_trait::async_trait;

/// The result of submitting an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// The job; for a build that someone else has already asked for, that job.
    pub job: JobId,
}

/// What a form needs to offer choices.
#[derive(Clone, Debug, Default)]
pub struct Choices {
    /// Profiles by name.
    pub profiles: Profiles,
    /// Combinations that people commonly want, smallest first.
    pub common: Vec<ProfileSet>,
    /// Hosts with their bridges.
    pub hosts: Vec<HostView>,
    /// Generations of the machine that the form is about.
    pub generations: Vec<GenerationView>,
}

impl Choices {
    /// The host that a form opens with: the first that answers.
    pub fn default_host(&self) -> Option<&HostView> {
        self.hosts.iter().find(|host| host.reachable).or(self.hosts.first())
    }
}

/// A session that has just begun: the token goes into the cookie and nowhere else.
#[derive(Clone, Debug)]
pub struct LoggedIn {
    /// Who.
    pub user: SessionUser,
    /// The session's secret, 256 random bits as hexadecimal digits.
    pub token: Secret,
    /// The device cookie's new value.
    pub device: Secret,
}

/// The browser used to log in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Browser<'a> {
    /// Its user agent.
    pub agent: Option<&'a str>,
    /// The device cookie of an earlier login: a stranger's guessing does not make its owner wait.
    pub device: Option<&'a Secret>,
}

/// Everything that can be asked. Every method checks the actor's rights itself and writes to the audit log where the
/// rules require it. A thing that the actor may not see is [`Fault::NotFound`].
#[async_trait]
pub trait Portal: Send + Sync {
    /// What an operation would do now.
    async fn plan(&self, actor: &Actor, operation: &Operation) -> Result<Plan, Fault>;
    /// Accepts an operation, if what was agreed to is still what would happen and is as much as the operation asks for;
    /// otherwise [`Fault::PlanChanged`] or [`Fault::NeedsConfirmation`] with the plan to be agreed to.
    async fn submit(&self, actor: &Actor, operation: Operation, consent: Consent)
    -> Result<Submitted, Fault>;

    /// One page of machines that the actor may see.
    async fn machines(&self, actor: &Actor, filter: &MachineFilter) -> Result<MachinePage, Fault>;
    /// One machine.
    async fn machine(&self, actor: &Actor, name: &MachineName) -> Result<MachineDetail, Fault>;
    /// The boots of a machine whose transcripts are kept, the latest first.
    async fn boots(&self, actor: &Actor, name: &MachineName) -> Result<Vec<Boot>, Fault>;

    /// Jobs, newest first.
    async fn jobs(&self, actor: &Actor, filter: &JobFilter) -> Result<Vec<JobSummary>, Fault>;
    /// One job.
    async fn job(&self, actor: &Actor, id: JobId) -> Result<JobView, Fault>;
    /// Asks a job to stop at the next step's end, a build at once.
    async fn cancel(&self, actor: &Actor, id: JobId) -> Result<(), Fault>;
    /// Cancels all jobs of a user that can still be cancelled, waiting ones first; returns how many.
    async fn cancel_all(&self, actor: &Actor, user: UserId) -> Result<usize, Fault>;
    /// Submits a failed or cancelled job's operation again. One that needs attention continues being undone; then the
    /// job itself is returned.
    async fn retry(&self, actor: &Actor, id: JobId) -> Result<Submitted, Fault>;
    /// Ends a job in whatever state it is. What it may leave behind is in its failure and in the audit log.
    async fn give_up(&self, actor: &Actor, id: JobId) -> Result<(), Fault>;
    /// The values of the form that led to this job, without secrets.
    async fn form_of_job(&self, actor: &Actor, id: JobId) -> Result<FormData, Fault>;

    /// What forms offer: profiles, common combinations, hosts.
    async fn choices(&self, actor: &Actor) -> Result<Choices, Fault>;
    /// Built images, newest first.
    async fn images(&self, actor: &Actor) -> Result<Vec<ImageSummary>, Fault>;
    /// One image.
    async fn image(&self, actor: &Actor, id: ImageId) -> Result<ImageSummary, Fault>;
    /// What building an image of these profiles would take. Never waits for Nix: what is not known yet is known at a later
    /// look.
    async fn forecast(&self, actor: &Actor, profiles: &ProfileSet, mode: Mode) -> Result<Forecast, Fault>;
    /// What changes from one image to another.
    async fn closure_diff(&self, actor: &Actor, from: ImageId, to: ImageId) -> Result<ImageDiff, Fault>;

    /// All hosts with the findings of their last check.
    async fn hosts(&self, actor: &Actor) -> Result<Vec<HostView>, Fault>;
    /// Checks a host again.
    async fn check_host(&self, actor: &Actor, name: &HostName) -> Result<HostView, Fault>;

    /// One page of the audit log.
    async fn audit(&self, actor: &Actor, filter: &AuditFilter) -> Result<AuditPage, Fault>;
    /// Recomputes the audit log's hash chain.
    async fn verify_audit(&self, actor: &Actor) -> Result<ChainState, Fault>;

    /// Whether there is no user yet, so that the setup link is open.
    async fn needs_setup(&self) -> Result<bool, Fault>;
    /// Whether this is the token of the setup link.
    async fn is_setup_token(&self, token: &Secret) -> Result<bool, Fault>;
    /// Makes the first administrator, by the token of the setup link, and logs in.
    async fn setup(
        &self,
        actor: &Actor,
        token: &Secret,
        name: &str,
        password: &Secret,
        browser: &Browser<'_>,
    ) -> Result<LoggedIn, Fault>;
    /// Logs in. Equal work and the same message for an unknown user, a wrong password and a disabled account.
    async fn login(
        &self,
        actor: &Actor,
        name: &str,
        password: &Secret,
        browser: &Browser<'_>,
    ) -> Result<LoggedIn, Fault>;
    /// The user of a session token, if the session is valid and the account is enabled.
    async fn session(&self, token: &Secret) -> Result<Option<SessionUser>, Fault>;
    /// Ends the session of this token.
    async fn logout(&self, actor: &Actor, token: &Secret) -> Result<(), Fault>;
    /// Changes the actor's password and ends the actor's other sessions.
    async fn change_password(
        &self,
        actor: &Actor,
        token: &Secret,
        old: &Secret,
        new: &Secret,
    ) -> Result<(), Fault>;
    /// The actor's own sessions.
    async fn sessions(&self, actor: &Actor, token: &Secret) -> Result<Vec<SessionView>, Fault>;
    /// Ends one of the actor's own sessions.
    async fn end_session(&self, actor: &Actor, handle: &str) -> Result<(), Fault>;
    /// A single-use ticket that opens one socket, for the actor's current rights.
    async fn ticket(&self, actor: &Actor, purpose: TicketPurpose) -> Result<Secret, Fault>;

    /// All users.
    async fn users(&self, actor: &Actor) -> Result<Vec<UserView>, Fault>;
    /// Adds a user with a first password.
    async fn add_user(&self, actor: &Actor, name: &str, role: Role, password: &Secret) -> Result<(), Fault>;
    /// Changes a role. The last enabled administrator stays one.
    async fn set_role(&self, actor: &Actor, user: UserId, role: Role) -> Result<(), Fault>;
    /// Disables or enables an account; disabling ends its sessions and sockets at once.
    async fn set_disabled(&self, actor: &Actor, user: UserId, disabled: bool) -> Result<(), Fault>;
    /// A user by name, for pages that name one.
    async fn user(&self, actor: &Actor, name: &UserName) -> Result<UserView, Fault>;
}

/// All that is wrong with a form that could not be read: what the reader found, and its profiles, which a portal knows.
pub async fn all_mistakes(
    portal: &dyn Portal,
    actor: &Actor,
    data: &FormData,
    mut found: Vec<FieldError>,
) -> Vec<FieldError> {
    // Without the choices there is no page either; what the reader has found is told all the same.
    if let Ok(choices) = portal.choices(actor).await {
        found.extend(wrong_profiles(data, &choices.profiles));
    }
    found
}
