//! Following a job: its state, its log from any line on, the progress of its build, until it is over.
//!
//! A follower holds only receivers, never the job: it cannot keep one alive or hold one up. It reads the log's file at its own
//! pace, so the slowest of fifty costs the other forty-nine nothing.

use super::live::Pulse;
use super::log::{Reader, Written, gone, path_of};
use super::view::{Rights, Source, view};
use crate::authorize::authorize;
use crate::core::{Core, SHUTTING_DOWN};
use crate::cx::Cx;
use crate::db;
use crate::error::{Result, chain};
use futures::stream::{self, Stream, StreamExt as _};
use model::Fault;
use model::job::{BuildProgress, JobId, LogLine};
use model::permission::{Action, Subject, can};
use model::view::job::{JobFrame, JobView};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Lines are sent at most this often, so that a chatty build makes few large frames.
const EVERY: Duration = Duration::from_millis(30);
/// Figures of a build are sent at most this often.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// Lets the actor see a job, or returns why not; also returns what else they may do to it. Someone who only joined the
/// same build sees the job; its requester and the machine's owner may cancel and retry it.
pub(crate) async fn see(core: &Core, cx: &Cx, id: JobId) -> Result<Rights> {
    let user = cx.user()?;
    let mut conn = core.db.read().await?;
    let owners = db::jobs::owners(&mut conn, id).await?;
    let askers = db::jobs::askers(&mut conn, id).await?;
    drop(conn);
    if owners.is_empty() {
        return Err(Fault::not_found("job").into());
    }
    let subject = Subject::Of { owners: &owners, shared_with: &askers };
    authorize(core, cx, Action::SeeJob, subject, Some(&id.to_string())).await?;
    let may = |action| can(user, action, subject);
    Ok(Rights { steer: may(Action::SteerJob), give_up: may(Action::GiveUpJob) })
}

/// Lets the actor see a job, or returns why not.
pub(crate) async fn allowed(core: &Core, cx: &Cx, id: JobId) -> Result<()> {
    see(core, cx, id).await.map(drop)
}

/// The frame that a follower gets last when the portal ends.
fn closing_job_frame() -> JobFrame {
    JobFrame::Closing { why: SHUTTING_DOWN.to_owned() }
}

/// A follower's next item.
enum Piece {
    /// Whole lines of the log as they are stored, each ended by a line feed.
    Lines(Vec<u8>),
    Frame(JobFrame),
}

/// The receivers of a job that is not over.
struct Live {
    written: watch::Receiver<Written>,
    pulse: watch::Receiver<Pulse>,
    progress: watch::Receiver<Option<BuildProgress>>,
}

/// Someone who follows a job.
pub(crate) struct Follower {
    id: JobId,
    source: Source,
    reader: Reader,
    /// The log is gone, which is still to be reported.
    is_gone: bool,
    live: Option<Live>,
    closing: CancellationToken,
    /// The state as it was sent last.
    sent: Option<Box<JobView>>,
    last: Instant,
    last_progress: Instant,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The job's state has to be sent (again).
    State,
    /// The log is followed.
    Log,
    /// Everything has been sent but the last frame.
    End,
    /// Nothing follows.
    Over,
}

impl Follower {
    /// Begins to follow.
    pub async fn open(core: &Core, cx: &Cx, id: JobId, after: Option<u64>) -> Result<Self> {
        let rights = see(core, cx, id).await?;
        let live = core.jobs.get(id).map(|live| Live {
            written: live.log.written(),
            pulse: live.pulse.subscribe(),
            progress: live.progress.subscribe(),
        });
        let path = path_of(core.jobs.dir(), id);
        // A client that asks for what follows a line already knows what came before.
        let is_gone = live.is_none() && after.is_none() && tokio::fs::metadata(&path).await.is_err();
        Ok(Self {
            id,
            source: Source { db: core.db.clone(), builder: core.builder.clone(), rights },
            reader: Reader::new(path, after),
            is_gone,
            live,
            closing: core.closing.clone(),
            sent: None,
            last: Instant::now(),
            last_progress: Instant::now(),
            stage: Stage::State,
        })
    }

    /// Frames as values.
    pub fn frames(self) -> impl Stream<Item = JobFrame> + Send {
        self.pieces().map(|piece| match piece {
            Piece::Frame(frame) => frame,
            Piece::Lines(raw) => JobFrame::Lines { lines: lines(&raw) },
        })
    }

    /// Frames as JSON texts.
    pub fn texts(self) -> impl Stream<Item = String> + Send {
        self.pieces().map(|piece| match piece {
            Piece::Frame(frame) => serde_json::to_string(&frame).unwrap_or_default(),
            Piece::Lines(raw) => lines_text(raw),
        })
    }

    fn pieces(self) -> impl Stream<Item = Piece> + Send {
        stream::unfold(self, |mut follower| async move {
            let piece = follower.next().await?;
            Some((piece, follower))
        })
    }

    async fn next(&mut self) -> Option<Piece> {
        loop {
            match self.stage {
                Stage::State => {
                    self.stage = Stage::Log;
                    if let Some(frame) = self.state().await {
                        return Some(frame);
                    }
                }
                Stage::Log => {
                    if let Some(piece) = self.log().await {
                        return Some(piece);
                    }
                }
                Stage::End => {
                    self.stage = Stage::Over;
                    return Some(Piece::Frame(JobFrame::End));
                }
                Stage::Over => return None,
            }
        }
    }

    /// The job's state, unless it is what was sent before.
    async fn state(&mut self) -> Option<Piece> {
        let mut view = match view(&self.source, self.id, None).await {
            Ok(Some(view)) => Box::new(view),
            Ok(None) => return self.broken("The job is gone."),
            Err(error) => {
                tracing::error!(job.id = %self.id, error = chain(&error), "a follower cannot read its job");
                return self.broken("The job cannot be read; see the server's log.");
            }
        };
        if let Some(live) = &mut self.live {
            view.progress.clone_from(&live.progress.borrow_and_update());
        }
        let news = self.sent.as_deref() != Some(&*view);
        self.sent = Some(view.clone());
        news.then_some(Piece::Frame(JobFrame::Job { view }))
    }

    fn broken(&mut self, why: &str) -> Option<Piece> {
        self.stage = Stage::Over;
        Some(Piece::Frame(JobFrame::Closing { why: why.to_owned() }))
    }

    /// The next lines; where there are none, waits until something happens.
    async fn log(&mut self) -> Option<Piece> {
        if std::mem::take(&mut self.is_gone) {
            return Some(Piece::Lines(gone()));
        }
        let over = self.live.as_ref().is_none_or(|live| live.pulse.borrow().over);
        // Read after `over`: what was written before the end is seen before the end is.
        let limit = match &mut self.live {
            Some(live) => live.written.borrow_and_update().bytes,
            None => u64::MAX,
        };
        match self.reader.next(limit).await {
            Ok(Some(raw)) => {
                self.last = Instant::now();
                return Some(Piece::Lines(raw));
            }
            Ok(None) => {}
            Err(error) => {
                tracing::error!(job.id = %self.id, %error, "a job's log cannot be read");
                return self.broken("The job's log cannot be read; see the server's log.");
            }
        }
        if over {
            self.live = None;
            self.stage = Stage::End;
            return self.state().await;
        }
        self.wait().await
    }

    async fn wait(&mut self) -> Option<Piece> {
        let Some(live) = &mut self.live else { return None };
        let pace = tokio::time::sleep_until(self.last + EVERY);
        let progress_pace = tokio::time::sleep_until(self.last_progress + PROGRESS_EVERY);
        tokio::select! {
            biased;
            () = self.closing.cancelled() => {
                self.stage = Stage::Over;
                return Some(Piece::Frame(closing_job_frame()));
            }
            beat = live.pulse.changed() => {
                // A job that is over closes its senders, leaving a value that says so. One that is not has lost its
                // engine.
                if beat.is_err() && !live.pulse.borrow().over {
                    self.stage = Stage::Over;
                    return Some(Piece::Frame(closing_job_frame()));
                }
                self.stage = Stage::State;
            }
            _ = async { pace.await; live.written.changed().await } => {}
            Ok(()) = async { progress_pace.await; live.progress.changed().await } => {
                self.last_progress = Instant::now();
                let now = live.progress.borrow_and_update().clone();
                return now.map(|progress| Piece::Frame(JobFrame::Progress { progress }));
            }
        }
        None
    }
}

/// The lines of a piece of log.
fn lines(raw: &[u8]) -> Vec<LogLine> {
    // A line that does not parse was not written by us; the rest of the log is still worth showing.
    raw.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

/// The frame [`JobFrame::Lines`] as JSON, from lines that are JSON.
///
/// In place and without parsing: for a long build this is all that each further follower costs.
fn lines_text(mut raw: Vec<u8>) -> String {
    // The line feed of the last line; JSON has none inside a line, so every other one is between two lines.
    raw.pop();
    for byte in raw.iter_mut().filter(|byte| **byte == b'\n') {
        *byte = b',';
    }
    let mut text = String::with_capacity(raw.len() + LINES_BEGIN.len() + LINES_END.len());
    text.push_str(LINES_BEGIN);
    text.push_str(&String::from_utf8_lossy(&raw));
    text.push_str(LINES_END);
    text
}

/// What comes before the lines in the frame.
const LINES_BEGIN: &str = "{\"type\":\"lines\",\"lines\":[";
/// What comes after them.
const LINES_END: &str = "]}";

#[cfg(test)]
mod tests {
    use super::*;
    use model::Time;
    use model::job::LogLevel;

    #[test]
    fn the_text_of_lines_is_the_frame_of_lines() {
        let line = |seq, text: &str| LogLine {
            seq,
            at: Time(5),
            step: "image.build".to_owned(),
            from: None,
            level: LogLevel::Output,
            text: text.to_owned(),
        };
        let both = vec![line(0, "a \"quoted\" </script>"), line(1, "b, c")];
        let raw: String = both.iter().map(|l| serde_json::to_string(l).unwrap() + "\n").collect();
        let frame: JobFrame = serde_json::from_str(&lines_text(raw.clone().into_bytes())).unwrap();
        assert_eq!(frame, JobFrame::Lines { lines: both.clone() });
        assert_eq!(lines(raw.as_bytes()), both);
    }
}
