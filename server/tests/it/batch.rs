//! Many machines from one text, as a browser posts it.

use crate::http::Reply;
use crate::world::{Person, World, digest_of, machine_form};

const PAGE: &str = "/machines/new/batch";
const SMALL: &str = "name,memory,vcpus,disk,root_password\n";

/// Posts a text with a button of the page, as a form with a file input does.
async fn post(person: &Person, button: &str, digest: &str, text: &str, file: Option<&str>) -> Reply {
    let part = |name: &str, more: &str, value: &str| {
        format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"{more}\r\n\r\n{value}\r\n")
    };
    let more = format!("; filename=\"{}\"", if file.is_some() { "machines.csv" } else { "" });
    let file = part("text", &more, file.unwrap_or_default());
    let body = format!("{file}{}{}", part("text", "", text), part("intent", "", button));
    let body = format!("{body}{}--x--\r\n", part("digest", "", digest));
    let headers = [("origin", person.origin.as_str()), ("content-type", "multipart/form-data; boundary=x")];
    person.ask("POST", PAGE, &headers, body.as_bytes()).await
}

/// Presses a button that shows something.
async fn press(person: &Person, button: &str, text: &str, file: Option<&str>) -> Reply {
    post(person, button, "", text, file).await
}

/// Checks a text, and then presses a button that creates something.
async fn submit(person: &Person, button: &str, text: &str) -> Reply {
    let shown = press(person, "check_batch", "", Some(text)).await;
    assert_eq!(shown.status, 200, "{}", shown.body);
    // As a text area posts it.
    post(person, button, &digest_of(&shown.body), &text.replace('\n', "\r\n"), None).await
}

#[tokio::test]
async fn a_text_is_checked_corrected_and_becomes_a_job_for_each_machine() {
    let (world, admin) = World::new().await;
    admin.job("/machines/new", &machine_form("create", "taken")).await;
    let lines = "web-1,512,1,1,hunter2 hunter2\nWeb 2,512,1,1,\nweb-3,much,1,1,\ntaken,512,1,1,\n";
    let wrong = format!("{SMALL}{lines}");
    for button in ["check_batch", "create_batch", "configure_batch"] {
        let reply = press(&admin, button, &wrong, None).await;
        assert_eq!(reply.status, 422, "{button}");
        assert_eq!(reply.header("cache-control"), Some("no-store"), "the text may hold passwords");
        for said in [
            "3 of 4 machines have errors.",
            "4 machines, read as CSV",
            "must start with a lower-case letter",
            "Memory in MiB must be a whole number.",
            "There already is a machine named taken; choose another name.",
            "href=\"#machine-3\"",
            lines,
        ] {
            assert!(reply.body.contains(said), "{button}: {said}: {}", reply.body);
        }
        assert!(!reply.body.contains("value=\"create_batch\""), "{button}: nothing can be created");
        assert_eq!(reply.body.matches("hunter2 hunter2").count(), 1, "in the text alone");
        assert_eq!(admin.get("/machines/web-1").await.status, 404, "{button}: nothing is begun");
    }

    let right = format!("{SMALL}web-1,512,1,1,hunter2 hunter2\nweb-2,512,1,1,\nweb-3,0.5G,1,1,\n")
        .replace("0.5G", "1G");
    let reply = press(&admin, "check_batch", "", Some(&right)).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    for said in [
        "3 machines, read as CSV. Nothing has been created yet.",
        "Create 3 machines",
        "Only save the configurations",
        "Together 2 GiB of memory, 3 processors and 3 GiB of disk.",
        "Nobody will be able to log in",
        "What will happen",
        "web-3,1G,1,1,",
    ] {
        assert!(reply.body.contains(said), "{said}: {}", reply.body);
    }
    assert_eq!(admin.get("/machines/web-1").await.status, 404);
    let reply = submit(&admin, "create_batch", &right).await;
    assert_eq!((reply.status, reply.location()), (303, "/jobs"), "{}", reply.body);
    for name in ["web-1", "web-2", "web-3"] {
        admin.latest_job(name).await;
        assert!(admin.get(&format!("/machines/{name}")).await.body.contains("Running"));
    }
    let audit = admin.get("/audit.csv").await.body;
    assert_eq!(audit.matches(",create,").count(), 4, "{audit}");
    assert!(!audit.contains("hunter2"));
    for file in ["snowglobe.db", "snowglobe.db-wal"] {
        let kept = std::fs::read(world.state.path().join(file)).unwrap();
        assert!(!kept.windows(7).any(|bytes| bytes == b"hunter2"), "{file} has what was typed");
    }
    world.end().await;
}

#[tokio::test]
async fn what_was_not_shown_is_not_created() {
    let (world, admin) = World::new().await;
    let shown = press(&admin, "check_batch", &format!("{SMALL}a,512,1,1,\n"), None).await;
    let digest = digest_of(&shown.body);
    let longer = format!("{SMALL}a,512,1,1,\nb,512,1,1,\n");
    for digest in [digest.as_str(), ""] {
        let reply = post(&admin, "create_batch", digest, &longer, None).await;
        assert_eq!(reply.status, 409, "{}", reply.body);
        assert!(
            reply.body.contains("The text has changed since") && reply.body.contains("Create 2 machines")
        );
        assert_ne!(digest_of(&reply.body), digest);
    }
    assert_eq!(admin.get("/machines/a").await.status, 404);
    world.end().await;
}

#[tokio::test]
async fn only_the_configurations_can_be_saved() {
    let (world, admin) = World::new().await;
    let text = "[defaults]\nmemory = 512\ndisk = 1\n[[machine]]\nname = 'web-1'\n[[machine]]\nname = 'web-2'";
    let reply = submit(&admin, "configure_batch", text).await;
    assert_eq!((reply.status, reply.location()), (303, "/jobs"), "{}", reply.body);
    for name in ["web-1", "web-2"] {
        admin.latest_job(name).await;
        assert!(admin.get(&format!("/machines/{name}")).await.body.contains("Not created"));
    }
    // A single one leads where the form for one leads.
    let reply = submit(&admin, "create_batch", "create-batch web-3 core 512 1 1").await;
    let job = reply.location().strip_prefix("/jobs/").expect("its job").to_owned();
    admin.wait_for(&job).await;
    world.end().await;
}

#[tokio::test]
async fn what_was_accepted_before_is_left_out() {
    let (world, admin) = World::new().await;
    admin.job("/machines/new", &machine_form("create", "web-1")).await;
    let text = "create-batch web-1 core 512 1 1\ncreate-batch web-2 core 512 1 1";
    let fields = [("text", text), ("accepted", "web-1"), ("intent", "check_batch")];
    let reply = admin.post(PAGE, &fields).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert!(reply.body.contains("Create the remaining 1 machine") && reply.body.contains("Accepted before"));
    assert!(reply.body.contains("name=\"accepted\" value=\"web-1\""), "{}", reply.body);
    let digest = digest_of(&reply.body);
    let fields = [("text", text), ("accepted", "web-1"), ("digest", &digest), ("intent", "create_batch")];
    let reply = admin.post(PAGE, &fields).await;
    assert_eq!(reply.status, 303, "{}", reply.body);
    admin.latest_job("web-2").await;
    world.end().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_told_beside_the_text_and_the_text_stays() {
    let (world, admin) = World::new().await;
    for (text, said) in [
        ("[{\"name\": \"web-1\",}]", "Line 1, column 19: "),
        ("name,memroy\nweb-1,512\n", "did you mean “memory”"),
        ("", "Paste the machines here, or choose a file."),
        ("name,notes\nweb-1,</textarea><script>alert(1)</script>\u{0}\n", "control character (U+0000)"),
    ] {
        let reply = press(&admin, "check_batch", text, None).await;
        assert_eq!(reply.status, 422, "{text}");
        assert!(reply.body.contains(said), "{text}: {}", reply.body);
        assert!(reply.body.contains("id=\"text-error\"") && !reply.body.contains("<script>alert"), "{text}");
        assert!(text.is_empty() || reply.body.contains(&text[..11].replace('<', "&lt;")), "{text}");
    }
    // More than a text may have is read, so that it can be shown again; more than that is not.
    let long = format!("name\n{}", "#".repeat(300 * 1024));
    let reply = press(&admin, "check_batch", &long, None).await;
    assert!(
        reply.status == 422
            && reply.body.contains("at most 256 KiB are read")
            && reply.body.len() > long.len()
    );
    let reply = press(&admin, "check_batch", "name\nweb-1", Some("\u{0}ELF")).await;
    assert!(reply.status == 422 && reply.body.contains("U+0000"), "a file that is no text");
    world.end().await;
}

#[tokio::test]
async fn a_hundred_machines_are_checked_at_once() {
    let (world, admin) = World::new().await;
    let rows: String = (0..100).map(|n| format!("web-{n},512,1,1,\n")).collect();
    let began = std::time::Instant::now();
    let reply = press(&admin, "check_batch", &format!("{SMALL}{rows}"), None).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert!(reply.body.contains("Create 100 machines"));
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
    eprintln!("100 machines checked in {:?}, {} bytes", began.elapsed(), reply.body.len());
    world.end().await;
}

#[tokio::test]
async fn a_member_creates_machines_of_their_own() {
    let (world, admin) = World::new().await;
    let mia = world.user(&admin, "mia", "member").await;
    let eve = world.user(&admin, "eve", "member").await;
    let reply = submit(&mia, "create_batch", &format!("{SMALL}a,512,1,1,\nb,512,1,1,\n")).await;
    assert_eq!(reply.status, 303, "{}", reply.body);
    for name in ["a", "b"] {
        mia.latest_job(name).await;
        assert_eq!(eve.get(&format!("/machines/{name}")).await.status, 404);
    }
    world.end().await;
}

#[tokio::test]
async fn every_example_on_the_page_can_be_used() {
    let (world, admin) = World::new().await;
    let page = admin.get(PAGE).await.body;
    let examples: Vec<String> = page
        .split("<pre class=\"example\">")
        .skip(1)
        .map(|rest| {
            rest.split("</pre>")
                .next()
                .unwrap()
                .replace("<!>", "")
                .replace("&quot;", "\"")
                .replace("&amp;", "&")
        })
        .collect();
    assert_eq!(examples.len(), 4);
    for example in examples {
        let reply = press(&admin, "check_batch", &example, None).await;
        assert_eq!(reply.status, 200, "{example}: {}", reply.body);
    }
    world.end().await;
}
