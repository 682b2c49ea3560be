//! The serial console as a pair of channels over a libvirt stream.
//!
//! ```text
//! guest ─► libvirtd ─► stream ─ event-loop thread: drain ─► output channel ─► hub
//!                        ▲
//!                        └─ pump task: send ◄─ input channel ◄─ hub
//! ```
//!
//! The stream does not block. Its bytes are taken on the event-loop thread, where that is a copy in memory; when the output
//! channel is full, reading is switched off until there is room, so a slow reader costs nothing but its own delay. The
//! pump task owns the stream: it alone sends, ends it and takes the callback back, however the console ends. This works for
//! every kind of URI, which reading the pty would not.

use super::connect::Link;
use super::error::{failed, is, of_host, of_machine};
use super::power::find;
use super::sys::{StreamSink, StreamWatch};
use bytes::Bytes;
use ports::hypervisor::{ConsoleStream, MachineRef, Result};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use virt::error::ErrorNumber;
use virt::stream::Stream;
use virt_sys::{
    VIR_STREAM_EVENT_ERROR as ERROR, VIR_STREAM_EVENT_HANGUP as HANGUP,
    VIR_STREAM_EVENT_READABLE as READABLE, VIR_STREAM_EVENT_WRITABLE as WRITABLE,
};

/// Pieces that wait in each direction.
const DEPTH: usize = 64;
/// Largest piece, in bytes.
const PIECE: usize = 64 * 1024;
/// What a stream that does not block answers when there is nothing to read or no room to write (virStreamRecv(3)).
const WOULD_BLOCK: isize = -2;

/// Opens the console of a running machine. Somebody else's session is not thrown out: who uses `virsh console` on the host
/// keeps it, and the caller is told.
pub async fn open(link: &Link, machine: &MachineRef) -> Result<ConsoleStream> {
    let machine = machine.clone();
    let (stream, lost) = link
        .call(move |live| {
            let fault = |error| of_machine("Opening the console", &machine)(error);
            let domain = find(&live.connect, &machine)?;
            let stream = Stream::new(&live.connect, virt_sys::VIR_STREAM_NONBLOCK).map_err(fault)?;
            domain.open_console(None, &stream, virt_sys::VIR_DOMAIN_CONSOLE_SAFE).map_err(|error| {
                if is(&error, ErrorNumber::OperationFailed) {
                    return failed(
                        "Opening the console",
                        format!("{}; end the other session first", error.message()),
                    );
                }
                fault(error)
            })?;
            Ok((stream, live.ended.clone()))
        })
        .await?;
    attach(stream, lost)
}

/// Puts a pair of channels on a stream that was opened not to block. Must be called within a tokio runtime.
fn attach(stream: Stream, lost: CancellationToken) -> Result<ConsoleStream> {
    let (output, from_guest) = mpsc::channel(DEPTH);
    let (to_guest, input) = mpsc::channel(DEPTH);
    let console = Arc::new(Console {
        stream,
        output,
        buffer: Mutex::new(vec![0; PIECE].into_boxed_slice()),
        mask: Mutex::new(READABLE | ERROR | HANGUP),
        full: Notify::new(),
        writable: Notify::new(),
        ended: CancellationToken::new(),
    });
    let sink: StreamSink = {
        let console = Arc::clone(&console);
        Arc::new(move |events| console.on_events(events))
    };
    let watch = StreamWatch::new(&console.stream, READABLE | ERROR | HANGUP, sink)
        .map_err(of_host("Watching the console"))?;
    tokio::spawn(pump(console, watch, input, lost));
    Ok(ConsoleStream { output: from_guest, input: to_guest })
}

struct Console {
    stream: Stream,
    output: mpsc::Sender<Bytes>,
    buffer: Mutex<Box<[u8]>>,
    /// The events asked for; its lock orders the changes from the two threads.
    mask: Mutex<u32>,
    /// Reading was switched off because the output channel is full.
    full: Notify,
    /// There is room to write again.
    writable: Notify,
    /// The stream reached its end or failed.
    ended: CancellationToken,
}

impl Console {
    /// Runs on the event-loop thread.
    fn on_events(&self, events: u32) {
        if events & READABLE != 0 {
            self.drain();
        }
        if events & WRITABLE != 0 {
            self.change_mask(|mask| mask & !WRITABLE);
            self.writable.notify_one();
        }
        if events & (ERROR | HANGUP) != 0 && events & READABLE == 0 {
            self.end();
        }
    }

    fn drain(&self) {
        let mut buffer = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let slot = match self.output.try_reserve() {
                Ok(slot) => Some(slot),
                // Nobody listens any more, but somebody may still type.
                Err(TrySendError::Closed(())) => None,
                Err(TrySendError::Full(())) => {
                    self.change_mask(|mask| mask & !READABLE);
                    self.full.notify_one();
                    return;
                }
            };
            match self.stream.recv(&mut buffer) {
                Ok(WOULD_BLOCK) => return,
                Ok(count) => {
                    match usize::try_from(count).ok().filter(|n| *n > 0).and_then(|n| buffer.get(..n)) {
                        Some(bytes) => {
                            slot.map(|slot| slot.send(Bytes::copy_from_slice(bytes))).unwrap_or_default()
                        }
                        None => return self.end(),
                    }
                }
                Err(error) => {
                    tracing::debug!(error = error.message(), "a console ended");
                    return self.end();
                }
            }
        }
    }

    /// No further events: a stream at its end reports that for ever.
    fn end(&self) {
        self.change_mask(|_| 0);
        self.ended.cancel();
    }

    fn change_mask(&self, change: impl FnOnce(u32) -> u32) {
        let mut mask = self.mask.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = change(*mask);
        if wanted != *mask {
            *mask = wanted;
            if let Err(error) = self.stream.event_update_callback(wanted) {
                tracing::debug!(error = error.message(), "a console stream ended under our hands");
                self.ended.cancel();
            }
        }
    }

    /// Sends all bytes, waiting for room. False when the stream takes no more.
    async fn send(&self, mut bytes: Bytes) -> bool {
        while !bytes.is_empty() {
            match self.stream.send(&bytes) {
                Ok(WOULD_BLOCK) => {
                    self.change_mask(|mask| mask | WRITABLE);
                    self.writable.notified().await;
                }
                Ok(count) => match usize::try_from(count) {
                    Ok(count) => drop(bytes.split_to(count.min(bytes.len()))),
                    Err(_) => return false,
                },
                Err(_) => return false,
            }
        }
        true
    }
}

async fn pump(
    console: Arc<Console>,
    watch: StreamWatch,
    mut input: mpsc::Receiver<Bytes>,
    lost: CancellationToken,
) {
    // Side by side: a guest that does not read what is typed may still have much to say.
    let typing = async {
        while let Some(bytes) = input.recv().await {
            if !console.send(bytes).await {
                return console.ended.cancel();
            }
        }
    };
    let listening = async {
        loop {
            tokio::select! {
                () = console.output.closed() => return,
                () = console.full.notified() => {}
            }
            // Fails when nobody listens any more, which the next turn finds out.
            drop(console.output.reserve().await);
            console.change_mask(|mask| mask | READABLE);
        }
    };
    let work = async { tokio::join!(typing, listening) };
    tokio::select! {
        _ = work => {}
        () = console.ended.cancelled() => {}
        () = lost.cancelled() => {}
    }
    input.close();
    // Both talk to the host.
    let closed = spawn_blocking(move || {
        watch.end(&console.stream);
        // A stream that ended by itself has nothing left to abort.
        if let Err(error) = console.stream.clone().abort() {
            tracing::trace!(error = error.message(), "a console's stream had ended");
        }
    });
    if let Err(error) = closed.await {
        tracing::warn!(%error, "a console was not closed cleanly");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};
    use tokio::time::timeout;
    use virt::connect::Connect;
    use virt::storage_pool::StoragePool;

    /// Long enough to fill every queue on the way many times.
    const SIZE: usize = 64 << 20;

    /// A stream with known bytes: libvirtd reads a file to us just as it reads a console.
    async fn stream(dir: &std::path::Path) -> Option<(Connect, StoragePool, Stream)> {
        let Ok(uri) = std::env::var("SNOWGLOBE_TEST_LIBVIRT") else {
            // A test that passes without having tested anything would hide that nobody has.
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

    #[tokio::test]
    async fn real_stream_loses_nothing_however_slow_its_reader_and_ends() {
        let dir = tempfile::Builder::new().prefix("pool-").tempdir().unwrap();
        let Some((_connect, pool, stream)) = stream(dir.path()).await else { return };
        let mut console = attach(stream, CancellationToken::new()).unwrap();
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
        let mut console = attach(stream, lost.clone()).unwrap();
        lost.cancel();
        let end = async { while console.output.recv().await.is_some() {} };
        timeout(Duration::from_secs(60), end).await.unwrap();
        // Its other end is closed as well.
        assert!(console.input.send(Bytes::from_static(b"x")).await.is_err());
        pool.destroy().unwrap();
    }
}
