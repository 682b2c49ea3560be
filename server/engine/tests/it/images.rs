//! Images: built once, kept by their users, removed when nobody uses them.

use crate::harness::{World, admin, build, create, ended, member, name, on, patiently, succeed, until_row};
use model::Fault;
use model::account::Actor;
use model::forecast::{BuildWork, Outlook};
use model::host::Level;
use model::image::ProfileSet;
use model::machine::Mode;
use model::operation::{Operation, OperationKind};
use model::plan::Consent;
use model::portal::Portal as _;
use model::view::machine::MachineRow;
use ports::image_builder::ImageBuilder as _;

#[tokio::test]
async fn an_image_is_kept_by_its_machines_and_removed_after_them() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    succeed(&engine, &ada, create("web")).await;
    let image = engine.images(&ada).await.unwrap().remove(0);
    assert_eq!((image.users, image.current, image.built_by.as_deref()), (1, true, Some("ada")));
    let remove = Operation::RemoveImage { image: image.id };
    let refused = engine.submit(&ada, remove.clone(), Consent::default()).await.unwrap_err();
    assert!(refused.to_string().contains("web"), "{refused:?}");
    world.builder.collect_garbage();

    succeed(&engine, &ada, on(OperationKind::Destroy, "web")).await;
    succeed(&engine, &ada, remove.clone()).await;
    assert_eq!(engine.images(&ada).await.unwrap(), []);
    assert_eq!(world.builder.root_names(), Vec::<String>::new());
    assert_eq!(engine.image(&ada, image.id).await.unwrap_err(), Fault::not_found("image"));
    assert_eq!(engine.submit(&ada, remove, Consent::default()).await.unwrap_err(), Fault::not_found("image"));

    world.builder.collect_garbage();
    succeed(&engine, &ada, on(OperationKind::Provision, "web")).await;
    assert_eq!(world.builder.builds(), 2, "what was collected is built anew");
    engine.shut_down().await;
}

#[tokio::test]
async fn a_newer_image_is_offered_to_the_machines_of_the_older_one() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    succeed(&engine, &ada, create("web")).await;
    let newer = async || engine.machine(&ada, &name("web")).await.unwrap().row.update_available;
    assert!(!newer().await);
    world.clock.advance_millis(1000);
    world.builder.set_source("source-2");
    succeed(&engine, &ada, build("docker")).await;
    assert!(newer().await);
    let images = engine.images(&ada).await.unwrap();
    assert_eq!(images.iter().map(|i| (i.current, i.users)).collect::<Vec<_>>(), [(true, 0), (false, 1)]);
    engine.shut_down().await;

    let engine = world.open().await;
    assert!(
        engine.machine(&ada, &name("web")).await.unwrap().row.update_available,
        "after a restart as well"
    );
    engine.shut_down().await;
}

#[tokio::test]
async fn without_nix_what_needs_it_says_so_and_the_rest_works() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    succeed(&engine, &ada, create("web")).await;
    world.builder.set_broken(Some("nix is not installed"));
    let refused = engine.submit(&ada, create("other"), Consent::default()).await.unwrap_err();
    assert!(refused.to_string().contains("nix is not installed"), "{refused:?}");
    succeed(&engine, &ada, on(OperationKind::Reboot, "web")).await;
    let known = engine.choices(&ada).await.unwrap().profiles;
    assert_eq!(
        known,
        world.builder.known_profiles(),
        "forms stay what they were; the plan says what is wrong"
    );
    let host = engine.check_host(&ada, &"local".parse().unwrap()).await.unwrap();
    let nix = host.findings.iter().find(|f| f.name == "nix").unwrap();
    assert_eq!(nix.fix.as_deref(), Some("Install Nix."));
    world.builder.set_broken(None);
    let choices = engine.choices(&ada).await.unwrap();
    let common: Vec<String> = choices.common.iter().map(ToString::to_string).collect();
    assert_eq!(common, ["core", "core,docker", "core,python", "core,python,rust"]);
    engine.shut_down().await;
}

#[tokio::test]
async fn pages_take_the_last_answer_and_never_wait_for_nix() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    let known = world.builder.known_profiles();
    world.builder.hold_evaluation(true);
    world.builder.set_source("source-2");
    for _ in 0..10 {
        assert_eq!(patiently(engine.choices(&ada)).await.unwrap().profiles, known);
        patiently(engine.plan(&ada, &create("web"))).await.unwrap();
        patiently(engine.hosts(&ada)).await.unwrap();
    }
    patiently(world.builder.asked(2)).await;
    assert_eq!(world.builder.questions(), 2, "once at the start, once for the changed flake");
    engine.shut_down().await;
}

#[tokio::test]
async fn a_failure_of_nix_is_remembered_and_asked_about_again_later_or_when_somebody_wants_to_know() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    world.builder.set_unevaluable(Some("infinite recursion"));
    world.builder.set_source("source-2");
    let refused = async || match engine.plan(&ada, &create("web")).await {
        Err(fault) => fault.to_string(),
        Ok(_) => String::new(),
    };
    let failed = async {
        while !refused().await.contains("infinite recursion") {
            tokio::task::yield_now().await;
        }
    };
    patiently(failed).await;
    for _ in 0..10 {
        assert!(!engine.choices(&ada).await.unwrap().profiles.is_empty());
        assert!(refused().await.contains("infinite recursion"));
    }
    assert_eq!(world.builder.questions(), 2);
    world.clock.advance_millis(5_000);
    refused().await;
    patiently(world.builder.asked(3)).await;

    let check = async || {
        let host = engine.check_host(&ada, &"local".parse().unwrap()).await.unwrap();
        host.findings.into_iter().find(|finding| finding.name == "nix").unwrap().level
    };
    assert_eq!(check().await, Level::Error);
    world.builder.set_unevaluable(None);
    assert_eq!(check().await, Level::Ok, "a test asks, however lately something failed");
    world.builder.set_unevaluable(Some("nix is gone"));
    assert_eq!(check().await, Level::Error, "and however lately it worked");
    assert_eq!(world.builder.questions(), 6);
    engine.shut_down().await;
}

#[tokio::test]
async fn roots_that_nix_does_not_know_any_more_are_made_again_and_those_nobody_needs_go() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    succeed(&engine, &ada, create("web")).await;
    engine.shut_down().await;
    let needed = world.builder.root_names();
    assert_eq!(needed.len(), 2);
    let path = world.builder.root(&needed[0]).await.unwrap().unwrap();
    world.builder.forget_roots();
    for stray in
        ["image-01900000-0000-7000-8000-000000000001", "machine-01900000-0000-7000-8000-000000000002"]
    {
        world.builder.add_root(stray, &path).await.unwrap();
    }

    let engine = world.open().await;
    let restored = async {
        while world.builder.root_names() != needed {
            tokio::task::yield_now().await;
        }
    };
    patiently(restored).await;
    world.builder.collect_garbage();
    assert!(world.builder.is_valid(&path).await.unwrap());
    engine.shut_down().await;
}

#[tokio::test]
async fn a_machine_whose_image_is_gone_says_so_until_it_is_built_again() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    succeed(&engine, &ada, create("web")).await;
    engine.shut_down().await;
    world.builder.forget_roots();
    world.builder.collect_garbage();

    let engine = world.open().await;
    let warns =
        |row: &MachineRow| row.observed.warning.as_ref().is_some_and(|words| words.contains("Nix store"));
    until_row(&engine, &ada, "web", warns).await;
    succeed(&engine, &ada, build("docker")).await;
    let row = engine.machine(&ada, &name("web")).await.unwrap().row;
    assert_eq!(row.observed.warning, None);
    engine.shut_down().await;
}

#[tokio::test]
async fn two_images_are_compared_by_what_they_are_made_of() {
    let world = World::new();
    let engine = world.open().await;
    let (ada, bob) = (admin(&engine).await, member(&engine, "bob").await);
    succeed(&engine, &ada, build("docker")).await;
    world.clock.advance_millis(1000);
    world.builder.set_source("source-2");
    succeed(&engine, &ada, build("docker")).await;
    succeed(&engine, &ada, build("python")).await;
    let images = engine.images(&bob).await.unwrap();
    let id = |profiles: &str, current| {
        images.iter().find(|i| i.profiles.to_string() == profiles && i.current == current).unwrap().id
    };
    let (old, new, other) = (id("core,docker", false), id("core,docker", true), id("core,python", true));

    let diff = engine.closure_diff(&bob, old, new).await.unwrap();
    assert_eq!((diff.from.id, diff.to.id), (old, new));
    let closure = diff.closure.unwrap();
    assert!(closure.kernel.changes() && !closure.systemd.changes());
    let changed: Vec<&str> = closure.changed.iter().map(|change| change.name.as_str()).collect();
    assert_eq!(changed, ["core", "docker", "linux"]);
    let closure = engine.closure_diff(&bob, new, other).await.unwrap().closure.unwrap();
    assert_eq!((closure.removed[0].name.as_str(), closure.added[0].name.as_str()), ("docker", "python"));
    assert!(engine.closure_diff(&bob, new, new).await.unwrap().closure.unwrap().is_empty());

    let missing = model::image::ImageId(uuid::Uuid::from_u128(1));
    for (from, to) in [(new, missing), (missing, new)] {
        let fault = engine.closure_diff(&bob, from, to).await.unwrap_err();
        assert_eq!(fault, Fault::not_found("image"));
    }
    engine.shut_down().await;
}

#[tokio::test]
async fn images_that_cannot_be_compared_say_why() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    world.builder.without_manifests(true);
    succeed(&engine, &ada, build("docker")).await;
    world.builder.without_manifests(false);
    succeed(&engine, &ada, build("python")).await;
    let images = engine.images(&ada).await.unwrap();
    let (new, old) = (images[0].id, images[1].id);
    let why = async |from, to| engine.closure_diff(&ada, from, to).await.unwrap().closure.unwrap_err();
    assert!(why(old, new).await.starts_with("The first image was built before images listed"));
    assert!(why(new, old).await.starts_with("The second image was built before"));
    assert!(why(old, old).await.starts_with("Both images were built before"));
    world.builder.forget_roots();
    world.builder.collect_garbage();
    assert_eq!(why(new, new).await, "The image is gone.");
    engine.shut_down().await;
}

#[tokio::test]
async fn what_a_build_would_take_is_asked_in_the_background_and_known_later() {
    let world = World::new();
    let engine = world.open().await;
    let (ada, bob) = (admin(&engine).await, member(&engine, "bob").await);
    let set = |profiles: &str| profiles.parse::<ProfileSet>().unwrap();
    let look = async |profiles| engine.forecast(&bob, &set(profiles), Mode::Immutable).await.unwrap();
    let asked_before = world.builder.questions();
    world.builder.hold_evaluation(true);
    for _ in 0..10 {
        let docker = patiently(look("docker")).await;
        assert_eq!((docker.outlook, docker.usual), (Outlook::Asked, None));
        assert_eq!(patiently(look("python")).await.outlook, Outlook::Asked, "one question at a time");
    }
    patiently(world.builder.asked(asked_before + 1)).await;
    let Outlook::Unknown(why) = look("rust").await.outlook else { panic!("it cannot be built") };
    assert!(why.contains("needs “python”"), "{why}");
    world.builder.hold_evaluation(false);
    let known = async |profiles| loop {
        match look(profiles).await.outlook {
            Outlook::Asked => tokio::task::yield_now().await,
            outlook => return outlook,
        }
    };
    let work = BuildWork { to_build: 1, to_fetch: 2, download: 5 << 20, unpacked: 20 << 20 };
    assert_eq!(patiently(known("docker")).await, Outlook::Known(work));
    assert_eq!(patiently(known("python")).await, Outlook::Known(work));
    assert_eq!(world.builder.questions(), asked_before + 2);

    world.builder.hold(true);
    let job = engine.submit(&ada, build("docker"), Consent::default()).await.unwrap().job;
    patiently(world.builder.begun(1)).await;
    world.clock.advance_millis(90_000);
    world.builder.hold(false);
    patiently(ended(&engine, &ada, job)).await;
    let docker = look("docker").await;
    assert_eq!((docker.outlook, docker.usual), (Outlook::Built, Some(90_000)));
    assert_eq!(look("python").await.usual, None);

    world.builder.set_source("source-2");
    world.builder.set_unevaluable(Some("infinite recursion"));
    let Outlook::Unknown(why) = patiently(known("docker")).await else { panic!("it was evaluated") };
    assert!(why.contains("cannot be evaluated"), "{why}");
    world.builder.set_unevaluable(None);
    world.clock.advance_millis(60_000);
    let again = async {
        while !matches!(look("docker").await.outlook, Outlook::Known(_)) {
            tokio::task::yield_now().await;
        }
    };
    patiently(again).await;
    let nobody = engine.forecast(&Actor::anonymous(None), &set("docker"), Mode::Immutable).await;
    assert_eq!(nobody.unwrap_err(), Fault::Unauthenticated);
    engine.shut_down().await;
}

#[tokio::test]
async fn a_portal_that_ends_does_not_wait_for_a_forecast() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    world.builder.hold_evaluation(true);
    let before = world.builder.questions();
    engine.forecast(&ada, &"docker".parse().unwrap(), Mode::Immutable).await.unwrap();
    patiently(world.builder.asked(before + 1)).await;
    patiently(engine.shut_down()).await;
}
