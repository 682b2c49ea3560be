//! The form that clones a machine: one copy or several, without JavaScript.

use crate::persona::Persona;
use crate::world::{World, machine_form, within};
use model::account::Actor;
use model::view::job::JobFilter;

#[tokio::test]
async fn a_machine_is_cloned_from_its_form_once_or_several_times() {
    let (world, admin) = World::new().await;
    let owner = world.user(&admin, "mia", "member").await;
    let mut created = machine_form("create", "web-1");
    created.iter_mut().filter(|(name, _)| *name == "disk").for_each(|(_, value)| *value = "2");
    owner.job("/machines/new", &created).await;
    let page = "/machines/web-1/do/clone";
    let menu = owner.get("/machines/web-1").await.body;
    assert!(menu.contains(&format!("href=\"{page}\"")), "{menu}");
    let form = owner.get(page).await.body;
    assert!(form.contains("Name of the copy") && form.contains("Number of copies"), "{form}");
    let of = |wanted: &str| created.iter().find(|(name, _)| *name == wanted).map_or("", |(_, value)| *value);
    let fields = |intent, name, copies, disk| {
        let mut fields = vec![("intent", intent), ("machine", "web-1"), ("name", name), ("copies", copies)];
        fields.extend([("memory", of("memory")), ("vcpus", of("vcpus")), ("network", of("network"))]);
        fields.extend([("profiles", of("profiles")), ("disk", disk), ("of", "clone")]);
        fields
    };
    let disk = of("disk");
    for (name, copies, size, why) in [
        ("db", "1", "1", "cannot be smaller"),
        ("web-1", "1", disk, "There already is a machine named web-1"),
        ("db", "2", disk, "need {n} in their name"),
    ] {
        let reply = owner.post(page, &fields("clone", name, copies, size)).await;
        assert_eq!(reply.status, 422, "{why}");
        assert!(
            reply.body.contains(why) && reply.body.contains(&format!("value=\"{name}\"")),
            "{}",
            reply.body
        );
    }
    let plan = owner.post(page, &fields("show_plan", "db", "1", disk)).await.body;
    assert!(plan.contains("Copy the disk of web-1, while it runs"), "{plan}");
    assert!(plan.contains("web-1 as it is, with everything on it"), "{plan}");

    let job = owner.job(page, &fields("clone", "db", "1", disk)).await;
    let about = owner.get(&format!("/jobs/{job}")).await.body;
    assert!(about.contains("Clone web-1 to db") && about.contains("href=\"/machines/db\""), "{about}");
    assert_eq!(owner.get("/machines/db").await.status, 200);
    // One of three has a name that is taken: the others are made, and it is said which is not.
    owner.job(page, &fields("clone", "mail-2", "1", disk)).await;
    let reply = owner.post(page, &fields("clone", "mail-{n}", "3", disk)).await;
    assert!(reply.body.contains("Clone web-1 to mail-2: "), "{}", reply.body);
    assert!(reply.body.contains("Accepted: Clone web-1 to mail-1, Clone web-1 to mail-3"), "{}", reply.body);
    for made in ["mail-1", "mail-3"] {
        assert_eq!(owner.get(&format!("/machines/{made}")).await.status, 200, "{made}");
    }
    let all = owner.post(page, &fields("clone", "build-{n}", "2", disk)).await;
    assert_eq!((all.status, all.location()), (303, "/jobs"));
    let open = JobFilter { open: true, ..JobFilter::default() };
    let mia = Persona::of(&world, "mia", owner).await.user.unwrap();
    let actor = Actor { user: Some(mia), from: None };
    within(async {
        while !world.server.portal.jobs(&actor, &open).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    world.end().await;
}
