//! Every path of the portal. Pages, forms, islands and the server take their URLs from here; no path is spelled out anywhere
//! else.

use model::audit::AuditFilter;
use model::image::ImageId;
use model::job::JobId;
use model::machine::{GenerationNumber, MachineName};
use model::operation::OperationKind;
use model::sort::Sort;
use model::time::Time;
use model::view::job::JobFilter;
use model::view::machine::{Due, MachineFilter};

/// The machines.
pub const MACHINES: &str = "/";
/// The form for a new machine.
pub const NEW_MACHINE: &str = "/machines/new";
/// The form for many new machines at once. Below the other one, so that it takes no further name away from machines.
pub const NEW_BATCH: &str = "/machines/new/batch";
/// Built images and the form that builds one.
pub const IMAGES: &str = "/images";
/// The id of the form on that page.
pub const BUILD_FORM: &str = "build";
/// The parameter that asks for a forecast of the image in that form.
pub const FORECAST: &str = "forecast";
/// Jobs, newest first.
pub const JOBS: &str = "/jobs";
/// Hosts and their findings.
pub const HOSTS: &str = "/hosts";
/// The audit log.
pub const AUDIT: &str = "/audit";
/// The audit log as a file; answered by the server, not by a page.
pub const AUDIT_CSV: &str = "/audit.csv";
/// Users and their roles.
pub const USERS: &str = "/users";
/// The user's own account.
pub const ACCOUNT: &str = "/account";
/// Logging in.
pub const LOGIN: &str = "/login";
/// The first administrator.
pub const SETUP: &str = "/setup";

/// The browser's files, as the site is laid out.
pub mod assets {
    /// The style sheet.
    pub const STYLE: &str = "/pkg/snowglobe.css";
    /// Theme, copying, times and the loading of islands.
    pub const PAGE_SCRIPT: &str = "/pkg/page.js";
    /// The terminal of a console page.
    pub const TERMINAL_SCRIPT: &str = "/pkg/terminal.js";
    /// The terminal's own style sheet.
    pub const TERMINAL_STYLE: &str = "/pkg/xterm.css";
    /// The icon in the browser's tab.
    pub const ICON: &str = "/favicon.svg";

    /// What a page or one of its scripts asks for by name: a site without one of them is incomplete.
    pub const ALL: [&str; 9] = [
        STYLE,
        PAGE_SCRIPT,
        "/pkg/frontend.js",
        "/pkg/frontend_bg.wasm",
        TERMINAL_SCRIPT,
        TERMINAL_STYLE,
        "/pkg/xterm.js",
        "/pkg/addon-fit.js",
        ICON,
    ];

    /// An asset's URL with the version that makes it cacheable forever.
    pub fn versioned(path: &str, version: &str) -> String {
        if version.is_empty() { path.to_owned() } else { format!("{path}?v={version}") }
    }
}

/// The patterns of all pages, parameters in braces as axum writes them. The table of `shell.rs` has exactly these.
pub const PAGES: &[&str] = &[
    MACHINES,
    NEW_MACHINE,
    NEW_BATCH,
    "/machines/{name}",
    "/machines/{name}/console",
    "/machines/{name}/configuration",
    "/machines/{name}/generations",
    "/machines/{name}/activity",
    "/machines/{name}/do/{operation}",
    IMAGES,
    "/images/{id}/remove",
    "/images/{id}/diff/{to}",
    JOBS,
    "/jobs/{id}",
    HOSTS,
    AUDIT,
    USERS,
    ACCOUNT,
    LOGIN,
    SETUP,
];

/// A part of a machine's page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tab {
    /// State, usage and facts.
    Overview,
    /// Its serial console.
    Console,
    /// What it boots and can go back to.
    Generations,
    /// Its specification.
    Configuration,
    /// Its jobs.
    Activity,
}

impl Tab {
    /// In the order in which they are shown.
    pub const ALL: [Tab; 5] =
        [Tab::Overview, Tab::Console, Tab::Generations, Tab::Configuration, Tab::Activity];

    /// Its label.
    pub fn title(self) -> &'static str {
        match self {
            Tab::Overview => "Overview",
            Tab::Console => "Console",
            Tab::Generations => "Upgrade",
            Tab::Configuration => "Configuration",
            Tab::Activity => "Activity",
        }
    }
}

/// A machine's page.
pub fn machine(name: &MachineName) -> String {
    machine_tab(name, Tab::Overview)
}

/// A tab of a machine's page.
pub fn machine_tab(name: &MachineName, tab: Tab) -> String {
    match tab {
        Tab::Overview => format!("/machines/{name}"),
        Tab::Console => format!("/machines/{name}/console"),
        Tab::Generations => format!("/machines/{name}/generations"),
        Tab::Configuration => format!("/machines/{name}/configuration"),
        Tab::Activity => format!("/machines/{name}/activity"),
    }
}

/// The page for an operation on a machine: its form, its plan, its confirmation.
pub fn operate(name: &MachineName, kind: OperationKind) -> String {
    format!("/machines/{name}/do/{kind}")
}

/// The page that rolls a machine back to this generation.
pub fn roll_back(name: &MachineName, generation: GenerationNumber) -> String {
    format!("{}?generation={generation}", operate(name, OperationKind::RollBack))
}

/// The form for a new machine with the values that led to this job.
pub fn new_machine_again(job: JobId) -> String {
    format!("{NEW_MACHINE}?job={job}")
}

/// The form that builds an image with the values that led to this job.
pub fn images_again(job: JobId) -> String {
    format!("{IMAGES}?job={job}#{BUILD_FORM}")
}

/// Where an image is removed.
pub fn remove_image(id: ImageId) -> String {
    format!("/images/{id}/remove")
}

/// What changes from one image to another.
pub fn image_diff(from: ImageId, to: ImageId) -> String {
    format!("/images/{from}/diff/{to}")
}

/// A job's page.
pub fn job(id: JobId) -> String {
    format!("/jobs/{id}")
}

/// A job's log as a text file; answered by the server, not by a page.
pub fn job_log(id: JobId) -> String {
    format!("/jobs/{id}/log")
}

/// The console log of the boot that began then; answered by the server, not by a page.
pub fn transcript(machine: &MachineName, began: Time) -> String {
    format!("/machines/{machine}/transcripts/{}", began.0)
}

/// The machine list as filtered.
pub fn machines(filter: &MachineFilter) -> String {
    let page = (filter.page > 0).then(|| filter.page.to_string());
    let sort = filter.sort.as_ref().map(ToString::to_string);
    with_query(
        MACHINES,
        &[
            ("q", Some(filter.search.as_str()).filter(|s| !s.is_empty())),
            ("state", filter.state.map(|s| s.as_str())),
            ("due", filter.due.map(Due::as_str)),
            ("sort", sort.as_deref()),
            ("page", page.as_deref()),
        ],
    )
}

/// A page with its table in this order.
pub fn sorted(path: &str, sort: &Sort) -> String {
    with_query(path, &[("sort", Some(&sort.to_string()))])
}

/// The jobs as filtered.
pub fn jobs(filter: &JobFilter) -> String {
    let before = filter.before.map(|id| id.to_string());
    with_query(
        JOBS,
        &[
            ("machine", filter.machine.as_ref().map(MachineName::as_str)),
            ("open", filter.open.then_some("true")),
            ("before", before.as_deref()),
        ],
    )
}

/// The audit log as filtered; `path` is the page or the file.
pub fn audit(path: &str, filter: &AuditFilter) -> String {
    let before = filter.before.map(|seq| seq.to_string());
    with_query(
        path,
        &[
            ("actor", filter.actor.as_deref()),
            ("subject", filter.subject.as_deref()),
            ("action", filter.action.as_deref()),
            ("outcome", filter.outcome.map(|o| o.as_str())),
            ("before", before.as_deref()),
        ],
    )
}

/// The login page that leads back to `next`.
pub fn login(next: &str) -> String {
    with_query(LOGIN, &[("next", Some(next).filter(|n| !n.is_empty() && *n != MACHINES))])
}

/// A page that confirms what has just been done there.
pub fn done(path: &str, intent: &str) -> String {
    with_query(path, &[("done", Some(intent))])
}

/// The sockets, without their ticket.
pub mod sockets {
    use super::{JobId, MachineName, with_query};
    use model::console::ConsoleRole;
    use model::machine::MachineId;

    /// The path of [`events`].
    pub const EVENTS: &str = "/ws/events";

    /// All machines, or this one alone: first their state, then changes.
    pub fn events(only: Option<MachineId>) -> String {
        let only = only.map(|id| id.to_string());
        with_query(EVENTS, &[("machine", only.as_deref())])
    }

    /// One job and the lines of its log after this one.
    pub fn job(id: JobId, after: Option<u64>) -> String {
        let after = after.map(|n| n.to_string());
        with_query(&format!("/ws/jobs/{id}"), &[("after", after.as_deref())])
    }

    /// A console in this role, from this byte on.
    pub fn console(machine: &MachineName, role: ConsoleRole, from: Option<u64>) -> String {
        let role = match role {
            ConsoleRole::Driver => "driver",
            ConsoleRole::Watcher => "watcher",
        };
        let from = from.map(|n| n.to_string());
        with_query(&format!("/ws/console/{machine}"), &[("role", Some(role)), ("from", from.as_deref())])
    }

    /// The same with a ticket.
    pub fn with_ticket(path: &str, ticket: &str) -> String {
        let separator = if path.contains('?') { '&' } else { '?' };
        let ticket: String = form_urlencoded::byte_serialize(ticket.as_bytes()).collect();
        format!("{path}{separator}ticket={ticket}")
    }
}

fn with_query(path: &str, pairs: &[(&str, Option<&str>)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs.iter().filter_map(|(k, v)| v.map(|v| (k, v))));
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type_cannot_leave_its_parameter() {
        let filter = MachineFilter {
            search: "a&state=off#<x>".to_owned(),
            state: None,
            due: Some(Due::Update),
            sort: Some(Sort::by("cpu", true)),
            page: 2,
        };
        assert_eq!(machines(&filter), "/?q=a%26state%3Doff%23%3Cx%3E&due=update&sort=-cpu&page=2");
        assert_eq!(login("/jobs?open=true"), "/login?next=%2Fjobs%3Fopen%3Dtrue");
    }

    #[test]
    fn an_empty_filter_leaves_the_path_alone() {
        assert_eq!(machines(&MachineFilter::default()), "/");
        assert_eq!(jobs(&JobFilter::default()), "/jobs");
        assert_eq!(login("/"), "/login");
    }
}
