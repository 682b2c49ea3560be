//! Forms that are shown again, and what their buttons mean.

use crate::html::{Tag, assert_sound, tags};
use crate::pages::{Answer, get, posted, show};
use crate::world::{World, actor, spec};
use app::{FormState, routes};
use model::account::{Actor, Role};
use model::fault::{Fault, FieldError};
use model::form::{LEFT_EMPTY, RETYPE, TYPE_AGAIN};

const CONFIGURATION: &str = "/machines/web-1/configuration";

/// What stands between two texts.
fn between<'a>(html: &'a str, from: &str, to: &str) -> &'a str {
    html.split_once(from).unwrap().1.split_once(to).unwrap().0
}

/// The summary of what was wrong, without tags.
fn summary(answer: &Answer) -> String {
    let mut text = String::new();
    // What Leptos renders for nothing.
    let html = answer.html.replace("<!--<() />-->", "");
    for piece in between(&html, "role=\"alert\"", "</div>").split('<') {
        text.push_str(piece.split_once('>').map_or("", |(_, text)| text));
    }
    text
}

fn named(tags: &[Tag], name: &str, value: &str) -> Option<Tag> {
    tags.iter().find(|t| t.get("name") == Some(name) && t.get("value") == Some(value)).cloned()
}

#[tokio::test]
async fn a_password_that_was_typed_is_asked_for_again() {
    let pairs =
        [("intent", "create"), ("name", "web"), ("root_password", "four random words"), ("memory", "x")];
    let wrong = || Some(Fault::invalid("memory", "Memory in MiB must be a whole number."));
    let answer = posted(routes::NEW_MACHINE, &pairs, wrong()).await;
    assert_sound("new machine", &answer.html);
    assert!(!answer.html.contains("four random words"));
    let found = tags(&answer.html);
    assert!(named(&found, RETYPE, "root_password").is_some());
    let field = found.iter().find(|t| t.get("name") == Some("root_password")).unwrap();
    assert_eq!(field.get("aria-invalid"), Some("true"));
    assert!(between(&answer.html, "id=\"root_password-error\"", "</p>").contains(TYPE_AGAIN));
    let told = summary(&answer);
    assert!(told.starts_with("2 fields need to be corrected") && told.contains(TYPE_AGAIN), "{told}");
    assert!(named(&found, LEFT_EMPTY, "root_password").unwrap().get("checked").is_none());

    let pairs = [("intent", "create"), (RETYPE, "root_password"), (LEFT_EMPTY, "root_password")];
    let answer = posted(routes::NEW_MACHINE, &pairs, wrong()).await;
    let found = tags(&answer.html);
    assert!(named(&found, LEFT_EMPTY, "root_password").unwrap().get("checked").is_some());
    assert!(!answer.html.contains(TYPE_AGAIN), "it was said that this is meant");
    let fresh = tags(&show(routes::NEW_MACHINE).await.html);
    assert!(named(&fresh, RETYPE, "root_password").is_none());
}

/// The first button of a form is the one that Enter presses (WHATWG HTML, implicit submission).
#[tokio::test]
async fn enter_in_a_field_does_what_the_form_is_for() {
    let forms = [
        (routes::NEW_MACHINE, "create"),
        (CONFIGURATION, "reconfigure"),
        ("/machines/web-1/do/rename", "rename"),
        ("/machines/web-1/do/clone", "clone"),
        ("/machines/web-1/do/roll_back", "roll_back"),
    ];
    for (path, intent) in forms {
        let html = show(path).await.html;
        let form = tags(between(&html, "id=\"machine-form\"", "</form>"));
        let first = form.iter().find(|t| t.name == "button" && t.get("type") != Some("button")).unwrap();
        assert_eq!(first.get("value"), Some(intent), "{path}");
        assert!(named(&form, "intent", "show_plan").is_some(), "{path}");
    }
}

#[tokio::test]
async fn wrong_profiles_get_the_focus() {
    let pairs = [("intent", "create"), ("profiles", "docker")];
    let why = "“docker” and “podman” cannot be combined: choose one of them.";
    let answer = posted(routes::NEW_MACHINE, &pairs, Some(Fault::invalid("profiles", why))).await;
    assert_sound("new machine", &answer.html);
    let focused = tags(&answer.html).into_iter().find(|t| t.get("autofocus").is_some()).unwrap();
    assert_eq!(focused.get("id"), Some("field-profiles"));
    let answer = posted(routes::NEW_MACHINE, &[], Some(Fault::invalid("mode", "Choose one."))).await;
    let focused = tags(&answer.html).into_iter().find(|t| t.get("autofocus").is_some()).unwrap();
    assert_eq!(focused.get("id"), Some("field-mode"));
}

#[tokio::test]
async fn a_mistake_names_its_field_and_a_single_one_is_its_own_title() {
    let port = FieldError::new("udp_ports", "“70000” is not a port.");
    let one = Fault::invalid_fields(vec![port.clone()]);
    let answer = posted(routes::NEW_MACHINE, &[("intent", "create")], Some(one)).await;
    assert_eq!(summary(&answer), "Open UDP ports: “70000” is not a port.");
    let two = Fault::invalid_fields(vec![port, FieldError::new("name", "Too long.")]);
    let answer = posted(routes::NEW_MACHINE, &[("intent", "create")], Some(two)).await;
    let told = summary(&answer);
    assert_eq!(told, "2 fields need to be correctedName: Too long.Open UDP ports: “70000” is not a port.");
}

#[tokio::test]
async fn what_is_no_mistake_in_a_field_is_not_called_one() {
    let destroy = Fault::invalid("confirm", "Type the machine's name, web-1, to confirm what will be lost.");
    let answer = posted("/machines/web-1/do/purge", &[("intent", "purge")], Some(destroy)).await;
    assert_sound("purge", &answer.html);
    assert!(summary(&answer).starts_with("Type the machine's name"), "{}", summary(&answer));

    let why = "The configuration was changed while this form was open: memory.";
    let answer = posted(CONFIGURATION, &[("intent", "reconfigure")], Some(Fault::invalid("base", why))).await;
    assert_sound("configuration", &answer.html);
    assert_eq!(summary(&answer), why);
    assert_eq!(answer.html.matches(why).count(), 1, "said once");
}

#[tokio::test]
async fn a_save_without_a_change_is_told_calmly() {
    let answer = posted(CONFIGURATION, &[("intent", "reconfigure")], Some(Fault::Unchanged)).await;
    assert!(summary(&answer).starts_with("Nothing to save"), "{}", summary(&answer));
    let tone = tags(&answer.html).into_iter().find(|t| t.get("role") == Some("alert")).unwrap();
    assert_eq!(tone.get("data-tone"), Some("busy"));
}

#[tokio::test]
async fn an_operation_s_page_is_titled_in_its_own_words() {
    for (path, title) in [
        ("/machines/web-1/do/apply", "Apply the changes to web-1"),
        ("/machines/web-1/do/revert", "Drop the changes to web-1"),
        ("/machines/web-1/do/destroy", "Destroy web-1"),
        ("/machines/web-1/do/rename", "Rename web-1"),
        ("/machines/web-1/do/clone", "Clone web-1"),
    ] {
        let html = show(path).await.html;
        assert!(html.contains(&format!("<h1>{title}<")), "{path}");
    }
}

#[tokio::test]
async fn a_copy_opens_as_the_machine_is_and_without_a_name() {
    let answer = show("/machines/web-1/do/clone").await;
    assert_sound("clone", &answer.html);
    let form = tags(between(&answer.html, "id=\"machine-form\"", "</form>"));
    let value = |name: &str| {
        form.iter().find(|tag| tag.get("name") == Some(name)).unwrap_or_else(|| panic!("{name}")).get("value")
    };
    assert!(value("name").unwrap_or_default().is_empty());
    let memory = spec().memory.get().to_string();
    assert_eq!((value("memory"), value("copies")), (Some(memory.as_str()), Some("1")));
    let start = form.iter().find(|tag| tag.get("name") == Some("start")).unwrap();
    assert!(start.get("checked").is_none());
    let why = "The disk that is copied has 30 GiB, and the copy cannot be smaller.";
    let fields = [("intent", "clone"), ("machine", "web-1"), ("name", "db-1"), ("disk", "1")];
    let answer = posted("/machines/web-1/do/clone", &fields, Some(Fault::invalid("disk", why))).await;
    assert_sound("clone", &answer.html);
    assert!(summary(&answer).starts_with("Disk: The disk that is copied"), "{}", summary(&answer));
    assert!(answer.html.contains("value=\"db-1\""));
}

#[tokio::test]
async fn what_was_accepted_is_told_beside_what_was_refused() {
    let fault = Some(Fault::invalid("machine", "web-2: The machine is already running."));
    let form = FormState { fault, accepted: vec!["Start web-1".to_owned()], ..FormState::default() };
    let answer = get(World { machines: 3 }, actor(Role::Administrator), "/", form).await;
    let told = summary(&answer);
    assert!(told.starts_with("Refused for 1 of the selected machines"), "{told}");
    assert!(told.ends_with("Accepted: Start web-1."), "{told}");
}

#[tokio::test]
async fn a_setup_link_that_is_not_the_current_one_has_no_form() {
    let setup = async |path| {
        get(World { machines: 0 }, Actor::anonymous(None), path, FormState::default()).await.html
    };
    assert!(setup("/setup?token=token").await.contains("name=\"password_again\""));
    for path in ["/setup", "/setup?token=old"] {
        let html = setup(path).await;
        assert_sound(path, &html);
        assert!(html.contains("This link is not valid") && !html.contains("<form method=\"post\""), "{html}");
    }
}
