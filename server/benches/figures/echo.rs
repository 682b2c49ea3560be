//! How long a key takes to come back from a real guest: through the portal's socket, beside the guest's own pseudo-terminal.
//!
//! Two equal machines, one made by the portal and one by bare tools, because only one reader at a time can have a
//! machine's terminal. Keys go to the login prompt, which echoes them; turns alternate.

use crate::bare::{self, Pattern, Way, virsh};
use crate::person::{Frame, Socket};
use crate::report::{Figure, Samples, Target, Unit, millis};
use crate::tiny::Tiny;
use anyhow::{Context as _, Result, bail};
use model::account::TicketPurpose;
use model::console::ConsoleRole;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

/// Keys for each of the two.
const KEYS: usize = 200;
/// How long a guest may take to its login prompt, emulated on a busy computer.
const BOOT: Duration = Duration::from_secs(120);
/// How long one key may take before something is broken.
const KEY: Duration = Duration::from_secs(10);
const PROMPT: &[u8] = b"login: ";
/// Erases the key again, so that the line does not grow.
const ERASE: u8 = 0x7f;
/// What the prompt prints for it.
const ERASED: &[u8] = b"\x08 \x08";

/// Runs the figure.
///
/// # Errors
/// If a machine does not boot or does not echo.
pub async fn run() -> Result<Vec<Figure>> {
    let mut tiny = Tiny::begin().await?;
    let job = tiny.create("bench-portal").await?;
    tiny.started(job).await?;
    let pattern = Pattern::of(&tiny, "bench-portal").await?;
    pattern.create(&tiny, "bench-tools", Way::Mke2fs).await?;
    // Opened before anyone has seen its prompt: output without a reader is lost.
    let mut own = Own::open("bench-tools").await?;
    own.until(PROMPT, BOOT).await?;
    tiny.person.done(job).await?;
    let mut portal = Portal::open(&mut tiny, "bench-portal").await?;
    portal.until(PROMPT, BOOT).await?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..KEYS {
        ours.push(portal.key().await?);
        theirs.push(own.key().await?);
    }
    bare::remove(&tiny, "bench-tools").await?;
    tiny.purge("bench-portal").await?;
    tiny.end().await?;
    figures(&ours, &theirs)
}

fn figures(ours: &[Duration], theirs: &[Duration]) -> Result<Vec<Figure>> {
    let (ours, theirs) = (millis(ours), millis(theirs));
    let (ours, theirs) = (ours.context("no key was typed")?, theirs.context("no key was typed")?);
    let more = Samples::one((ours.median() - theirs.median()).max(0.0));
    Ok(vec![
        Figure::new("console: echo of a key in the browser", Unit::Millis, ours)
            .beside("the guest's own pty", theirs),
        Figure::new("console: echo over the hypervisor's own", Unit::Millis, more)
            .target(Target::AtMost(5.0)),
    ])
}

/// A guest's terminal as QEMU provides it.
struct Own {
    /// None while a blocking read has it.
    terminal: Option<File>,
}

impl Own {
    async fn open(machine: &str) -> Result<Self> {
        let path = virsh(&["ttyconsole", machine]).await?;
        let terminal = File::options().read(true).write(true).open(path.trim());
        Ok(Self { terminal: Some(terminal.context("the guest's terminal cannot be opened")?) })
    }

    async fn until(&mut self, end: &'static [u8], limit: Duration) -> Result<()> {
        self.blocking(limit, move |terminal| read_until(terminal, end)).await
    }

    async fn key(&mut self) -> Result<Duration> {
        self.blocking(KEY, |terminal| {
            let begun = Instant::now();
            terminal.write_all(b"x")?;
            read_until(terminal, b"x")?;
            let took = begun.elapsed();
            terminal.write_all(&[ERASE])?;
            read_until(terminal, ERASED)?;
            Ok(took)
        })
        .await
    }

    /// A terminal has no asynchronous reads. One that never answers keeps its thread, until the process ends.
    async fn blocking<T: Send + 'static>(
        &mut self,
        limit: Duration,
        work: impl FnOnce(&mut File) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let mut terminal = self.terminal.take().context("the guest's terminal is lost")?;
        let working = tokio::task::spawn_blocking(move || {
            let done = work(&mut terminal);
            (done, terminal)
        });
        let done = tokio::time::timeout(limit, working).await;
        let (done, terminal) = done.context("the guest's own terminal is silent")??;
        self.terminal = Some(terminal);
        done
    }
}

fn read_until(terminal: &mut File, end: &[u8]) -> Result<()> {
    let mut said = Vec::new();
    let mut buffer = [0; 4096];
    while !contains(&said, end) {
        let n = terminal.read(&mut buffer)?;
        said.extend_from_slice(buffer.get(..n).unwrap_or_default());
    }
    Ok(())
}

fn contains(said: &[u8], what: &[u8]) -> bool {
    said.windows(what.len()).any(|w| w == what)
}

/// The same through the portal.
struct Portal(Socket);

impl Portal {
    async fn open(tiny: &mut Tiny, machine: &str) -> Result<Self> {
        let machine = machine.parse().map_err(|_| anyhow::anyhow!("{machine} is no machine's name"))?;
        let role = ConsoleRole::Driver;
        let path = app::routes::sockets::console(&machine, role, None);
        Ok(Self(tiny.person.open(&path, &TicketPurpose::Console { machine, role }).await?))
    }

    async fn until(&mut self, end: &[u8], limit: Duration) -> Result<()> {
        let mut said = Vec::new();
        let read = async {
            while !contains(&said, end) {
                match self.0.next().await? {
                    Some(Frame::Bytes(bytes)) => said.extend_from_slice(&bytes),
                    Some(Frame::Text(_)) => {}
                    None => bail!("the console's socket was closed"),
                }
            }
            Ok(())
        };
        tokio::time::timeout(limit, read).await.context("the guest is silent in the browser")?
    }

    async fn key(&mut self) -> Result<Duration> {
        let begun = Instant::now();
        self.0.type_in(b"x").await?;
        self.until(b"x", KEY).await?;
        let took = begun.elapsed();
        self.0.type_in(&[ERASE]).await?;
        self.until(ERASED, KEY).await?;
        Ok(took)
    }
}
