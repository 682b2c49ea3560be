//! The door: `impl Portal for Engine`. Every method makes the request's context, calls one function of a resource, and
//! maps its error; the actual decisions are made there.

mod accounts;
mod hosts;
mod images;
mod jobs;
mod machines;

use crate::auth::{login, sessions};
use crate::engine::Engine;
use crate::job::accept::Agreement;
use async_trait::async_trait;
use model::Fault;
use model::account::{
    Actor, Role, Secret, SessionUser, SessionView, TicketPurpose, UserId, UserName, UserView,
};
use model::audit::{AuditFilter, AuditPage, ChainState};
use model::console::Boot;
use model::forecast::Forecast;
use model::form::FormData;
use model::host::{HostName, HostView};
use model::image::{ImageId, ProfileSet};
use model::job::JobId;
use model::machine::{MachineName, Mode};
use model::operation::Operation;
use model::plan::{Consent, Plan};
use model::portal::{Browser, Choices, LoggedIn, Portal, Submitted};
use model::view::image::{ImageDiff, ImageSummary};
use model::view::job::{JobFilter, JobSummary, JobView};
use model::view::machine::{MachineDetail, MachineFilter, MachinePage};

#[async_trait]
impl Portal for Engine {
    async fn plan(&self, actor: &Actor, operation: &Operation) -> Result<Plan, Fault> {
        let cx = self.core.cx(actor);
        crate::job::accept::plan(&self.core, &cx, operation).await.map_err(|e| cx.fault(e))
    }

    async fn submit(
        &self,
        actor: &Actor,
        operation: Operation,
        consent: Consent,
    ) -> Result<Submitted, Fault> {
        let cx = self.core.cx(actor);
        let agreement = Agreement::Consent(consent);
        jobs::submit(&self.core, &cx, operation, agreement).await.map_err(|e| cx.fault(e))
    }

    async fn machines(&self, actor: &Actor, filter: &MachineFilter) -> Result<MachinePage, Fault> {
        let cx = self.core.cx(actor);
        machines::list(&self.core, &cx, filter).await.map_err(|e| cx.fault(e))
    }

    async fn machine(&self, actor: &Actor, name: &MachineName) -> Result<MachineDetail, Fault> {
        let cx = self.core.cx(actor);
        machines::detail(&self.core, &cx, name).await.map_err(|e| cx.fault(e))
    }

    async fn boots(&self, actor: &Actor, name: &MachineName) -> Result<Vec<Boot>, Fault> {
        let cx = self.core.cx(actor);
        crate::live::boots(&self.core, &cx, name).await.map_err(|e| cx.fault(e))
    }

    async fn jobs(&self, actor: &Actor, filter: &JobFilter) -> Result<Vec<JobSummary>, Fault> {
        let cx = self.core.cx(actor);
        jobs::list(&self.core, &cx, filter).await.map_err(|e| cx.fault(e))
    }

    async fn job(&self, actor: &Actor, id: JobId) -> Result<JobView, Fault> {
        let cx = self.core.cx(actor);
        jobs::view(&self.core, &cx, id).await.map_err(|e| cx.fault(e))
    }

    async fn cancel(&self, actor: &Actor, id: JobId) -> Result<(), Fault> {
        let cx = self.core.cx(actor);
        jobs::cancel(&self.core, &cx, id).await.map_err(|e| cx.fault(e))
    }

    async fn cancel_all(&self, actor: &Actor, user: UserId) -> Result<usize, Fault> {
        let cx = self.core.cx(actor);
        jobs::cancel_all(&self.core, &cx, user).await.map_err(|e| cx.fault(e))
    }

    async fn give_up(&self, actor: &Actor, id: JobId) -> Result<(), Fault> {
        let cx = self.core.cx(actor);
        jobs::give_up(&self.core, &cx, id).await.map_err(|e| cx.fault(e))
    }

    async fn retry(&self, actor: &Actor, id: JobId) -> Result<Submitted, Fault> {
        let cx = self.core.cx(actor);
        jobs::retry(&self.core, &cx, id).await.map_err(|e| cx.fault(e))
    }

    async fn form_of_job(&self, actor: &Actor, id: JobId) -> Result<FormData, Fault> {
        let cx = self.core.cx(actor);
        jobs::form(&self.core, &cx, id).await.map_err(|e| cx.fault(e))
    }

    async fn choices(&self, actor: &Actor) -> Result<Choices, Fault> {
        let cx = self.core.cx(actor);
        images::choices(&self.core, &cx).await.map_err(|e| cx.fault(e))
    }

    async fn images(&self, actor: &Actor) -> Result<Vec<ImageSummary>, Fault> {
        let cx = self.core.cx(actor);
        images::list(&self.core, &cx).await.map_err(|e| cx.fault(e))
    }

    async fn image(&self, actor: &Actor, id: ImageId) -> Result<ImageSummary, Fault> {
        let cx = self.core.cx(actor);
        images::one(&self.core, &cx, id).await.map_err(|e| cx.fault(e))
    }

    async fn forecast(&self, actor: &Actor, profiles: &ProfileSet, mode: Mode) -> Result<Forecast, Fault> {
        let cx = self.core.cx(actor);
        images::forecast(&self.core, &cx, profiles, mode).await.map_err(|e| cx.fault(e))
    }

    async fn closure_diff(&self, actor: &Actor, from: ImageId, to: ImageId) -> Result<ImageDiff, Fault> {
        let cx = self.core.cx(actor);
        images::diff(&self.core, &cx, from, to).await.map_err(|e| cx.fault(e))
    }

    async fn hosts(&self, actor: &Actor) -> Result<Vec<HostView>, Fault> {
        let cx = self.core.cx(actor);
        hosts::list(&self.core, &cx).await.map_err(|e| cx.fault(e))
    }

    async fn check_host(&self, actor: &Actor, name: &HostName) -> Result<HostView, Fault> {
        let cx = self.core.cx(actor);
        hosts::check(&self.core, &cx, name).await.map_err(|e| cx.fault(e))
    }

    async fn audit(&self, actor: &Actor, filter: &AuditFilter) -> Result<AuditPage, Fault> {
        let cx = self.core.cx(actor);
        accounts::audit(&self.core, &cx, filter).await.map_err(|e| cx.fault(e))
    }

    async fn verify_audit(&self, actor: &Actor) -> Result<ChainState, Fault> {
        let cx = self.core.cx(actor);
        accounts::verify_audit(&self.core, &cx).await.map_err(|e| cx.fault(e))
    }

    async fn needs_setup(&self) -> Result<bool, Fault> {
        let cx = self.core.internal_cx();
        login::needs_setup(&self.core).await.map_err(|e| cx.fault(e))
    }

    async fn is_setup_token(&self, token: &Secret) -> Result<bool, Fault> {
        Ok(self.core.setup.accepts(token))
    }

    async fn setup(
        &self,
        actor: &Actor,
        token: &Secret,
        name: &str,
        password: &Secret,
        browser: &Browser<'_>,
    ) -> Result<LoggedIn, Fault> {
        let cx = self.core.cx(actor);
        login::setup(&self.core, &cx, token, name, password, browser).await.map_err(|e| cx.fault(e))
    }

    async fn login(
        &self,
        actor: &Actor,
        name: &str,
        password: &Secret,
        browser: &Browser<'_>,
    ) -> Result<LoggedIn, Fault> {
        let cx = self.core.cx(actor);
        login::login(&self.core, &cx, name, password, browser).await.map_err(|e| cx.fault(e))
    }

    async fn session(&self, token: &Secret) -> Result<Option<SessionUser>, Fault> {
        let cx = self.core.internal_cx();
        sessions::find(&self.core, token, cx.now).await.map_err(|e| cx.fault(e))
    }

    async fn logout(&self, actor: &Actor, token: &Secret) -> Result<(), Fault> {
        let cx = self.core.cx(actor);
        accounts::logout(&self.core, &cx, token).await.map_err(|e| cx.fault(e))
    }

    async fn change_password(
        &self,
        actor: &Actor,
        token: &Secret,
        old: &Secret,
        new: &Secret,
    ) -> Result<(), Fault> {
        let cx = self.core.cx(actor);
        login::change_password(&self.core, &cx, token, old, new).await.map_err(|e| cx.fault(e))
    }

    async fn sessions(&self, actor: &Actor, token: &Secret) -> Result<Vec<SessionView>, Fault> {
        let cx = self.core.cx(actor);
        accounts::sessions(&self.core, &cx, token).await.map_err(|e| cx.fault(e))
    }

    async fn end_session(&self, actor: &Actor, handle: &str) -> Result<(), Fault> {
        let cx = self.core.cx(actor);
        accounts::end_session(&self.core, &cx, handle).await.map_err(|e| cx.fault(e))
    }

    async fn ticket(&self, actor: &Actor, purpose: TicketPurpose) -> Result<Secret, Fault> {
        let cx = self.core.cx(actor);
        accounts::ticket(&self.core, &cx, purpose).await.map_err(|e| cx.fault(e))
    }

    async fn users(&self, actor: &Actor) -> Result<Vec<UserView>, Fault> {
        let cx = self.core.cx(actor);
        accounts::users(&self.core, &cx).await.map_err(|e| cx.fault(e))
    }

    async fn add_user(&self, actor: &Actor, name: &str, role: Role, password: &Secret) -> Result<(), Fault> {
        let cx = self.core.cx(actor);
        accounts::add_user(&self.core, &cx, name, role, password).await.map_err(|e| cx.fault(e))
    }

    async fn set_role(&self, actor: &Actor, user: UserId, role: Role) -> Result<(), Fault> {
        let cx = self.core.cx(actor);
        accounts::set_role(&self.core, &cx, user, role).await.map_err(|e| cx.fault(e))
    }

    async fn set_disabled(&self, actor: &Actor, user: UserId, disabled: bool) -> Result<(), Fault> {
        let cx = self.core.cx(actor);
        accounts::set_disabled(&self.core, &cx, user, disabled).await.map_err(|e| cx.fault(e))
    }

    async fn user(&self, actor: &Actor, name: &UserName) -> Result<UserView, Fault> {
        let cx = self.core.cx(actor);
        accounts::user(&self.core, &cx, name).await.map_err(|e| cx.fault(e))
    }
}
