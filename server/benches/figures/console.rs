//! How fast a console carries a guest's output to browsers, one and fifty of them.
//!
//! The guest is the memory hypervisor's, which echoes its input; input is sent inside the process, so that what is
//! measured is the way from the guest to the browsers: the hub, the router's sockets, loopback. Twice: a guest that
//! sends as much as the portal takes (a slow viewer skips, so what counts is what arrives), and a guest that sends 20
//! MB/s, of which nothing may be skipped. The reference is as many sockets with nothing behind them.
//!
//! A real serial line is no such guest: it hands over some twenty bytes at a time. The cost of that is processor time
//! per megabyte, including the browser's end, which is also in this process.

use crate::inside::Inside;
use crate::person::{Frame, Person, Socket};
use crate::report::{Figure, Samples, Target, Unit};
use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use engine::live::ConsoleSession;
use futures::SinkExt as _;
use futures::future::try_join_all;
use model::account::TicketPurpose;
use model::console::ConsoleRole;
use model::machine::MachineName;
use rustix::time::{ClockId, clock_gettime};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Barrier, watch};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{accept_async, client_async};

/// One viewer alone, and fifty.
const VIEWERS: [usize; 2] = [1, 50];
/// As much as a pseudo-terminal hands out at once (`N_TTY_BUF_SIZE`).
const PIECE: usize = 4096;
/// How long the guest talks.
const TALK: Duration = Duration::from_secs(4);
/// How long the last viewer may take to reach the last output. Only a broken one needs it.
const PATIENCE: Duration = Duration::from_secs(60);
/// The target, in bytes per second.
const TARGET: f64 = 20e6;
/// How late the rate-limited guest may be with its last output.
const LATE: Duration = Duration::from_millis(500);
/// How often the rate-limited guest sends output.
const TICK: Duration = Duration::from_millis(5);
/// What a serial line hands over at once, in bytes, and how many times in a millisecond.
const DROP: usize = 20;
const DROPS: usize = 5;
/// The guest's last output.
const END: &[u8] = b"\r\nthe end\r\n";
/// A bare socket's first output.
const BARE_BEGIN: &[u8] = b"beginning";
const MACHINE: &str = "loud";

/// Runs the figures.
///
/// # Errors
/// If a viewer never gets the guest's last output.
pub async fn run() -> Result<Vec<Figure>> {
    let mut inside = Inside::begin().await?;
    let machine: MachineName = MACHINE.parse().map_err(|_| anyhow::anyhow!("no machine name"))?;
    create(&mut inside.person).await?;
    let mut figures = Vec::new();
    for viewers in VIEWERS {
        let people = if viewers == 1 { "one viewer".to_owned() } else { format!("{viewers} viewers") };
        let bare = by_bare_sockets(viewers).await?;
        let flood = talk(&mut inside, &machine, viewers, None).await?;
        let rates = flood.seen.iter().map(|seen| seen.rate() / 1e6).collect();
        let name = format!("console: guest → {people}, each");
        figures.push(
            Figure::new(name, Unit::MegabytesPerSecond, Samples::new(rates).context("nobody looked")?)
                .target(Target::AtLeast(TARGET / 1e6))
                .beside("bare sockets", Samples::new(bare).context("nobody looked")?),
        );
        let guest = Samples::one(flood.said / TALK.as_secs_f64() / 1e6);
        figures.push(Figure::new(
            format!("console: the guest itself, {people}"),
            Unit::MegabytesPerSecond,
            guest,
        ));
        let paced = talk(&mut inside, &machine, viewers, Some(TARGET)).await?;
        // The last tick before the end may come up to a tick early.
        let due = TARGET * (TALK - 2 * TICK).as_secs_f64();
        let missing = paced.seen.iter().map(|seen| (due - seen.bytes).max(0.0)).collect();
        let missing = Samples::new(missing).context("nobody looked")?;
        let name = format!("console: missing of 4 s at 20 MB/s, {people}");
        figures.push(Figure::new(name, Unit::Bytes, missing).target(Target::AtMost(0.0)));
    }
    for viewers in [0, 1] {
        let people = if viewers == 0 { "nobody looks" } else { "one viewer" };
        let spent = drip(&mut inside, &machine, viewers).await?;
        let name = format!("console: CPU per MB of a serial line, {people}");
        figures.push(Figure::new(name, Unit::Millis, Samples::one(spent)));
    }
    inside.end().await?;
    Ok(figures)
}

/// Has the guest send little output very often, for a while; milliseconds of CPU per megabyte.
async fn drip(inside: &mut Inside, machine: &MachineName, viewers: usize) -> Result<f64> {
    let actor = inside.actor().await?;
    let mut guest = inside.server.engine.attach_console(&actor, machine, ConsoleRole::Driver, None).await?;
    let ready = Arc::new(Barrier::new(viewers + 1));
    let begin = Bytes::from(format!("\r\ndripping {viewers}\r\n"));
    let watching = watchers(inside, machine, viewers, &begin, &ready).await?;
    insist(&mut guest, &begin).await;
    let ready = tokio::time::timeout(PATIENCE, ready.wait()).await;
    ready.context("a viewer never saw the beginning of the talk")?;
    let (begun, before) = (Instant::now(), cpu());
    let mut said = 0;
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    while begun.elapsed() < TALK {
        tick.tick().await;
        for _ in 0..DROPS {
            insist(&mut guest, &[b'.'; DROP]).await;
            said += DROP;
            // The guest's turn: what waits for it is taken at once.
            tokio::task::yield_now().await;
        }
    }
    insist(&mut guest, END).await;
    let seen = tokio::time::timeout(PATIENCE, try_join_all(watching)).await;
    let seen = seen.context("a viewer never saw the end of the talk")??;
    seen.into_iter().collect::<Result<Vec<Seen>>>()?;
    let spent = cpu().saturating_sub(before);
    Ok(spent.as_secs_f64() * 1e3 / (said as f64 / 1e6))
}

/// The processor time that this process has used.
fn cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

/// Types, again until it is accepted: a guest that reads slower than we type is fine here.
async fn insist(guest: &mut ConsoleSession, bytes: &[u8]) {
    while !guest.type_in(bytes) {
        tokio::task::yield_now().await;
    }
}

/// So many viewers, which count what they see once they have seen the beginning.
async fn watchers(
    inside: &mut Inside,
    machine: &MachineName,
    viewers: usize,
    begin: &Bytes,
    ready: &Arc<Barrier>,
) -> Result<Vec<JoinHandle<Result<Seen>>>> {
    let role = ConsoleRole::Watcher;
    let path = app::routes::sockets::console(machine, role, None);
    let mut watching = Vec::new();
    for _ in 0..viewers {
        let purpose = TicketPurpose::Console { machine: machine.clone(), role };
        let socket = inside.person.open(&path, &purpose).await?;
        watching.push(tokio::spawn(watch(socket, begin.clone(), ready.clone())));
    }
    Ok(watching)
}

async fn create(person: &mut Person) -> Result<()> {
    let fields = [
        ("intent", "create"),
        ("name", MACHINE),
        ("host", "local"),
        ("mode", "immutable"),
        ("memory", "512"),
        ("vcpus", "1"),
        ("disk", "1"),
        ("network", "nat"),
        ("tcp_ports", "22"),
    ];
    let job = person.begin_job(app::routes::NEW_MACHINE, &fields).await?;
    person.done(job).await.map(drop)
}

/// The result of one talk.
struct Talk {
    /// Bytes that the guest sent.
    said: f64,
    seen: Vec<Seen>,
}

/// What one viewer saw of it.
struct Seen {
    bytes: f64,
    took: Duration,
}

impl Seen {
    fn rate(&self) -> f64 {
        self.bytes / self.took.as_secs_f64()
    }
}

/// Lets the guest talk for a while, at a rate in bytes per second or as fast as it is read.
async fn talk(inside: &mut Inside, machine: &MachineName, viewers: usize, rate: Option<f64>) -> Result<Talk> {
    let actor = inside.actor().await?;
    let mut guest = inside.server.engine.attach_console(&actor, machine, ConsoleRole::Driver, None).await?;
    let ready = Arc::new(Barrier::new(viewers + 1));
    // A viewer first sees earlier output; a unique word marks where this talk begins.
    let begin = Bytes::from(format!("\r\nbeginning {viewers} {rate:?}\r\n"));
    let watching = watchers(inside, machine, viewers, &begin, &ready).await?;
    insist(&mut guest, &begin).await;
    let ready = tokio::time::timeout(PATIENCE, ready.wait()).await;
    ready.context("a viewer never saw the beginning of the talk")?;
    let said = say(&mut guest, rate).await;
    insist(&mut guest, END).await;
    let seen = tokio::time::timeout(PATIENCE, try_join_all(watching)).await;
    let seen = seen.context("a viewer never saw the end of the talk")??;
    Ok(Talk { said, seen: seen.into_iter().collect::<Result<_>>()? })
}

/// Sends output; returns how many bytes. A rate-limited guest gives up when the portal takes less.
async fn say(guest: &mut ConsoleSession, rate: Option<f64>) -> f64 {
    let piece = [b'.'; PIECE];
    let begun = Instant::now();
    let mut said = 0.0;
    let mut tick = tokio::time::interval(TICK);
    while begun.elapsed() < TALK {
        let due = match rate {
            None => said + 1.0,
            Some(rate) => {
                tick.tick().await;
                rate * begun.elapsed().min(TALK).as_secs_f64()
            }
        };
        while said < due && begun.elapsed() < TALK + LATE {
            insist(guest, &piece).await;
            said += piece.len() as f64;
        }
    }
    said
}

/// One viewer: waits until it has seen the beginning, then counts until the end.
async fn watch(mut socket: Socket, begin: Bytes, ready: Arc<Barrier>) -> Result<Seen> {
    let mut tail = Vec::new();
    while !tail.ends_with(&begin) {
        tail.extend_from_slice(&bytes(&mut socket).await?);
        tail.drain(..tail.len().saturating_sub(begin.len()));
    }
    ready.wait().await;
    let begun = Instant::now();
    let mut count = 0;
    loop {
        let said = bytes(&mut socket).await?;
        count += said.len();
        if said.ends_with(END) {
            return Ok(Seen { bytes: (count - END.len()) as f64, took: begun.elapsed() });
        }
    }
}

async fn bytes(socket: &mut Socket) -> Result<Bytes> {
    loop {
        match socket.next().await? {
            Some(Frame::Bytes(bytes)) => return Ok(bytes),
            Some(Frame::Text(_)) => {}
            None => bail!("the console's socket was closed"),
        }
    }
}

/// As many sockets with nothing behind them, as fast as they go; megabytes per second of each.
async fn by_bare_sockets(viewers: usize) -> Result<Vec<f64>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (go, sending) = watch::channel(false);
    let server = tokio::spawn(async move {
        let mut senders = Vec::new();
        for _ in 0..viewers {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            senders.push(tokio::spawn(send(stream, sending.clone())));
        }
        try_join_all(senders).await?.into_iter().collect::<Result<()>>()
    });
    let ready = Arc::new(Barrier::new(viewers + 1));
    let mut watching = Vec::new();
    for _ in 0..viewers {
        let (socket, _) =
            client_async(format!("ws://{address}/"), TcpStream::connect(address).await?).await?;
        let begin = Bytes::from_static(BARE_BEGIN);
        watching.push(tokio::spawn(watch(Socket::bare(socket), begin, ready.clone())));
    }
    ready.wait().await;
    go.send_replace(true);
    let seen = try_join_all(watching).await?.into_iter().collect::<Result<Vec<Seen>>>()?;
    server.await??;
    Ok(seen.iter().map(|seen| seen.rate() / 1e6).collect())
}

async fn send(stream: TcpStream, mut go: watch::Receiver<bool>) -> Result<()> {
    let mut socket = accept_async(stream).await?;
    socket.send(Message::Binary(Bytes::from_static(BARE_BEGIN))).await?;
    go.wait_for(|go| *go).await?;
    let piece = Bytes::from(vec![b'.'; PIECE]);
    let begun = Instant::now();
    while begun.elapsed() < TALK {
        socket.send(Message::Binary(piece.clone())).await?;
    }
    Ok(socket.send(Message::Binary(Bytes::from_static(END))).await?)
}
