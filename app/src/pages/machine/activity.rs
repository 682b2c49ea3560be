//! `/machines/{name}/activity`: the machine's jobs.

use super::tab;
use crate::pages::{jobs, may};
use crate::parts::machine_head::Region;
use crate::routes::{self, Tab};
use leptos::prelude::*;
use model::audit::AuditFilter;
use model::permission::Action;
use model::view::job::JobFilter;

#[component]
pub fn Activity() -> impl IntoView {
    tab(Tab::Activity, |cx, machine| async move {
        let name = &machine.row.name;
        let all = routes::jobs(&JobFilter { machine: Some(name.clone()), ..JobFilter::default() });
        let filter = AuditFilter { subject: Some(name.to_string()), ..AuditFilter::default() };
        let audit = may(&cx, Action::ReadAudit).then(|| {
            view! { <a class="button" href=routes::audit(routes::AUDIT, &filter)>"View in audit log"</a> }
        });
        Ok(view! {
            <div data-live=Region::Jobs.as_str()>{jobs::list(&machine.jobs)}</div>
            <div class="buttons"><a class="button" href=all>"All jobs"</a>{audit}</div>
        }
        .into_any())
    })
}
