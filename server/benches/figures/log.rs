//! A build that prints 100,000 lines, followed by fifty browsers: nothing lost, all in order, and how long it takes.
//!
//! The clock runs from the moment the build may print until the last follower has been notified that the job is over.
//! Every follower checks every line. The reference sends the same frames to as many sockets with nothing behind them.

use crate::inside::Inside;
use crate::person::{Frame, Socket};
use crate::report::{Figure, Target, Unit, millis};
use anyhow::{Context as _, Result, bail, ensure};
use futures::SinkExt as _;
use futures::future::try_join_all;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Barrier, watch};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{accept_async, client_async};

const LINES: usize = 100_000;
const FOLLOWERS: usize = 50;
const ROUNDS: usize = 3;
/// The target, in milliseconds.
const TARGET: Target = Target::AtMost(5000.0);

/// Runs the figure.
///
/// # Errors
/// If a line is lost, doubled or out of order.
pub async fn run() -> Result<Vec<Figure>> {
    let mut inside = Inside::begin().await?;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let (took, frames) = by_portal(&mut inside, round).await?;
        ours.push(took);
        bare.push(by_bare_sockets(Arc::new(frames)).await?);
    }
    inside.end().await?;
    let name = format!("log: {LINES} lines to {FOLLOWERS} followers");
    let samples = millis(&ours).context("no round was run")?;
    let bare = millis(&bare).context("no round was run")?;
    Ok(vec![Figure::new(name, Unit::Millis, samples).target(TARGET).beside("bare sockets", bare)])
}

/// One build; also gives the frames that a follower got.
async fn by_portal(inside: &mut Inside, round: usize) -> Result<(Duration, Vec<Utf8Bytes>)> {
    // Another source is another image, which is built anew.
    inside.builder.set_source(&format!("round-{round}"));
    inside.builder.set_lines(LINES);
    inside.builder.hold(true);
    let fields = [("intent", "build"), ("mode", "immutable"), ("profiles", "core")];
    let job = inside.person.begin_job(app::routes::IMAGES, &fields).await?;
    inside.builder.begun(round + 1).await;
    let ready = Arc::new(Barrier::new(FOLLOWERS + 1));
    let mut followers = Vec::new();
    for _ in 0..FOLLOWERS {
        let socket = inside.person.follow(job).await?;
        followers.push(tokio::spawn(follow(socket, ready.clone())));
    }
    ready.wait().await;
    let begun = Instant::now();
    inside.builder.hold(false);
    let ended = try_join_all(followers).await?.into_iter().collect::<Result<Vec<_>>>()?;
    let took = begun.elapsed();
    let frames = ended.into_iter().next().context("nobody followed")?;
    Ok((took, frames))
}

/// Reads to the end of the job and checks every line.
async fn follow(mut socket: Socket, ready: Arc<Barrier>) -> Result<Vec<Utf8Bytes>> {
    let mut check = Check::default();
    let mut frames = Vec::new();
    let mut waited = false;
    while let Some(frame) = socket.next().await? {
        let Frame::Text(text) = frame else { bail!("a job's socket carries text only") };
        let is_over = check.take(text.as_str())?;
        frames.push(text);
        if !waited {
            waited = true;
            ready.wait().await;
        }
        if is_over {
            return Ok(frames);
        }
    }
    bail!("the socket was closed before the job was over")
}

/// What a follower has seen. Reads the frames by eye and not as JSON: fifty parsers would cost more than what is measured.
#[derive(Default)]
struct Check {
    /// The number that the next line of the log must have.
    next: usize,
    /// The next of the lines that the build counts.
    counted: usize,
}

impl Check {
    /// True when the frame says that the job is over.
    fn take(&mut self, frame: &str) -> Result<bool> {
        if frame.starts_with(r#"{"type":"end""#) {
            ensure!(self.counted == LINES, "{} of {LINES} lines came", self.counted);
            return Ok(true);
        }
        if !frame.starts_with(r#"{"type":"lines""#) {
            return Ok(false);
        }
        // A quote inside a value is escaped, so these cannot occur in a text.
        for line in frame.split(r#""seq":"#).skip(1) {
            let seq = number(line);
            ensure!(seq == Some(self.next), "line {} was expected, {seq:?} came", self.next);
            self.next += 1;
            if let Some((_, text)) = line.split_once(r#""text":"line "#) {
                ensure!(number(text) == Some(self.counted), "line {} of the build is missing", self.counted);
                self.counted += 1;
            }
        }
        Ok(false)
    }
}

/// The number that a text begins with.
fn number(text: &str) -> Option<usize> {
    let end = text.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end)?.parse().ok()
}

/// The same frames over sockets with nothing behind them.
async fn by_bare_sockets(frames: Arc<Vec<Utf8Bytes>>) -> Result<Duration> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (go, _) = watch::channel(false);
    let sending = go.subscribe();
    let server = tokio::spawn(async move {
        let mut senders = Vec::new();
        for _ in 0..FOLLOWERS {
            let (stream, _) = listener.accept().await?;
            senders.push(tokio::spawn(send(stream, frames.clone(), sending.clone())));
        }
        try_join_all(senders).await?.into_iter().collect::<Result<()>>()
    });
    let ready = Arc::new(Barrier::new(FOLLOWERS + 1));
    let mut followers = Vec::new();
    for _ in 0..FOLLOWERS {
        let stream = TcpStream::connect(address).await?;
        let (socket, _) = client_async(format!("ws://{address}/"), stream).await?;
        followers.push(tokio::spawn(follow(Socket::bare(socket), ready.clone())));
    }
    ready.wait().await;
    let begun = Instant::now();
    go.send_replace(true);
    try_join_all(followers).await?.into_iter().collect::<Result<Vec<_>>>()?;
    let took = begun.elapsed();
    server.await??;
    Ok(took)
}

async fn send(stream: TcpStream, frames: Arc<Vec<Utf8Bytes>>, mut go: watch::Receiver<bool>) -> Result<()> {
    let mut socket = accept_async(stream).await?;
    for (n, frame) in frames.iter().enumerate() {
        if n == 1 {
            go.wait_for(|go| *go).await?;
        }
        socket.send(Message::Text(frame.clone())).await?;
    }
    Ok(())
}
