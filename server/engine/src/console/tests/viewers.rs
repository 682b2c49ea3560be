//! Many who look at once: one of them drives, a slow one holds nobody up, and much costs little.

use super::*;
use crate::console::history::{HEAD, TAIL};

#[tokio::test]
async fn only_the_driver_types_and_taking_over_is_explicit() {
    let world = World::new();
    let guest = world.plug();
    let mut ann = world.attach("ann", ConsoleRole::Driver, None).await;
    let mut bob = world.attach("bob", ConsoleRole::Driver, None).await;
    guest.say("$ ").await;
    let (_, notices) = read_to(&mut bob, "$ ").await;
    assert!(notices.iter().any(|n| you_are(n, ConsoleRole::Watcher)), "somebody drives already: {notices:?}");
    read_to(&mut ann, "$ ").await;

    bob.type_in(b"rm -rf /\n");
    notice(&mut bob, |n| you_are(n, ConsoleRole::Watcher)).await;
    ann.type_in(b"ls\n");
    assert_eq!(within(guest.hears.take(1024)).await.unwrap(), "ls\n", "the watcher's input never arrived");

    bob.request(ConsoleRequest::TakeOver);
    notice(&mut bob, |n| you_are(n, ConsoleRole::Driver)).await;
    let told = notice(&mut ann, |n| you_are(n, ConsoleRole::Watcher)).await;
    let ConsoleNotice::Viewers { driver, watchers, .. } = told else { panic!("{told:?}") };
    assert_eq!((driver.as_deref(), watchers), (Some("bob"), vec!["ann".to_owned()]));
    ann.type_in(b"no\n");
    bob.type_in(b"yes\n");
    assert_eq!(within(guest.hears.take(1024)).await.unwrap(), "yes\n");

    drop(bob);
    let told = notice(&mut ann, |n| matches!(n, ConsoleNotice::Viewers { driver: None, .. })).await;
    assert!(you_are(&told, ConsoleRole::Watcher), "nobody inherits the keyboard");
}

/// A serial line hands over some twenty bytes at a time, five thousand times a second.
#[tokio::test(start_paused = true)]
async fn what_pours_in_drops_reaches_a_viewer_in_few_frames_and_an_echo_at_once() {
    let world = World::new();
    let guest = world.plug();
    let mut viewer = world.attach("ann", ConsoleRole::Watcher, None).await;
    notice(&mut viewer, |n| *n == ConsoleNotice::On).await;
    let began = tokio::time::Instant::now();
    for _ in 0..20 {
        guest.say("x").await;
        read_to(&mut viewer, "x").await;
        assert_eq!(began.elapsed(), Duration::ZERO, "the echo of a key does not wait");
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    let pouring = tokio::spawn(async move {
        for _ in 0..1000 {
            for _ in 0..5 {
                guest.say("yyyyyyyyyyyyyyyyyy\r\n").await;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        guest.say("the end").await;
        guest
    });
    let (mut frames, mut bytes) = (0, Vec::new());
    while !bytes.ends_with(b"the end") {
        if let ConsoleItem::Bytes(more) = within(viewer.next()).await.unwrap() {
            frames += 1;
            bytes.extend_from_slice(&more);
        }
    }
    assert_eq!(bytes.len(), 100_007);
    assert!(frames < 500, "{frames} frames for what came in 5000 pieces");
    pouring.await.unwrap();
}

#[tokio::test]
async fn a_slow_viewer_skips_ahead_and_never_stalls_the_guest() {
    let world = World::new();
    let guest = world.plug();
    let mut quick = world.attach("ann", ConsoleRole::Watcher, None).await;
    let mut slow = world.attach("bob", ConsoleRole::Watcher, None).await;
    guest.say("start").await;
    let start = hello(&read_to(&mut slow, "start").await.1);
    let (mut total, mut read) = (5, 0);
    for _ in 0..400 {
        within(guest.says.send(Bytes::from(vec![b'x'; 16 * 1024]))).await.unwrap();
        total += 16 * 1024;
        // Quick is who stays within what is kept; nobody waits for the slow one.
        while read + TAIL / 2 < total {
            match within(quick.next()).await.unwrap() {
                ConsoleItem::Bytes(bytes) => read += bytes.len() as u64,
                ConsoleItem::Notice(notice) => {
                    assert!(!matches!(notice, ConsoleNotice::Skipped { .. }), "{notice:?}");
                }
            }
        }
    }
    guest.say("the end").await;
    total += 7;
    read += read_to(&mut quick, "the end").await.0.len() as u64;
    assert_eq!(read, total, "the quick one lost nothing");

    let (bytes, notices) = read_to(&mut slow, "the end").await;
    let skips: Vec<_> = notices.iter().filter(|n| matches!(n, ConsoleNotice::Skipped { .. })).collect();
    let [ConsoleNotice::Skipped { from, to }] = skips[..] else { panic!("{notices:?}") };
    assert_eq!(*from, start + HEAD);
    assert_eq!(bytes.len() as u64, (HEAD - 5) + (start + total - to));
    assert!(start + total - to <= TAIL);
}

/// Prints what one core's worth of sharing gives; the figure is for reading, the completeness for asserting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_watchers_share_what_one_guest_says() {
    let world = World::new();
    let guest = world.plug();
    let mut readers = Vec::new();
    for n in 0..50 {
        let mut viewer = world.attach(&format!("u{n}"), ConsoleRole::Watcher, None).await;
        readers.push(tokio::spawn(async move {
            let (mut bytes, mut skipped) = (0_u64, 0_u64);
            let mut last = Bytes::new();
            while !last.ends_with(b"the end") {
                match viewer.next().await.unwrap() {
                    ConsoleItem::Bytes(more) => {
                        bytes += more.len() as u64;
                        last = more;
                    }
                    ConsoleItem::Notice(ConsoleNotice::Skipped { from, to }) => skipped += to - from,
                    ConsoleItem::Notice(_) => (),
                }
            }
            (bytes, skipped)
        }));
    }
    let began = Instant::now();
    let chunk = Bytes::from(vec![b'x'; 32 * 1024]);
    let chunks = 2048_u64;
    for _ in 0..chunks {
        guest.says.send(chunk.clone()).await.unwrap();
    }
    guest.say("the end").await;
    let total = chunks * chunk.len() as u64 + 7;
    let mut read = 0;
    for reader in readers {
        let (bytes, skipped) = within(reader).await.unwrap();
        assert_eq!(bytes + skipped, total);
        read += bytes;
    }
    let seconds = began.elapsed().as_secs_f64();
    let rate = |bytes: u64| bytes as f64 / 1e6 / seconds;
    println!(
        "console: {:.0} MB/s from the guest, {:.0} MB/s to 50 watchers together",
        rate(total),
        rate(read)
    );
}
