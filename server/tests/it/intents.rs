//! Every value that a form can have as its intent × every kind of person: an operation or another action without a row
//! in its table cannot be posted, and a row that promises too much or too little fails here.

use crate::persona::{Persona, Verdict};
use crate::world::{PASSWORD, World, machine_form, within};
use model::account::{Actor, UserId};
use model::catalog::On;
use model::operation::OperationKind;
use model::permission::Action;
use model::view::job::JobFilter;
use server::forms::FormAction;
use server::routes::Access;

/// Intents after which the session is no longer the same; they are for everyone, and `accounts.rs` has their tests.
const OF_SESSIONS: [&str; 3] = ["login", "setup", "logout"];

/// What the operation is that [`Foreign::form`] asks the plan of.
const PLANNED: OperationKind = OperationKind::Start;

/// A configuration that a form could have been opened with.
const BASE: &str = r#"{"name":"web-1","host":"local","profiles":["core"],"mode":"immutable","memory":256,"vcpus":1,"disk":2,
    "network":"nat","identity":{}}"#;

/// Things that the first administrator owns: a member may not even know of them.
struct Foreign {
    job: String,
    image: String,
    user: String,
}

impl Foreign {
    /// A form that would be carried out, if the right person posted it.
    fn form<'a>(&'a self, intent: &'a str) -> Vec<(&'a str, &'a str)> {
        let mut fields = machine_form(intent, "web-2");
        fields.extend([
            ("machine", "web-1"),
            ("confirm", "web-1"),
            ("image", &self.image),
            ("set", "core"),
            ("job", &self.job),
            ("user", &self.user),
            ("role", "administrator"),
            ("host", "local"),
            ("handle", "0123456789abcdef"),
            ("password", PASSWORD),
            ("old_password", "not the present password"),
            ("new_password", "four more random words"),
            ("of", PLANNED.as_str()),
            ("base", BASE),
            ("generation", "1"),
            ("text", "name,memory,disk\nbatch-1,512,1"),
            ("copies", "1"),
        ]);
        fields
    }
}

/// What the permission table says about this form from this person; `owner` owns what the form names.
fn verdict(action: &FormAction, persona: &Persona, owner: UserId) -> Verdict {
    let of_ones_own = match action.word.parse::<OperationKind>() {
        Ok(kind) => kind.row().on != On::Machine,
        Err(_) => action.word == "change_password" || action.word.ends_with("_batch"),
    };
    let access =
        if action.word == "show_plan" { Access::Can(Action::Operate(PLANNED)) } else { action.access };
    match persona.verdict(access, (!of_ones_own).then_some(owner)) {
        // The form names a session that nobody has.
        Verdict::Allowed if action.word == "end_session" => Verdict::NotFound,
        // Someone else's machine does not exist, not even for what only administrators may do.
        Verdict::Denied if !of_ones_own && action.word.parse::<OperationKind>().is_ok() => Verdict::NotFound,
        verdict => verdict,
    }
}

/// Waits until every job is over.
async fn all_is_done(world: &World, actor: &Actor) {
    let open = JobFilter { open: true, ..JobFilter::default() };
    within(async {
        while !world.server.portal.jobs(actor, &open).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn every_intent_answers_every_kind_of_person_as_its_row_says() {
    let (world, admin) = World::new().await;
    let ada = Persona::of(&world, "ada", admin.clone()).await.user.unwrap();
    let job = admin.job("/machines/new", &machine_form("create", "web-1")).await;
    let image = admin.image().await;
    world.user(&admin, "bob", "member").await;
    let foreign = Foreign { job, image, user: world.id_of("bob").await };
    let jobs = async || admin.get("/jobs?machine=web-1").await.body.matches("href=\"/jobs/").count();
    let before = jobs().await;
    let actor = Actor { user: Some(ada.clone()), from: None };

    // Those who may do the most to ada's things come last.
    for persona in Persona::all(&world, &admin).await {
        let may_operate = persona.verdict(Access::Can(Action::Operate(PLANNED)), Some(ada.id));
        for action in FormAction::all().filter(|action| !OF_SESSIONS.contains(&action.word)) {
            // A page that every logged-in user may open: what is refused there is refused because of the intent.
            let reply = persona.person.post("/account", &foreign.form(action.word)).await;
            let what = format!("{} by {}: {} {}", action.word, persona.title, reply.status, reply.location());
            match verdict(&action, &persona, ada.id) {
                Verdict::NotLoggedIn => {
                    assert!(reply.status == 303 && reply.location().starts_with("/login"), "{what}");
                }
                Verdict::Denied => assert_eq!(reply.status, 403, "{what}"),
                Verdict::NotFound => assert_eq!(reply.status, 404, "{what}"),
                // Done, shown, or refused because of the form's content or the current state.
                Verdict::Allowed => {
                    assert!(matches!(reply.status, 200 | 303 | 409 | 422), "{what}");
                    assert!(!reply.location().starts_with("/login"), "{what}");
                }
            }
            all_is_done(&world, &actor).await;
            if may_operate != Verdict::Allowed {
                assert_eq!(jobs().await, before, "{what}, and did something to ada's machine");
            }
        }
    }
    assert!(jobs().await > before, "an administrator works with everybody's machines");
    world.end().await;
}

/// The login page takes forms from anyone, and a form may hold a password that costs time to hash.
#[tokio::test]
async fn a_form_of_somebody_who_is_not_logged_in_is_not_even_read() {
    let (world, _admin) = World::new().await;
    for action in FormAction::all().filter(|action| action.access.needs_login()) {
        let form = [("intent", action.word), ("name", "no name"), ("root_password", "hunter2\n")];
        let reply = world.nobody().post("/login", &form).await;
        assert_eq!(reply.status, 401, "{}: {}", action.word, reply.body);
    }
    world.end().await;
}

#[tokio::test]
async fn a_secret_that_was_posted_is_in_no_answer() {
    let (world, admin) = World::new().await;
    let typed = "a secret that was typed";
    for intent in FormAction::all().map(|action| action.word) {
        // Everything else is missing or wrong, so that the form is shown again.
        let mut fields = vec![("intent", intent), ("name", "not a name")];
        fields.extend(model::form::secrets().into_iter().map(|name| (name, typed)));
        for page in ["/login", "/account", "/users", "/machines/new", "/machines/new/batch"] {
            let person = if page == "/login" { &world.nobody() } else { &admin };
            if intent == "logout" && page != "/login" {
                continue;
            }
            let reply = person.post(page, &fields).await;
            assert!(!reply.body.contains(typed), "{intent} at {page}: {}", reply.body);
        }
    }
    world.end().await;
}

#[tokio::test]
async fn a_page_without_a_field_that_belongs_there_is_told_apart_from_a_wrong_field() {
    let (world, admin) = World::new().await;
    for (form, status) in [
        (vec![("intent", "cancel")], 400),
        (vec![("intent", "cancel"), ("job", "1")], 422),
        (vec![("intent", "cancel"), ("job", "018f2d2e-0000-7000-8000-000000000001")], 404),
        (vec![("intent", "")], 422),
    ] {
        assert_eq!(admin.post("/jobs", &form).await.status, status, "{form:?}");
    }
    world.end().await;
}

#[tokio::test]
async fn of_several_machines_nothing_is_begun_if_the_form_makes_no_sense() {
    let (world, admin) = World::new().await;
    admin.job("/machines/new", &machine_form("create", "web-1")).await;
    let jobs = async || admin.get("/jobs").await.body.matches("href=\"/jobs/").count();
    let before = jobs().await;
    let fields = [("intent", "suspend"), ("from", "list"), ("machine", "web-1"), ("machine", "NO NAME")];
    let reply = admin.post("/", &fields).await;
    assert_eq!((reply.status, jobs().await), (422, before));
    world.end().await;
}

#[tokio::test]
async fn the_audit_log_is_verified_by_its_button_and_by_no_link() {
    let (world, admin) = World::new().await;
    let reply = admin.post("/audit", &[("intent", "verify_audit")]).await;
    assert_eq!(reply.status, 200);
    assert!(reply.body.contains("is intact: each of its"), "{}", reply.body);
    let linked = admin.get("/audit?done=verify_audit").await;
    assert!(!linked.body.contains("is intact"), "{}", linked.body);
    world.end().await;
}
