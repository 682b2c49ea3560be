//! Transcripts of real builds (Nix 2.8; progress of one download thinned out), and noise.

use super::*;
use proptest::prelude::*;

const SUCCESS: &[u8] = include_bytes!("../fixtures/success.log");
const FAILURE: &[u8] = include_bytes!("../fixtures/failure.log");
const EVALUATION: &[u8] = include_bytes!("../fixtures/evaluation.log");
const FETCH: &[u8] = include_bytes!("../fixtures/fetch.log");

fn read(bytes: &[u8]) -> (NixLog, Vec<BuildEvent>) {
    let (mut log, mut events) = (NixLog::default(), Vec::new());
    bytes.split(|b| *b == b'\n').for_each(|line| log.line(line, &mut |event| events.push(event)));
    (log, events)
}

fn output_of<'a>(events: &'a [BuildEvent], derivation: &str) -> Vec<&'a str> {
    let line = |event: &'a BuildEvent| match event {
        BuildEvent::Line { from: Some(from), text, level: LogLevel::Output } if from == derivation => {
            Some(text.as_str())
        }
        _ => None,
    };
    events.iter().filter_map(line).collect()
}

fn progress(events: &[BuildEvent]) -> Vec<&BuildProgress> {
    fn progress(event: &BuildEvent) -> Option<&BuildProgress> {
        match event {
            BuildEvent::Progress(progress) => Some(progress),
            BuildEvent::Line { .. } => None,
        }
    }
    events.iter().filter_map(progress).collect()
}

#[test]
fn a_build_tells_lines_phases_and_counts() {
    let (log, events) = read(SUCCESS);
    assert_eq!(output_of(&events, "dep-1.0"), ["dep building"]);
    assert_eq!(output_of(&events, "image-immutable").len(), 22);
    let told = progress(&events);
    let in_phase = |name: &str, phase: &str| {
        told.iter().any(|p| p.running.contains(&(name.to_owned(), Some(phase.to_owned()))))
    };
    assert!(in_phase("dep-1.0", "unpackPhase") && in_phase("image-immutable", "buildPhase"));
    let last = told.last().unwrap();
    assert_eq!((last.built, last.to_build, last.running.len()), (2, 2, 0));
    assert!(told.iter().any(|p| (p.built, p.to_build) == (1, 2)));
    assert_eq!((log.failure(), log.errors()), (None, None));
    let texts = events.iter().filter_map(|e| match e {
        BuildEvent::Line { text, .. } => Some(text),
        BuildEvent::Progress(_) => None,
    });
    assert!(texts.clone().any(|t| t.starts_with("building '/nix/store/")));
    assert!(!texts.clone().any(|t| t.contains("evaluating file")), "thousands of these come with NixOS");
}

#[test]
fn a_failed_build_names_the_derivation_and_its_last_lines() {
    let (log, events) = read(FAILURE);
    let failure = log.failure().unwrap();
    assert_eq!(failure.derivation, "image-immutable");
    assert_eq!(failure.last_lines.last().unwrap(), "oh no");
    assert!(failure.last_lines.len() > 15 && failure.last_lines.len() <= KEEP_LINES);
    assert!(log.errors().unwrap().contains("failed with exit code 3"));
    let said = |event: &BuildEvent| {
        matches!(event, BuildEvent::Line { level: LogLevel::Error, text, .. }
        if text.starts_with("error: builder for '/nix/store/") && !text.contains('\u{1b}'))
    };
    assert!(events.iter().any(said));
}

#[test]
fn an_evaluation_error_is_told_in_nix_own_words() {
    let (log, _) = read(EVALUATION);
    assert_eq!(log.failure(), None);
    let why = log.errors().unwrap();
    assert!(why.starts_with("attribute 'noSuch' missing"), "{why}");
    assert!(why.contains("flake.nix:3:68"), "{why}");
}

#[test]
fn a_download_is_counted_in_paths_and_bytes() {
    let (log, events) = read(FETCH);
    let told = progress(&events);
    assert!(told.iter().any(|p| p.to_fetch == 1 && p.fetched == 0 && p.bytes_to_fetch == 3_000_112));
    let last = log.progress();
    assert_eq!((last.fetched, last.to_fetch), (1, 1));
    assert!(last.bytes_fetched > 2_000_000);
}

#[test]
fn words_outside_the_protocol_are_passed_on() {
    let (log, events) = read(b"error: cannot connect to socket\nhello\n\n@nix {\"action\":\"new\"}\n@nix [");
    assert_eq!(log.errors().unwrap(), "cannot connect to socket".to_owned());
    assert_eq!(events.len(), 4);
    let cut_short = format!("@nix {{\"action\":\"msg\",\"level\":0,\"msg\":\"{}", "very long ".repeat(9000));
    assert!(read(cut_short.as_bytes()).0.errors().unwrap().contains("very long"));
}

#[test]
fn endless_logs_keep_a_bounded_amount() {
    let mut text = String::new();
    // Three times as many as are tracked at a time: each line costs a look at all tracked ones.
    for n in 0..3 * ACTIVITIES {
        text += &format!(
            "@nix {{\"action\":\"start\",\"id\":{n},\"type\":105,\"fields\":[\"/nix/store/x{n}.drv\"]}}\n"
        );
        text += &format!("@nix {{\"action\":\"result\",\"id\":{n},\"type\":101,\"fields\":[\"line\"]}}\n");
        if n % 2 == 0 {
            text += &format!(
                "@nix {{\"action\":\"stop\",\"id\":{n}}}\n@nix {{\"action\":\"msg\",\"level\":0,\"msg\":\"e\"}}\n"
            );
        }
    }
    let (mut log, mut events) = (NixLog::default(), 0);
    text.as_bytes().split(|b| *b == b'\n').for_each(|line| log.line(line, &mut |_| events += 1));
    assert!(events > 0);
    assert!(
        log.activities.len() <= ACTIVITIES && log.ended.len() <= KEEP_ENDED && log.errors.len() <= ERRORS
    );
}

/// A real transcript with some of its bytes replaced, left out, or doubled.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let source = prop::sample::select(vec![SUCCESS, FAILURE, EVALUATION, FETCH]);
    let edits = prop::collection::vec((any::<prop::sample::Index>(), 0_u8..3, any::<u8>()), 0..60);
    (source, edits).prop_map(|(source, edits)| {
        let mut bytes = source.to_vec();
        for (at, how, byte) in edits {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, bytes[at]),
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), as_nix in any::<bool>()) {
        let mut line = if as_nix { b"@nix ".to_vec() } else { Vec::new() };
        line.extend(bytes);
        let (log, _) = read(&line);
        prop_assert!(log.errors.len() <= ERRORS);
    }

    #[test]
    fn numbers_and_texts_of_any_size_are_read(id in any::<u64>(), kind in 98_u64..112, n in any::<[u64; 4]>(), s in ".{0,40}") {
        let fields = serde_json::json!([n[0], n[1], s, n[2], n[3]]);
        let texts = serde_json::json!([s, n[0]]);
        let mut text = String::new();
        for fields in [&fields, &texts] {
            text += &format!("@nix {}\n", serde_json::json!({"action": "start", "id": id, "type": kind, "fields": fields}));
            for result in 100..109 {
                text += &format!("@nix {}\n", serde_json::json!({"action": "result", "id": id, "type": result, "fields": fields}));
            }
            text += &format!("@nix {}\n", serde_json::json!({"action": "stop", "id": id}));
        }
        let (log, _) = read(text.as_bytes());
        prop_assert!(log.progress().running.is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn damaged_transcripts_are_read_without_a_panic(bytes in mutated()) {
        let (log, _) = read(&bytes);
        prop_assert!(log.failure().is_none_or(|f| f.last_lines.len() <= KEEP_LINES));
    }
}
