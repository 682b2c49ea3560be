//! Nix's log in its machine-readable form (`--log-format internal-json`), one JSON object a line after `@nix `.
//!
//! ```text
//! {"action":"start","id":7,"type":105,"level":3,"text":"…","fields":["/nix/store/…-hello.drv","",1,1]}
//! {"action":"result","id":7,"type":101,"fields":["a line of the builder"]}
//! {"action":"stop","id":7}
//! {"action":"msg","level":0,"msg":"error: …"}
//! ```
//! The numbers are from Nix's `src/libutil/logging.hh`; they have been the same since 2.4, in Lix too. The parser is
//! total: whatever the input, it neither fails nor keeps more than a bounded amount. Unknown messages are dropped; what
//! is not JSON is passed on as a line.

#[cfg(test)]
mod tests;
mod text;

use crate::text::strip_escapes;
use model::job::{BuildFailure, BuildProgress, LogLevel};
use ports::image_builder::BuildEvent;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use text::{cut, drv_name, failed_derivation};

/// `ActivityType`.
mod activity {
    pub const COPY_PATH: u64 = 100;
    pub const COPY_PATHS: u64 = 103;
    pub const BUILDS: u64 = 104;
    pub const BUILD: u64 = 105;
}

/// `ResultType`.
mod result {
    pub const BUILD_LOG_LINE: u64 = 101;
    pub const SET_PHASE: u64 = 104;
    pub const PROGRESS: u64 = 105;
    pub const SET_EXPECTED: u64 = 106;
    pub const POST_BUILD_LOG_LINE: u64 = 107;
}

/// Nix's verbosity: 0 error, 1 warning, 2 notice, 3 info; above that it talks about itself.
const LEVEL_INFO: u64 = 3;
/// Lines of a builder kept to explain its failure.
const KEEP_LINES: usize = 25;
/// Builds whose last lines are kept after they ended: the message that one failed comes after its end.
const KEEP_ENDED: usize = 32;
/// Activities known at a time; more are not followed.
const ACTIVITIES: usize = 1_000;
/// Running builds named in a report.
const RUNNING: usize = 64;
/// Error messages kept.
const ERRORS: usize = 20;
/// Bytes fetched between two reports.
const REPORT_BYTES: u64 = 4 << 20;

/// One line of the log.
#[derive(Deserialize)]
#[serde(tag = "action", rename_all = "lowercase")]
enum Message {
    Start {
        id: u64,
        #[serde(rename = "type", default)]
        kind: u64,
        #[serde(default)]
        level: u64,
        #[serde(default)]
        text: String,
        #[serde(default)]
        fields: Vec<Value>,
    },
    Stop {
        id: u64,
    },
    Result {
        id: u64,
        #[serde(rename = "type", default)]
        kind: u64,
        #[serde(default)]
        fields: Vec<Value>,
    },
    Msg {
        #[serde(default)]
        level: u64,
        #[serde(default)]
        msg: String,
    },
}

/// Something that Nix is doing.
#[derive(Debug)]
enum Activity {
    /// Builds a derivation.
    Build(Build),
    /// Counts: done and expected.
    Builds {
        done: u32,
        expected: u32,
    },
    CopyPaths {
        done: u32,
        expected: u32,
    },
    /// Bytes of one path.
    CopyPath {
        done: u64,
    },
    /// Anything else that announced how many bytes of paths to expect.
    Other {
        bytes_expected: u64,
    },
}

#[derive(Debug)]
struct Build {
    drv: String,
    phase: Option<String>,
    last: VecDeque<String>,
}

/// Reads the log of one `nix` call, line by line.
#[derive(Debug, Default)]
pub struct NixLog {
    activities: BTreeMap<u64, Activity>,
    ended: VecDeque<Build>,
    errors: Vec<String>,
    failed: Option<String>,
    /// Bytes of paths that are present.
    bytes_done: u64,
    bytes_expected: u64,
    reported: BuildProgress,
}

impl NixLog {
    /// Takes one line of standard error and returns its meaning.
    pub fn line(&mut self, line: &[u8], emit: &mut dyn FnMut(BuildEvent)) {
        match line.strip_prefix(b"@nix ") {
            None => self.plain(&String::from_utf8_lossy(line), emit),
            Some(json) => match serde_json::from_slice(json) {
                Ok(message) => self.message(message, emit),
                // Perhaps a message longer than a line may be; perhaps of a version to come.
                Err(_) => self.unknown(&String::from_utf8_lossy(json), emit),
            },
        }
    }

    /// How far it has come.
    pub fn progress(&self) -> BuildProgress {
        let mut progress = BuildProgress { bytes_fetched: self.bytes_done, ..BuildProgress::default() };
        progress.bytes_to_fetch = self.bytes_expected;
        for activity in self.activities.values() {
            match activity {
                Activity::Build(build) if progress.running.len() < RUNNING => {
                    progress.running.push((drv_name(&build.drv), build.phase.clone()));
                }
                Activity::Build(_) => (),
                Activity::Builds { done, expected } => {
                    progress.built = progress.built.saturating_add(*done);
                    progress.to_build = progress.to_build.saturating_add(*expected);
                }
                Activity::CopyPaths { done, expected } => {
                    progress.fetched = progress.fetched.saturating_add(*done);
                    progress.to_fetch = progress.to_fetch.saturating_add(*expected);
                }
                Activity::CopyPath { done } => {
                    progress.bytes_fetched = progress.bytes_fetched.saturating_add(*done);
                }
                Activity::Other { bytes_expected } => {
                    progress.bytes_to_fetch = progress.bytes_to_fetch.saturating_add(*bytes_expected);
                }
            }
        }
        // The counts go with their activities at the end; what was reported remains.
        progress.built = progress.built.max(self.reported.built);
        progress.to_build = progress.to_build.max(self.reported.to_build);
        progress.fetched = progress.fetched.max(self.reported.fetched);
        progress.to_fetch = progress.to_fetch.max(self.reported.to_fetch);
        progress
    }

    /// The derivation that failed, if Nix named one, with its builder's last lines.
    pub fn failure(&self) -> Option<BuildFailure> {
        let drv = self.failed.as_deref()?;
        let running = self.activities.values().filter_map(|a| match a {
            Activity::Build(build) => Some(build),
            _ => None,
        });
        let build = running.chain(&self.ended).find(|build| build.drv == drv);
        let mut last_lines: Vec<String> = build.map(|b| b.last.iter().cloned().collect()).unwrap_or_default();
        if last_lines.is_empty() {
            last_lines =
                self.errors.iter().flat_map(|e| e.lines().map(str::to_owned)).take(KEEP_LINES).collect();
        }
        Some(BuildFailure { derivation: drv_name(drv), last_lines })
    }

    /// Nix's own error messages, without colours; `None` if there were none.
    pub fn errors(&self) -> Option<String> {
        (!self.errors.is_empty()).then(|| self.errors.join("\n"))
    }

    fn message(&mut self, message: Message, emit: &mut dyn FnMut(BuildEvent)) {
        // Log lines are most of a log and change no figure.
        let is_figure =
            !matches!(message, Message::Msg { .. } | Message::Result { kind: result::BUILD_LOG_LINE, .. });
        match message {
            Message::Start { id, kind, level, text, fields } => {
                self.start(id, kind, level, &text, &fields, emit)
            }
            Message::Stop { id } => self.stop(id),
            Message::Result { id, kind, fields } => self.result(id, kind, &fields, emit),
            Message::Msg { level, msg } => self.say(level, &strip_escapes(&msg), emit),
        }
        if is_figure {
            self.report(emit);
        }
    }

    fn start(
        &mut self,
        id: u64,
        kind: u64,
        level: u64,
        text: &str,
        fields: &[Value],
        emit: &mut dyn FnMut(BuildEvent),
    ) {
        let activity = match kind {
            activity::BUILD => {
                let drv = cut(text_field(fields, 0), 1024);
                Activity::Build(Build { drv, phase: None, last: VecDeque::new() })
            }
            activity::BUILDS => Activity::Builds { done: 0, expected: 0 },
            activity::COPY_PATHS => Activity::CopyPaths { done: 0, expected: 0 },
            activity::COPY_PATH => Activity::CopyPath { done: 0 },
            _ => Activity::Other { bytes_expected: 0 },
        };
        if self.activities.len() < ACTIVITIES {
            self.activities.insert(id, activity);
        }
        if level <= LEVEL_INFO && !text.is_empty() {
            lines(None, LogLevel::Info, &strip_escapes(text), emit);
        }
    }

    fn stop(&mut self, id: u64) {
        match self.activities.remove(&id) {
            Some(Activity::Build(build)) => {
                self.ended.push_back(build);
                if self.ended.len() > KEEP_ENDED {
                    self.ended.pop_front();
                }
            }
            Some(Activity::CopyPath { done }) => self.bytes_done = self.bytes_done.saturating_add(done),
            Some(Activity::Other { bytes_expected }) => {
                self.bytes_expected = self.bytes_expected.saturating_add(bytes_expected);
            }
            _ => (),
        }
    }

    fn result(&mut self, id: u64, kind: u64, fields: &[Value], emit: &mut dyn FnMut(BuildEvent)) {
        let Some(activity) = self.activities.get_mut(&id) else { return };
        match (kind, activity) {
            (result::BUILD_LOG_LINE | result::POST_BUILD_LOG_LINE, Activity::Build(build)) => {
                let text = cut(text_field(fields, 0), text::LINE);
                build.last.push_back(strip_escapes(&text));
                if build.last.len() > KEEP_LINES {
                    build.last.pop_front();
                }
                emit(BuildEvent::Line { from: Some(drv_name(&build.drv)), level: LogLevel::Output, text });
            }
            (result::SET_PHASE, Activity::Build(build)) => build.phase = Some(cut(text_field(fields, 0), 64)),
            (
                result::PROGRESS,
                Activity::Builds { done, expected } | Activity::CopyPaths { done, expected },
            ) => {
                *done = u32::try_from(number(fields, 0)).unwrap_or(u32::MAX);
                *expected = u32::try_from(number(fields, 1)).unwrap_or(u32::MAX);
            }
            (result::PROGRESS, Activity::CopyPath { done }) => *done = number(fields, 0),
            (result::SET_EXPECTED, Activity::Other { bytes_expected })
                if number(fields, 0) == activity::COPY_PATH =>
            {
                *bytes_expected = number(fields, 1);
            }
            _ => (),
        }
    }

    fn say(&mut self, level: u64, text: &str, emit: &mut dyn FnMut(BuildEvent)) {
        // Logged on every build of ours: the wrapper flake's lock is never written, on purpose.
        if level > LEVEL_INFO || text.contains("not writing modified lock file") {
            return;
        }
        if level == 0 {
            self.failed = self.failed.take().or_else(|| failed_derivation(text));
            if self.errors.len() < ERRORS {
                self.errors.push(cut(text.strip_prefix("error: ").unwrap_or(text), 16 * 1024));
            }
        }
        let level = match level {
            0 => LogLevel::Error,
            1 => LogLevel::Warning,
            _ => LogLevel::Info,
        };
        lines(None, level, text, emit);
    }

    /// Printed outside the protocol: by Nix before it knows its log format, or by a program that it calls.
    fn plain(&mut self, text: &str, emit: &mut dyn FnMut(BuildEvent)) {
        let text = strip_escapes(text);
        let level = if text.starts_with("error:") {
            0
        } else if text.starts_with("warning:") {
            1
        } else {
            LEVEL_INFO
        };
        if !text.trim().is_empty() {
            self.say(level, &text, emit);
        }
    }

    fn unknown(&mut self, json: &str, emit: &mut dyn FnMut(BuildEvent)) {
        let is_error = json.contains(r#""action":"msg""#) && json.contains(r#""level":0"#);
        self.say(if is_error { 0 } else { LEVEL_INFO }, &strip_escapes(&cut(json, text::LINE)), emit);
    }

    /// Progress is reported when a count changes, and for bytes alone only occasionally.
    fn report(&mut self, emit: &mut dyn FnMut(BuildEvent)) {
        let progress = self.progress();
        let only_bytes =
            BuildProgress { bytes_fetched: self.reported.bytes_fetched, ..progress.clone() } == self.reported;
        if only_bytes && progress.bytes_fetched.abs_diff(self.reported.bytes_fetched) < REPORT_BYTES {
            return;
        }
        self.reported = progress.clone();
        emit(BuildEvent::Progress(progress));
    }
}

fn text_field(fields: &[Value], index: usize) -> &str {
    fields.get(index).and_then(Value::as_str).unwrap_or_default()
}

fn number(fields: &[Value], index: usize) -> u64 {
    fields.get(index).and_then(Value::as_u64).unwrap_or_default()
}

fn lines(from: Option<&str>, level: LogLevel, text: &str, emit: &mut dyn FnMut(BuildEvent)) {
    for line in text.lines() {
        emit(BuildEvent::Line { from: from.map(str::to_owned), level, text: cut(line, text::LINE) });
    }
}
