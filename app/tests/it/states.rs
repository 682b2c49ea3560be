//! What pages offer and tell while a job runs, after one has failed, and for machines in other states than running.

use crate::html::{assert_sound, tags};
use crate::pages::{get, region, show};
use crate::world::{ID, RUNNING, World, actor, job, row};
use app::FormState;
use app::parts::{actions, console, machine_head};
use app::routes;
use http::StatusCode;
use leptos::prelude::RenderHtml as _;
use model::account::Role;
use model::job::{JobId, JobState};
use model::machine::MachineState;
use model::operation::OperationKind;
use model::portal::Portal as _;
use model::view::machine::{Available, MachineDetail};

async fn machine(state: MachineState) -> MachineDetail {
    let world = World { machines: 3 };
    let mut machine = world.machine(&actor(Role::Administrator), &"web-1".parse().unwrap()).await.unwrap();
    machine.row.observed.state = state;
    machine
}

#[tokio::test]
async fn a_failed_operation_is_told_on_every_tab_of_its_machine_and_a_failed_removal_on_the_images_page() {
    let details = format!("href=\"{}\">Details", routes::job(JobId(ID)));
    for tab in routes::Tab::ALL {
        let html = show(&routes::machine_tab(&"web-1".parse().unwrap(), tab)).await.html.replace("<!>", "");
        let (_, failed) = html.split_once("data-live=\"failed\"").unwrap();
        let (failed, _) = failed.split_once("Parts of this machine").unwrap();
        assert!(
            failed.contains(" failed</strong>") && failed.contains(&details),
            "{}: {failed}",
            tab.title()
        );
    }
    let images = show(routes::IMAGES).await.html.replace("<!>", "");
    assert!(images.contains("Remove image docker, python failed") && images.contains(&details), "{images}");
}

#[tokio::test]
async fn sizes_are_those_that_are_true() {
    let html = show("/machines/web-1").await.html;
    assert!(html.contains("1 GiB · 2 vCPUs · 30 GiB disk") && !html.contains("2 GiB · 2 vCPUs"), "{html}");
}

#[tokio::test]
async fn the_job_that_holds_a_machine_can_be_cancelled_on_its_page() {
    let mut held = row(0);
    let cancels = |held: &_| {
        let html = machine_head::notices(held).to_html();
        let tags = tags(&html);
        tags.iter().any(|t| t.name == "button" && t.get("value") == Some("cancel"))
            && tags.iter().any(|t| t.get("name") == Some("job") && t.get("value") == Some(&ID.to_string()))
    };
    assert!(cancels(&held));
    held.job.as_mut().unwrap().cancelling = true;
    assert!(!cancels(&held));
}

#[tokio::test]
async fn a_menu_says_a_common_reason_once() {
    let refused = |kind: &OperationKind| Available { kind: *kind, refused: Some("It is busy.".to_owned()) };
    let kinds = [OperationKind::ShutDown, OperationKind::Reboot, OperationKind::Suspend];
    let mut all: Vec<Available> = kinds.iter().map(refused).collect();
    all.push(Available { kind: OperationKind::Resume, refused: Some("It runs.".to_owned()) });
    let html = actions::bar(&"web-1".parse().unwrap(), MachineState::Running, &all).to_html();
    let disabled = tags(&html).iter().filter(|t| t.get("disabled").is_some()).count();
    assert_eq!((html.matches("It is busy.").count(), html.matches("It runs.").count(), disabled), (1, 1, 4));
}

#[tokio::test]
async fn the_buttons_beside_a_console_fit_the_state() {
    for (state, first, force) in [
        (MachineState::Running, "shut_down", true),
        (MachineState::Off, "start", false),
        (MachineState::Configured, "provision", false),
    ] {
        let html = console::power(&machine(state).await).to_html();
        let tags = tags(&html);
        let keys: Vec<&str> = tags.iter().filter_map(|t| t.get("data-key")).collect();
        assert_eq!((keys[0], keys.contains(&"force_off")), (first, force), "{html}");
        assert_eq!(tags[0].get("data-off").is_some(), !force, "{html}");
    }
    let mut paused = machine(MachineState::Paused).await;
    for action in &mut paused.actions {
        action.refused = None;
    }
    let html = console::power(&paused).to_html();
    assert!(html.contains("value=\"resume\"") && !html.contains("shut_down"), "{html}");
    for action in &mut paused.actions {
        action.refused = Some("Another job is running on this machine.".to_owned());
    }
    let html = console::power(&paused).to_html();
    let buttons = tags(&html).into_iter().filter(|t| t.name == "button" || t.name == "a");
    assert!(buttons.into_iter().all(|t| t.get("disabled").is_some()), "{html}");
    assert_eq!(html.matches("Another job").count(), 1);
}

#[tokio::test]
async fn an_administrator_can_forget_a_machine_on_its_own_page() {
    for (role, may_forget) in [(Role::Administrator, true), (Role::Member, false)] {
        let page = get(World { machines: 3 }, actor(role), "/machines/broken", FormState::default()).await;
        assert_eq!(page.status, StatusCode::CONFLICT);
        assert_sound("a damaged machine", &page.html);
        assert_eq!(page.html.contains("href=\"/machines/broken/do/forget\""), may_forget);
    }
}

#[tokio::test]
async fn whose_only_machine_is_damaged_does_not_read_that_there_is_none() {
    let page = get(World { machines: 0 }, actor(Role::Member), "/", FormState::default()).await.html;
    assert!(page.contains("its record cannot be read") && !page.contains("No machines yet"));
}

#[tokio::test]
async fn a_machine_that_has_to_be_off_can_be_shut_down_there() {
    let html = show("/machines/web-2/do/rename").await.html;
    assert!(html.contains("value=\"shut_down\""), "{html}");
}

#[tokio::test]
async fn a_job_that_was_undone_does_not_count_its_steps_and_one_that_runs_tells_of_loading_again() {
    assert!(region(&job(JobState::Running), "job-steps").contains(" of 7 done"));
    for state in [JobState::Failed, JobState::Cancelled] {
        assert!(!region(&job(state), "job-steps").contains(" of 7 done"));
    }
    let running = show(&routes::job(JobId(RUNNING))).await.html;
    assert!(running.contains("load it again"));
    assert!(!show(&routes::job(JobId(ID))).await.html.contains("load it again"));
}
