//! Every word that a form can have as its intent × every kind of person: an operation or a word without a row in its table
//! cannot be posted, and a row that promises too much or too little fails here.

use crate::world::{PASSWORD, Person, World, machine_form};
use model::account::Role;
use model::catalog::On;
use model::operation::OperationKind;
use model::permission::{Action, Scope, scope};
use server::forms::WORDS;
use server::routes::Access;

/// Words after which the session is not what it was; they are for everybody, and `accounts.rs` has their tests.
const OF_SESSIONS: [&str; 3] = ["login", "setup", "logout"];

/// Things that belong to the administrator: a member may not even know of them.
struct Foreign {
    job: String,
    image: String,
    user: String,
}

impl Foreign {
    /// A form that would be carried out, were the right person to post it.
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
            ("of", "start"),
        ]);
        fields
    }
}

/// Every word with the rank that its table asks for.
fn every_word() -> Vec<(&'static str, Access)> {
    let others = WORDS.iter().map(|row| (row.word, row.access));
    let operations = OperationKind::ALL.iter().map(|kind| {
        let for_members = scope(Role::Member, Action::Operate(*kind)) != Scope::None;
        (kind.as_str(), if for_members { Access::Member } else { Access::Administrator })
    });
    others.filter(|(word, _)| !OF_SESSIONS.contains(word)).chain(operations).collect()
}

fn is_on_machine(word: &str) -> bool {
    word.parse::<OperationKind>().is_ok_and(|kind| kind.row().on == On::Machine)
}

async fn status(person: &Person, form: &[(&str, &str)]) -> (u16, String) {
    // A page that everybody who is logged in may open: what is refused there is refused for the intent.
    let reply = person.post("/account", form).await;
    (reply.status, reply.location().to_owned())
}

#[tokio::test]
async fn every_intent_answers_every_kind_of_person_as_its_row_says() {
    let (world, admin) = World::new().await;
    let member = world.user(&admin, "mia", "member").await;
    let job = admin.job("/machines/new", &machine_form("create", "web-1")).await;
    let image = admin.image().await;
    world.user(&admin, "bob", "member").await;
    let foreign = Foreign { job, image, user: world.id_of("bob").await };
    let jobs = async || admin.get("/jobs?machine=web-1").await.body.matches("href=\"/jobs/").count();
    let before = jobs().await;

    for (word, access) in every_word() {
        let form = foreign.form(word);
        let (code, to) = status(&world.nobody(), &form).await;
        assert!(code == 303 && to.starts_with("/login"), "{word} by nobody: {code} {to}");
        let (code, to) = status(&member, &form).await;
        let expected: &[u16] = match (access, word) {
            // Somebody else's machine does not exist, not even for what only administrators may do.
            (_, word) if is_on_machine(word) => &[404],
            (Access::Administrator, _) => &[403],
            // What everybody has for themselves: done, or refused for what the form says.
            (_, "change_password" | "build" | "create" | "configure" | "verify_audit") => &[303, 422],
            // What is somebody else's does not exist.
            _ => &[404],
        };
        assert!(expected.contains(&code), "{word} by a member: {code}, not one of {expected:?}");
        if let Some(job) = to.strip_prefix("/jobs/") {
            member.wait_for(job).await;
        }
        assert_eq!(jobs().await, before, "{word} by a member did something to the administrator's machine");
    }
    for (word, access) in every_word() {
        if access == Access::Administrator && word != "remove_image" {
            let (code, to) = status(&admin, &foreign.form(word)).await;
            assert!(matches!(code, 303 | 409 | 422), "{word} by an administrator: {code} {to}");
        }
    }
    world.end().await;
}

#[tokio::test]
async fn a_secret_that_was_posted_is_in_no_answer() {
    let (world, admin) = World::new().await;
    let typed = "a secret that was typed";
    for intent in WORDS.iter().map(|row| row.word).chain(OperationKind::ALL.iter().map(|kind| kind.as_str()))
    {
        // Everything else is missing or wrong, so that the form is shown again.
        let mut fields = vec![("intent", intent), ("name", "not a name")];
        fields.extend(model::form::secrets().into_iter().map(|name| (name, typed)));
        for page in ["/login", "/account", "/users", "/machines/new"] {
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
