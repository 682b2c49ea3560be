//! The form that renames a machine, and where its old addresses lead.

use crate::persona::Persona;
use crate::world::{World, machine_form};

#[tokio::test]
async fn a_machine_is_renamed_from_its_form_and_its_old_pages_lead_to_the_new_ones() {
    let (world, admin) = World::new().await;
    let owner = world.user(&admin, "mia", "member").await;
    owner.job("/machines/new", &machine_form("create", "web-1")).await;
    let page = "/machines/web-1/do/rename";
    let form = owner.get(page).await;
    assert!(
        form.body.contains("Shut it down first") && !form.body.contains("name=\"name\""),
        "{}",
        form.body
    );
    owner.operate("web-1", "force_off").await;
    assert!(owner.get(page).await.body.contains("name=\"name\""));
    let fields = |name| [("intent", "rename"), ("machine", "web-1"), ("name", name)];
    for (wrong, why) in
        [("Web 2", "must start with a lower-case letter"), ("web-1", "It is already called web-1")]
    {
        let reply = owner.post(page, &fields(wrong)).await;
        assert_eq!(reply.status, 422, "{wrong}");
        assert!(
            reply.body.contains(why) && reply.body.contains(&format!("value=\"{wrong}\"")),
            "{}",
            reply.body
        );
    }
    let shown = [("intent", "show_plan"), ("of", "rename"), ("machine", "web-1"), ("name", "db-1")];
    let plan = owner.post(page, &shown).await;
    assert!(
        plan.body.contains("Save the new name, db-1") && plan.body.contains("its host name is db-1"),
        "{}",
        plan.body
    );
    let job = owner.job(page, &fields("db-1")).await;
    let about = owner.get(&format!("/jobs/{job}")).await.body;
    assert!(about.contains("Rename web-1 to db-1") && about.contains("href=\"/machines/db-1\""), "{about}");

    let people = Persona::all(&world, &admin).await;
    for old in ["", "/console", "/configuration", "/activity?x=1", "/do/start"] {
        let (old, new) = (format!("/machines/web-1{old}"), format!("/machines/db-1{old}"));
        for person in [&owner, &admin] {
            let reply = person.get(&old).await;
            // Not permanently (RFC 9110 §15.4): another machine may get the name.
            assert_eq!((reply.status, reply.location()), (303, new.as_str()), "{old}");
        }
        for persona in &people {
            let reply = persona.person.get(&old).await;
            let sees = persona.person.get(&new).await.status;
            let expected = if sees == 200 { 303 } else { sees };
            assert_eq!(reply.status, expected, "{old} as {}", persona.title);
            assert_eq!(reply.location() == new, sees == 200, "{old} as {}", persona.title);
        }
    }
    // What an old page posts is not done, and the answer says why.
    let reply = owner.post("/machines/web-1", &[("intent", "start"), ("machine", "web-1")]).await;
    assert!(reply.status == 409 || reply.status == 422, "{}", reply.status);
    assert!(reply.body.contains("web-1 is now called db-1"), "{}", reply.body);
    assert_eq!(owner.get("/machines/web-0").await.status, 404);
    world.end().await;
}
