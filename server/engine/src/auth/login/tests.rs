//! What changes between verifying a password and what rests on it.

use super::*;
use crate::engine::Engine;
use crate::settings::{PasswordCost, Settings};
use crate::testing::builder::MemoryBuilder;
use crate::testing::clock::ManualClock;
use model::account::Actor;
use std::sync::Arc;
use tempfile::TempDir;

const OLD: &str = "four random words do well";
const NEW: &str = "and four others do as well";

struct World {
    _dir: TempDir,
    engine: Arc<Engine>,
    ada: Cx,
}

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

/// A portal with two administrators, and a request of one of them.
async fn world() -> World {
    let dir = TempDir::new().unwrap();
    let settings =
        Settings { password_cost: PasswordCost { memory: 8, passes: 1 }, ..Settings::new(dir.path()) };
    let (builder, clock) = (Arc::new(MemoryBuilder::new()), Arc::new(ManualClock::new()));
    let engine = Engine::open_at_rest(settings, Vec::new(), builder, clock).await.unwrap();
    for name in ["ada", "eve"] {
        create_administrator(&engine.core, &engine.core.internal_cx(), name, &secret(OLD)).await.unwrap();
    }
    let ada = user_by_name(&engine.core, &"ada".parse().unwrap()).await.unwrap().unwrap();
    let user = SessionUser { id: ada.id, name: ada.name, role: ada.role };
    let ada = engine.core.cx(&Actor { user: Some(user), from: None });
    World { _dir: dir, engine, ada }
}

impl World {
    async fn prove(&self, password: &str) -> Proof {
        prove(&self.engine.core, "ada", &secret(password)).await.unwrap().0.unwrap()
    }

    async fn enters(&self, proof: &Proof) -> bool {
        enter(&self.engine.core, &self.ada, proof, &Browser::default()).await.unwrap().is_some()
    }

    async fn change(&self, old: &str, new: &str) -> Result<()> {
        change_password(&self.engine.core, &self.ada, &secret("token"), &secret(old), &secret(new)).await
    }

    async fn set_disabled(&self, disabled: bool) {
        let mut tx = self.engine.core.db.begin().await.unwrap();
        db::users::set_disabled(&mut tx, self.ada.user_id().unwrap(), disabled).await.unwrap();
        tx.commit().await.unwrap();
    }
}

#[tokio::test]
async fn a_password_that_was_changed_while_it_was_verified_opens_no_session() {
    let world = world().await;
    let proof = world.prove(OLD).await;
    assert!(world.enters(&proof).await);
    world.change(OLD, NEW).await.unwrap();
    assert!(!world.enters(&proof).await);
    assert!(world.enters(&world.prove(NEW).await).await);
    world.engine.shut_down().await;
}

#[tokio::test]
async fn an_account_that_was_disabled_while_its_password_was_verified_opens_no_session() {
    let world = world().await;
    let proof = world.prove(OLD).await;
    world.set_disabled(true).await;
    assert!(!world.enters(&proof).await);
    world.set_disabled(false).await;
    assert!(world.enters(&proof).await);
    world.engine.shut_down().await;
}

#[tokio::test]
async fn a_change_that_rests_on_a_former_password_changes_nothing() {
    let world = world().await;
    let core = &world.engine.core;
    let proof = world.prove(OLD).await;
    let hash = core.passwords.hash(&secret("words of the slower one")).await.unwrap();
    world.change(OLD, NEW).await.unwrap();
    assert!(!replace(core, &world.ada, &secret("token"), &proof, &hash).await.unwrap());
    world.prove(NEW).await;
    world.engine.shut_down().await;
}

#[tokio::test]
async fn of_two_changes_at_once_one_is_made() {
    let world = world().await;
    let (one, two) = tokio::join!(world.change(OLD, NEW), world.change(OLD, "another four words again"));
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    world.prove(if one.is_ok() { NEW } else { "another four words again" }).await;
    world.engine.shut_down().await;
}

#[tokio::test]
async fn a_setup_link_used_twice_at_once_makes_one_administrator() {
    let dir = TempDir::new().unwrap();
    let settings =
        Settings { password_cost: PasswordCost { memory: 8, passes: 1 }, ..Settings::new(dir.path()) };
    let (builder, clock) = (Arc::new(MemoryBuilder::new()), Arc::new(ManualClock::new()));
    let engine = Engine::open_at_rest(settings, Vec::new(), builder, clock).await.unwrap();
    let core = &engine.core;
    let (cx, token, browser) = (core.internal_cx(), core.setup.token(), Browser::default());
    let password = secret(OLD);
    let (ada, eve) = tokio::join!(
        setup(core, &cx, &token, "ada", &password, &browser),
        setup(core, &cx, &token, "eve", &password, &browser),
    );
    assert!(ada.is_ok() != eve.is_ok());
    assert_eq!(db::users::all(&mut core.db.read().await.unwrap()).await.unwrap().len(), 1);
    engine.shut_down().await;
}
