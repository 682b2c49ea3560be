//! Logs: replayed from any line, followed to the end, by many at once. Consoles: attached through the engine.

use crate::harness::{World, admin, build, create, ended, name, next, on, patiently, succeed};
use engine::console::ConsoleItem;
use futures::StreamExt as _;
use model::console::ConsoleRole;
use model::job::JobState;
use model::operation::OperationKind;
use model::plan::Consent;
use model::portal::Portal as _;
use model::view::job::JobFrame;
use std::time::Instant;

const LINES: usize = 20_000;
const CLIENTS: usize = 50;

#[tokio::test]
async fn a_log_is_replayed_from_any_line_and_ends() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    let job = succeed(&engine, &ada, create("web")).await.summary.badge.id;
    let all = async |after: Option<u64>| {
        let mut frames = engine.follow_job(&ada, job, after).await.unwrap();
        let JobFrame::Job { view } = next(&mut frames).await else { panic!("the state comes first") };
        assert_eq!(view.summary.badge.state, JobState::Succeeded);
        let mut lines = Vec::new();
        loop {
            match next(&mut frames).await {
                JobFrame::Lines { lines: more } => lines.extend(more),
                JobFrame::End => break,
                other => panic!("{other:?}"),
            }
        }
        assert!(frames.next().await.is_none());
        lines
    };
    let lines = all(None).await;
    assert!(lines.iter().enumerate().all(|(n, line)| line.seq == n as u64));
    assert!(lines.iter().any(|l| l.text == "line 2" && l.step == "image.build"), "{lines:#?}");
    let half = lines.len() / 2;
    assert_eq!(all(Some(half as u64 - 1)).await, lines[half..]);
    assert_eq!(all(Some(u64::MAX)).await, []);
    engine.shut_down().await;
}

/// Checks that a frame begins with line `from`, and returns which line comes next. With `all`, every line is checked;
/// the others at the first and the last: parsing is the browsers' work, and fifty of them have more processors than a test.
fn check_frame(text: &str, from: u64, all: bool) -> u64 {
    let seq = |at: usize| -> u64 {
        let digits = text[at..].strip_prefix("{\"seq\":").and_then(|rest| rest.split(',').next());
        digits.and_then(|digits| digits.parse().ok()).unwrap()
    };
    assert_eq!(seq(text.find("{\"seq\":").unwrap()), from);
    let next = seq(text.rfind("{\"seq\":").unwrap()) + 1;
    if all {
        let JobFrame::Lines { lines } = serde_json::from_str(text).unwrap() else { panic!("{text}") };
        assert!(lines.iter().map(|line| line.seq).eq(from..next));
    }
    next
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_follow_twenty_thousand_lines_and_none_loses_one() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    world.builder.set_lines(LINES);
    world.builder.hold(true);
    let job = engine.submit(&ada, build("docker"), Consent::default()).await.unwrap().job;
    world.builder.begun(1).await;
    let began = Instant::now();
    let followers: Vec<_> = (0..CLIENTS)
        .map(|n| {
            let (engine, ada) = (engine.clone(), ada.clone());
            tokio::spawn(async move {
                let mut texts = engine.follow_job_text(&ada, job, None).await.unwrap();
                let (mut seen, mut progress) = (0_u64, false);
                loop {
                    let text = next(&mut texts).await;
                    if text.starts_with("{\"type\":\"lines\"") {
                        seen = check_frame(&text, seen, n == 0);
                    } else if text.contains("\"progress\"") {
                        progress = true;
                    } else if text == "{\"type\":\"end\"}" {
                        return (seen, progress);
                    }
                }
            })
        })
        .collect();
    world.builder.hold(false);
    for follower in followers {
        let (seen, progress) = follower.await.unwrap();
        assert!(seen >= LINES as u64, "{seen}");
        assert!(progress);
    }
    println!("{CLIENTS} followers of {LINES} lines: {:?}", began.elapsed());
    assert_eq!(ended(&engine, &ada, job).await.summary.badge.state, JobState::Succeeded);
    engine.shut_down().await;
}

#[tokio::test]
async fn what_a_machine_said_goes_when_it_is_purged() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    succeed(&engine, &ada, create("web")).await;
    let mut session = engine.attach_console(&ada, &name("web"), ConsoleRole::Watcher, None).await.unwrap();
    while !matches!(patiently(session.next()).await, Some(ConsoleItem::Bytes(_))) {}
    let folders = || std::fs::read_dir(world.settings.state.join("console")).unwrap().count();
    patiently(async {
        while folders() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    succeed(&engine, &ada, on(OperationKind::Purge, "web")).await;
    assert_eq!(folders(), 0);
    engine.shut_down().await;
}

#[tokio::test]
async fn what_is_typed_on_a_console_comes_back_and_the_end_says_why() {
    let world = World::new();
    let engine = world.open().await;
    let ada = admin(&engine).await;
    succeed(&engine, &ada, create("web")).await;
    let mut session = engine.attach_console(&ada, &name("web"), ConsoleRole::Driver, None).await.unwrap();
    assert!(session.type_in(b"hello"));
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("hello") {
        if let Some(ConsoleItem::Bytes(bytes)) = patiently(session.next()).await {
            seen.extend_from_slice(&bytes);
        }
    }
    assert!(String::from_utf8_lossy(&seen).contains("web login:"), "{seen:?}");
    let shut_down = engine.shut_down();
    let drain = async move { while session.next().await.is_some() {} };
    patiently(async { tokio::join!(shut_down, drain) }).await;
}
