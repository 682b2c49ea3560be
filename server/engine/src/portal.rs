//! The door: `impl Portal for Engine`. Every method makes the request's context, calls one function of a resource, and maps its
//! error; what is asked and what is allowed is decided there.

mod accounts;
mod hosts;
mod images;
mod jobs;
mod machines;

use crate::auth::{login, sessions};
use crate::cx::Cx;
use crate::engine::Engine;
use async_trait::async_trait;
use model::Fault;
use model::account::{
    Actor, Role, Secret, SessionUser, SessionView, TicketPurpose, UserId, UserName, UserView,
};
use model::audit::{AuditFilter, AuditPage, ChainState};
use model::console::Boot;
use model::form::FormData;
use model::host::{HostName, HostView};
use model::image::{ImageId, ImageSummary};
use model::job::{JobFilter, JobId, JobSummary, JobView};
use model::machine::{MachineDetail, MachineFilter, MachineName, MachinePage};
use model::operation::Operation;
use model::plan::{Plan, PlanDigest};
use model::portal::{Choices, LoggedIn, Portal, Submitted};

impl Engine {
    /// The context of a request that begins now.
    fn cx(&self, actor: &Actor) -> Cx {
        Cx::new(actor, self.clock.as_ref())
    }
}

#[async_trait]
impl Portal for Engine {
    async fn plan(&self, actor: &Actor, operation: &Operation) -> Result<Plan, Fault> {
        let cx = self.cx(actor);
        crate::job::queue::plan(self, &cx, operation).await.map_err(|e| cx.fault(e))
    }

    async fn submit(
        &self,
        actor: &Actor,
        operation: Operation,
        shown: Option<PlanDigest>,
    ) -> Result<Submitted, Fault> {
        let cx = self.cx(actor);
        jobs::submit(self, &cx, operation, shown).await.map_err(|e| cx.fault(e))
    }

    async fn machines(&self, actor: &Actor, filter: &MachineFilter) -> Result<MachinePage, Fault> {
        let cx = self.cx(actor);
        machines::list(self, &cx, filter).await.map_err(|e| cx.fault(e))
    }

    async fn machine(&self, actor: &Actor, name: &MachineName) -> Result<MachineDetail, Fault> {
        let cx = self.cx(actor);
        machines::detail(self, &cx, name).await.map_err(|e| cx.fault(e))
    }

    async fn boots(&self, actor: &Actor, name: &MachineName) -> Result<Vec<Boot>, Fault> {
        let cx = self.cx(actor);
        crate::live::boots(self, &cx, name).await.map_err(|e| cx.fault(e))
    }

    async fn jobs(&self, actor: &Actor, filter: &JobFilter) -> Result<Vec<JobSummary>, Fault> {
        let cx = self.cx(actor);
        jobs::list(self, &cx, filter).await.map_err(|e| cx.fault(e))
    }

    async fn job(&self, actor: &Actor, id: JobId) -> Result<JobView, Fault> {
        let cx = self.cx(actor);
        jobs::view(self, &cx, id).await.map_err(|e| cx.fault(e))
    }

    async fn cancel(&self, actor: &Actor, id: JobId) -> Result<(), Fault> {
        let cx = self.cx(actor);
        jobs::cancel(self, &cx, id).await.map_err(|e| cx.fault(e))
    }

    async fn retry(&self, actor: &Actor, id: JobId) -> Result<Submitted, Fault> {
        let cx = self.cx(actor);
        jobs::retry(self, &cx, id).await.map_err(|e| cx.fault(e))
    }

    async fn form_of_job(&self, actor: &Actor, id: JobId) -> Result<FormData, Fault> {
        let cx = self.cx(actor);
        jobs::form(self, &cx, id).await.map_err(|e| cx.fault(e))
    }

    async fn choices(&self, actor: &Actor) -> Result<Choices, Fault> {
        let cx = self.cx(actor);
        images::choices(self, &cx).await.map_err(|e| cx.fault(e))
    }

    async fn images(&self, actor: &Actor) -> Result<Vec<ImageSummary>, Fault> {
        let cx = self.cx(actor);
        images::list(self, &cx).await.map_err(|e| cx.fault(e))
    }

    async fn image(&self, actor: &Actor, id: ImageId) -> Result<ImageSummary, Fault> {
        let cx = self.cx(actor);
        images::one(self, &cx, id).await.map_err(|e| cx.fault(e))
    }

    async fn hosts(&self, actor: &Actor) -> Result<Vec<HostView>, Fault> {
        let cx = self.cx(actor);
        hosts::list(self, &cx).await.map_err(|e| cx.fault(e))
    }

    async fn check_host(&self, actor: &Actor, name: &HostName) -> Result<HostView, Fault> {
        let cx = self.cx(actor);
        hosts::check(self, &cx, name).await.map_err(|e| cx.fault(e))
    }

    async fn audit(&self, actor: &Actor, filter: &AuditFilter) -> Result<AuditPage, Fault> {
        let cx = self.cx(actor);
        accounts::audit(self, &cx, filter).await.map_err(|e| cx.fault(e))
    }

    async fn verify_audit(&self, actor: &Actor) -> Result<ChainState, Fault> {
        let cx = self.cx(actor);
        accounts::verify_audit(self, &cx).await.map_err(|e| cx.fault(e))
    }

    async fn needs_setup(&self) -> Result<bool, Fault> {
        let cx = self.internal_cx();
        login::needs_setup(self).await.map_err(|e| cx.fault(e))
    }

    async fn setup(
        &self,
        actor: &Actor,
        token: &Secret,
        name: &str,
        password: &Secret,
        agent: Option<&str>,
    ) -> Result<LoggedIn, Fault> {
        let cx = self.cx(actor);
        login::setup(self, &cx, token, name, password, agent).await.map_err(|e| cx.fault(e))
    }

    async fn login(
        &self,
        actor: &Actor,
        name: &str,
        password: &Secret,
        agent: Option<&str>,
    ) -> Result<LoggedIn, Fault> {
        let cx = self.cx(actor);
        login::login(self, &cx, name, password, agent).await.map_err(|e| cx.fault(e))
    }

    async fn session(&self, token: &Secret) -> Result<Option<SessionUser>, Fault> {
        let cx = self.internal_cx();
        sessions::find(self, token, cx.now).await.map_err(|e| cx.fault(e))
    }

    async fn logout(&self, actor: &Actor, token: &Secret) -> Result<(), Fault> {
        let cx = self.cx(actor);
        accounts::logout(self, &cx, token).await.map_err(|e| cx.fault(e))
    }

    async fn change_password(
        &self,
        actor: &Actor,
        token: &Secret,
        old: &Secret,
        new: &Secret,
    ) -> Result<(), Fault> {
        let cx = self.cx(actor);
        login::change_password(self, &cx, token, old, new).await.map_err(|e| cx.fault(e))
    }

    async fn sessions(&self, actor: &Actor, token: &Secret) -> Result<Vec<SessionView>, Fault> {
        let cx = self.cx(actor);
        accounts::sessions(self, &cx, token).await.map_err(|e| cx.fault(e))
    }

    async fn end_session(&self, actor: &Actor, handle: &str) -> Result<(), Fault> {
        let cx = self.cx(actor);
        accounts::end_session(self, &cx, handle).await.map_err(|e| cx.fault(e))
    }

    async fn ticket(&self, actor: &Actor, purpose: TicketPurpose) -> Result<Secret, Fault> {
        let cx = self.cx(actor);
        accounts::ticket(self, &cx, purpose).await.map_err(|e| cx.fault(e))
    }

    async fn users(&self, actor: &Actor) -> Result<Vec<UserView>, Fault> {
        let cx = self.cx(actor);
        accounts::users(self, &cx).await.map_err(|e| cx.fault(e))
    }

    async fn add_user(&self, actor: &Actor, name: &str, role: Role, password: &Secret) -> Result<(), Fault> {
        let cx = self.cx(actor);
        accounts::add_user(self, &cx, name, role, password).await.map_err(|e| cx.fault(e))
    }

    async fn set_role(&self, actor: &Actor, user: UserId, role: Role) -> Result<(), Fault> {
        let cx = self.cx(actor);
        accounts::set_role(self, &cx, user, role).await.map_err(|e| cx.fault(e))
    }

    async fn set_disabled(&self, actor: &Actor, user: UserId, disabled: bool) -> Result<(), Fault> {
        let cx = self.cx(actor);
        accounts::set_disabled(self, &cx, user, disabled).await.map_err(|e| cx.fault(e))
    }

    async fn user(&self, actor: &Actor, name: &UserName) -> Result<UserView, Fault> {
        let cx = self.cx(actor);
        accounts::user(self, &cx, name).await.map_err(|e| cx.fault(e))
    }
}
