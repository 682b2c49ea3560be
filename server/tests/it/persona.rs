//! Every kind of person that there is, and what the permission table says about each.

use crate::world::{Person, World};
use model::account::{Role, SessionUser, UserId};
use model::permission::{Subject, can};
use server::routes::Access;

/// One kind of person.
pub struct Persona {
    pub title: String,
    pub person: Person,
    /// None where nobody is logged in.
    pub user: Option<SessionUser>,
}

/// What the permission table says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Allowed,
    NotLoggedIn,
    /// May do it to nothing at all.
    Denied,
    /// May do it, but not to this: it does not exist for them.
    NotFound,
}

impl Persona {
    /// Someone who is not logged in, someone whose account has since been disabled, and someone of each role; none of
    /// them owns anything.
    pub async fn all(world: &World, admin: &Person) -> Vec<Self> {
        let disabled = world.user(admin, "dan", "member").await;
        let dan = world.id_of("dan").await;
        assert_eq!(admin.post("/users", &[("intent", "disable"), ("user", &dan)]).await.status, 303);
        let mut all = vec![
            Self { title: "anonymous".to_owned(), person: world.nobody(), user: None },
            Self { title: "disabled".to_owned(), person: disabled, user: None },
        ];
        for role in Role::ALL {
            let name = format!("some-{}", role.as_str());
            let person = world.user(admin, &name, role.as_str()).await;
            all.push(Self::of(world, &name, person).await);
        }
        all
    }

    /// A user who is logged in.
    pub async fn of(world: &World, name: &str, person: Person) -> Self {
        let user = world.server.engine.user_by_name(&name.parse().unwrap()).await.unwrap().unwrap();
        let user = SessionUser { id: user.id, name: user.name, role: user.role };
        Self { title: name.to_owned(), person, user: Some(user) }
    }

    /// Whether this person gets a proper answer about a thing of this owner, or about what is their own or nobody's.
    pub fn verdict(&self, access: Access, owner: Option<UserId>) -> Verdict {
        match (access, &self.user) {
            (Access::Anyone, _) | (Access::LoggedIn, Some(_)) => Verdict::Allowed,
            (_, None) => Verdict::NotLoggedIn,
            (Access::Can(action), Some(user)) => {
                if !can(user, action, Subject::Any) {
                    Verdict::Denied
                } else if owner.is_some_and(|owner| !can(user, action, Subject::owned_by(&[owner]))) {
                    Verdict::NotFound
                } else {
                    Verdict::Allowed
                }
            }
        }
    }
}
