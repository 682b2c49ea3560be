//! What must hold for pages, for every page where possible.

use crate::html::{assert_sound, tags};
use crate::world::{HOSTILE, ID, SOUND, World, actor, job, plan};
use app::routes::{self, PAGES};
use app::{App, AssetVersion, FormState, RequestToken, shell};
use axum::body::{Body, to_bytes};
use http::{Request, StatusCode};
use leptos::prelude::provide_context;
use model::account::{Actor, Role, Secret};
use model::catalog::{self, On};
use model::fault::{Fault, FieldError};
use model::form::{self, FormData};
use model::job::{JobState, StepState};
use model::operation::OperationKind;
use model::portal::Portal;
use model::view::job::JobView;
use std::sync::Arc;

pub struct Answer {
    pub status: StatusCode,
    pub location: Option<String>,
    pub html: String,
}

/// Renders a page as the server does.
pub async fn get(world: World, actor: Actor, path: &str, form: FormState) -> Answer {
    // Another test may have been first; there is one executor for all.
    let _ = any_spawner::Executor::init_tokio();
    let portal: Arc<dyn Portal> = Arc::new(world);
    let context = move || {
        provide_context(portal.clone());
        provide_context(actor.clone());
        provide_context(RequestToken(Some(Secret::new("token".to_owned()))));
        provide_context(AssetVersion("v1".to_owned()));
        provide_context(form.clone());
    };
    let request = Request::builder().uri(path).body(Body::empty()).unwrap();
    let response = leptos_axum::render_app_async_with_context(context, shell)(request).await;
    let (parts, body) = response.into_parts();
    let location = parts.headers.get(http::header::LOCATION).map(|v| v.to_str().unwrap().to_owned());
    let body = to_bytes(body, usize::MAX).await.unwrap();
    Answer { status: parts.status, location, html: String::from_utf8(body.to_vec()).unwrap() }
}

pub async fn show(path: &str) -> Answer {
    get(World { machines: 3 }, actor(Role::Administrator), path, FormState::default()).await
}

/// The page after a form was posted, as the server shows it.
pub async fn posted(path: &str, pairs: &[(&str, &str)], fault: Option<Fault>) -> Answer {
    let pairs = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let data = FormData(pairs).without_secrets();
    let form = FormState { data, fault, ..FormState::default() };
    get(World { machines: 3 }, actor(Role::Administrator), path, form).await
}

fn filled(pattern: &str) -> String {
    pattern
        .replace("{name}", "web-1")
        .replace("{id}", &ID.to_string())
        .replace("{to}", &ID.to_string())
        .replace("{operation}", "destroy")
}

#[tokio::test]
async fn every_page_is_sound_and_shows_hostile_text_as_text() {
    for pattern in PAGES {
        let page = filled(pattern);
        let answer = show(&page).await;
        let expected = if *pattern == routes::LOGIN { StatusCode::SEE_OTHER } else { StatusCode::OK };
        assert_eq!(answer.status, expected, "{page}: {}", answer.html);
        assert_sound(&page, &answer.html);
        assert!(answer.html.contains("· Snowglobe</title>"), "{page} has no title of its own");
    }
}

#[tokio::test]
async fn the_table_of_pages_is_the_one_that_leptos_routes_by() {
    let mut routed: Vec<String> =
        leptos_axum::generate_route_list(App).iter().map(|r| r.path().to_owned()).collect();
    let mut named: Vec<String> = PAGES.iter().map(|p| (*p).to_owned()).collect();
    routed.sort();
    named.sort();
    assert_eq!(routed, named);
}

#[tokio::test]
async fn a_visitor_without_a_login_is_led_to_it_and_back() {
    let answer = get(World { machines: 3 }, Actor::anonymous(None), "/?q=web", FormState::default()).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(answer.location.as_deref(), Some("/login?next=%2F%3Fq%3Dweb"));
    assert!(!answer.html.contains("Main\""), "no navigation before the login");
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    for path in ["/machines/other", "/machines/No%20Name", "/jobs/1", "/nowhere", "/machines/web-1/nothing"] {
        let answer = show(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert_sound(path, &answer.html);
    }
}

#[tokio::test]
async fn a_form_with_errors_keeps_every_value_and_shows_each_error_beside_its_field() {
    let wrong = vec![FieldError::new("memory", HOSTILE), FieldError::new("admin_keys", "That is not a key.")];
    let pairs = [
        ("intent", "create"),
        ("name", "\"><b>web"),
        ("memory", "12 <i>"),
        ("admin_keys", "</textarea>\nsecond"),
        ("profiles", "docker"),
        ("mode", "mutable"),
        ("network", "bridge:gone"),
        ("root_password", "secret-word"),
    ];
    let answer = posted(routes::NEW_MACHINE, &pairs, Some(Fault::invalid_fields(wrong))).await;
    assert_sound("new machine", &answer.html);
    let tags = tags(&answer.html);
    let field = |name: &str| tags.iter().find(|t| t.get("name") == Some(name)).cloned().unwrap();
    assert_eq!(field("name").get("value"), Some("&quot;&gt;&lt;b&gt;web"));
    assert_eq!(field("memory").get("aria-invalid"), Some("true"));
    assert_eq!(field("memory").get("aria-describedby"), Some("memory-error"));
    assert!(field("memory").get("autofocus").is_some(), "the first wrong field has the focus");
    assert!(field("name").get("aria-invalid").is_none());
    assert!(answer.html.contains("&lt;/textarea&gt;\nsecond"));
    assert!(!answer.html.contains("secret-word"), "a password is never shown again");
    let checked =
        |value: &str| tags.iter().any(|t| t.get("value") == Some(value) && t.get("checked").is_some());
    assert!(checked("docker") && checked("mutable") && !checked("podman") && !checked("immutable"));
    assert!(tags.iter().any(|t| t.get("value") == Some("bridge:gone") && t.get("selected").is_some()));
    assert!(
        answer.html.contains("3 fields need to be corrected")
            && answer.html.contains("href=\"#field-memory\"")
    );
}

#[tokio::test]
async fn what_is_wrong_with_profiles_stands_below_them() {
    let pairs = [("intent", "create"), ("profiles", "podman"), ("mode", "immutable")];
    let why = "“podman” needs “docker”: choose it too.";
    let answer = posted(routes::NEW_MACHINE, &pairs, Some(Fault::invalid("profiles", why))).await;
    let field = answer.html.split_once("data-field=\"profiles\"").unwrap().1;
    assert!(field.split_once("</fieldset>").unwrap().0.contains(why), "{field}");
    assert!(answer.html.contains("core, podman<!></output>"));
}

#[tokio::test]
async fn the_form_of_a_failed_job_opens_again_with_its_values() {
    let answer = show(&routes::new_machine_again(model::job::JobId(ID))).await;
    let tags = tags(&answer.html);
    assert!(tags.iter().any(|t| t.get("name") == Some("name") && t.get("value") == Some("web-1")));
    assert!(tags.iter().any(|t| t.get("value") == Some("bridge:br0") && t.get("selected").is_some()));
}

#[tokio::test]
async fn the_form_of_a_failed_build_opens_again_with_its_values() {
    let answer = show(&routes::images_again(model::job::JobId(ID))).await;
    let tags = tags(&answer.html);
    let checked =
        |value: &str| tags.iter().any(|t| t.get("value") == Some(value) && t.get("checked").is_some());
    assert!(checked("docker") && checked("mutable") && !checked("podman") && !checked("immutable"));
}

#[tokio::test]
async fn the_progress_of_a_build_is_shown_only_while_it_runs() {
    let mut running = job(JobState::Running);
    assert!(app::parts::job::progress(&running).is_some());
    for step in running.steps.iter_mut().filter(|s| s.state == StepState::Running) {
        step.state = StepState::Done;
    }
    assert!(app::parts::job::progress(&running).is_none());
}

#[tokio::test]
async fn every_button_in_a_live_region_has_a_key() {
    for page in ["/machines/web-1", "/machines/web-1/console", "/"] {
        let answer = show(page).await;
        let forms: Vec<_> = tags(&answer.html).into_iter().filter(|t| t.name == "form").collect();
        let posting: Vec<_> = forms.iter().filter(|t| t.get("class") == Some("inline")).collect();
        assert!(!posting.is_empty(), "{page} has no buttons");
        assert!(posting.iter().all(|form| form.get("data-key").is_some()), "{page}: {posting:?}");
    }
}

#[tokio::test]
async fn actions_are_filtered_by_the_words_that_the_log_shows() {
    let answer = show("/audit?action=Force+off").await;
    let tags = tags(&answer.html);
    let field = tags.iter().find(|t| t.get("name") == Some("action")).unwrap();
    assert_eq!(field.get("value"), Some("Force off"));
    assert!(tags.iter().any(|t| t.get("href") == Some("/audit.csv?action=force_off")));
}

#[tokio::test]
async fn every_operation_on_a_machine_has_a_page_with_its_plan_and_what_must_be_confirmed() {
    for row in catalog::TABLE.iter().filter(|row| row.on == On::Machine) {
        let answer = show(&format!("/machines/web-1/do/{}", row.kind)).await;
        assert_sound(row.title, &answer.html);
        let tags = tags(&answer.html);
        let named = |name: &str| tags.iter().filter(|t| t.get("name") == Some(name)).collect::<Vec<_>>();
        let intent =
            tags.iter().any(|t| t.get("name") == Some("intent") && t.get("value") == Some(row.kind.as_str()));
        assert!(intent, "{}", row.kind);
        if form::on_machine(row.kind, &"web-1".parse().unwrap()).is_some() {
            let shown = plan(&format!("{} web-1", row.title), row.kind == OperationKind::Purge);
            assert_eq!(named("digest")[0].get("value"), Some(shown.digest().as_str()), "{}", row.kind);
            assert_eq!(named("confirm").len(), usize::from(shown.confirm.is_some()), "{}", row.kind);
        }
    }
    let create = show("/machines/web-1/do/create").await;
    assert_eq!(create.status, StatusCode::NOT_FOUND, "what makes a machine is not done to one");
}

#[tokio::test]
async fn a_changed_plan_is_shown_again_with_what_was_posted() {
    let changed = Fault::PlanChanged { plan: Box::new(plan("Force off web-1", true)) };
    let digest = plan("Force off web-1", true).digest().to_string();
    let pairs = [("intent", "force_off"), ("machine", "web-1"), ("digest", "old"), ("from", HOSTILE)];
    let answer = posted("/machines/web-1", &pairs, Some(changed)).await;
    assert_sound("changed plan", &answer.html);
    assert!(answer.html.contains(&digest) && !answer.html.contains("value=\"old\""));
    assert!(tags(&answer.html).iter().any(|t| t.get("name") == Some("confirm")));
}

#[tokio::test]
async fn members_are_not_shown_what_would_be_refused() {
    let show = |path| get(World { machines: 1 }, actor(Role::Member), path, FormState::default());
    let home = show("/").await.html;
    assert!(
        !home.contains("href=\"/audit\"")
            && !home.contains("href=\"/users\"")
            && home.contains("href=\"/hosts\"")
    );
    assert!(!show("/hosts").await.html.contains("check_host"));
    assert!(!show("/images").await.html.contains("/remove\""));
}

#[tokio::test]
async fn an_empty_portal_leads_to_the_first_machine() {
    let path = format!("/?q={SOUND}");
    let answer = get(World { machines: 0 }, actor(Role::Member), &path, FormState::default()).await;
    assert!(answer.html.contains("Create the first machine") && !answer.html.contains("role=\"search\""));
}

#[tokio::test]
async fn pages_without_islands_load_no_wasm_and_pages_stay_small() {
    for (path, islands) in
        [("/hosts", 0), ("/images", 1), ("/jobs", 1), ("/", 1), ("/machines/web-1/console", 2)]
    {
        let answer = show(path).await;
        let found = tags(&answer.html).iter().filter(|t| t.name == "leptos-island").count();
        assert_eq!(found, islands, "{path}");
        assert!(!answer.html.contains(".wasm"), "the wasm is fetched by the script, not by the page");
    }
    let hundred = get(World { machines: 100 }, actor(Role::Administrator), "/", FormState::default()).await;
    assert!(hundred.html.len() < 200_000, "{}", hundred.html.len());
}

/// The directions that headings announce, and where they lead.
async fn order(path: &str) -> (Vec<String>, Vec<String>) {
    let tags = tags(&show(path).await.html);
    let sorted = tags.iter().filter_map(|t| Some(t.get("aria-sort")?.to_owned()));
    let links = tags.iter().filter_map(|t| t.get("href")).filter(|href| href.contains("sort="));
    (sorted.collect(), links.map(|link| link.replace("&amp;", "&")).collect())
}

#[tokio::test]
async fn every_list_that_is_not_a_log_is_sorted_by_its_headings() {
    for (path, columns, default) in [
        ("/", 7, "ascending"),
        ("/images", 5, "descending"),
        ("/users", 5, "ascending"),
        ("/account", 4, "descending"),
        ("/machines/web-1/console", 2, "descending"),
    ] {
        let (sorted, links) = order(path).await;
        assert_eq!((sorted.as_slice(), links.len()), ([default.to_owned()].as_slice(), columns), "{path}");
        for link in links {
            let (sorted, _) = order(&link).await;
            let expected = if link.contains("sort=-") { "descending" } else { "ascending" };
            assert_eq!(sorted, [expected], "{link}");
        }
    }
    let first_user = |html: &str| html.find("You cannot disable").cmp(&html.find("Enable bob"));
    let (up, down) = (show("/users?sort=account").await.html, show("/users?sort=-account").await.html);
    assert_eq!(first_user(&up), first_user(&down).reverse(), "the rows follow");
    let kept = show("/?q=web&state=running&sort=cpu").await.html;
    assert!(kept.contains("href=\"/?q=web&amp;state=running&amp;sort=-cpu\""), "search and filter stay");
    assert!(tags(&kept).iter().any(|t| t.get("name") == Some("sort") && t.get("value") == Some("cpu")));
}

#[tokio::test]
async fn a_title_says_the_state_first() {
    let title = async |path: &str| {
        let html = show(path).await.html;
        let (_, rest) = html.split_once("<title>").unwrap();
        rest.split_once("</title>").unwrap().0.to_owned()
    };
    assert_eq!(title("/machines/web-1").await, "● web-1 · Snowglobe");
    assert_eq!(title("/machines/web-1/console").await, "● web-1 · Console · Snowglobe");
    assert_eq!(title("/jobs").await, "1 running · Jobs · Snowglobe");
    assert!(title(&routes::job(model::job::JobId(ID))).await.starts_with("Failed · "));
}

#[tokio::test]
async fn a_machine_whose_record_cannot_be_read_is_named_and_an_administrator_can_forget_it() {
    for (role, may_forget) in [(Role::Administrator, true), (Role::Member, false)] {
        for machines in [0, 3] {
            let html = get(World { machines }, actor(role), "/", FormState::default()).await.html;
            let parts = ["<strong>broken<", "its record cannot be read", "from a backup"];
            assert!(parts.iter().all(|part| html.contains(part)), "{html}");
            let forget = routes::operate(&"broken".parse().unwrap(), OperationKind::Forget);
            let links = tags(&html).into_iter().filter(|t| t.get("href") == Some(forget.as_str())).count();
            assert_eq!(links, usize::from(may_forget));
        }
    }
    let page = show("/machines/broken/do/forget").await;
    assert_eq!(page.status, StatusCode::OK, "its record is not needed for that: {}", page.html);
}

/// A live region of a job's page.
pub fn region(job: &JobView, name: &str) -> String {
    let regions = app::parts::job::regions(job, model::time::Time(9_000));
    let (_, view) = regions.into_iter().find(|(found, _)| *found == name).unwrap();
    leptos::prelude::RenderHtml::to_html(view)
}

#[tokio::test]
async fn the_steps_of_a_job_fold_once_it_has_succeeded() {
    let fold = |state| {
        let html = region(&job(state), "job-steps");
        tags(&html).into_iter().find(|t| t.name == "details").unwrap()
    };
    assert!(fold(JobState::Running).get("open").is_some());
    assert!(fold(JobState::Failed).get("open").is_some());
    assert!(fold(JobState::Succeeded).get("open").is_none());
}

#[tokio::test]
async fn a_job_that_was_asked_to_stop_says_so() {
    let head = |cancelling| {
        let mut job = job(JobState::Running);
        job.summary.badge.cancelling = cancelling;
        region(&job, "job-head")
    };
    assert!(head(true).contains("Cancelling; the current step has to finish first."));
    assert!(!head(false).contains("Cancelling"));
}

#[tokio::test]
async fn a_job_says_how_long_it_was_in_the_queue_and_does_not_count_it() {
    let shown = |began: Option<i64>| {
        let mut job = job(JobState::Succeeded);
        job.summary.began = began.map(model::time::Time);
        (region(&job, "job-about"), region(&job, "job-head"))
    };
    let (about, head) = shown(Some(4_000));
    assert!(about.contains("waited 3.0 s for its turn") && head.contains(">5.0 s<"), "{about} {head}");
    let (about, head) = shown(Some(1_400));
    assert!(!about.contains("waited") && head.contains(">7.6 s<"), "{about} {head}");
    let (about, head) = shown(None);
    assert!(!about.contains("waited") && head.contains(">8.0 s<"), "cancelled in the queue: {about} {head}");
}

#[tokio::test]
async fn the_console_page_has_each_power_button_once_and_forcing_off_stands_apart() {
    let html = show("/machines/web-1/console").await.html;
    for operation in ["shut_down", "reboot", "force_off"] {
        let buttons = tags(&html).into_iter().filter(|t| t.get("data-key") == Some(operation));
        assert_eq!(buttons.count(), 1, "{operation}");
    }
    let (before, after) = html.split_once("class=\"apart\"").unwrap();
    assert!(before.contains("data-key=\"reboot\"") && !before.contains("data-key=\"force_off\""));
    assert!(after.contains("/machines/web-1/do/force_off"));
    assert!(html.contains("data-focus=\"serial-terminal\"") && html.contains("leaves it."));
}

#[tokio::test]
async fn the_command_that_logs_in_can_be_copied() {
    let html = show("/machines/web-1").await.html;
    assert!(tags(&html).iter().any(|t| t.get("data-copy") == Some("ssh admin@192.168.122.20")));
}

#[tokio::test]
async fn no_common_combination_is_selected_beforehand() {
    let html = show("/images").await.html;
    let sets: Vec<_> = tags(&html).into_iter().filter(|t| t.get("name") == Some("set")).collect();
    assert_eq!(sets.len(), 2);
    assert!(sets.iter().all(|set| set.get("checked").is_none()));
}

#[tokio::test]
async fn what_was_noted_stands_on_the_overview_and_in_the_form_as_text() {
    let html = show("/machines/web-1").await.html;
    let (_, noted) = html.split_once("class=\"notes\">").unwrap();
    assert!(noted.starts_with("&lt;script&gt;alert(1)"), "{}", &noted[..80]);
    let (_, protection) = html.split_once(">Delete protection<").unwrap();
    assert!(protection.split_once("<dd>").unwrap().1.starts_with("on<"), "{}", &protection[..80]);
    let html = show("/machines/web-1/configuration").await.html;
    let tags = tags(&html);
    let ticked = tags.iter().find(|t| t.get("name") == Some("delete_protection")).unwrap();
    assert!(ticked.get("checked").is_some());
    assert!(tags.iter().any(|t| t.name == "textarea" && t.get("name") == Some("notes")));
    let new = tags_of(routes::NEW_MACHINE).await;
    let ticked = new.iter().find(|t| t.get("name") == Some("delete_protection")).unwrap();
    assert!(ticked.get("checked").is_none());
}

async fn tags_of(path: &str) -> Vec<crate::html::Tag> {
    tags(&show(path).await.html)
}

#[tokio::test]
async fn what_can_be_changed_leads_to_its_field() {
    let links = tags_of("/machines/web-1").await;
    let fields: Vec<&str> =
        links.iter().filter_map(|t| t.get("href")?.strip_prefix("/machines/web-1/configuration#")).collect();
    assert_eq!(fields, ["field-memory", "field-network", "field-root_password", "field-notes"]);
    let form = tags_of("/machines/web-1/configuration").await;
    for field in fields {
        assert!(form.iter().any(|t| t.get("id") == Some(field)), "{field}");
    }
}
