//! The serial console over libvirt streams.
//!
//! ```text
//! guest ─► libvirtd ─► stream ─ event-loop thread: drain ─► output channel ─► hub
//!                        ▲
//!                        └─ one piece at a time, from a blocking thread ◄─ bounded input ◄─ hub
//! ```
//!
//! This works for every kind of URI, which reading the pty would not. How a stream is read is in `reading.rs`.
//! A console is read over the host's main connection. Input goes over one of its own, which exists only while someone
//! has the keyboard ([`Own`]): libvirtd counts what a guest has not read against the connection's calls
//! (`max_client_requests`) and stops reading the connection at five, so a guest that does not read would take all other
//! machines of the host with it. Nor does a stream ever report that it is full (`virStreamSend` to a remote libvirtd
//! queues without limit), so after each piece libvirtd is sent a request: it answers once it has read the piece.
//!
//! libvirtd handles a request to end a stream when the guest next reads or writes something. A console that got input
//! and is not read may therefore stay open after it was closed; one opened meanwhile takes its place ([`Consoles`]).
//! Only then: a stream replaced by another is sometimes never notified, and on the main connection that would last
//! forever.

mod reading;

use super::connect::{Link, open_one};
use super::error::{failed, is, of_machine};
use super::power::find;
use super::sys::{EventSink, RawEvent, Registration};
use bytes::Bytes;
use ports::console::{TypedInput, input};
use ports::hypervisor::{ConsoleStream, MachineRef, Result};
use reading::{Console, Reading};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use virt::connect::Connect;
use virt::error::ErrorNumber;
use virt::stream::Stream;

/// Pieces from the guest that wait for the hub.
const DEPTH: usize = 64;
/// Only if nobody has it, and: regardless of who has it.
const SAFE: u32 = virt_sys::VIR_DOMAIN_CONSOLE_SAFE;
const FORCE: u32 = virt_sys::VIR_DOMAIN_CONSOLE_FORCE | virt_sys::VIR_DOMAIN_CONSOLE_SAFE;
/// Largest piece to the guest, in bytes. Of what it does not read, libvirtd keeps five.
const TYPED_PIECE: usize = 1024;
/// How long to wait before a connection for typing is tried again.
const RETRY: Duration = Duration::from_secs(2);
/// How long the end of a stream may take before its guest is considered not to read.
const CLOSING: Duration = Duration::from_secs(2);

/// The consoles of a host that are being closed, each until its token is cancelled.
#[derive(Clone, Default)]
pub struct Consoles(Arc<Mutex<HashMap<MachineRef, CancellationToken>>>);

impl Consoles {
    fn closing(&self) -> MutexGuard<'_, HashMap<MachineRef, CancellationToken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a console that is being closed. False when it stays open.
    async fn are_free_of(&self, machine: &MachineRef) -> bool {
        let closing = self.closing().get(machine).filter(|closed| !closed.is_cancelled()).cloned();
        match closing {
            Some(closed) => timeout(CLOSING, closed.cancelled()).await.is_ok(),
            None => true,
        }
    }

    fn begin_closing(&self, machine: &MachineRef, closed: CancellationToken) {
        let mut closing = self.closing();
        closing.retain(|_, closed| !closed.is_cancelled());
        closing.insert(machine.clone(), closed);
    }

    /// Ends a stream and its own connection, if any; waits a while for that, then leaves it to a thread.
    async fn close(&self, machine: &MachineRef, reading: Reading, own: Option<Own>) {
        let closed = CancellationToken::new();
        let guard = closed.clone().drop_guard();
        self.begin_closing(machine, closed);
        let ending = spawn_blocking(move || {
            reading.end();
            drop((own, guard));
        });
        if timeout(CLOSING, ending).await.is_err() {
            tracing::debug!(machine.name = %machine.name, "a console stays open until its guest reads");
        }
    }
}

/// Opens the console of a running machine. Another session is not thrown out: someone using `virsh console` on the host
/// keeps it, and the caller gets an error.
pub async fn open(link: &Link, consoles: &Consoles, machine: &MachineRef) -> Result<ConsoleStream> {
    let is_free = consoles.are_free_of(machine).await;
    let (uri, machine, consoles) = (link.uri().to_owned(), machine.clone(), consoles.clone());
    let (place, stream) = link
        .call(move |live| {
            let stream = is_free.then(|| stream(&machine, &live.connect, SAFE)).transpose()?;
            Ok((Place { machine, uri, consoles, lost: live.ended.clone() }, stream))
        })
        .await?;
    if let Some(stream) = stream {
        return attach(stream, place, None);
    }
    let own = Own::open(&place.uri).await.map_err(|why| failed("Opening the console", why))?;
    match own.stream(&place.machine, FORCE).await {
        Ok(stream) => attach(stream, place, Some(own)),
        Err(error) => {
            own.discard();
            Err(error)
        }
    }
}

/// Opens a console's stream; blocks.
fn stream(machine: &MachineRef, connect: &Connect, flags: u32) -> Result<Stream> {
    let fault = |error| of_machine("Opening the console", machine)(error);
    let domain = find(connect, machine)?;
    let stream = Stream::new(connect, virt_sys::VIR_STREAM_NONBLOCK).map_err(fault)?;
    domain.open_console(None, &stream, flags).map_err(|error| {
        if is(&error, ErrorNumber::OperationFailed) {
            return failed(
                "Opening the console",
                format!("{}; end the other session first", error.message()),
            );
        }
        fault(error)
    })?;
    Ok(stream)
}

/// Puts a pair of channels on a stream opened as non-blocking. Must be called within a tokio runtime.
fn attach(stream: Stream, place: Place, own: Option<Own>) -> Result<ConsoleStream> {
    let (output, from_guest) = mpsc::channel(DEPTH);
    let (to_guest, typed) = input();
    let reading = Reading::begin(stream, output.clone())?;
    tokio::spawn(async move { serve(reading, own, &place, &output, &typed).await });
    Ok(ConsoleStream { output: from_guest, input: to_guest })
}

/// Reads over the main connection until someone takes the keyboard, and then over the console's own until nobody has
/// it. The caller then opens the console anew.
async fn serve(
    mut reading: Reading,
    own: Option<Own>,
    place: &Place,
    output: &mpsc::Sender<Bytes>,
    typed: &TypedInput,
) {
    let own = match own {
        Some(own) => own,
        None => {
            let own = tokio::select! {
                () = reading.relay() => None,
                () = place.lost.cancelled() => None,
                own = Own::open_when_driven(place, typed) => Some(own),
            };
            // At once where a connection is ready: output while nobody reads is lost.
            place.consoles.close(&place.machine, reading, None).await;
            let Some(own) = own else { return };
            match begin(own.stream(&place.machine, SAFE).await, output, place) {
                Some(driven) => reading = driven,
                None => return own.discard(),
            }
            own
        }
    };
    let released = async {
        typed.driven(true).await;
        typed.driven(false).await;
    };
    tokio::select! {
        () = reading.relay() => {}
        () = type_in(typed, &reading.console, &own.connect) => {}
        () = own.lost.cancelled() => {}
        () = released => {}
    }
    place.consoles.close(&place.machine, reading, Some(own)).await;
}

/// Begins to read a stream, if there is one.
fn begin(stream: Result<Stream>, output: &mpsc::Sender<Bytes>, place: &Place) -> Option<Reading> {
    match stream.and_then(|stream| Reading::begin(stream, output.clone())) {
        Ok(reading) => Some(reading),
        Err(error) => {
            tracing::debug!(machine.name = %place.machine.name, %error, "a console ended under our hands");
            None
        }
    }
}

/// Sends input, piece by piece, as fast as libvirtd reads it. Returns when the stream takes no more.
async fn type_in(typed: &TypedInput, console: &Arc<Console>, connect: &Connect) {
    while let Some(piece) = typed.take(TYPED_PIECE).await {
        let (console, connect) = (Arc::clone(console), connect.clone());
        // Blocks for as long as the guest does not read, or until the connection is cut.
        let sent = spawn_blocking(move || console.send(&piece) && connect.lib_version().is_ok()).await;
        if !matches!(sent, Ok(true)) {
            return;
        }
    }
    // No more input will come, which is no reason to stop listening.
    std::future::pending().await
}

/// Which console.
struct Place {
    machine: MachineRef,
    uri: String,
    consoles: Consoles,
    /// Cancelled when the main connection is lost.
    lost: CancellationToken,
}

/// The connection of a console with input.
struct Own {
    /// Removed before the connection is closed.
    _registration: Registration,
    connect: Connect,
    /// Cancelled when it is lost.
    lost: CancellationToken,
}

impl Own {
    /// A new connection once the console is driven; tried until it works.
    async fn open_when_driven(place: &Place, typed: &TypedInput) -> Self {
        loop {
            typed.driven(true).await;
            match Self::open(&place.uri).await {
                Ok(own) => return own,
                Err(why) => {
                    let machine = &place.machine.name;
                    tracing::warn!(machine.name = %machine, why, "no connection for typing on a console");
                }
            }
            sleep(RETRY).await;
        }
    }

    async fn open(uri: &str) -> std::result::Result<Self, String> {
        let uri = uri.to_owned();
        let opened = spawn_blocking(move || {
            let connect = open_one(&uri)?;
            let lost = CancellationToken::new();
            let ended = lost.clone();
            let sink: EventSink = Arc::new(move |event| {
                if matches!(event, RawEvent::Closed { .. }) {
                    ended.cancel();
                }
            });
            Ok(Self { _registration: Registration::of_close(&connect, &sink), connect, lost })
        });
        opened.await.unwrap_or_else(|error| Err(error.to_string()))
    }

    /// Closes it, which is a blocking call.
    fn discard(self) {
        drop(spawn_blocking(move || drop(self)));
    }

    async fn stream(&self, machine: &MachineRef, flags: u32) -> Result<Stream> {
        let (machine, connect) = (machine.clone(), self.connect.clone());
        let opened = spawn_blocking(move || stream(&machine, &connect, flags)).await;
        opened.unwrap_or_else(|error| Err(failed("Opening the console", error.to_string())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::machine::MachineId;
    use ports::console::InputError;
    use ports::hypervisor::HostRef;
    use std::time::Instant;
    use virt::storage_pool::StoragePool;

    /// Long enough to fill every queue on the way many times.
    const SIZE: usize = 64 << 20;

    /// A stream with known bytes: libvirtd reads a file to us just as it does a console.
    async fn stream(dir: &std::path::Path) -> Option<(Connect, StoragePool, Stream)> {
        let Ok(uri) = std::env::var("SNOWGLOBE_TEST_LIBVIRT") else {
            // A test that passes without testing anything would hide that.
            assert!(
                std::env::var_os("SNOWGLOBE_TEST_SKIP_REAL").is_some(),
                "not configured: run `cargo xtask test`, set SNOWGLOBE_TEST_LIBVIRT, or leave the real tests out with \
                 SNOWGLOBE_TEST_SKIP_REAL=1"
            );
            return None;
        };
        crate::libvirt::events::start_loop().unwrap();
        let pattern: Vec<u8> = (0..SIZE / 4).flat_map(|n| u32::try_from(n).unwrap().to_be_bytes()).collect();
        let path = dir.join("bytes");
        std::fs::write(&path, pattern).unwrap();
        let connect = Connect::open(Some(&uri)).unwrap();
        let name = dir.file_name().unwrap().to_str().unwrap();
        let xml = format!(
            "<pool type='dir'><name>{name}</name><target><path>{}</path></target></pool>",
            dir.display()
        );
        let pool = connect.create_storage_pool_xml(&xml, 0).unwrap();
        let volume = pool.lookup_storage_vol_by_name("bytes").unwrap();
        let stream = Stream::new(&connect, virt_sys::VIR_STREAM_NONBLOCK).unwrap();
        volume.download(&stream, 0, 0, 0).unwrap();
        Some((connect, pool, stream))
    }

    fn place(lost: &CancellationToken) -> Place {
        let (id, host_ref) = (MachineId(uuid::Uuid::nil()), HostRef(String::new()));
        let machine = MachineRef { id, name: "nobody".parse().unwrap(), host_ref };
        let uri = "test:///default".to_owned();
        Place { machine, uri, consoles: Consoles::default(), lost: lost.clone() }
    }

    #[tokio::test]
    async fn real_stream_loses_nothing_however_slow_its_reader_and_ends() {
        let dir = tempfile::Builder::new().prefix("pool-").tempdir().unwrap();
        let Some((_connect, pool, stream)) = stream(dir.path()).await else { return };
        let mut console = attach(stream, place(&CancellationToken::new()), None).unwrap();
        let mut got = Vec::with_capacity(SIZE);
        // A reader that begins late: every queue on the way fills up, and reading is switched off and on again.
        while console.output.len() < DEPTH {
            tokio::task::yield_now().await;
        }
        let begun = Instant::now();
        while let Some(bytes) = timeout(Duration::from_secs(60), console.output.recv()).await.unwrap() {
            got.extend_from_slice(&bytes);
        }
        let rate = SIZE as f64 / begun.elapsed().as_secs_f64() / 1e6;
        eprintln!("a console stream delivers {rate:.0} MB/s");
        assert_eq!(got.len(), SIZE);
        assert!(got.chunks_exact(4).zip(0_u32..).all(|(word, n)| word == n.to_be_bytes()));
        pool.destroy().unwrap();
    }

    #[tokio::test]
    async fn real_stream_ends_when_both_ends_are_dropped_or_the_connection_is_lost() {
        let dir = tempfile::Builder::new().prefix("pool-").tempdir().unwrap();
        let Some((_connect, pool, stream)) = stream(dir.path()).await else { return };
        let lost = CancellationToken::new();
        let mut console = attach(stream, place(&lost), None).unwrap();
        lost.cancel();
        let end = async { while console.output.recv().await.is_some() {} };
        timeout(Duration::from_secs(60), end).await.unwrap();
        // Its other end is closed as well.
        assert_eq!(console.input.push(b"x"), Err(InputError::Closed));
        pool.destroy().unwrap();
    }
}
