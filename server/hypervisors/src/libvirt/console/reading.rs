//! Reading a console's stream.
//!
//! The stream does not block. Its bytes are taken on the event-loop thread, where that is a copy in memory; when the
//! output channel is full, reading is switched off until there is room, so a slow reader costs nothing but its own
//! delay. It is also off most of the time while a guest floods the console: libvirtd sends a packet for every few
//! bytes, and waking for each costs a hundred times what the bytes do.

use super::super::error::of_host;
use super::super::sys::{StreamSink, StreamWatch};
use bytes::Bytes;
use ports::console::Pace;
use ports::hypervisor::Result;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use virt::stream::Stream;
use virt_sys::{
    VIR_STREAM_EVENT_ERROR as ERROR, VIR_STREAM_EVENT_HANGUP as HANGUP, VIR_STREAM_EVENT_READABLE as READABLE,
};

/// Largest piece, in bytes.
const PIECE: usize = 64 * 1024;
/// What a non-blocking stream returns when there is nothing to read (virStreamRecv(3)).
const WOULD_BLOCK: isize = -2;

/// A stream that is being read. Only [`Reading::end`] ends it.
pub(super) struct Reading {
    pub(super) console: Arc<Console>,
    output: mpsc::Sender<Bytes>,
    watch: StreamWatch,
}

impl Reading {
    pub(super) fn begin(stream: Stream, output: mpsc::Sender<Bytes>) -> Result<Self> {
        let console = Arc::new(Console {
            stream,
            output: Mutex::new(Some(output.clone())),
            buffer: Mutex::new(vec![0; PIECE].into_boxed_slice()),
            pace: Mutex::new(Pace::new(Instant::now())),
            mask: Mutex::new(READABLE | ERROR | HANGUP),
            full: Notify::new(),
            pouring: Notify::new(),
            ended: CancellationToken::new(),
        });
        let sink: StreamSink = {
            let console = Arc::clone(&console);
            Arc::new(move |events| console.on_events(events))
        };
        let watch = StreamWatch::new(&console.stream, READABLE | ERROR | HANGUP, sink)
            .map_err(of_host("Watching the console"))?;
        Ok(Self { console, output, watch })
    }

    /// Switches reading on again after each pause, until the stream ends or has no listener.
    pub(super) async fn relay(&self) {
        let console = &self.console;
        let rearm = async {
            loop {
                tokio::select! {
                    // Fails when the listener is gone, which is noticed below.
                    () = console.full.notified() => drop(self.output.reserve().await),
                    () = console.pouring.notified() => sleep(Pace::REST).await,
                }
                if !console.ended.is_cancelled() {
                    console.change_mask(|mask| mask | READABLE);
                }
            }
        };
        tokio::select! {
            () = console.ended.cancelled() => {}
            () = self.output.closed() => {}
            () = rearm => {}
        }
    }

    /// Talks to the host. When the guest has not read its input, this returns only once it does, or once another stream
    /// has taken the console: libvirtd keeps the order.
    pub(super) fn end(self) {
        // That can take long, and the listener need not wait for it.
        drop((self.output, locked(&self.console.output).take()));
        self.watch.end(&self.console.stream);
        // A stream that ended by itself has nothing left to abort.
        if let Err(error) = self.console.stream.clone().abort() {
            tracing::trace!(error = error.message(), "a console's stream had ended");
        }
    }
}

fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) struct Console {
    stream: Stream,
    /// None once the stream is being closed.
    output: Mutex<Option<mpsc::Sender<Bytes>>>,
    buffer: Mutex<Box<[u8]>>,
    pace: Mutex<Pace>,
    /// The events asked for; its lock orders the changes from the two threads.
    mask: Mutex<u32>,
    /// Reading was switched off because the output channel is full.
    full: Notify,
    /// Reading was switched off because the guest floods the console.
    pouring: Notify,
    /// The stream reached its end or failed.
    ended: CancellationToken,
}

impl Console {
    /// Runs on the event-loop thread.
    fn on_events(&self, events: u32) {
        if events & READABLE != 0 {
            self.drain();
        } else if events & (ERROR | HANGUP) != 0 {
            self.end();
        }
    }

    fn drain(&self) {
        let Some(output) = locked(&self.output).clone() else { return };
        let mut buffer = locked(&self.buffer);
        let mut drained = 0_usize;
        loop {
            let slot = match output.try_reserve() {
                Ok(slot) => Some(slot),
                // The listener is gone: output is discarded until the stream is closed.
                Err(TrySendError::Closed(())) => None,
                Err(TrySendError::Full(())) => return self.pause(&self.full),
            };
            match self.stream.recv(&mut buffer) {
                Ok(WOULD_BLOCK) => break,
                Ok(count) => {
                    match usize::try_from(count).ok().filter(|n| *n > 0).and_then(|n| buffer.get(..n)) {
                        Some(bytes) => {
                            drained = drained.saturating_add(bytes.len());
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
        if locked(&self.pace).pours(drained, Instant::now()) {
            self.pause(&self.pouring);
        }
    }

    /// Switches reading off and lets [`Reading::relay`] switch it on again.
    fn pause(&self, why: &Notify) {
        self.change_mask(|mask| mask & !READABLE);
        why.notify_one();
    }

    /// No further events: a stream at its end reports that forever.
    fn end(&self) {
        self.change_mask(|_| 0);
        self.ended.cancel();
    }

    fn change_mask(&self, change: impl FnOnce(u32) -> u32) {
        let mut mask = locked(&self.mask);
        let wanted = change(*mask);
        if wanted != *mask {
            *mask = wanted;
            if let Err(error) = self.stream.event_update_callback(wanted) {
                tracing::debug!(error = error.message(), "a console stream ended under our hands");
                self.ended.cancel();
            }
        }
    }

    /// Sends all bytes; blocks while libvirtd does not read. False when the stream takes no more.
    pub(super) fn send(&self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let sent = self.stream.send(bytes).ok().and_then(|count| usize::try_from(count).ok());
            match sent.and_then(|count| bytes.get(count..)) {
                Some(rest) => bytes = rest,
                None => return false,
            }
        }
        true
    }
}
