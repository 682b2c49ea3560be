//! The one reader of a machine's console.
//!
//! ```text
//!   waiting ──running──► opening ──ok──► reading ──stream ended, machine runs──► opening (at once, then with back-off)
//!      ▲                    │ refused: back-off      │
//!      └────────────────────┴───────machine stopped──┘
//! ```
//! The machine's own stop ends a boot; a stream that breaks does not.

use super::line::{Line, Link, MachineNews, Shared};
use super::transcript::{Transcript, Transcripts};
use crate::backoff::Backoff;
use bytes::{Bytes, BytesMut};
use host_tools::exec::chain;
use ports::clock::Clock;
use ports::hypervisor::{ConsoleStream, Hypervisor};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

const RETRY: Backoff = Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(10) };
/// How long a stream is read after the machine was reported off: its last output may still be on the way.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How long a silent stream must have been open to have worked.
const WORKED: Duration = Duration::from_secs(1);
/// Most pieces taken at once.
const PIECES: usize = 64;

pub(super) struct Reader {
    line: Arc<Line>,
    hypervisor: Arc<dyn Hypervisor>,
    clock: Arc<dyn Clock>,
    transcripts: Transcripts,
    news: watch::Receiver<MachineNews>,
    /// The boot whose output is being read, by the counts of stops and reboots before it.
    boot: Option<(u64, u64)>,
    transcript: Option<Transcript>,
}

impl Reader {
    pub(super) fn new(
        line: Arc<Line>,
        hypervisor: Arc<dyn Hypervisor>,
        clock: Arc<dyn Clock>,
        transcripts: Transcripts,
    ) -> Self {
        let news = line.news();
        Self { line, hypervisor, clock, transcripts, news, boot: None, transcript: None }
    }

    /// Reads until the line is closed or the hub is gone.
    pub(super) async fn run(mut self) {
        let stop = self.line.stop.clone();
        tokio::select! {
            () = stop.cancelled() => (),
            () = self.serve() => (),
        }
    }

    async fn serve(&mut self) {
        let mut pauses = RETRY.pauses();
        loop {
            let news = *self.news.borrow_and_update();
            if news.running == Some(false) {
                self.disconnect();
                pauses = RETRY.pauses();
                if self.news.changed().await.is_err() {
                    return;
                }
                continue;
            }
            let machine = self.line.machine();
            match self.hypervisor.console(&machine).await {
                Ok(ConsoleStream { output, input }) => {
                    self.begin_boot();
                    self.line.update(|s| s.connect(input));
                    if self.read(output).await {
                        // A stream that worked is opened again at once; one that ends at once is not hammered.
                        pauses = RETRY.pauses();
                        self.line.update(Shared::disconnect);
                        continue;
                    }
                }
                Err(error) => {
                    tracing::debug!(machine.name = %machine.name, error = chain(&error), "no console");
                }
            }
            self.disconnect();
            tokio::select! {
                () = tokio::time::sleep(pauses.next().unwrap_or(RETRY.longest)) => {}
                _ = self.news.changed() => pauses = RETRY.pauses(),
            }
        }
    }

    fn disconnect(&self) {
        self.line.update(|s| {
            s.link = Link::Off;
            s.disconnect();
        });
    }

    /// Starts a new transcript if the machine has stopped or rebooted since the last one began.
    fn begin_boot(&mut self) {
        let news = *self.news.borrow();
        let boot = (news.stops, news.reboots);
        if self.boot == Some(boot) {
            return;
        }
        self.boot = Some(boot);
        let now = self.clock.now();
        self.line.update(|s| s.since = Some(now));
        self.transcript = Some(self.transcripts.begin(now));
    }

    /// Reads a stream to its end. True when it worked: it gave output, or was open for a while.
    async fn read(&mut self, mut output: mpsc::Receiver<Bytes>) -> bool {
        let opened = Instant::now();
        let mut said_something = false;
        let mut pieces = Vec::new();
        loop {
            tokio::select! {
                biased;
                Ok(()) = self.news.changed() => {
                    if self.heed(&mut output, &mut said_something).await.is_break() {
                        break;
                    }
                }
                count = output.recv_many(&mut pieces, PIECES) => {
                    if count == 0 {
                        break;
                    }
                    said_something = true;
                    self.take(&mut pieces);
                }
            }
        }
        said_something || opened.elapsed() >= WORKED
    }

    /// The engine reported something new while the stream is open.
    async fn heed(
        &mut self,
        output: &mut mpsc::Receiver<Bytes>,
        said_something: &mut bool,
    ) -> ControlFlow<()> {
        let news = *self.news.borrow_and_update();
        if self.boot.is_some_and(|(stops, _)| stops == news.stops) {
            self.begin_boot();
            return ControlFlow::Continue(());
        }
        let mut pieces = Vec::new();
        let drain = async {
            while output.recv_many(&mut pieces, PIECES).await > 0 {
                *said_something = true;
                self.take(&mut pieces);
            }
        };
        // Still open after the grace period: it belongs to a machine that is gone, or to the next boot already, which
        // is opened anew.
        let _ = tokio::time::timeout(LAST_WORDS, drain).await;
        ControlFlow::Break(())
    }

    /// Takes what has come, as one piece: the transcript and the viewers are woken once for it.
    fn take(&self, pieces: &mut Vec<Bytes>) {
        let bytes = match pieces.len() {
            1 => pieces.pop().unwrap_or_default(),
            _ => pieces.drain(..).fold(BytesMut::new(), joined).freeze(),
        };
        if let Some(transcript) = &self.transcript {
            transcript.write(&bytes);
        }
        self.line.update(|s| s.history.push(bytes));
    }
}

fn joined(mut all: BytesMut, piece: Bytes) -> BytesMut {
    all.extend_from_slice(&piece);
    all
}
